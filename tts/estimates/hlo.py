"""What compiled HLO text says: talk between devices, and bytes of the device's main memory.

XLA's own `bytes accessed` counts what stays in a TPU's fast memory too, and what is fetched into it
ahead of its use twice more, so that it is a multiple of what a bandwidth bounds.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator
import dataclasses
import math
import re

import numpy as np

from tts import parallel


@dataclasses.dataclass(frozen=True)
class Collective:
  """Operations of one kind between the same devices.

  Attributes:
    op: `all-reduce`, `all-gather`, ...
    axis: of the mesh that they run over; `data+model` if over both.
    depth: loops that they are in; 0 is outside of any.
    count: of them, as often as their loops run; once where that is not known.
    bytes: of all their results on one device.
  """

  op: str
  axis: str
  depth: int
  count: int
  bytes: int


@dataclasses.dataclass(frozen=True)
class Instruction:
  """One line. `kind` is its result's type, `line` all of it."""

  name: str
  kind: str
  op: str
  operands: tuple[str, ...]
  line: str
  root: bool


_COMPUTATION = re.compile(r'^(?:ENTRY )?%?([\w.-]+) \(.*\{$')
# A type ends in one of these, and no operand of it does before a blank.
_INSTRUCTION = re.compile(r'^\s+(ROOT )?%?([\w.-]+) = (.*?[\]})]) ([a-z][\w-]*)\(([^)]*)\)')
_OPERAND = re.compile(r'%([\w.-]+)')
_CALLED = re.compile(r'(body|condition|to_apply|calls|true_computation|false_computation)='
                     r'%?([\w.-]+)')
_CALLED_MANY = re.compile(r'(?:branch_computations|called_computations)=\{([^}]*)\}')
_ARRAY = re.compile(r'\b(pred|bf16|token|[a-z]\d+\w*)\[([\d,]*)\](?:\{([^}]*)\})?')
_COLLECTIVES = ('all-reduce', 'all-gather', 'all-to-all', 'ragged-all-to-all', 'collective-permute',
                'collective-broadcast', 'reduce-scatter')

Text = dict[str, list[Instruction]]  # computation --> its lines


def parsed(text: str) -> Text:
  """HLO text by computation."""
  found: Text = {}
  for line in text.splitlines():
    header = _COMPUTATION.match(line)
    if header:
      body = found.setdefault(header.group(1), [])
    elif found and (match := _INSTRUCTION.match(line)):
      root, name, kind, op, operands = match.groups()
      body.append(Instruction(name, kind, op, tuple(_OPERAND.findall(operands)), line, bool(root)))
  return found


def collectives(text: Text, mesh: parallel.Mesh) -> tuple[Collective, ...]:
  """Operations that talk between the devices of the mesh."""
  depth, times = _depths(text), _times(text)
  found: dict[tuple, list[int]] = collections.defaultdict(lambda: [0, 0])
  for computation, body in text.items():
    for each in body:
      op = each.op.removesuffix('-start')  # an asynchronous one counts at its start
      if op in _COLLECTIVES:
        entry = found[op, _axis(each.line, mesh), depth[computation]]
        entry[0] += times[computation]
        # An asynchronous start's result has the operand, and counters, in it too.
        sizes = [size for size, _ in _arrays(each.kind)]
        entry[1] += times[computation] * (
            max(sizes) if op != each.op and op != 'all-reduce' else sum(sizes))
  return tuple(Collective(*key, *sums) for key, sums in sorted(found.items()))


def _calls(each: Instruction) -> Iterator[tuple[str, str]]:
  """(How, computation) of those that it calls."""
  yield from _CALLED.findall(each.line)
  for names in _CALLED_MANY.findall(each.line):
    yield from (('branch', name.strip().removeprefix('%')) for name in names.split(','))


def _depths(text: Text) -> dict[str, int]:
  """How many loops each computation is in, at most."""
  callers = collections.defaultdict(set)  # computation --> (who calls it, by how many loops more)
  for caller, body in text.items():
    for each in body:
      for how, name in _calls(each):
        callers[name].add((caller, int(how in ('body', 'condition'))))
  depth: dict[str, int] = {}

  def of(name: str) -> int:
    if name not in depth:
      depth[name] = max((of(caller) + more for caller, more in callers[name]), default=0)
    return depth[name]

  for name in text:
    of(name)
  return depth


def _times(text: Text) -> dict[str, int]:
  """How often each computation runs; bodies of loops once more for each pass that is known."""
  callers = collections.defaultdict(list)  # computation --> (who calls it, passes)
  for caller, body in text.items():
    for each in body:
      called = list(_calls(each))
      passes = _passes(text, dict(called).get('condition')) if each.op == 'while' else 1
      for _, name in called:
        callers[name].append((caller, passes))
  times: dict[str, int] = {}

  def of(name: str) -> int:
    if name not in times:
      times[name] = sum(of(caller) * passes for caller, passes in callers[name]) or 1
    return times[name]

  for name in text:
    of(name)
  return times


