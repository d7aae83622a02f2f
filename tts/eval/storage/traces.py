"""How confident a generator was of each token of each sample, where the records say so."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)  # hashed as the object that it is
class Traces:
  """Of Q questions by N samples, one sample's tokens behind the other's.

  Attributes:
    value: float64 [T], confidence of each token: mean of -log P of the likeliest ids there.
    length: int64 [Q, N], tokens of each sample; 0 of one that is not known.
  """

  value: np.ndarray
  length: np.ndarray

  @functools.cached_property
  def start(self) -> np.ndarray:
    """int64 [Q, N], place of each sample's first token."""
    return (np.cumsum(self.length) - self.length.ravel()).reshape(self.length.shape)

  def of(self, questions: np.ndarray) -> Traces:
    """Of some questions, int64, ascending."""
    if not self.length[questions].any():
      return Traces(self.value[:0], self.length[questions])
    first, last = self.start[questions, 0], self.start[questions, -1] + self.length[questions, -1]
    return Traces(np.concatenate([self.value[a:b] for a, b in zip(first, last)]),
                  self.length[questions])


def spread(value: np.ndarray, length: np.ndarray, where: np.ndarray, shape: tuple[int, int]
           ) -> Traces | None:
  """Rows' numbers at their places; None where no row has any.

  Args:
    value: float64 [T], row after row.
    length: int64 [R], how many of them each row has.
    where: int64 [R], different places in Q x N.
    shape: (Q, N).
  """
  if not value.size:
    return None
  start = np.cumsum(length) - length
  order = np.argsort(where)
  out = np.zeros(shape[0] * shape[1], np.int64)
  out[where] = length
  return Traces(np.concatenate([value[start[r]:start[r] + length[r]] for r in order]),
                out.reshape(shape))
