"""The paper's claims, each as a contrast that was written down before `test` was opened.

A claim compares two sides question by question and says which way the difference goes. `evaluate`
says of each whether it held: a bootstrap over questions gives the interval and the chance of the
sign, Holm's method corrects for their number.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tts.eval.measures import statistics
from tts.types import InputError

DIRECTIONS = ('above', 'below', 'level')
_LEVEL = 0.03        # "level": the interval lies within this of 0,
_LEVEL_MIN_N = 1500  # which fewer questions cannot show
_ALPHA = 0.05


@dataclasses.dataclass(frozen=True)
class Side:
  """One side of a claim: what was done, at a budget that the claim gives.

  Attributes:
    strategy: its name in the results, `compute_optimal` or a larger model's name.
    beam_width: M as a number or `sqrt`, or None.
    lookahead: k, or None.
    theta: other parameters of its method, (name, value) pairs; those not named are any.
    verifier: the one that guides or scores, `prm` for the run's main one; None where none is read.
    aggregation: of step scores.
    bins: of a compute-optimal policy, the scheme of its bins.
    budget: this one, whatever the claim's budgets are; None takes those.
    inference_ratio: R, for the two sides of an exchange with a larger model; else None.
    mechanism: of a compute-optimal policy, `search` or `revision`: what it chooses from.
    selection: how an answer is chosen; None takes the strategy's own way.
    chain_length: s of a budget's chains of revisions as a number or `sqrt`, or None.
  """

  strategy: str
  beam_width: int | str | None = None
  lookahead: int | None = None
  verifier: str | None = 'prm'
  aggregation: str | None = 'last'
  bins: str | None = None
  budget: int | None = None
  inference_ratio: float | None = None
  mechanism: str = 'search'
  selection: str | None = None
  chain_length: int | str | None = None
  theta: tuple[tuple[str, Any], ...] = ()


@dataclasses.dataclass(frozen=True)
class Claim:
  """`left` minus `right`, averaged over budgets, on some questions: above 0, below 0, or level.

  Attributes:
    id: unique.
    claim: in words, with the paper's section.
    left: one side.
    right: the other.
    direction: of the difference, one of DIRECTIONS.
    budgets: charged generations; () for what an exchange pays for.
    scheme: of the bins, `oracle`, `predicted` or `level`.
    bins: 1 = easiest to 5; () takes every question.
    less: budgets at which the same difference is subtracted: a difference that grows is above 0.
  """

  id: str
  claim: str
  left: Side
  right: Side
  direction: str
  budgets: tuple[int, ...] = (16,)
  scheme: str = 'oracle'
  bins: tuple[int, ...] = ()
  less: tuple[int, ...] = ()

  def __post_init__(self):
    if self.direction not in DIRECTIONS:
      raise InputError(f'claim {self.id}: direction is {self.direction!r}, one of {DIRECTIONS}')


# Accuracy of a side at a budget: id -> value; None where it was not measured.
Lookup = Callable[[Side, int], Mapping[str, float] | None]


def _mean(side: Side, budgets: Sequence[int], lookup: Lookup) -> dict[str, float] | None:
  """Per question, on those that the side has at every budget."""
  found = [lookup(side, budget if side.budget is None else side.budget)
           for budget in budgets or (0,)]
  if any(f is None for f in found):
    return None
  ids = set.intersection(*(set(f) for f in found))
  return {i: sum(f[i] for f in found) / len(found) for i in ids}


def differences(claim: Claim, lookup: Lookup,
                schemes: Mapping[str, Mapping[str, int]]) -> np.ndarray | None:
  """A claim's difference per question, float64 [Q] by id; None where a part was not measured."""
  parts = [(1, claim.left, claim.budgets), (-1, claim.right, claim.budgets)]
  if claim.less:
    parts += [(-1, claim.left, claim.less), (1, claim.right, claim.less)]
  values = [(sign, _mean(side, budgets, lookup)) for sign, side, budgets in parts]
  if any(v is None for _, v in values):
    return None
  ids = set.intersection(*(set(v) for _, v in values))
  if claim.bins:
    of = schemes.get(claim.scheme)
    if of is None:
      return None
    ids = {i for i in ids if of.get(i) in claim.bins}
  return np.array([sum(sign * v[i] for sign, v in values) for i in sorted(ids)]) if ids else None


