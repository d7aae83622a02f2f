"""How many times less a policy spends than a baseline at equal accuracy (paper, Figure 4).

The distance between two accuracy curves along the logarithm of cost. Each point of the policy is
read as the cost at which the baseline is as accurate, and it is these equivalent costs that are
interpolated: a policy that is worth f times its cost everywhere is then on a straight line, and f
does not depend on which budgets were run. Every function takes replicates as rows, [R, L].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

SHARES = (0.25, 0.5, 0.75, 0.9)  # of the baseline's own rise
_DIGITS = 12
_EQUAL = 1e-9  # rounding must not decide on which side of a flat stretch a share lies


def isotonic(values: np.ndarray, weight: Sequence[float] | None = None) -> np.ndarray:
  """The non-decreasing curve of least squared distance, float64 [R, L].

  What pooling adjacent violators gives, by its closed form: at i, the largest over j <= i of the
  smallest over k >= i of the mean of j..k. Pooled values are equal to the last bit: where a flat
  stretch begins must not be rounding's to say.

  Args:
    values: float64 [R, L], by rising cost.
    weight: [L], questions behind each value; equal if None.
  """
  length = values.shape[1]
  weight = np.ones(length) if weight is None else np.asarray(weight, float)
  out = np.full(values.shape, -np.inf)
  for j in range(length):
    mean = (np.cumsum(values[:, j:] * weight[j:], axis=1) / np.cumsum(weight[j:]))
    from_right = np.minimum.accumulate(mean[:, ::-1], axis=1)[:, ::-1]
    out[:, j:] = np.maximum(out[:, j:], from_right)
  return np.round(out, _DIGITS)


def reach(log_cost: np.ndarray, fit: np.ndarray, level: np.ndarray) -> np.ndarray:
  """The least log cost at which a curve reaches each level, inf where it never does.

  Args:
    log_cost: float64 [R, L], rising.
    fit: float64 [R, L], non-decreasing, linear in between.
    level: float64 [R, K].

  Returns:
    float64 [R, K].
  """
  above = fit[:, None] >= level[..., None]
  right = above.argmax(axis=-1)  # the first point at or above
  left = np.maximum(right - 1, 0)
  at = lambda x, i: np.take_along_axis(x, i, axis=1)
  rise = at(fit, right) - at(fit, left)
  part = np.divide(level - at(fit, left), rise, out=np.ones(level.shape), where=rise > 0)
  found = at(log_cost, left) + part * (at(log_cost, right) - at(log_cost, left))
  return np.where(above.any(axis=-1), found, np.inf)


def _rising(log_cost: np.ndarray, fit: np.ndarray) -> np.ndarray:
  """Log costs [R, L] without the stretches in which a curve is flat: one to one with accuracy."""
  steps = np.where(np.diff(fit, axis=1) > 0, np.diff(log_cost, axis=1), 0)
  return np.hstack([log_cost[:, :1], log_cost[:, :1] + np.cumsum(steps, axis=1)])


def _equivalent(log_cost: np.ndarray, fit: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
  """Log cost at which a baseline has each accuracy, beyond its ends by the slope of that half.

  Args:
    log_cost: float64 [R, L].
    fit: float64 [R, L], isotonic, with a rise.
    accuracy: float64 [R, P].
  """
  low, high = fit[:, :1], fit[:, -1:]
  bottom, middle, top = np.split(
      reach(log_cost, fit, np.hstack([low, (low + high) / 2, high])), 3, axis=1)
  half = np.where(high > low, (high - low) / 2, 1)
  inside = reach(log_cost, fit, np.clip(accuracy, low, high))
  under = bottom + (accuracy - low) * (middle - bottom) / half
  over = top + (accuracy - high) * (top - middle) / half
  return np.where(accuracy < low, under, np.where(accuracy > high, over, inside))


def _sorted(cost: np.ndarray, accuracy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Log costs and isotonic accuracies [R, L], each replicate by its own costs."""
  cost = np.broadcast_to(cost, accuracy.shape)
  order = np.argsort(cost, axis=1, kind='stable')
  at = lambda x: np.take_along_axis(x, order, axis=1)
  return np.log(at(cost)), isotonic(at(accuracy))


