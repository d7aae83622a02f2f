"""What a compiled program is, by the compiler's own word: memory, work, and talk between devices.

XLA's costs count the body of a loop once, however often it will run: FLOPs, bytes and the roofline
time of a program are those of one pass through each of its loops.
"""

from __future__ import annotations

import collections
import dataclasses
import math
import pathlib
import re
import tempfile
from typing import Any

import jax
import numpy as np

from tts import parallel


@dataclasses.dataclass(frozen=True)
class Chip:
  """Figures that the vendor publishes, of one chip, which JAX sees as one device."""

  flops: float  # bf16 FLOP/s at most
  bandwidth: float  # bytes/s of its memory
  memory: int  # bytes of it


# cloud.google.com/tpu/docs/v4, /v5e, /v5p, /v6e: "Peak compute per chip (bf16)", "HBM capacity and
# bandwidth".
CHIPS = {
    'v4': Chip(275e12, 1228e9, 32 * 10**9),
    'v5e': Chip(197e12, 819e9, 16 * 10**9),
    'v5p': Chip(459e12, 2765e9, 95 * 10**9),
    'v6e': Chip(918e12, 1640e9, 32 * 10**9),
}


@dataclasses.dataclass(frozen=True)
class Collective:
  """Operations of one kind between the same devices.

  Attributes:
    op: `all-reduce`, `all-gather`, ...
    axis: of the mesh that they run over; `data+model` if over both.
    depth: loops that they are in; 0 is outside of any.
    count: of them in the program's text.
    bytes: of their results on one device, each counted once.
  """

  op: str
  axis: str
  depth: int
  count: int
  bytes: int


@dataclasses.dataclass(frozen=True)
class Facts:
  """One program on one device; bytes and FLOPs."""

  arguments: int
  outputs: int
  temporaries: int
  code: int
  flops: float
  bytes: float
  loops: int | None  # None, and so are the collectives, where the program's text is unknown
  collectives: tuple[Collective, ...] | None

  @property
  def memory(self) -> int:
    return self.arguments + self.outputs + self.temporaries + self.code

  def seconds(self, chip: Chip) -> float:
    """By the roofline: the larger of computing and of reading memory."""
    return max(self.flops / chip.flops, self.bytes / chip.bandwidth)


def facts(lowered: Any, mesh: parallel.Mesh) -> Facts:
  """Compiles a program that was lowered for the mesh; what is known of it then."""
  with tempfile.TemporaryDirectory() as folder:
    compiled = lowered.compile(
        compiler_options={'xla_dump_to': folder, 'xla_dump_hlo_as_text': True})
    text = _text(compiled, pathlib.Path(folder))
  memory, cost = compiled.memory_analysis(), compiled.cost_analysis()
  return Facts(
      arguments=memory.argument_size_in_bytes,
      # A donated argument's memory is the result's.
      outputs=memory.output_size_in_bytes - memory.alias_size_in_bytes,
      temporaries=memory.temp_size_in_bytes, code=memory.generated_code_size_in_bytes,
      flops=float(cost.get('flops', 0)), bytes=float(cost.get('bytes accessed', 0)),
      loops=None if text is None else text.count(' while('),
      collectives=None if text is None else collectives(text, mesh))


def _text(compiled: Any, dumped: pathlib.Path) -> str | None:
  """Its HLO as the compiler wrote it down; of one from the compilation cache as jaxlib reads it.

  None where that cannot read it: a compiler may have operations that jaxlib does not know.
  """
  for path in dumped.glob('*after_optimizations.txt'):
    return path.read_text()
  try:
    return compiled.as_text()
  except jax.errors.JaxRuntimeError:
    return None


_OPS = ('all-reduce', 'all-gather', 'all-to-all', 'ragged-all-to-all', 'collective-permute',
        'collective-broadcast', 'reduce-scatter')