def _passes(text: Text, condition: str | None) -> int:
  """How often a loop runs that counts up from 0 to a constant; 1 of others."""
  body = {each.name: each for each in text.get(condition, ())}
  root = next((each for each in body.values() if each.root), None)
  if root is None or root.op != 'compare' or 'direction=LT' not in root.line:
    return 1
  bound = body.get(root.operands[-1])
  found = bound and bound.op == 'constant' and re.search(r'constant\((\d+)\)', bound.line)
  return int(found.group(1)) if found else 1


def _arrays(kind: str) -> list[tuple[int, bool]]:
  """(Bytes, whether it is in main memory) of each array of a type."""
  found = []
  for dtype, shape, layout in _ARRAY.findall(kind):
    bits = 8 if dtype == 'pred' else 0 if dtype == 'token' else int(
        re.search(r'\d+', dtype).group())
    size = math.prod(int(n) for n in shape.split(',') if n) * bits // 8
    found.append((size, not re.search(r'S\([1-9]', layout)))
  return found


def _main(kind: str) -> int:
  """Bytes of a type's arrays that are in main memory."""
  return sum(size for size, main in _arrays(kind) if main)


_FREE = ('parameter', 'constant', 'tuple', 'get-tuple-element', 'bitcast', 'while', 'conditional',
         'call', 'after-all', 'opt-barrier', 'partition-id', 'replica-id', 'iota')
_SLICES = ('dynamic-slice', 'slice', 'gather')


def moved(text: Text) -> int:
  """Bytes that a program reads from main memory and writes to it.

  Bodies of loops count as often as they run, once where that is not known. An operation reads what
  it is given, but of a slice that alone; an update in place writes what is new.
  """
  fused = {name for body in text.values() for each in body
           if each.op not in ('while', 'conditional', 'call') for _, name in _calls(each)
           if not each.op.startswith('async')}
  times = _times(text)
  return sum(times[computation] * _cost(text, computation, each)
             for computation, body in text.items() if computation not in fused for each in body)


def _cost(text: Text, computation: str, each: Instruction) -> int:
  if each.op in _FREE or each.op.endswith('-done'):
    return 0
  kinds = {other.name: other.kind for other in text[computation]}
  if each.op.startswith('async'):
    return 0  # what it calls is counted
  if each.op == 'copy-start':
    return _main(kinds[each.operands[0]]) + sum(
        size for size, main in _arrays(each.kind)[:1] if main)
  read = 0
  for i, name in enumerate(each.operands):
    whole = _main(kinds.get(name, ''))
    read += min(whole, _used(text, each, i, whole)) if whole else 0
  return read + _written(text, computation, each)


def _used(text: Text, each: Instruction, index: int, whole: int) -> int:
  """How much of an operand of so many bytes an operation reads."""
  if each.op in _SLICES and index == 0:
    return sum(size for size, _ in _arrays(each.kind))
  if each.op == 'dynamic-update-slice' and index == 0:
    return 0
  if each.op != 'fusion':
    return whole
  body = text[dict(_calls(each))['calls']]
  parameter = next((p.name for p in body
                    if p.op == 'parameter' and f'parameter({index})' in p.line),
                   None)
  return min(whole, _read_by(text, body, parameter, whole))


def _read_by(text: Text, body: list[Instruction], name: str | None, whole: int) -> int:
  """How much of a value of so many bytes the lines of a fusion read."""
  total = 0
  for each in body:
    for i, operand in enumerate(each.operands):
      if operand == name:
        again = each.op == 'bitcast' and not each.root  # the same under another name
        total += _read_by(text, body, each.name, whole) if again else _used(text, each, i, whole)
  return total


def _written(text: Text, computation: str, each: Instruction) -> int:
  """What an operation writes to main memory."""
  arrays = _arrays(each.kind)
  if each.op.endswith('-start'):
    return max((size for size, main in arrays if main), default=0)
  roots = _roots(text, text[computation], each)
  if len(roots) != len(arrays):
    return _main(each.kind)
  return sum(min(size, root) for (size, main), root in zip(arrays, roots) if main)


def _roots(text: Text, body: list[Instruction], each: Instruction) -> list[int]:
  """Bytes of what an operation makes anew of each array of its result."""
  by_name = {other.name: other for other in body}
  size = lambda name: sum(n for n, _ in _arrays(by_name[name].kind)) if name in by_name else 0
  if each.op == 'dynamic-update-slice':
    return [size(each.operands[1])]
  if each.op == 'bitcast' and each.operands[0] in by_name:
    return _roots(text, body, by_name[each.operands[0]])
  if each.op == 'tuple':
    return [n for name in each.operands for n in (
        _roots(text, body, by_name[name]) if name in by_name else [0])]
  if each.op == 'fusion':
    inside = text[dict(_calls(each))['calls']]
    root = next(other for other in inside if other.root)
    return _roots(text, inside, root)
  return [n for n, _ in _arrays(each.kind)]


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
