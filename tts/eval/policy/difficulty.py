"""Bins of questions by difficulty, 1 = easiest to 5 = hardest (paper, section 3.2).

Estimates come from a pool of samples apart from the one whose accuracy is reported, so that luck in
a question's scored samples does not choose its bin.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tts.eval.storage.samples import Samples

BINS = 5
CUTS = (0.8, 0.6, 0.4, 0.2)  # of pass@1: the paper's other choice of bins
FIRST = (1, 2, 4)  # samples that stay candidates
POOLED = (4, 16)   # samples that are spent on the estimate
# Estimators that fit into every budget: one that is free, one that is charged. A run leaves the
# policy of the first that it has behind.
CHARGED = 'first_1'
SAVED = ('probe', CHARGED)


@dataclasses.dataclass(frozen=True, eq=False)
class Estimator:
  """What is known of each question's difficulty before its budget is spent, and at what price.

  Attributes:
    name: `pool`, `level`, `first_4`, `pool_16`, ...
    scheme: what it estimates: `oracle`, `predicted` or `level`.
    ids: problem ids [Q].
    estimate: float64 [Q], higher = easier; bins are its quintiles.
    charge: per axis of cost what the estimate takes of a question's budget, None where that was
      not measured; empty where nothing is charged.
    stay: samples of the charge that stay candidates of every strategy that draws from the pool.
    bins: int64 [Q], bins that are given and not cut, 0 = none; None for those of the estimate.
    cuts: falling values of the estimate that its bins are cut at; () for quintiles.
  """

  name: str
  scheme: str
  ids: tuple[str, ...]
  estimate: np.ndarray
  charge: Mapping[str, float | None] = dataclasses.field(default_factory=dict)
  stay: int = 0
  bins: np.ndarray | None = None
  cuts: tuple[float, ...] = ()

  @property
  def fixed(self) -> np.ndarray | None:
    """Bins that do not depend on which questions there are, int64 [Q]; None for quintiles."""
    return by_cuts(self.estimate, self.cuts) if self.bins is None and self.cuts else self.bins

  def bin_of(self, ids: Sequence[str]) -> np.ndarray:
    """Bins int64 of some questions, as all of them are, 0 where there is no estimate."""
    known = _bins(self)
    return np.array([known.get(i, 0) for i in ids], np.int64)

  @property
  def charged(self) -> bool:
    return bool(self.charge)


@functools.lru_cache(4)
def _bins(estimator: Estimator) -> dict[str, int]:
  fixed = estimator.fixed
  return (quintiles(estimator.ids, estimator.estimate) if fixed is None
          else dict(zip(estimator.ids, fixed.tolist())))


def oracle_estimate(pool: Samples, samples: slice = slice(None)) -> np.ndarray:
  """Pass@1 of each question in some slots, float64 [Q]; a sample without an answer is wrong."""
  return (pool.correct & pool.votes)[:, samples].mean(axis=1)


def predicted_estimate(pool: Samples, samples: slice = slice(None)) -> np.ndarray | None:
  """Mean verifier score of each question's samples, float64 [Q]; no gold answer is used.

  A sample without an answer scores 0: that it cannot be right needs no gold answer. None where the
  pool has not been scored by the main verifier.

  Args:
    pool: independent samples.
    samples: the slots that are read.
  """
  if pool.guide != pool.main:
    return None
  if np.isnan(pool.answer_score[pool.votes]).any() or not pool.votes.any():
    return None
  return np.where(pool.votes, pool.answer_score, 0.0)[:, samples].mean(axis=1)


def in_order(ids: tuple[str, ...], estimate: np.ndarray) -> np.ndarray:
  """Places of questions from the easiest on, int64 [Q].

  Equal estimates are ordered by the id's SHA-256, an order that knows nothing of the question.
  """
  digest = [hashlib.sha256(i.encode()).digest() for i in ids]
  return np.array(sorted(range(len(ids)), key=lambda q: (-estimate[q], digest[q])), np.int64)


def quintiles(ids: tuple[str, ...], estimate: np.ndarray, bins: int = BINS) -> dict[str, int]:
  """Bins of equal size, sizes differing by one at most.

  Args:
    ids: problem ids [Q].
    estimate: float64 [Q], higher = easier; equal ones as `in_order` has them.
    bins: how many.

  Returns:
    id -> bin, 1 = the highest estimates.
  """
  return {ids[q]: rank * bins // len(ids) + 1
          for rank, q in enumerate(in_order(ids, estimate).tolist())}


def by_cuts(estimate: np.ndarray, cuts: Sequence[float]) -> np.ndarray:
  """Bins by falling cuts, int64 [Q]: 1 = an estimate of at least the first, ..."""
  return 1 + (estimate[:, None] < np.array(cuts)).sum(axis=1)


def absolute(ids: tuple[str, ...], pass_at_1: np.ndarray) -> dict[str, int]:
  """Bins by fixed cuts, id -> bin: 1 = pass@1 of at least 0.8, ... 5 = below 0.2."""
  return dict(zip(ids, by_cuts(pass_at_1, CUTS).tolist()))


def schemes(pool: Samples | None, questions: Samples | None,
            cuts: Sequence[float] = ()) -> dict[str, dict[str, int]]:
  """Every binning that can be made: id -> bin by `oracle`, `absolute`, `predicted`, `level`.

  Args:
    pool: the difficulty pool, or None.
    questions: any samples of the reported questions, for their external levels, or None.
    cuts: of `oracle` and `predicted`; () for quintiles.
  """
  out = {}
  of = lambda ids, estimate: (dict(zip(ids, by_cuts(estimate, cuts).tolist())) if cuts
                              else quintiles(ids, estimate))
  if pool is not None:
    pass_at_1 = oracle_estimate(pool)
    out['oracle'] = of(pool.ids, pass_at_1)
    out['absolute'] = absolute(pool.ids, pass_at_1)
    predicted = predicted_estimate(pool)
    if predicted is not None:
      out['predicted'] = of(pool.ids, predicted)
  if questions is not None:
    levels = {i: int(v) for i, v in zip(questions.ids, questions.level) if v > 0}
    if levels:
      out['level'] = levels
  return out


def estimators(pool: Samples | None, questions: Samples | None,
               price: Callable[[int], Mapping[str, float | None]]) -> list[Estimator]:
  """Every estimator from a pool apart; those of the whole pool are free, as in 3.2.

  Those of a question's own first samples, and others', are `estimators`'.

  Args:
    pool: the difficulty pool, or None.
    questions: the pool of the reported questions, or None.
    price: what s generated and scored samples cost, by axis.
  """
  out = []
  if pool is not None:
    out.append(Estimator('pool', 'oracle', pool.ids, oracle_estimate(pool)))
    predicted = predicted_estimate(pool)
    if predicted is not None:
      out.append(Estimator('pool', 'predicted', pool.ids, predicted))
  if questions is not None and (questions.level > 0).any():
    out.append(Estimator('level', 'level', questions.ids, -questions.level.astype(float),
                         bins=questions.level))
  for s in POOLED:
    # A pool of its whole size is the free one; charging it says nothing new.
    if pool is not None and s < pool.setting.strategy.budget:
      estimate = predicted_estimate(pool, slice(s))
      if estimate is not None:
        out.append(Estimator(f'pool_{s}', 'predicted', pool.ids, estimate, price(s)))
  return out
