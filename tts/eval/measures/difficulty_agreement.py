"""How well difficulty is known: two halves of the pool against each other, predicted and oracle."""

from __future__ import annotations

from typing import Any

import numpy as np

from tts.eval.measures import statistics
from tts.eval.policy import crossfit, difficulty
from tts.eval.storage.samples import Samples


def ranks(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
  """Ranks of questions in each replicate, ties sharing their mean rank, float64 [R, Q].

  Args:
    values: float64 [Q].
    weight: float64 [R, Q], how often each question is there.
  """
  _, group = np.unique(values, return_inverse=True)
  order = np.argsort(group, kind='stable')
  first = np.flatnonzero(np.diff(group[order], prepend=-1))
  size = np.add.reduceat(weight[:, order], first, axis=1)
  middle = np.cumsum(size, axis=1) - (size - 1) / 2
  return middle[:, group]


def spearman(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> np.ndarray:
  """Rank correlation of a and b [Q] in each replicate, float64 [R]; NaN where one is constant."""
  total = weight.sum(axis=1, keepdims=True)
  centred = []
  for values in (a, b):
    rank = ranks(values, weight)
    centred.append(rank - (weight * rank).sum(axis=1, keepdims=True) / total)
  covariance = (weight * centred[0] * centred[1]).sum(axis=1)
  spread = np.sqrt(np.prod([(weight * c * c).sum(axis=1) for c in centred], axis=0))
  return np.divide(covariance, spread, out=np.full(len(weight), np.nan), where=spread > 0)


def compare(ids: tuple[str, ...], a: np.ndarray, b: np.ndarray) -> dict[str, Any]:
  """Two estimates [Q] of the same questions: shares in the same bin and within one, correlation.

  The shares' intervals keep the bins as they are cut on all questions; the correlation's redo the
  ranks.
  """
  bins = [difficulty.quintiles(ids, x) for x in (a, b)]
  apart = np.abs([bins[0][i] - bins[1][i] for i in ids])
  correlation = float(spearman(a, b, np.ones((1, len(ids))))[0])
  known = len(ids) > 1 and not np.isnan(correlation)
  return {
      'n': len(ids),
      'same_bin': float((apart == 0).mean()), 'same_bin_ci95': statistics.mean_interval(apart == 0),
      'within_one': float((apart <= 1).mean()),
      'within_one_ci95': statistics.mean_interval(apart <= 1),
      'spearman': correlation if known else None,
      'spearman_ci95': statistics.interval(spearman(a, b, crossfit.replicates(len(ids))[1:]))
                       if known else None}


def rows(pool: Samples | None) -> list[dict[str, Any]]:
  """Half-pools against each other by `oracle` and `predicted`, and the whole pool's two schemes.

  `samples` is how many each side has.
  """
  if pool is None:
    return []
  half = pool.setting.strategy.budget // 2
  out = []
  oracle, predicted = difficulty.oracle_estimate(pool), difficulty.predicted_estimate(pool)
  if half:
    sides = (slice(half), slice(half, 2 * half))
    out.append({'bins': 'oracle', 'against': 'oracle', 'samples': half, **compare(
        pool.ids, *(difficulty.oracle_estimate(pool, s) for s in sides))})
    if predicted is not None:
      out.append({'bins': 'predicted', 'against': 'predicted', 'samples': half, **compare(
          pool.ids, *(difficulty.predicted_estimate(pool, s) for s in sides))})
  if predicted is not None:
    out.append({'bins': 'predicted', 'against': 'oracle', 'samples': pool.setting.strategy.budget,
                **compare(pool.ids, predicted, oracle)})
  return out
