"""A fitted compute-optimal policy: what to run on a question of some difficulty at some budget.

Choices are made on all questions; their accuracy is the cross-validated one. It is written down as
`policy.json` for solving new questions.
"""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tts.eval.measures.outcomes import Outcome
from tts.eval.policy import crossfit, difficulty, strategy_options
from tts.eval.policy.crossfit import Sums
from tts.eval.policy.difficulty import BINS, Estimator
from tts.eval.policy.strategy_options import Options
from tts.eval.policy.trials import Trial
from tts.eval.storage import records
from tts.types import InputError, Strategy

_UNGUIDED = ('sample', 'greedy')  # any other method is a search
# Fields of a choice that are not its method's parameters.
_CHOICE = frozenset(('bin', 'method', 'budget', 'selection', 'chain_length'))


@dataclasses.dataclass(frozen=True)
class Choice:
  """What to run, and which of its candidates to answer with (a name of `select.SELECTIONS`)."""

  strategy: Strategy
  selection: str


@dataclasses.dataclass(frozen=True)
class Fit:
  """A policy at one budget.

  Attributes:
    choices: [BINS], the easiest bin's first.
    accuracy: cross-validated.
    ci95: its interval, or None.
    n: questions that it was fitted on.
  """

  choices: tuple[Choice, ...]
  accuracy: float
  ci95: tuple[float, float] | None
  n: int


@dataclasses.dataclass(frozen=True)
class Policy:
  """A strategy per bin and budget.

  `fits` give every question its budget, `shared` give it on average: to a bin more, where more buys
  more.

  Attributes:
    estimator: name of what difficulty is estimated by, as in `difficulty.Estimator`.
    charge: generations that the estimate takes of the budget; choices fit into what is left.
    stay: of these, samples that stay candidates of strategies that sample.
    cuts: [BINS - 1] falling values of the estimate; bin b + 1 lies below b of them.
    fits: budget in generations -> Fit.
    shared: mean budget in generations -> Fit.
  """

  estimator: str
  charge: float
  stay: int
  cuts: tuple[float, ...]
  fits: Mapping[int, Fit]
  shared: Mapping[int, Fit]


def _choice(outcome: Outcome) -> Choice:
  if outcome.strategy in strategy_options.POOLED:
    return Choice(Strategy('sample', outcome.budget), outcome.selection)
  return Choice(outcome.how, outcome.selection)


def _fit(found: Options, sums: Sums, picked: np.ndarray, accuracy: np.ndarray) -> Fit:
  ci95 = crossfit.interval(accuracy, sums.n)
  return Fit(tuple(_choice(found.outcomes[i]) for i in picked), float(accuracy[0]),
             ci95 and tuple(ci95), sums.n)


def fit(trials: Sequence[Trial]) -> Policy | None:
  """The best strategy of each bin and budget, on all questions; None where nothing can be fitted.

  Args:
    trials: of one estimator, whose bins are cut of an estimate.
  """
  fits, shared = {}, {}
  estimator = trials[0].estimator if trials else None
  for trial in (t for t in trials if not t.found.revised):  # `launch.solve` searches
    found, sums = trial.found, trial.sums
    for budget, curve in trial.policy('generations').items():
      fits[budget] = _fit(found, sums, trial.chosen(budget), curve.accuracy)
    if trial.widest:
      shared |= {budget: _fit(found, sums, s.everywhere, s.accuracy)
                 for budget, s in trial.splits.items()}
  if not fits:
    return None
  charge = estimator.charge.get('generations', 0.0)
  return Policy(estimator.name, charge, estimator.stay, estimator.cuts or _quintiles(estimator),
                fits, shared)


def _quintiles(estimator: Estimator) -> tuple[float, ...]:
  """Values between the estimates of neighbouring bins."""
  ordered = estimator.estimate[difficulty.in_order(estimator.ids, estimator.estimate)]
  if len(ordered) == 1:
    return (float(ordered[0]),) * (BINS - 1)
  inner = [min(max(e, 1), len(ordered) - 1) for e in crossfit.edges(len(ordered))[1:-1]]
  return tuple(float(ordered[e - 1] + ordered[e]) / 2 for e in inner)


def choose(policy: Policy, estimate: float, budget: int, shared: bool = False) -> Choice:
  """What to run on one question.

  Args:
    policy: as fitted or loaded.
    estimate: of the question, by the policy's estimator; higher = easier.
    budget: generations, the estimate's charge included; the largest fitted one within it is used.
    shared: the budget is the mean over many questions, and not each one's.

  Raises:
    InputError: the budget is below all that were fitted.
  """
  if math.isnan(estimate):
    raise ValueError('the estimate is not a number')
  fits = policy.shared if shared else policy.fits
  return fits[fitted(policy, budget, shared)].choices[bin_of(policy, estimate) - 1]


def fitted(policy: Policy, budget: int, shared: bool = False) -> int:
  """The largest budget that was fitted, of those within `budget`.

  Raises:
    InputError: it is below all of them.
  """
  fits = policy.shared if shared else policy.fits
  within = [b for b in fits if b <= budget]
  if not within:
    start = f'starts at {min(fits)} generations; give at least that' if fits else (
        'has no shared budgets; run launch.report, which writes it anew')
    raise InputError(f'--budget={budget}: the policy {start}')
  return max(within)


def methods(policy: Policy) -> set[str]:
  """The methods of all its choices."""
  return {choice.strategy.method for fits in (policy.fits, policy.shared)
          for f in fits.values() for choice in f.choices}


