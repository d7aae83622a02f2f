"""How often intervals hold the truth, and how often a family of nothing is said to hold."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from unittest import mock

import numpy as np

from tests.eval import known_truth
from tests.eval.known_truth import Factor
from tts.eval.claims import claims
from tts.eval.claims.claims import Claim, Look, Side
from tts.eval.claims.measured import Answers
from tts.eval.policy import compute_optimal, crossfit
from tts.eval.policy.strategy_options import REFERENCE
from tts.eval.policy.trials import Trial

_POPULATION = 20000
_AT = 16  # the budget whose accuracies are compared


@dataclasses.dataclass(frozen=True)
class Held:
  """Of some studies: the truth, the mean estimate, the share of intervals that have the truth."""

  truth: float
  estimate: float
  share: float
  studies: int

  def __str__(self):
    return (f'truth {self.truth:.3f}, mean estimate {self.estimate:.3f}, held {self.share:.3f} '
            f'of {self.studies}')


def _ratio(trial: Trial, name: str) -> dict:
  policy = compute_optimal.points(trial.found, trial.policy('generations'))
  return compute_optimal.distance(trial, 'generations', name, policy)[0]


def _search_alone(trial: Trial) -> dict:
  """The same for search at each budget as it is: nothing is chosen, so nothing can tie."""
  found = trial.found
  searched = [i for i, o in enumerate(found.outcomes) if o.strategy in ('greedy', 'beam')]
  means = trial.sums.means()[searched].T
  costs = np.broadcast_to(found.costs['generations'][searched], means.shape)
  return compute_optimal.distance(trial, 'generations', REFERENCE, (costs, means))[0]


def _distances(trial: Trial) -> dict[str, dict]:
  """Rows of efficiency by name."""
  return ({name: _ratio(trial, name) for name in (REFERENCE, 'best_fixed')}
          | {'search alone': _search_alone(trial)})


def _accuracies(trial: Trial) -> dict[str, np.ndarray]:
  """Differences at one budget, in replicates."""
  policy, fixed = (c('generations')[_AT].accuracy for c in (trial.policy, trial.fixed))
  weighted = trial.sums.means()[trial.found.place('best_of_n_weighted', _AT)]
  return {'policy': policy, 'policy - best_fixed': policy - fixed,
          'policy - best_of_n_weighted': policy - weighted}


def population(factor: Factor, searched: Sequence[int]) -> Trial:
  """The truth: chances in place of answers, and as good as no luck in choosing."""
  with mock.patch.object(crossfit, 'REPLICATES', 1):
    crossfit.replicates.cache_clear()
    trial = known_truth.study(known_truth.easy_to_hard(_POPULATION), factor, tuple(searched), None)
    trial.sums, trial.policy('generations'), trial.fixed('generations')
    crossfit.parts.cache_clear()
  crossfit.replicates.cache_clear()
  return trial


def _within(interval: Sequence[float | None] | None, truth: float) -> bool:
  low, high = interval or (None, None)
  return (low is None or low <= truth + 1e-9) and (high is None or high >= truth - 1e-9)


def policies(questions: int, factor: Factor, searched: Sequence[int], studies: int,
             seed: int = 0) -> dict[str, Held]:
  """Efficiency against each baseline, as ratio and share by share, and differences at a budget.

  `search alone` is the search's own efficiency over best-of-N weighted.

  The truth of a ratio is the geometric mean of the true ratios at the shares that were measured.
  """
  # All budgets: a factor does not depend on which of them the studies ran.
  whole = population(factor, known_truth.BUDGETS)
  rows = _distances(whole)
  truth = {name: [math.inf if x is None else x for _, x in row['at']]
           for name, row in rows.items()}
  # What can be chosen at one budget does depend on them.
  level = {name: float(x[0]) for name, x in _accuracies(population(factor, searched)).items()}
  seen: dict[str, list[tuple[float, float, bool]]] = {}
  for number in range(studies):
    rng = np.random.default_rng([seed, number])
    trial = known_truth.study(
        known_truth.easy_to_hard(questions, rng), factor, tuple(searched), rng)
    for name, row in _distances(trial).items():
      known = [t for t, side in zip(truth[name], row['censored']) if side is None]
      if row['ratio'] is not None and all(map(math.isfinite, known)):
        at = math.exp(np.mean(np.log(known)))
        seen.setdefault(name, []).append((at, row['ratio'], _within(row['ci95'], at)))
      for (share, value), ends, t in zip(row['at'], row['at_ci95'], truth[name]):
        if value is not None and math.isfinite(t):
          seen.setdefault(f'{name} at {share}', []).append((t, value, _within(ends, t)))
    for name, values in _accuracies(trial).items():
      interval = crossfit.interval if name == 'policy' else crossfit.difference_interval
      seen.setdefault(name, []).append((level[name], float(values[0]), _within(
          interval(values, questions), level[name])))
  ratios = tuple(rows)
  mean = lambda name, x: (np.exp(np.mean(np.log(x))) if name.startswith(ratios) else np.mean(x))
  return {name: Held(*(float(mean(name, [r[i] for r in rows])) for i in (0, 1)),
                     float(np.mean([r[2] for r in rows])), len(rows))
          for name, rows in seen.items()}


def pairs(questions: int, discordant: float, shift: float, studies: int, tries: int = 1,
          seed: int = 0) -> Held:
  """A claim's interval: paired answers, of which a share differs, `shift` more for the left.

  With several tries the answers of both are means of these.
  """
  rng = np.random.default_rng(seed)
  odds = [(discordant - shift) / 2, 1 - discordant, (discordant + shift) / 2]
  held, means = [], []
  claim = Claim('x', 'x', Side('a'), Side('b'), 'above')
  for _ in range(studies):
    drawn = rng.choice([-1.0, 0.0, 1.0], p=odds, size=(questions, tries)).mean(axis=1)
    row, = claims.evaluate([claim], _look({'a': drawn, 'b': np.zeros(questions)}))
    held.append(_within(row['ci95'], shift))
    means.append(row['effect'])
  return Held(shift, float(np.mean(means)), float(np.mean(held)), studies)


def _look(sides: dict[str, np.ndarray]) -> Look:
  known = {name: Answers(dict(zip((f'q{i:05}' for i in range(len(v))), v.tolist())))
           for name, v in sides.items()}
  return Look(lambda side, budget: known[side.strategy])


def null_families(questions: int, studies: int, number: int = 16,
                  seed: int = 0) -> tuple[float, float, float]:
  """Of families of claims of nothing: the share with one that held, its upper 95% bound, and the
  share with any verdict.

  Sides share questions, and so each other's luck; some differ on few questions and some on many.
  """
  rng = np.random.default_rng(seed)
  written = [Claim(f'c{i}', 'x', Side(f'l{i}'), Side('right'), ('above', 'below')[i % 2])
             for i in range(number)]
  held = verdicts = 0
  for _ in range(studies):
    chance = rng.random(questions)
    right = (rng.random(questions) < chance).astype(float)
    sides = {'right': right}
    for i in range(number):
      other = (rng.random(questions) < chance).astype(float)
      same = rng.random(questions) < (0.0, 0.5, 0.9, 0.98)[i % 4]
      sides[f'l{i}'] = np.where(same, right, other)
    got = [row['reproduced'] for row in claims.evaluate(written, _look(sides))]
    held += True in got
    verdicts += any(v != 'inconclusive' for v in got)
  share = held / studies
  z = 1.96  # Wilson's bound
  centre = (share + z**2 / 2 / studies) / (1 + z**2 / studies)
  half = z / (1 + z**2 / studies) * math.sqrt(share * (1 - share) / studies + z**2 / 4 / studies**2)
  return share, centre + half, verdicts / studies
