"""Moving budget between questions: what one more generation buys decides where it goes.

The paper gives every question the same budget and leaves this to future work (section 8). Here a
policy's questions share one, as `split` has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tts.eval.policy import compute_optimal, crossfit, difficulty, efficiency
from tts.eval.policy import options as options_lib
from tts.eval.policy.trials import Trial


def _measured(trial: Trial) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
  """A policy's rows, and its distances from the baselines."""
  estimator, found, sums = trial.estimator, trial.found, trial.sums
  out, points = [], []
  for budget, shared in trial.splits.items():
    equal = compute_optimal.allowed(found, 'generations', budget, estimator)
    if not equal.size:
      continue
    points.append((found.level('generations', budget), shared.accuracy))
    other = crossfit.crossfit(sums, equal)
    out.append({
        **compute_optimal.what(estimator, found), 'budget': budget, 'n': sums.n,
        'accuracy': float(shared.accuracy[0]), 'ci95': crossfit.interval(shared.accuracy, sums.n),
        'generations': shared.generations, 'equal_accuracy': float(other[0]),
        'difference': float(shared.accuracy[0] - other[0]),
        'difference_ci95': crossfit.interval(shared.accuracy - other, sums.n),
        # By bin, fold by fold.
        'choices': [[options_lib.name(found.outcomes[i]) for i in fold]
                    for fold in shared.picked]})
  distances = []
  for name in compute_optimal.BASELINES[found.mechanism] if points else ():
    base = compute_optimal.baseline(found, 'generations', sums, name)
    each = base[0].size and efficiency.ratios(
        *base, np.array([x for x, _ in points]), np.stack([y for _, y in points], axis=1))
    if base[0].size and not np.isnan(each[0]).any():
      middle = np.median(each, axis=1)
      distances.append({**compute_optimal.what(estimator, found), 'baseline': name,
                        'axis': 'generations', 'n': sums.n, 'ratio': float(middle[0]),
                        'ci95': crossfit.interval(middle, sums.n)})
  return out, distances


def rows(trials: Sequence[Trial]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
  """A policy with a shared budget at each budget, and how much less it spends than the baselines.

  On the set of the most questions. Choices are made on one fold and scored on the other, as in
  `crossfit`; so the generations that are spent are about the budget and not bound by it.

  Args:
    trials: of all estimators; from them the free ones and `difficulty.SAVED`.

  Returns:
    (rows, each beside the policy that gives all questions as much; rows as those of `efficiency`).
  """
  made, distances = [], []
  for trial in trials:
    estimator = trial.estimator
    if trial.widest and (not estimator.charged or estimator.name in difficulty.SAVED):
      for total, part in zip((made, distances), _measured(trial)):
        total += part
  return made, distances
