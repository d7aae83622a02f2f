"""Rows of `compute_optimal` and `efficiency`: the best strategy per bin against fixed ones.

A policy of budget N may spend in every bin as many generations as best-of-N weighted at N. It is
drawn, as a baseline is, at what its choices do cost, on each axis.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tts.eval.policy import crossfit, efficiency, strategy_options
from tts.eval.policy.crossfit import Level
from tts.eval.policy.difficulty import Estimator
from tts.eval.policy.strategy_options import AXES, CONTROL, Options, PARALLEL, REFERENCE
from tts.eval.policy.trials import Trial

# What a policy is compared with, by its mechanism.
BASELINES = {'search': (REFERENCE, 'majority', 'best_fixed'),
             'revision': (PARALLEL, CONTROL, REFERENCE, 'best_fixed'),
             'both': (REFERENCE, PARALLEL, 'best_fixed')}


def what(estimator: Estimator, found: Options) -> dict[str, Any]:
  """The fields of a row that say whose policy it is."""
  return {'mechanism': found.mechanism, 'bins': estimator.scheme, 'estimator': estimator.name,
          'charged': estimator.charged}


def _row(trial: Trial, budget: int, curve: Level) -> dict[str, Any]:
  """One policy at one budget in generations."""
  estimator, found, sums = trial.estimator, trial.found, trial.sums
  means = sums.means()
  fixed = {'best_fixed': trial.fixed('generations')[budget].accuracy}
  for name in (*strategy_options.POOLED, PARALLEL):
    place = found.place(name, budget)
    fixed[name] = None if place is None else means[place]
  accuracy = curve.accuracy
  row = {**what(estimator, found), 'budget': budget, 'n': sums.n, 'accuracy': float(accuracy[0]),
         'ci95': crossfit.interval(accuracy, sums.n), 'generations': float(curve.spent[0]),
         'choices': [strategy_options.name(found.outcomes[i]) for i in trial.chosen(budget)]}
  for name, other in fixed.items():
    known = other is not None
    row[f'{name}_accuracy'] = float(other[0]) if known else None
    row[f'{name}_difference'] = float(accuracy[0] - other[0]) if known else None
    row[f'{name}_difference_ci95'] = (
        crossfit.difference_interval(accuracy - other, sums.n) if known else None)
  return row


def points(found: Options, curves: dict[int, Any]) -> tuple[np.ndarray, np.ndarray]:
  """Spending and accuracy, float64 [1 + R, L] each, at budgets at which all ran that ever did."""
  some = [c for budget, c in curves.items() if found.complete(budget)]
  if not some or any(np.isnan(c.spent[0]) for c in some):  # a cost was not measured
    return np.zeros((1, 0)), np.zeros((1, 0))
  return np.stack([c.spent for c in some], axis=1), np.stack([c.accuracy for c in some], axis=1)


def baseline(trial: Trial, axis: str, name: str) -> tuple[np.ndarray, np.ndarray]:
  """Costs [L] or [1 + R, L] and accuracies [1 + R, L] of a baseline."""
  found = trial.found
  if name == 'best_fixed':
    return points(found, trial.fixed(axis))
  places = [i for i, o in enumerate(found.outcomes) if strategy_options.label(o) == name]
  return found.costs[axis][places], trial.sums.means()[places].T


def distance(trial: Trial, axis: str, name: str, policy: tuple[np.ndarray, np.ndarray],
             ) -> tuple[dict[str, Any], str | None]:
  """A row of `efficiency`, and why its ratio is null where it is not for being censored."""
  base = baseline(trial, axis, name)
  row = {**what(trial.estimator, trial.found), 'baseline': name, 'axis': axis, 'n': trial.sums.n,
         'ratio': None, 'ci95': None, 'ratio_censored': None, 'at': [], 'at_ci95': [],
         'censored': []}
  if not base[0].size or np.isnan(base[0]).any() or np.isnan(base[1][0]).any():
    return row, f'{name} or its {axis} were not measured'
  if not policy[0].size:
    return row, 'no budget pays for the estimate, or its price was not measured'
  size = len(policy[1])
  each = efficiency.ratios(*(x if x.ndim == 1 else x[:size] for x in base), *policy)
  if np.isnan(each[0]).any():
    return row, f'{name} does not rise with its budget'
  return row | efficiency.fields(each, trial.sums.n), None


def _efficiency(trial: Trial, reasons: dict[str, str]) -> Iterator[dict[str, Any]]:
  estimator, found = trial.estimator, trial.found
  for axis in AXES:
    policy = points(found, trial.policy(axis))
    for name in BASELINES[found.mechanism]:
      row, reason = distance(trial, axis, name, policy)
      field = f'efficiency.{found.mechanism}.{estimator.scheme}.{estimator.name}.{name}.{axis}'
      if reason is not None:
        reasons[field] = reason
      elif row['ratio_censored'] is not None:
        reasons[field] = f'a share lies {row["ratio_censored"]} what was measured'
      yield row


def rows(trials: Sequence[Trial],
         reasons: dict[str, str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
  """Rows of `compute_optimal` at every budget, and of `efficiency` on the most questions.

  Args:
    trials: of all estimators.
    reasons: why what is null is null, added to.

  Returns:
    (compute_optimal, efficiency); empty where no question has both an estimate and an outcome.
  """
  policies, distances = [], []
  for trial in trials:
    if trial.found.revised and trial.found.mechanism == 'search':
      continue  # fewer questions than search was measured on; see `mechanisms`
    if trial.n:
      policies += [_row(trial, *at) for at in trial.policy('generations').items()]
    if trial.widest and trial.n:
      distances += _efficiency(trial, reasons)
  if not policies:
    reasons['compute_optimal'] = 'no question has both an estimate of difficulty and scored samples'
  return policies, distances
