"""The sizes of the programs: what of them suits a model on the devices that there are.

They are the same whatever is asked, so that a text's bytes depend on nothing else.
"""

from __future__ import annotations

import dataclasses

import jax

from tts.engine.pages import SIZE
from tts.models.arch import Arch


@dataclasses.dataclass(frozen=True)
class Shape:
  """Sizes of one model's programs, on one device group.

  Attributes:
    lanes: texts that are written at a time. A text's bytes do not depend on its lane where this
      and `readers` are multiples of 8.
    write: tokens a call. Lanes are filled between calls: the fewer, the less a lane waits that is
      done; the more, the less the host has to do.
    readers: texts that are read at a time.
    tile: tokens of each that are read in a call.
    least: where few texts are written there are half as many lanes, or half of these, down to so
      many or twice so many; 0 for always all.
    long: tokens of one text alone that are read in a call, as long as it has so many; 0 for never.
    few: so many rows are read where few texts are, not `readers`; 0 for never.
    apart: a program takes as long as so many rows would, and then as its rows do.
    room: a lane's least room for tokens; it is a multiple of it. Every room has its own programs.
    pages: that texts which are in no lane have at first; with twice as many, what moves them is
      compiled again.
    begun: rows of the questions that have begun, for each lane. Most of them wait, for the longest
      step of their question or to be read.
  """

  lanes: int
  write: int
  readers: int
  tile: int
  begun: int = 12
  least: int = 0
  long: int = 0
  few: int = 0
  apart: int = 1000
  room: int = 128
  pages: int = 64

  @property
  def sizes(self) -> list[int]:
    """The numbers of lanes that there may be."""
    found = [self.lanes]
    while self.least and found[-1] % (2 * self.least) == 0:
      found.append(found[-1] // 2)
    return found[::-1]

  def fitting(self, rows: int) -> int:
    """How many lanes suit so many rows. Some that wait cost less than lanes twice as many."""
    return next((size for size in self.sizes if rows <= size + size // 4), self.lanes)

  def worth(self, used: float, rows: int, most: int) -> float:
    """What a program does of use in its time: 1 where all of its rows are, and are `most`."""
    return used / (self.apart + rows) * (self.apart + most) / most

  def in_flight(self, rows: int) -> int:
    """Questions that have begun and are not done, of so many rows each: lanes rarely lack one.

    A question of few rows waits for few; twice as many as there are lanes will do, and each has
    texts that take memory.
    """
    lanes = max(self.lanes, self.readers)
    return max(2, min(-(-self.begun * lanes // rows), 2 * lanes))

  def to_write(self, tokens: int) -> int:
    """Room of the lanes where the longest text that is written in has so many tokens."""
    return self._width(tokens + max(self.write, SIZE))

  def to_read(self, tokens: int) -> int:
    """Room of the lanes where the longest text that is read in has so many tokens."""
    return self._width(tokens + max(self.tile, self.long, SIZE))

  def _width(self, need: int) -> int:
    """Few different ones, none much larger than is needed: 1, 2, 3, 4, 6, 8, ... times `room`."""
    width = self.room
    while width < need:
      width += self.room << max(0, (width // self.room).bit_length() - 2)
    return width


def of(arch: Arch, lanes: int = 0, platform: str | None = None) -> Shape:
  """The shape for a model on a platform's devices, this process's if not given.

  lanes: of `Shape`; 0 chooses. On a CPU an odd number has one more: the last of an odd number of
    rows is multiplied in another order.
  """
  if (platform or jax.default_backend()) == 'cpu':
    lanes += lanes % 2
    # A wide model's rows cost about the same each, from 32 of them on; a narrow one's time goes to
    # the beginnings of operations. Always a multiple of 8: rows that are left over are multiplied
    # in another order, so that bytes would depend on the lane.
    if arch.width >= 256:
      return Shape(lanes=lanes or 32, write=2, readers=8, tile=4, begun=8, least=8, long=32, few=2,
                   apart=10, room=256)
    return Shape(lanes=lanes or 64, write=8, readers=32, tile=16, pages=2048)
  lanes = lanes or 64
  # A lane without a row costs little there; memory does.
  return Shape(lanes=lanes, write=16, readers=max(1, lanes // 2), tile=16, begun=4)
