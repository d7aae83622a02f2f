"""What ids mean to a sampler: which of them end a step, which a solution. numpy alone.

Made by `tts.data.tokenizer.Tokenizer.roles`; static in every program that samples.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import functools
from typing import TypeAlias

import numpy as np

Ids: TypeAlias = Sequence[int] | np.ndarray  # a text's tokens, int32 [n] where an array


@dataclasses.dataclass(frozen=True)
class Thinking:
  """The part of a solution that a model thinks in before it answers.

  Attributes:
    begin, end: ids that open and end it.
    opened: whether the prompt has opened it.
  """

  begin: int
  end: int
  opened: bool

  def length(self, tokens: Ids) -> int:
    """Tokens of the thought of a solution, its marks among them; all where it was never ended."""
    tokens = np.asarray(tokens)
    ends = np.flatnonzero(tokens == self.end)
    if ends.size:
      return int(ends[0]) + 1
    return len(tokens) if self.opened or (tokens == self.begin).any() else 0

  def cut_off(self, tokens: Ids) -> bool:
    """Whether a solution has a thought that was never ended."""
    return self.length(tokens) > 0 and self.end not in tokens


@dataclasses.dataclass(frozen=True)
class Roles:
  """Ids by what they do. In an open vocabulary many have a newline in their text.

  Attributes:
    ends: end a solution; the first one closes an answer that was cut off.
    delimiters: end a step: the whole delimiter is in their text.
    first_halves, second_halves: a step ends too where one of the second follows one of the first
      within it: a blank line in two tokens. Empty for a delimiter of one character.
    blank_ends: end a solution where a step would begin: an empty line, in a format whose solutions
      end so. Empty in any other.
    size: ids are smaller, and a model's further rows are padding, which is never drawn; None where
      all rows are ids.
    thinking: of solutions with a thinking part; None of others.
  """

  ends: tuple[int, ...]
  delimiters: tuple[int, ...]
  first_halves: tuple[int, ...] = ()
  second_halves: tuple[int, ...] = ()
  blank_ends: tuple[int, ...] = ()
  size: int | None = None
  thinking: Thinking | None = None

  def step_ends(self, tokens: Ids) -> list[int]:
    """Exclusive ends of a text's steps; the last step ends where the text does."""
    ends = self._delimited(tokens)
    return ends if ends and ends[-1] == len(tokens) else [*ends, len(tokens)]

  def progress(self, tokens: Ids) -> tuple[int, int, bool]:
    """How far a text is that is to be gone on with.

    Returns:
      (delimiters in it, tokens since the last one, whether these end in a delimiter's first half).
    """
    ends = self._delimited(tokens)
    inside = len(tokens) - (ends[-1] if ends else 0)
    return len(ends), inside, inside > 0 and tokens[-1] in self.first_halves

  def answer(self, tokens: Ids, before: Ids = ()) -> Ids | None:
    """What an answer is read from: of a solution's tokens those behind its thought.

    None where the solution was cut off, or its thought was. before: what the solution has before
    these tokens.
    """
    if not self.finished(tokens):
      return None
    if self.thinking is None:
      return tokens
    whole = [*before, *tokens]
    thought = self.thinking.length(whole)
    return None if self.thinking.cut_off(whole) else tokens[max(0, thought - len(before)):]

  def _delimited(self, tokens: Ids) -> list[int]:
    """Exclusive ends of the steps that a delimiter has ended."""
    tokens = np.asarray(tokens, int)
    whole = _among(self._delimiters, tokens)
    if self.first_halves:
      pair = np.zeros(len(tokens), bool)
      pair[1:] = (_among(self._first_halves, tokens[:-1])
                  & _among(self._second_halves, tokens[1:]))
      ends: list[int] = []
      for i in np.flatnonzero(whole | pair).tolist():
        if whole[i] or ends[-1:] != [i]:  # a pair's halves are of one step
          ends.append(i + 1)
    else:
      ends = (np.flatnonzero(whole) + 1).tolist()
    return ends

  def finished(self, tokens: Ids) -> bool:
    """Whether a solution ended by itself."""
    last = int(tokens[-1])
    begins = len(tokens) == 1 or int(tokens[-2]) in self.delimiters
    return last in self.ends or (begins and last in self.blank_ends)

  @functools.cached_property
  def _delimiters(self) -> np.ndarray:
    return table(self.delimiters)

  @functools.cached_property
  def _first_halves(self) -> np.ndarray:
    return table(self.first_halves)

  @functools.cached_property
  def _second_halves(self) -> np.ndarray:
    return table(self.second_halves)


def table(ids: Sequence[int]) -> np.ndarray:
  """bool [largest id + 2], whether an id is one of `ids`; the last entry stands for larger ones."""
  found = np.zeros(max(ids, default=-1) + 2, bool)
  found[list(ids)] = True
  return found


def _among(ids: np.ndarray, tokens: np.ndarray) -> np.ndarray:
  return np.take(ids, tokens, mode='clip')