def holm(p_values: Sequence[float]) -> list[float]:
  """Holm's step-down correction: the chance of any false one among all is at most the level."""
  order = np.argsort(p_values, kind='stable')
  adjusted, largest = [0.0] * len(p_values), 0.0
  for rank, i in enumerate(order):
    largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
    adjusted[i] = largest
  return adjusted


def _chance(replicates: np.ndarray) -> float:
  """Of a mean at or below 0, one-sided, from its bootstrap replicates; never 0."""
  return float((1 + (replicates <= 0).sum()) / (1 + replicates.size))


def _verdict(claim: Claim, interval: list[float] | None, n: int, right: float,
             wrong: float) -> bool | str:
  """`right`, `wrong`: corrected chances of the claimed sign being wrong, and of it being right."""
  if interval is None:
    return 'inconclusive'
  if claim.direction != 'level':
    return True if right < _ALPHA else False if wrong < _ALPHA else 'inconclusive'
  if -_LEVEL <= interval[0] and interval[1] <= _LEVEL:
    return True if n >= _LEVEL_MIN_N else 'inconclusive'
  return False if interval[0] > _LEVEL or interval[1] < -_LEVEL else 'inconclusive'


def _where(claim: Claim) -> str:
  budgets = 'N = ' + ', '.join(map(str, claim.budgets))
  if not claim.budgets:
    budgets = f'R = {claim.left.inference_ratio}'
  bins = f', {claim.scheme} bins {", ".join(map(str, claim.bins))}' if claim.bins else ''
  less = f', minus the same at {", ".join(map(str, claim.less))}' if claim.less else ''
  return f'{budgets}{less}{bins}'


def evaluate(claims: Sequence[Claim], lookup: Lookup,
             schemes: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
  """What became of each claim: `id`, `claim`, `reproduced`, `effect`, `ci95`, `evidence`, ...

  Args:
    claims: ids unique.
    lookup: see `Lookup`.
    schemes: bins, id -> bin, by scheme.

  Returns:
    A row per claim. `reproduced` is True, False or `inconclusive`; a claim in which something was
    not measured is inconclusive, its effect None. `p` is Holm's, one-sided, None for `level`.
  """
  found = [differences(claim, lookup, schemes) for claim in claims]
  chances: dict[tuple[int, int], float] = {}  # of (claim, sign)
  for i, (claim, values) in enumerate(zip(claims, found)):
    if values is not None and len(values) > 1 and claim.direction != 'level':
      means = statistics.resamples(len(values)) @ values / len(values)
      sign = 1 if claim.direction == 'above' else -1
      chances[i, 1], chances[i, -1] = _chance(sign * means), _chance(-sign * means)
  corrected = {}
  for sign in (1, -1):
    keys = [key for key in chances if key[1] == sign]
    corrected.update(zip(keys, holm([chances[key] for key in keys])))
  rows = []
  for i, (claim, values) in enumerate(zip(claims, found)):
    row = {'id': claim.id, 'claim': claim.claim, 'direction': claim.direction}
    if values is None:
      rows.append(row | {'reproduced': 'inconclusive', 'effect': None, 'ci95': None, 'n': 0,
                         'p': None, 'evidence': f'not measured: {_where(claim)}'})
      continue
    interval = statistics.mean_interval(values)
    p = corrected.get((i, 1))
    rows.append(row | {
        'reproduced': _verdict(claim, interval, len(values), corrected.get((i, 1), 1.0),
                               corrected.get((i, -1), 1.0)),
        'effect': float(values.mean()), 'ci95': interval, 'n': len(values), 'p': p,
        'evidence': f'{_where(claim)}, {len(values):,} questions'
                    + ('' if p is None else f', p = {p:.4f} (Holm)')})
  return rows
