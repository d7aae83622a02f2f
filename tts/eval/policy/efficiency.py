"""How many times less a policy spends than a baseline at equal accuracy (paper, Figure 4).

The distance between two accuracy curves along the logarithm of cost. Every function takes
replicates as rows, [R, L], so that an interval costs little more than a value.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SHARES = (0.25, 0.5, 0.75, 0.9)  # of the baseline's own rise


def isotonic(values: np.ndarray, weight: Sequence[float] | None = None) -> np.ndarray:
  """The non-decreasing curve of least squared distance, float64 [R, L].

  What pooling adjacent violators gives, by its closed form: at i, the largest over j <= i of the
  smallest over k >= i of the mean of j..k.

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
  return out


def reach(log_cost: np.ndarray, fit: np.ndarray, level: np.ndarray) -> np.ndarray:
  """The least log cost at which a curve reaches a level, inf where it never does.

  Args:
    log_cost: float64 [L], rising.
    fit: float64 [R, L], non-decreasing, linear in between.
    level: float64 [R].
  """
  above = fit >= level[:, None]
  right = above.argmax(axis=1)  # the first point at or above
  left = np.maximum(right - 1, 0)
  at = lambda i: np.take_along_axis(fit, i[:, None], axis=1)[:, 0]
  rise = at(right) - at(left)
  part = np.divide(level - at(left), rise, out=np.ones(len(level)), where=rise > 0)
  found = log_cost[left] + part * (log_cost[right] - log_cost[left])
  return np.where(above.any(axis=1), found, np.inf)


def ratios(baseline_cost: np.ndarray, baseline: np.ndarray, policy_cost: np.ndarray,
           policy: np.ndarray) -> np.ndarray:
  """Baseline's cost over the policy's at each of SHARES of the baseline's rise.

  Args:
    baseline_cost: float64 [L], rising.
    baseline: float64 [R, L], accuracy.
    policy_cost: float64 [P], rising.
    policy: float64 [R, P], accuracy.

  Returns:
    float64 [R, len(SHARES)]; 0 where the policy never gets there, NaN where the baseline has no
    rise.
  """
  logs = np.log(baseline_cost), np.log(policy_cost)
  fits = isotonic(baseline), isotonic(policy)
  low, high = fits[0][:, 0], fits[0][:, -1]
  out = []
  for share in SHARES:
    level = low + share * (high - low)
    with np.errstate(invalid='ignore'):  # where a flat baseline and the policy both miss its level
      out.append(np.exp(reach(logs[0], fits[0], level) - reach(logs[1], fits[1], level)))
  return np.where((high > low)[:, None], np.stack(out, axis=1), np.nan)