def bin_of(policy: Policy, estimate: float) -> int:
  """1 = easiest to BINS."""
  return 1 + int((estimate < np.array(policy.cuts)).sum())


def _rows(fits: Mapping[int, Fit]) -> list[dict[str, Any]]:
  return [{'budget': budget, 'accuracy': f.accuracy, 'ci95': f.ci95, 'n': f.n,
           'choices': [{'bin': b, 'method': c.strategy.method, 'budget': c.strategy.budget,
                        **c.strategy.theta, 'selection': c.selection}
                       for b, c in enumerate(f.choices, start=1)]}
          for budget, f in sorted(fits.items())]


def save(policy: Policy, path: str | os.PathLike[str]) -> None:
  """Writes a policy, whole or not at all."""
  records.write_json(path, {
      'estimator': policy.estimator, 'charge': policy.charge, 'stay': policy.stay,
      'cuts': policy.cuts, 'fits': _rows(policy.fits), 'shared': _rows(policy.shared)})


class _Reader:
  """Takes checked fields out of a file's JSON; a mistake names file, field and fix."""

  def __init__(self, path: pathlib.Path):
    self._path = path

  def fail(self, field: str, wanted: str) -> InputError:
    return InputError(f'{self._path}: {field} must be {wanted}; delete the file and run '
                      'launch.report, which writes it anew')

  def get(self, value: Any, field: str, key: str, kinds: tuple[type, ...], wanted: str) -> Any:
    place = f'{field}.{key}' if field else key
    if not isinstance(value, dict):
      raise self.fail(field or 'the content', 'an object')
    found = value.get(key)
    if not isinstance(found, kinds) or isinstance(found, bool):
      raise self.fail(place, wanted)
    return found

  def whole(self, value: Any, field: str, key: str, least: int, optional: bool = False) -> Any:
    wanted = f'a whole number of at least {least}' + (' or null' if optional else '')
    kinds = (int, type(None)) if optional else (int,)
    found = self.get(value, field, key, kinds, wanted)
    if found is not None and found < least:
      raise self.fail(f'{field}.{key}' if field else key, wanted)
    return found

  def numbers(self, value: Any, field: str, key: str, length: int) -> tuple[float, ...]:
    wanted = f'a list of {length} numbers'
    found = self.get(value, field, key, (list,), wanted)
    if len(found) != length or not all(
        isinstance(x, (int, float)) and not isinstance(x, bool) for x in found):
      raise self.fail(f'{field}.{key}' if field else key, wanted)
    return tuple(map(float, found))

  def choice(self, value: Any, field: str, most: float) -> Choice:
    method = self.get(value, field, 'method', (str,), 'a name')
    selection = self.get(value, field, 'selection', (str,), f'one of {strategy_options.POOLED}')
    if selection not in strategy_options.POOLED:
      raise self.fail(f'{field}.selection', f'one of {strategy_options.POOLED}')
    cost = self.whole(value, field, 'budget', 1)
    if cost > most:
      raise self.fail(f'{field}.budget', f'at most the {most} of its fit')
    theta = {'beam_width': self.whole(value, field, 'beam_width', 1, optional=True),
             'lookahead': self.whole(value, field, 'lookahead', 0, optional=True)}
    for key in value.keys() - theta.keys() - _CHOICE:
      theta[key] = self.get(value, field, key, (int, float, str, bool, type(None)),
                            'a number, a word or null')
    if method in _UNGUIDED and any(v is not None for v in theta.values()):
      raise self.fail(f'{field}.beam_width', f'null: {method} has no parameters')
    return Choice(Strategy.of(method, cost, **theta), selection)

  def fit(self, value: Any, field: str, shared: bool) -> tuple[int, Fit]:
    budget = self.whole(value, field, 'budget', 1)
    most = math.inf if shared else budget
    choices = self.get(value, field, 'choices', (list,), f'a list of {BINS}')
    if len(choices) != BINS:
      raise self.fail(f'{field}.choices', f'a list of {BINS}')
    ci95 = self.get(value, field, 'ci95', (list, type(None)), 'a list of 2 numbers or null')
    return budget, Fit(
        tuple(self.choice(c, f'{field}.choices[{i}]', most) for i, c in enumerate(choices)),
        float(self.get(value, field, 'accuracy', (int, float), 'a number')),
        ci95 and self.numbers(value, field, 'ci95', 2), self.whole(value, field, 'n', 1))


def load(path: str | os.PathLike[str]) -> Policy:
  """Reads a policy that `save` wrote.

  Raises:
    InputError: no such file, not JSON, or a field is missing or no value for it.
  """
  path = pathlib.Path(path)
  if not path.is_file():
    raise InputError(f'{path}: no such file; launch.report writes it from a run that has a pool')
  value, read = records.read_json(path), _Reader(path)
  cuts = read.numbers(value, '', 'cuts', BINS - 1)
  if list(cuts) != sorted(cuts, reverse=True):
    raise read.fail('cuts', 'falling')
  found = {name: read.get(value, '', name, (list,), 'a list') for name in ('fits', 'shared')}
  if not found['fits']:
    raise read.fail('fits', 'a list of at least one')
  charge = float(read.get(value, '', 'charge', (int, float), 'a number'))
  fits, shared = (dict(read.fit(f, f'{name}[{i}]', name == 'shared') for i, f in enumerate(rows))
                  for name, rows in found.items())
  return Policy(read.get(value, '', 'estimator', (str,), 'a name'), charge,
                read.whole(value, '', 'stay', 0), cuts, fits, shared)
