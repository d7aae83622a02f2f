"""Moving budget between questions: what one more generation buys decides where it goes.

The paper gives every question the same budget and leaves this to future work (section 8). Here a
policy's questions share one, as `split` has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tts.eval.policy import compute_optimal, crossfit, difficulty, over_bins, strategy_options
from tts.eval.policy.trials import Trial


def _measured(trial: Trial) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
  """A policy's rows, and its distances from the baselines."""
  estimator, found, sums = trial.estimator, trial.found, trial.sums
  out, kept = [], {}
  for budget, shared in trial.splits.items():
    if budget not in trial.policy('generations'):
      continue
    kept[budget] = shared
    other = trial.policy('generations')[budget].accuracy[:len(shared.accuracy)]
    out.append({
        **compute_optimal.what(estimator, found), 'budget': budget, 'n': sums.n,
        'accuracy': float(shared.accuracy[0]), 'ci95': crossfit.interval(shared.accuracy, sums.n),
        'generations': float(shared.spent[0]), 'equal_accuracy': float(other[0]),
        'difference': float(shared.accuracy[0] - other[0]),
        'difference_ci95': crossfit.difference_interval(shared.accuracy - other, sums.n),
        'replicates': over_bins.REPLICATES,
        # By bin, on all questions.
        'choices': [strategy_options.name(found.outcomes[i]) for i in shared.everywhere]})
  distances = []
  for name in compute_optimal.BASELINES[found.mechanism] if out else ():
    row, reason = compute_optimal.distance(trial, 'generations', name,
                                           compute_optimal.points(found, kept))
    if reason is None:
      distances.append(row | {'replicates': over_bins.REPLICATES})
  return out, distances


def rows(trials: Sequence[Trial]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
  """A policy with a shared budget at each budget, and how much less it spends than the baselines.

  On the set of the most questions. Choices are made on some folds and scored on the others, as
  in `crossfit`; so the generations that are spent are about the budget and not bound by it.

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
