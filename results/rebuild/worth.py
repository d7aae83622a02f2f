"""How many times less a policy spends than a baseline for the same accuracy; rows are replicates.

The policy's points are read as the cost at which the baseline is as accurate, and these equivalent
costs are interpolated, in log cost. A baseline's curve is made non-decreasing first.
"""

import numpy as np

from . import intervals
from .policy import SHARES

_EQUAL = 1e-9  # rounding does not decide on which side of a flat stretch a share lies


def _monotone(values):
  """The non-decreasing curve of least squares, pooling neighbours that fall; float [R, L]."""
  out = np.empty(values.shape)
  for row, into in zip(values, out):
    blocks = []
    for value in row.tolist():
      blocks.append([value, 1])
      while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
        (a, m), (b, n) = blocks[-2:]
        blocks[-2:] = [[(a * m + b * n) / (m + n), m + n]]
    into[:] = np.concatenate([[value] * n for value, n in blocks])
  return out


def _reached(log, fit, level):
  """Least log cost at which a curve has a level, inf where it never has: [R, L], [R, K]."""
  above = fit[:, None] >= level[..., None]
  right = above.argmax(axis=-1)
  left = np.maximum(right - 1, 0)
  take = lambda x, i: np.take_along_axis(x, i, axis=1)
  rise = take(fit, right) - take(fit, left)
  share = np.divide(level - take(fit, left), rise, out=np.ones(level.shape), where=rise > 0)
  found = take(log, left) + share * (take(log, right) - take(log, left))
  return np.where(above.any(axis=-1), found, np.inf)


def _equivalent(log, fit, accuracy):
  """Log cost at which the baseline has an accuracy; past its ends by the slope of that half."""
  low, high = fit[:, :1], fit[:, -1:]
  ends = _reached(log, fit, np.hstack([low, (low + high) / 2, high]))
  bottom, middle, top = ends[:, :1], ends[:, 1:2], ends[:, 2:]
  half = np.where(high > low, (high - low) / 2, 1)
  inside = _reached(log, fit, np.clip(accuracy, low, high))
  under = bottom + (accuracy - low) * (middle - bottom) / half
  over = top + (accuracy - high) * (top - middle) / half
  return np.where(accuracy < low, under, np.where(accuracy > high, over, inside))


def _curve(cost, accuracy):
  cost = np.broadcast_to(cost, accuracy.shape)
  by = np.argsort(cost, axis=1, kind='stable')
  take = lambda x: np.take_along_axis(x, by, axis=1)
  return np.log(take(cost)), _monotone(take(accuracy))


def ratios(base_cost, base, cost, accuracy):
  """[R, SHARES]: baseline's cost over the policy's at shares of the baseline's rise.

  inf: the policy is past it at its smallest cost; -inf: it never gets there; NaN: no rise.
  """
  base_log, base_fit = _curve(base_cost, base)
  log, fit = _curve(cost, accuracy)
  low, high = base_fit[:, :1], base_fit[:, -1:]
  level = low + np.array(SHARES) * (high - low)
  steps = np.where(np.diff(base_fit, axis=1) > 0, np.diff(base_log, axis=1), 0)
  rising = np.hstack([base_log[:, :1], base_log[:, :1] + np.cumsum(steps, axis=1)])
  worth, wanted = _equivalent(rising, base_fit, fit), _equivalent(rising, base_fit, level)
  with np.errstate(invalid='ignore'):
    out = np.exp(_reached(base_log, base_fit, level - _EQUAL)
                 - _reached(log, worth, wanted - _EQUAL))
  out = np.where(worth[:, :1] > wanted + _EQUAL, np.inf, out)
  out = np.where(worth[:, -1:] < wanted - _EQUAL, -np.inf, out)
  return np.where(high > low, out, np.nan)


def _end(value):
  return float(value) if np.isfinite(value) and value > 0 else None


def _ends(replicates):
  known = np.sort(replicates[~np.isnan(replicates)])
  if known.size < max(1, replicates.size / 2):
    return None
  place = np.array([0.025, 0.975]) * (known.size - 1)
  ends = [_end(known[int(np.floor(place[0]))]), _end(known[int(np.ceil(place[1]))])]
  return None if ends == [None, None] else ends


def points(menu, curve):
  """Costs and accuracies [1 + R, L] at the budgets at which all ran that ever did."""
  levels = [level for budget, level in curve.items() if menu.complete(budget)]
  return np.stack([x[0] for x in levels], axis=1), np.stack([x[1] for x in levels], axis=1)


def _pairs(curve):
  return {budget: (level.spent, level.accuracy) for budget, level in curve.items()}


def efficiency(trial, baseline, axis, moved=False):
  """(ratio, its interval, n, the four shares) of a policy against a baseline.

  The ratio is the geometric mean of the shares that were measured; `below` where one is never
  reached, `above` where all are passed at the smallest cost, `flat` where the baseline does not
  rise; a share says the same of itself.
  """
  menu = trial.menu
  curve = ({b: level[::-1] for b, level in trial.moved.items()} if moved
           else _pairs(trial.curve(axis)))
  if not curve:  # no budget pays for the estimate
    return None, None, trial.n, None
  cost, accuracy = points(menu, curve)
  if baseline == 'best_fixed':
    base_cost, base = points(menu, _pairs(trial.curve(axis, fixed=True)))
  else:
    at = [i for i, o in enumerate(menu.outcomes) if o.label == baseline]
    base_cost, base = menu.costs(axis)[at], trial.sums.means()[at].T
  size = len(accuracy)
  each = ratios(base_cost if base_cost.ndim == 1 else base_cost[:size], base[:size],
                cost, accuracy)
  if np.isnan(each[0]).any():
    return 'flat', None, trial.n, ['flat']
  shares = ['above' if x == np.inf else 'below' if x == -np.inf else float(x) for x in each[0]]
  known = np.isfinite(each[0])
  if (each[0] == -np.inf).any() or not known.any():
    return 'below' if 'below' in shares else 'above', None, trial.n, shares
  with np.errstate(divide='ignore', invalid='ignore'):
    logs = np.where(each == -np.inf, -np.inf, np.log(np.maximum(each, 0)))
    overall = np.exp(logs[:, known].mean(axis=1))
  return float(overall[0]), _ends(overall[1:]) if trial.n > 1 else None, trial.n, shares


def accuracy_interval(values, n):
  """Interval of a policy's accuracy from its replicates [1 + R], the first of which is none."""
  half = intervals.student(n - 1) * float(np.nanstd(values[1:]))
  return [max(float(values[0] - half), 0.0), min(float(values[0] + half), 1.0)] if n > 1 else None


def difference_interval(values, n):
  return intervals.paired(float(values[0]), float(np.nanstd(values[1:])), n)
