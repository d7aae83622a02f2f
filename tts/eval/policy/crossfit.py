"""Choosing a strategy per bin on some questions and scoring it on the others, many times over.

Cross-validation of section 3.2, with tenths in place of halves, since a choice made on half of the
questions is worse than the one that all of them would make: a strategy that is worth twice its cost
then reads 1.8. Several splits into tenths are averaged, since one split is one draw. Folds go by
the problem's id before anything is resampled: copies of a question that a replicate draws twice are
on the same side. Every replicate cuts its own bins, makes its own choices and scores them;
replicate 0 is the questions as they are.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from tts.eval.measures import statistics
from tts.eval.policy import difficulty
from tts.eval.policy.difficulty import BINS, Estimator

REPLICATES = 1000  # of `statistics.resamples`, the first
FOLDS = 10
SPLITS = 2
_MANTISSA = 23  # bits of a float32


@functools.lru_cache(maxsize=8)
def folds(ids: tuple[str, ...]) -> np.ndarray:
  """Fold 0..FOLDS-1 of each problem in each split, int64 [SPLITS, Q].

  By a hash apart from the one that orders ties.
  """
  digests = [hashlib.sha256(b'fold ' + i.encode()).digest() for i in ids]
  words = np.frombuffer(b''.join(digests), '<u4').reshape(len(ids), -1)
  return (words[:, :SPLITS].T % FOLDS).astype(np.int64)


@functools.lru_cache(maxsize=2)
def replicates(questions: int) -> np.ndarray:
  """Weights float64 [1 + R, Q]: each question once, then the bootstrap's."""
  return np.vstack([np.ones((1, questions)), statistics.resamples(questions)[:REPLICATES]])


@dataclasses.dataclass(frozen=True)
class Sums:
  """Accuracy summed over questions, in each split, fold, bin and replicate.

  Attributes:
    right: float32 [S, SPLITS, FOLDS, BINS, 1 + R], of each strategy.
    weight: float32 [SPLITS, FOLDS, BINS, 1 + R], questions.
    n: questions, as they are.
  """

  right: np.ndarray
  weight: np.ndarray
  n: int

  def means(self) -> np.ndarray:
    """Accuracy of each strategy over all questions, float64 [S, 1 + R]."""
    with np.errstate(invalid='ignore'):
      return (self.right[:, 0].sum(axis=(1, 2), dtype=float)
              / self.weight[0].sum(axis=(0, 1), dtype=float))

  def unbinned(self) -> Sums:
    """The same with every question in one bin."""
    return Sums(self.right.sum(axis=3, keepdims=True), self.weight.sum(axis=2, keepdims=True),
                self.n)

  def whole(self) -> Sums:
    """The questions as they are, all in one fold: what a choice on all of them is made by."""
    return Sums(self.right[:, :1, :, :, :1].sum(axis=2, keepdims=True),
                self.weight[:1, :, :, :1].sum(axis=1, keepdims=True), self.n)

  def first(self, count: int) -> Sums:
    """The questions as they are and the first `count` replicates."""
    return Sums(self.right[..., :1 + count], self.weight[..., :1 + count], self.n)


def error(values: np.ndarray) -> float:
  """Standard error of a value from its replicates [1 + R], the first of which is no draw.

  Their percentiles would be of a policy whose luck in choosing is drawn twice.
  """
  return float(np.nanstd(values[1:]))


def interval(values: np.ndarray, n: int) -> list[float] | None:
  """95% interval of an accuracy [1 + R], within 0 and 1; None for one question."""
  half = statistics.student(n - 1) * error(values) if n > 1 else np.nan
  return [max(float(values[0] - half), 0.0), min(float(values[0] + half), 1.0)] if n > 1 else None


def difference_interval(values: np.ndarray, n: int) -> list[float] | None:
  """95% interval of a difference of accuracies [1 + R]; None for one question."""
  return statistics.paired_interval(float(values[0]), error(values), n)


