"""Choosing a strategy per bin on one half of the questions and scoring it on the other, many times.

Two-fold cross-validation of section 3.2. Folds go by the problem's id before anything is resampled:
copies of a question that a replicate draws twice are on the same side. Every replicate cuts its own
bins, makes its own choices and scores them; replicate 0 is the questions as they are.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Iterator

import numpy as np

from tts.eval.measures import statistics
from tts.eval.policy import difficulty
from tts.eval.policy.difficulty import BINS, Estimator

REPLICATES = 1000  # of `metrics.resamples`, the first


@functools.lru_cache(maxsize=8)
def folds(ids: tuple[str, ...]) -> np.ndarray:
  """Fold 0 or 1 of each problem, int64 [Q], by a hash apart from the one that orders ties."""
  return np.array([hashlib.sha256(b'fold ' + i.encode()).digest()[0] & 1 for i in ids], np.int64)


@functools.lru_cache(maxsize=2)
def replicates(questions: int) -> np.ndarray:
  """Weights float64 [1 + R, Q]: each question once, then the bootstrap's."""
  return np.vstack([np.ones((1, questions)), statistics.resamples(questions)[:REPLICATES]])


@dataclasses.dataclass(frozen=True)
class Sums:
  """Accuracy summed over questions, in each fold, bin and replicate.

  Attributes:
    right: float64 [2, BINS, 1 + R, S], of each strategy.
    weight: float64 [2, BINS, 1 + R], questions.
    n: questions, as they are.
  """

  right: np.ndarray
  weight: np.ndarray
  n: int

  def means(self) -> np.ndarray:
    """Accuracy of each strategy over all questions, float64 [1 + R, S]."""
    with np.errstate(invalid='ignore'):
      return self.right.sum(axis=(0, 1)) / self.weight.sum(axis=(0, 1))[:, None]

  def unbinned(self) -> Sums:
    """The same with every question in one bin."""
    return Sums(self.right.sum(axis=1, keepdims=True), self.weight.sum(axis=1, keepdims=True),
                self.n)


def interval(values: np.ndarray, n: int) -> list[float] | None:
  """95% interval of replicates [1 + R], the first of which is no draw; None for one question."""
  return statistics.interval(values[1:]) if n > 1 else None


def edges(questions: int) -> list[int]:
  """Ranks at which bins begin, and the end: rank r is in bin r * BINS // questions + 1."""
  return [-(-questions * b // BINS) for b in range(BINS + 1)]


@functools.lru_cache(1)  # of one estimator after the other, each for several sets of strategies
def _parts(estimator: Estimator) -> list[tuple[np.ndarray, np.ndarray]]:
  """Per bin the questions that are in it in any replicate, int64 [q], and weights [1 + R, q].

  A question drawn w times holds w ranks, which may lie on both sides of a cut.
  """
  return list(_cut(estimator, replicates(len(estimator.ids))))


def _cut(estimator: Estimator, weight: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  if (fixed := estimator.fixed) is not None:
    for b in range(1, BINS + 1):
      use = np.flatnonzero(fixed == b)
      yield use, weight[:, use]
    return
  order = difficulty.in_order(estimator.ids, estimator.estimate)
  own = weight[:, order]
  end = np.cumsum(own, axis=1)
  start = end - own
  last, first = end.max(axis=0), start.min(axis=0)
  cuts = edges(len(order))
  for low, high in zip(cuts, cuts[1:]):
    # Replicates' cuts lie close together: most questions are never in this bin.
    use = slice(int(np.searchsorted(last, low, 'right')), int(np.searchsorted(first, high, 'left')))
    yield order[use], np.clip(
        np.minimum(end[:, use], high) - np.maximum(start[:, use], low), 0, None)


def sums(estimator: Estimator, ids: tuple[str, ...], accuracy: np.ndarray) -> Sums:
  """Sums of what strategies got right.

  Args:
    estimator: of all questions: bins are cut, and replicates drawn, on these.
    ids: problem ids [Q] of the questions that are scored; those without an estimate are left out.
    accuracy: float64 [S, Q].
  """
  at = {i: k for k, i in enumerate(ids)}
  place = np.array([at.get(i, -1) for i in estimator.ids], np.int64)
  fold = folds(estimator.ids)
  right = np.zeros((2, BINS, 1 + REPLICATES, len(accuracy)))
  total = np.zeros((2, BINS, 1 + REPLICATES))
  for b, (use, part) in enumerate(_parts(estimator)):
    for f in (0, 1):
      inside = (fold[use] == f) & (place[use] >= 0)
      mine = part[:, inside]
      right[f, b] = mine @ accuracy[:, place[use][inside]].T
      total[f, b] = mine.sum(axis=1)
  # Sums of equal strategies must tie, in whatever order they were added.
  return Sums(np.round(right, 6), total, int(total[:, :, 0].sum()))


def choose(right: np.ndarray, order: np.ndarray) -> np.ndarray:
  """The best strategy of each row, the first in `order` among equals.

  Args:
    right: float64 [..., S].
    order: int64 [A], the strategies allowed, cheapest first.
  """
  return order[right[..., order].argmax(axis=-1)]


def _of_other_fold(right: np.ndarray, order: np.ndarray) -> np.ndarray:
  """`choose` for rows [2, ...] by fold: each fold is scored by what the other one chose."""
  return choose(right, order)[::-1]


def crossfit(found: Sums, order: np.ndarray) -> np.ndarray:
  """Cross-validated accuracy of the best allowed strategy per bin, float64 [1 + R].

  A question's strategy is the one that did best in its bin on the other fold; where that has none
  of the bin, the cheapest.

  Args:
    found: of all strategies.
    order: as `choose` takes it.
  """
  picked = _of_other_fold(found.right, order)
  held = np.take_along_axis(found.right, picked[..., None], axis=-1)
  with np.errstate(invalid='ignore'):
    return held.sum(axis=(0, 1, 3)) / found.weight.sum(axis=(0, 1))


def by_question(ids: tuple[str, ...], bins: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
  """`crossfit` of the questions as they are, one by one: float64 [Q].

  Args:
    ids: problem ids [Q], by which folds go.
    bins: int64 [Q], any numbers.
    accuracy: float64 [S, Q], all strategies allowed, the first chosen among equals.
  """
  fold, (names, bin_) = folds(ids), np.unique(bins, return_inverse=True)
  right = np.zeros((2, len(names), len(accuracy)))
  np.add.at(right, (fold, bin_), accuracy.T)
  picked = _of_other_fold(np.round(right, 6), np.arange(len(accuracy)))
  return accuracy[picked[fold, bin_], np.arange(len(ids))]
