"""Rows of `mechanisms`: one policy over search and revisions, against each of them alone.

The paper never combined the two. All three policies choose on the same folds of the same questions,
each within what best-of-N weighted costs in generations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tts.eval.policy import compute_optimal, crossfit
from tts.eval.policy.trials import Trial

NAMES = ('search', 'revision', 'both')


def rows(trials: Sequence[Trial]) -> list[dict[str, Any]]:
  """A row per estimator and budget, and one for the mean over budgets (`budget` None)."""
  by_estimator: dict[tuple[str, str], dict[str, Trial]] = {}
  for trial in trials:
    if trial.found.revised:
      whose = trial.estimator.scheme, trial.estimator.name
      by_estimator.setdefault(whose, {})[trial.found.mechanism] = trial
  out = []
  for group in by_estimator.values():
    made = {budget: values for budget in group['both'].found.budgets
            if (values := _accuracies(group, budget)) is not None}
    out += [_row(group, budget, values) for budget, values in made.items()]
    if made:
      out.append(_row(group, None, {name: np.mean([v[name] for v in made.values()], axis=0)
                                    for name in NAMES}))
  return out


def _accuracies(group: Mapping[str, Trial], budget: int) -> dict[str, np.ndarray] | None:
  """Accuracy [1 + R] of each mechanism's policy; None where one of them has nothing to choose."""
  found = {}
  for name in NAMES:
    curve = group[name].policy('generations').get(budget)
    if curve is None:
      return None
    found[name] = curve.accuracy
  return found


def _row(group: Mapping[str, Trial], budget: int | None,
         values: Mapping[str, np.ndarray]) -> dict[str, Any]:
  trial = group['both']
  row = {**compute_optimal.what(trial.estimator, trial.found), 'budget': budget, 'n': trial.sums.n}
  for name in NAMES:
    row[f'{name}_accuracy'] = float(values[name][0])
    row[f'{name}_ci95'] = crossfit.interval(values[name], trial.sums.n)
  for name in NAMES[:-1]:
    difference = values['both'] - values[name]
    row[f'minus_{name}'] = float(difference[0])
    row[f'minus_{name}_ci95'] = crossfit.difference_interval(difference, trial.sums.n)
  return row
