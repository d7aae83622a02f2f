"""Rows of `compute_optimal` and `efficiency`: the best strategy per bin against fixed ones.

A policy of budget N may spend in every bin what best-of-N weighted costs at N, on the axis at hand;
it is drawn at that cost even where its choices are cheaper.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tts.eval.policy import crossfit, efficiency, options as options_lib
from tts.eval.policy.crossfit import Sums
from tts.eval.policy.difficulty import Estimator
from tts.eval.policy.options import AXES, CONTROL, Options, PARALLEL, REFERENCE
from tts.eval.policy.trials import Trial

# What a policy is compared with, by its mechanism.
BASELINES = {'search': (REFERENCE, 'majority', 'best_fixed'),
             'revision': (PARALLEL, CONTROL, REFERENCE, 'best_fixed'),
             'both': (REFERENCE, PARALLEL, 'best_fixed')}


def allowed(found: Options, axis: str, budget: int,
            estimator: Estimator | None = None) -> np.ndarray:
  """Places of the strategies that a budget pays for, cheapest first, int64 [A]."""
  costs = found.charged(axis, estimator)
  order = np.argsort(costs, kind='stable')  # equal costs stay in order of budget and name
  return order[costs[order] <= found.level(axis, budget) * (1 + 1e-9)]


def what(estimator: Estimator, found: Options) -> dict[str, Any]:
  """The fields of a row that say whose policy it is."""
  return {'mechanism': found.mechanism, 'bins': estimator.scheme, 'estimator': estimator.name,
          'charged': estimator.charged}


def _row(estimator: Estimator, found: Options, sums: Sums, budget: int) -> dict[str, Any] | None:
  """One policy at one budget in generations; None where the estimate alone costs more."""
  order = allowed(found, 'generations', budget, estimator)
  if not order.size or not sums.n:
    return None
  accuracy = crossfit.crossfit(sums, order)
  means = sums.means()
  fixed = {'best_fixed': crossfit.crossfit(sums.unbinned(), allowed(found, 'generations', budget))}
  for name in (*options_lib.POOLED, PARALLEL):
    place = found.place(name, budget)
    fixed[name] = None if place is None else means[:, place]
  picked = crossfit.choose(sums.right[:, :, 0].sum(axis=0), order)
  spent = found.charged('generations', estimator)[picked]
  row = {**what(estimator, found), 'budget': budget, 'n': sums.n, 'accuracy': float(accuracy[0]),
         'ci95': crossfit.interval(accuracy, sums.n),
         'generations': float(np.average(spent, weights=sums.weight[:, :, 0].sum(axis=0))),
         'choices': [options_lib.name(found.outcomes[i]) for i in picked]}
  for name, other in fixed.items():
    known = other is not None
    row[f'{name}_accuracy'] = float(other[0]) if known else None
    row[f'{name}_difference'] = float(accuracy[0] - other[0]) if known else None
    row[f'{name}_difference_ci95'] = crossfit.interval(accuracy - other, sums.n) if known else None
  return row


def _curve(found: Options, axis: str, sums: Sums,
           estimator: Estimator | None = None) -> tuple[np.ndarray, np.ndarray]:
  """Costs [L] and accuracies [1 + R, L] of a policy, or of the best fixed strategy."""
  points = [(found.level(axis, budget), crossfit.crossfit(sums, order)) for budget in found.budgets
            if (order := allowed(found, axis, budget, estimator)).size]
  if not points:
    return np.zeros(0), np.zeros((sums.right.shape[2], 0))
  return np.array([x for x, _ in points]), np.stack([y for _, y in points], axis=1)


def baseline(found: Options, axis: str, sums: Sums,
             name: str) -> tuple[np.ndarray, np.ndarray]:
  """Costs [L] and accuracies [1 + R, L] of a baseline."""
  if name == 'best_fixed':
    return _curve(found, axis, sums.unbinned())
  places = [i for i, o in enumerate(found.outcomes) if options_lib.label(o) == name]
  return found.costs[axis][places], sums.means()[:, places]


def _efficiency(estimator: Estimator, found: Options, sums: Sums,
                reasons: dict[str, str]) -> Iterator[dict[str, Any]]:
  for axis in AXES:
    policy = _curve(found, axis, sums, estimator)
    for name in BASELINES[found.mechanism]:
      base = baseline(found, axis, sums, name)
      row = {**what(estimator, found), 'baseline': name, 'axis': axis, 'n': sums.n,
             'ratio': None, 'ci95': None, 'at': []}
      field = f'efficiency.{found.mechanism}.{estimator.scheme}.{estimator.name}.{name}.{axis}'
      if not base[0].size or np.isnan(base[0]).any():
        reasons[field] = f'{name} or its {axis} were not measured'
      elif not policy[0].size:
        reasons[field] = 'no budget pays for the estimate, or its price was not measured'
      else:
        each = efficiency.ratios(*base, *policy)
        if np.isnan(each[0]).any():
          reasons[field] = f'{name} does not rise with its budget'
        else:
          middle = np.median(each, axis=1)
          row.update(ratio=float(middle[0]), ci95=crossfit.interval(middle, sums.n),
                     at=[list(x) for x in zip(efficiency.SHARES, each[0].tolist())])
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
    parts = trial.estimator, trial.found, trial.sums
    made = [_row(*parts, budget) for budget in trial.found.budgets]
    policies += [row for row in made if row is not None]
    if trial.widest and trial.sums.n:
      distances += _efficiency(*parts, reasons)
  if not policies:
    reasons['compute_optimal'] = 'no question has both an estimate of difficulty and scored samples'
  return policies, distances
