"""What a compiled program is, by the compiler's own word: memory, work, and talk between devices.

The body of a loop counts as often as it runs, once where that is not known before: FLOPs, bytes and
the roofline time of a program that writes are those of a token. XLA counts FLOPs of a body once:
loops over layers are put right (`Facts.with_passes`), and have almost all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import pathlib
import tempfile
from typing import Any

import jax

from tts import parallel
from tts.estimates import hlo
from tts.models.stacks import Stack


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
class Facts:
  """One program on one device.

  Attributes:
    arguments, outputs, temporaries, code: bytes of memory.
    flops: of one pass.
    bytes: that a pass moves from and to main memory (`hlo.moved`); XLA's own figure, which is two
      to four times as large on a TPU, where the program's text is unknown.
    loops: in the text; None, and so are the collectives, where that is unknown.
    collectives: operations that talk to other devices.
  """

  arguments: int
  outputs: int
  temporaries: int
  code: int
  flops: float
  bytes: float
  loops: int | None
  collectives: tuple[hlo.Collective, ...] | None

  def with_passes(self, loops: Sequence[tuple[Stack, Facts]]) -> Facts:
    """With the FLOPs of every pass of loops over layers, of which XLA has counted one each.

    loops: with each the program in which that loop's body has two passes.
    """
    more = sum((stack.repeats - 1) * (doubled.flops - self.flops) for stack, doubled in loops)
    return dataclasses.replace(self, flops=self.flops + more)

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
  parsed = None if text is None else hlo.parsed(text)
  return Facts(
      arguments=memory.argument_size_in_bytes,
      # A donated argument's memory is the result's.
      outputs=memory.output_size_in_bytes - memory.alias_size_in_bytes,
      temporaries=memory.temp_size_in_bytes, code=memory.generated_code_size_in_bytes,
      flops=float(cost.get('flops', 0)), bytes=float(
          cost.get('bytes accessed', 0) if parsed is None else hlo.moved(parsed)),
      loops=None if text is None else text.count(' while('),
      collectives=None if parsed is None else hlo.collectives(parsed, mesh))


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
