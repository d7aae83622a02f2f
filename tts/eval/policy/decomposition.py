"""What each part of a compute-optimal policy is worth: rows of `decomposition`.

A policy is ahead of best-of-N for several reasons: its greedy answers, its searches, what it
chooses per question, what it moves between questions. Each step is what the one before it had and
one thing more. Bins that are drawn at random go through the same choices as a placebo: what they
gain is not difficulty's. Votes without a verifier stand beside it at as many measured FLOPs.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tts.eval.measures import statistics
from tts.eval.policy import compute_optimal, crossfit, difficulty, strategy_options
from tts.eval.policy.difficulty import Estimator
from tts.eval.policy.strategy_options import REFERENCE
from tts.eval.policy.trials import Trial, trial as trial_of

UNVERIFIED = ('majority', 'logprob_weighted')
# Step -> what it is compared with.
STEPS = {'greedy': 'one_sample', REFERENCE: 'greedy', 'search': REFERENCE, 'fixed': REFERENCE,
         'choosing': 'fixed', 'moving': 'choosing', 'choosing_random_bins': 'fixed',
         'moving_random_bins': 'choosing_random_bins'}


def random_bins(estimator: Estimator) -> Estimator:
  """Bins of the same questions, at the same price, by a hash that knows nothing of them."""
  luck = [hashlib.sha256(b'random bin ' + i.encode()).digest() for i in estimator.ids]
  return dataclasses.replace(
      estimator, name='random', bins=None, cuts=(),
      estimate=np.array([int.from_bytes(d[:6], 'big') for d in luck], float))


def _accuracies(trial: Trial, placebo: Trial, search: Trial,
                budget: int) -> Iterator[tuple[str, np.ndarray, float]]:
  """(step, accuracy [1 + R], generations of a question) of what was measured at a budget."""
  found, means = trial.found, trial.sums.means()
  for name, strategy, spent in (('one_sample', REFERENCE, 1), ('greedy', 'greedy', 1),
                                (REFERENCE, REFERENCE, budget)):
    place = found.place(strategy, spent)
    if place is not None:
      yield name, means[place], spent
  for name, curves in (('search', search.fixed('generations')),
                       ('fixed', trial.fixed('generations')),
                       ('choosing', trial.policy('generations')), ('moving', trial.splits),
                       ('choosing_random_bins', placebo.policy('generations')),
                       ('moving_random_bins', placebo.splits)):
    if budget in curves:
      yield name, curves[budget].accuracy, float(curves[budget].spent[0])


def _at_flops(trial: Trial, name: str, flops: float) -> tuple[np.ndarray, float, bool] | None:
  """A vote's accuracy [1 + R] at so many FLOPs, its samples, and whether it was drawn so often.

  Linear in log FLOPs between budgets; below one sample or above the largest pool, theirs.
  """
  found = trial.found
  places = [i for i, o in enumerate(found.outcomes) if strategy_options.label(o) == name]
  costs = found.costs['flops'][places]
  if not places or np.isnan(costs).any() or np.isnan(flops):
    return None
  low, high, share = statistics.between(np.log(flops), np.log(costs))
  means = trial.sums.means()
  accuracy = (1 - share) * means[places[low]] + share * means[places[high]]
  samples = [found.outcomes[places[i]].budget for i in (low, high)]
  return (accuracy, float(samples[0] ** (1 - share) * samples[1] ** share),
          bool(costs[0] <= flops <= costs[-1]))


def _rows(trial: Trial, placebo: Trial, search: Trial) -> Iterator[dict[str, Any]]:
  what = compute_optimal.what(trial.estimator, trial.found)
  for budget, level in trial.policy('generations').items():
    measured = {name: parts for name, *parts in _accuracies(trial, placebo, search, budget)}

    def row(step: str, accuracy: np.ndarray, generations: float, against: str | None,
            difference: np.ndarray | None, **more: Any) -> dict[str, Any]:
      n = trial.n
      return {**what, 'budget': budget, 'n': n, 'step': step, 'accuracy': float(accuracy[0]),
              'generations': generations, 'flops': None, 'against': against,
              'gain': None if difference is None else float(difference[0]),
              'ci95': None if difference is None else crossfit.difference_interval(difference, n),
              **more}

    for step, (accuracy, generations) in measured.items():
      against = STEPS.get(step)
      if step != against and against in measured:
        other = measured[against][0]
        size = min(len(accuracy), len(other))  # moving has fewer replicates
        yield row(step, accuracy, generations, against, accuracy[:size] - other[:size])
      else:
        yield row(step, accuracy, generations, None, None)
    flops = float(trial.policy('flops')[budget].spent[0])
    for name in UNVERIFIED:
      vote = _at_flops(trial, name, flops)
      if vote is not None:
        accuracy, samples, reached = vote
        yield row(f'{name}_at_equal_flops', accuracy, samples, 'choosing',
                  accuracy - level.accuracy, flops=flops, reached=reached)


def rows(trials: Sequence[Trial]) -> list[dict[str, Any]]:
  """A row per step of every policy over searches, on the most questions, at every budget.

  Args:
    trials: of all estimators; of them the free ones and `difficulty.SAVED`.

  Returns:
    Rows with `step`, its `accuracy` and `generations`, and its `gain` over `against` with `ci95`;
    of votes at the policy's FLOPs also `flops`, and `reached`: false where they would need more
    samples than were drawn.
  """
  out: list[dict[str, Any]] = []
  placebos: dict[tuple[str, ...], Trial] = {}
  for trial in trials:
    if not (trial.widest and trial.n and trial.found.mechanism == 'search') or (
        trial.estimator.charged and trial.estimator.name not in difficulty.SAVED):
      continue
    bins = random_bins(trial.estimator)
    base = placebos.setdefault(trial.estimator.ids, trial_of(bins, trial.found))
    placebo = trial_of(bins, trial.found)
    placebo.__dict__['sums'] = base.sums  # whatever the price is
    search = trial.of(np.array([o.guided for o in trial.found.outcomes]), REFERENCE)
    out += _rows(trial, placebo, search)
  return out


def headline(found: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
  """The rows to show first: a policy that pays for its estimate, and the same free beside it.

  At the largest budget that is at most 16; where nothing is charged, the free ones alone.
  """
  budgets = [r['budget'] for r in found]
  at = max((b for b in budgets if b <= 16), default=min(budgets, default=None))
  return [r for r in sorted(found, key=lambda r: not r['charged']) if r['budget'] == at]