def ratios(baseline_cost: np.ndarray, baseline: np.ndarray, policy_cost: np.ndarray,
           policy: np.ndarray) -> np.ndarray:
  """Baseline's cost over the policy's at each of SHARES of the baseline's rise.

  Args:
    baseline_cost: float64 [L], or [R, L] where replicates spend differently.
    baseline: float64 [R, L], accuracy.
    policy_cost: float64 [P] or [R, P].
    policy: float64 [R, P], accuracy.

  Returns:
    float64 [R, len(SHARES)]. inf: the policy is past that accuracy at its smallest cost, the ratio
    lies above what can be measured; -inf: it never gets there, the ratio lies below. NaN where the
    baseline has no rise.
  """
  base_log, base_fit = _sorted(baseline_cost, baseline)
  log, fit = _sorted(policy_cost, policy)
  low, high = base_fit[:, :1], base_fit[:, -1:]
  level = low + np.array(SHARES) * (high - low)
  scale = _rising(base_log, base_fit)
  worth, wanted = (_equivalent(scale, base_fit, x) for x in (fit, level))
  with np.errstate(invalid='ignore'):
    out = np.exp(reach(base_log, base_fit, level - _EQUAL) - reach(log, worth, wanted - _EQUAL))
  out = np.where(worth[:, :1] > wanted + _EQUAL, np.inf, out)
  out = np.where(worth[:, -1:] < wanted - _EQUAL, -np.inf, out)
  return np.where(high > low, out, np.nan)


def overall(each: np.ndarray, measured: np.ndarray) -> np.ndarray:
  """One ratio from those of the shares, float64 [R]: their geometric mean.

  A median of a few numbers that are truly different is not near its own expectation; a mean is.

  Args:
    each: float64 [R, len(SHARES)] from `ratios`.
    measured: bool [len(SHARES)], the shares that count.
  """
  with np.errstate(divide='ignore', invalid='ignore'):
    logs = np.where(each == -np.inf, -np.inf, np.log(np.maximum(each, 0)))
    return np.exp(logs[:, measured].mean(axis=1))


def _end(value: float) -> float | None:
  return float(value) if np.isfinite(value) and value > 0 else None


def interval(replicates: np.ndarray) -> list[float | None] | None:
  """The middle 95% of replicates [R], censored ends None; None where both are.

  A ratio of 0, in a mean that misses a share, counts as below what can be measured.
  """
  known = np.sort(replicates[~np.isnan(replicates)])
  if known.size < max(1, replicates.size / 2):
    return None
  place = np.array([0.025, 0.975]) * (known.size - 1)
  ends = [_end(known[int(np.floor(place[0]))]), _end(known[int(np.ceil(place[1]))])]
  return None if ends == [None, None] else ends


def side(value: float) -> str | None:
  """On which side a ratio is censored: `above` what can be measured, `below` it, or not at all."""
  return 'above' if value == np.inf else 'below' if value == -np.inf else None


def fields(each: np.ndarray, n: int) -> dict[str, Any]:
  """The fields of a row: `ratio`, `ci95`, `ratio_censored`, `at`, `at_ci95`, `censored`.

  `ratio` is that of the shares that were measured. It is null, `ratio_censored` saying on which
  side, where none was, and where the policy misses any: a mean without that would flatter.

  Args:
    each: float64 [1 + R, len(SHARES)] from `ratios`, the first as the questions are.
    n: questions.
  """
  measured, many = np.isfinite(each[0]), n > 1
  missed = (each[0] == -np.inf).any()
  row = {'ratio': None, 'ci95': None,
         'ratio_censored': 'below' if missed else None if measured.any() else 'above',
         'at': [[share, _end(x)] for share, x in zip(SHARES, each[0])],
         'at_ci95': [interval(x) if many else None for x in each[1:].T],
         'censored': [side(x) for x in each[0]]}
  if row['ratio_censored'] is None:
    all_ = overall(each, measured)
    row |= {'ratio': float(all_[0]), 'ci95': interval(all_[1:]) if many else None}
  return row
