"""Where steps and solutions end in ids that come from elsewhere: `tts.sampling.decode`'s rule."""

from __future__ import annotations

import functools

from tts.roles import Roles
from tts.sampling.decode import Limits


class Row:
  """How far one row is, a token after the other, as `tts.sampling.decode.Rows`.

  Attributes:
    step, position: delimiters and tokens that it has.
    live, finished: as there.
  """

  def __init__(self, limits: Limits, step: int, position: int):
    """A row that begins a step behind so many."""
    self._limits, self._sets = limits, _sets(limits.roles)
    self.step, self.position, self.in_step = step, position, 0
    self.live, self.finished, self._half = True, False, False

  def add(self, token: int) -> bool:
    """Counts a token; whether it ends a step."""
    ends, delimiters, first, second, blank = self._sets
    delimiter = token in delimiters or (self._half and token in second)
    self._half = token in first and not delimiter
    self.finished = token in ends or (self.in_step == 0 and token in blank)
    self.step, self.position = self.step + delimiter, self.position + 1
    self.in_step = 0 if delimiter else self.in_step + 1
    limits = self._limits
    full = (self.position >= limits.max_tokens or self.step >= limits.max_steps
            or self.in_step >= limits.max_step_tokens)
    self.live = not (self.finished or full)
    return delimiter


@functools.lru_cache(8)
def _sets(roles: Roles) -> tuple[frozenset[int], ...]:
  return tuple(map(frozenset, (roles.ends, roles.delimiters, roles.first_halves,
                               roles.second_halves, roles.blank_ends)))