# `= TYPE OP(`; an asynchronous one counts at its start.
_COLLECTIVE = re.compile(rf'= (.*?) ({"|".join(_OPS)})(-start)?\(')
_COMPUTATION = re.compile(r'^(?:ENTRY )?%?([\w.-]+) \(.*\{$')
_CALLED = re.compile(r'(body|condition|to_apply|calls|true_computation|false_computation)='
                     r'%?([\w.-]+)')
_CALLED_MANY = re.compile(r'(?:branch_computations|called_computations)=\{([^}]*)\}')
_ARRAY = re.compile(r'\b(pred|bf16|token|[a-z]\d+\w*)\[([\d,]*)\]')


def collectives(text: str, mesh: parallel.Mesh) -> tuple[Collective, ...]:
  """Operations in compiled HLO that talk between the devices of the mesh."""
  lines = _by_computation(text)
  depth = _depths(lines)
  found: dict[tuple, list[int]] = collections.defaultdict(lambda: [0, 0])
  for computation, body in lines.items():
    for line in body:
      match = _COLLECTIVE.search(line)
      if match:
        kind, op, start = match.groups()
        entry = found[op, _axis(line, mesh), depth[computation]]
        entry[0] += 1
        entry[1] += _bytes(kind, bool(start) and op != 'all-reduce')
  return tuple(Collective(*key, *sums) for key, sums in sorted(found.items()))


def _by_computation(text: str) -> dict[str, list[str]]:
  lines: dict[str, list[str]] = {}
  for line in text.splitlines():
    header = _COMPUTATION.match(line)
    if header:
      body = lines.setdefault(header.group(1), [])
    elif line.startswith(' ') and lines:
      body.append(line)
  return lines


def _depths(lines: dict[str, list[str]]) -> dict[str, int]:
  """How many loops each computation is in, at most."""
  callers = collections.defaultdict(set)  # computation --> (who calls it, by how many loops more)
  for caller, body in lines.items():
    for line in body:
      for how, name in _CALLED.findall(line):
        callers[name].add((caller, int(how in ('body', 'condition'))))
      for names in _CALLED_MANY.findall(line):
        for name in names.split(','):
          callers[name.strip().removeprefix('%')].add((caller, 0))
  depth: dict[str, int] = {}

  def of(name: str) -> int:
    if name not in depth:
      depth[name] = max((of(caller) + more for caller, more in callers[name]), default=0)
    return depth[name]

  for name in lines:
    of(name)
  return depth


def _bytes(kind: str, with_operand: bool) -> int:
  """Of a result's type; an asynchronous start's has the operand, and counters, in it too."""
  sizes = []
  for dtype, shape in _ARRAY.findall(kind):
    bits = 8 if dtype == 'pred' else 0 if dtype == 'token' else int(
        re.search(r'\d+', dtype).group())
    sizes.append(math.prod(int(n) for n in shape.split(',') if n) * bits // 8)
  return max(sizes) if with_operand else sum(sizes)


def _axis(line: str, mesh: parallel.Mesh) -> str:
  """The mesh axes on which the devices of a group differ."""
  seen = set()
  for group in _groups(line, mesh.devices.size):
    first, *others = (parallel.coordinates(mesh, partition) for partition in group)
    seen |= {name for other in others for name in first if other[name] != first[name]}
  return '+'.join(name for name in mesh.axis_names if name in seen) or 'none'


def _groups(line: str, size: int) -> list[list[int]]:
  """Partitions that talk to each other: `{{0,1},{2,3}}`, or `[2,2]<=[2,2]T(1,0)`."""
  pairs = re.search(r'(?:replica_groups|source_target_pairs)=\{((?:\{[\d,]*\},?)*)\}', line)
  if pairs and pairs.group(1):
    return [[int(n) for n in group.split(',') if n]
            for group in re.findall(r'\{([\d,]*)\}', pairs.group(1))]
  iota = re.search(r'replica_groups=\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?', line)
  if not iota:
    return [list(range(size))]
  numbers = lambda i: [int(n) for n in iota.group(i).split(',')]
  order = np.arange(size).reshape(numbers(2))
  if iota.group(3):
    order = order.transpose(numbers(3))
  return order.reshape(numbers(1)).tolist()