def edges(questions: int) -> list[int]:
  """Ranks at which bins begin, and the end: rank r is in bin r * BINS // questions + 1."""
  return [-(-questions * b // BINS) for b in range(BINS + 1)]


@functools.lru_cache(8)  # of the estimators that exchange and claims go back to; 8 MB for 2,000
def parts(estimator: Estimator) -> list[tuple[np.ndarray, np.ndarray]]:
  """Per bin the questions that are in it in any replicate, int64 [q], and weights
  float32 [q, 1 + R].

  A question drawn w times holds w ranks, which may lie on both sides of a cut.
  """
  return [(use, np.ascontiguousarray(weight.T, np.float32))
          for use, weight in _cut(estimator, replicates(len(estimator.ids)))]


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


@functools.lru_cache(8)
def _places(wanted: tuple[str, ...], ids: tuple[str, ...]) -> np.ndarray:
  """Where in `ids` each of some problems is, int64 [Q]; -1 where it is not."""
  at = {i: k for k, i in enumerate(ids)}
  return np.array([at.get(i, -1) for i in wanted], np.int64)


def sums(estimator: Estimator, ids: tuple[str, ...], accuracy: np.ndarray,
         of: np.ndarray | None = None) -> Sums:
  """Sums of what strategies got right.

  Args:
    estimator: of all questions: bins are cut, and replicates drawn, on these.
    ids: problem ids [Q] of the questions that are scored; those without an estimate are left out.
    accuracy: float64 [S, Q].
    of: bool [Q], the questions that count; all if None.
  """
  place = _places(estimator.ids, tuple(ids))
  if of is not None:
    place = np.where((place >= 0) & of[place], place, -1)
  fold = folds(estimator.ids)
  values = np.ascontiguousarray(accuracy.T, np.float32)
  size = 1 + REPLICATES
  right = np.zeros((len(accuracy), SPLITS, FOLDS, BINS, size), np.float32)
  total = np.zeros((SPLITS, FOLDS, BINS, size), np.float32)
  for b, (use, part) in enumerate(parts(estimator)):
    scored = np.flatnonzero(place[use] >= 0)
    mine = part if scored.size == use.size else part[scored]
    own = values[place[use][scored]]
    for s in range(SPLITS):
      for f in range(FOLDS):
        inside = fold[s, use[scored]] == f
        right[:, s, f, b] = own[inside].T @ mine[inside]
        total[s, f, b] = mine[inside].sum(axis=0)
  # Sums of equal strategies must tie, in whatever order they were added; and sums of these sums
  # over folds must be exact.
  most = max(1.0, float(total[0].sum(axis=0).max(initial=0)))
  unit = 2.0 ** (_MANTISSA - 2 - int(np.ceil(np.log2(most))))
  np.multiply(right, unit, out=right)
  np.rint(right, out=right)
  np.divide(right, unit, out=right)
  return Sums(right, total, int(total[0, :, :, 0].sum()))


def choose(right: np.ndarray, order: np.ndarray) -> np.ndarray:
  """The best strategy of each place, the first in `order` among equals.

  Args:
    right: float [S, ...].
    order: int64 [A], the strategies allowed, cheapest first.
  """
  return order[right[order].argmax(axis=0)]


def others(values: np.ndarray) -> np.ndarray:
  """Sums over the folds that are not each fold: [..., FOLDS, BINS, 1 + R], the same shape."""
  return values.sum(axis=-3, keepdims=True) - values


@dataclasses.dataclass(frozen=True)
class Level:
  """A policy at one allowance, cross-validated; sums are over splits and folds.

  Attributes:
    right: float64 [BINS, 1 + R].
    paid: float64 [BINS, 1 + R], cost of what was chosen.
    weight: float64 [BINS, 1 + R], questions.
    picked: int64 [SPLITS, FOLDS, BINS], the strategies that each fold was scored by.
  """

  right: np.ndarray
  paid: np.ndarray
  weight: np.ndarray
  picked: np.ndarray

  def within(self, bins: Sequence[int] = ()) -> np.ndarray:
    """Accuracy float64 [1 + R] in some bins, counted from 1; in all if none is named."""
    use = [b - 1 for b in bins] or slice(None)
    with np.errstate(invalid='ignore', divide='ignore'):
      return self.right[use].sum(axis=0) / self.weight[use].sum(axis=0)

  @property
  def accuracy(self) -> np.ndarray:
    """Over all questions, float64 [1 + R]."""
    return self.within()

  @property
  def spent(self) -> np.ndarray:
    """Mean cost of what was chosen, per question, float64 [1 + R]."""
    with np.errstate(invalid='ignore', divide='ignore'):
      return self.paid.sum(axis=0) / self.weight.sum(axis=0)


def levels(found: Sums, order: np.ndarray, counts: Sequence[int], costs: np.ndarray,
           held: Sums | None = None) -> list[Level]:
  """The best allowed strategy per bin at each of some allowances.

  A fold is scored by what did best in each bin on the other folds; where these have none of a bin,
  by the cheapest.

  Args:
    found: of all strategies.
    order: int64 [A], by rising cost: an allowance pays for the first few.
    counts: how many of `order` each allowance pays for, rising, each at least 1.
    costs: float64 [S] or, bin by bin, [S, BINS].
    held: sums of the questions that are scored, where these are not all that choose; its bins and
      folds are those of `found`.
  """
  held = found if held is None else held
  costs = np.broadcast_to(costs.reshape(len(costs), -1), (len(costs), held.weight.shape[2]))
  best = np.full(found.weight.shape, -1, np.float32)
  right, spent = np.zeros_like(held.weight), np.zeros_like(held.weight)
  pick = np.zeros(held.weight.shape[:3], np.int64)
  total = lambda x: x.sum(axis=(0, 1), dtype=float)
  weight, out = total(held.weight), []
  for rank, s in enumerate(order.tolist()):
    trained = others(found.right[s])
    better = trained > best
    np.copyto(best, trained, where=better)
    np.copyto(right, held.right[s], where=better)
    np.copyto(spent, held.weight * costs[s, :, None].astype(np.float32), where=better)
    np.copyto(pick, s, where=better[..., 0])
    for _ in range(sum(c == rank + 1 for c in counts)):
      out.append(Level(total(right), total(spent), weight, pick.copy()))
  return out


def crossfit(found: Sums, order: np.ndarray, held: Sums | None = None) -> np.ndarray:
  """Accuracy float64 [1 + R] of `levels` at one allowance, which pays for all of `order`."""
  return levels(found, order, [len(order)], np.zeros(len(found.right)), held)[0].accuracy
