"""The engine's programs of one model at work, each described once.

A `ModelProgram` has the function, the shapes that it is called with and the formula of its memory;
stages, `launch.compile`, the check of memory and `--dry_run` have them from here.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import functools
from typing import Any

from tts import parallel
from tts.engine import all_programs as engine
from tts.engine.program import Program
from tts.engine.shape import Shape
from tts.estimates import memory
from tts.estimates.memory import Footprint
from tts.models import latent, latent_states
from tts.models.functions import Functions
from tts.models.stacks import Stack
from tts.protocols import Params
from tts.sampling.decode import Limits
from tts.sampling.logits import SamplingConfig

_WORD, _HALF = 4, 2  # bytes of a float32, of a float16


@dataclasses.dataclass(frozen=True)
class ModelProgram:
  """One program.

  Attributes:
    lanes: those that it is for, `write` or `read`.
    rows: how many there are.
    width: room of each, in tokens.
    program: (mesh, functions) --> the program.
    block: (functions, shapes of parameters) --> shapes of what it is called with beside these.
    footprint: devices that share the model --> its memory.
    forward: whether it computes tokens; the others move them, and have no parameters.
    pages: whether pages are among its arguments.
  """

  lanes: str
  rows: int
  width: int
  program: Callable[[parallel.Mesh, Functions], Program]
  block: Callable[[Functions, Params], tuple[Any, ...]]
  footprint: Callable[[int], Footprint]
  forward: bool = False
  pages: bool = False


@dataclasses.dataclass(frozen=True)
class ModelAtWork:
  """A model in the engine: how large its programs are.

  Attributes:
    make: its functions.
    shape: of its programs.
    writing: room of a lane that is written in, 0 where none is.
    reading: room of a lane that is read in.
    count: pages that there are.
    sampling: how it writes; None of a verifier.
  """

  make: Functions
  shape: Shape
  writing: int
  reading: int
  count: int
  sampling: SamplingConfig | None

  @property
  def values(self) -> bool:
    """Whether it is a verifier, or a generator with one."""
    return self.sampling is None or self.make.reader is not self.make

  @property
  def _carried(self) -> int:
    """Bytes of what a text carries beside keys and values, with what its head keeps."""
    arch, head = self.make.arch, self.make.head
    if head is None:
      return memory.carry(arch, self.sampling is None)
    kept = len(head.layers) * arch.width if self._states else 4
    return memory.carry(arch, False) + kept * _WORD

  @property
  def _states(self) -> bool:
    """Whether it gives what a head is fitted on."""
    return self.make.kind in (latent_states.States, latent_states.Collecting)

  def _given(self, word: int) -> int:
    """Bytes that are given of each token beside its draw; word: of a number a head is fitted on."""
    if self._states:
      return latent.num_features(self.make.head, self.make.arch.width) * word
    return _WORD if self.values else 0

  def programs(self, limits: Limits) -> dict[str, ModelProgram]:
    """Its programs by name. limits: of what it writes."""
    shape, count, room = self.shape, self.count, self.reading
    arch, values, carried, sampling = self.make.arch, self.values, self._carried, self.sampling
    read = functools.partial(ModelProgram, 'read', shape.readers, room)
    save = lambda of, rows, room: of(
        lambda mesh, make: engine.save(mesh),
        lambda make, params: engine.saves(make, params, rows, room, count),
        lambda width: memory.save(arch, width, rows, room, count, carried), pages=True)
    reads = {'read': (shape.readers, shape.tile)}
    if shape.few:
      reads['few'] = shape.few, shape.tile
    if shape.long:
      reads['long'] = 1, shape.long
    found = {name: read(
        lambda mesh, make: engine.read(mesh, make.reader, values),
        lambda make, params, size=size: engine.reads(make, params, shape, room, *size),
        lambda width, size=size: memory.read(
            arch, width, shape, room, carried, self._given(_WORD) if values else 0, *size),
        forward=True) for name, size in reads.items()}
    found['load'] = read(
        lambda mesh, make: engine.load(mesh),
        lambda make, params: engine.loads(make, params, shape, room, count),
        lambda width: memory.load(arch, width, shape, room, count, carried), pages=True)
    found['save-read'] = save(read, shape.readers, room)
    if not self.writing:
      return found
    space = self.writing
    drawn = (6 if sampling.statistics else 3) * _WORD + self._given(_HALF)
    write = functools.partial(ModelProgram, 'write', shape.lanes, space)
    found['write'] = write(
        lambda mesh, make: engine.write(mesh, make, shape.write, sampling, limits),
        lambda make, params: engine.writes(make, params, shape, space),
        lambda width: memory.write(arch, width, shape, space, carried, drawn), forward=True)
    found['fill'] = write(
        lambda mesh, make: engine.fill(mesh),
        lambda make, params: engine.fills(make, params, shape, space, count),
        lambda width: memory.fill(arch, width, shape, space, count, carried), pages=True)
    found['save-write'] = save(write, shape.lanes, space)
    if len(shape.sizes) > 1:
      found['resize'] = write(
          lambda mesh, make: engine.resize(mesh),
          lambda make, params: engine.resizes(make, params, shape, space),
          lambda width: memory.resize(arch, width, shape, space, carried))
    return found

  def lower(self, program: ModelProgram, mesh: parallel.Mesh, doubled: Stack | None) -> Any:
    """A program lowered for a mesh, as the engine does. doubled: as of `Functions`."""
    make = dataclasses.replace(self.make, doubled=doubled)
    params = make.shapes(mesh)
    return program.program(mesh, make).lower(
        params if program.forward else (), *engine.stacked(program.block(make, params), mesh))

  def kept(self, width: int) -> int:
    """Bytes of all lanes and pages on a device, where so many share the model."""
    return sum(self._parts(width).values())

  def arguments(self, program: ModelProgram, width: int) -> int:
    """Bytes of those that a program has as arguments."""
    parts = self._parts(width)
    return parts[program.lanes] + parts['pages'] * program.pages

  def _parts(self, width: int) -> dict[str, int]:
    arch, shape = self.make.arch, self.shape
    return {
        'write': (memory.lanes(arch, width, shape.lanes, self.writing, self._carried)
                  if self.writing else 0),
        'read': memory.texts(arch, width, shape.readers, self.reading, self._carried),
        'pages': memory.pages(arch, width, self.count, self._carried)}
