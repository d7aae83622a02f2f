"""The paper's claims, each as a contrast that was written down before `test` was opened.

A claim compares two sides question by question and says which way the difference goes, or that the
two are level. `evaluate` says of each whether it held. A sign is tested by all flips of signs
(`measures.sign_flips`), which is exact however few questions differ; where a policy is compared,
its choices being chance too, by its resampled error as well. Level is a test of two one-sided
hypotheses. One Holm family has all claims of a run, each tested for holding and for its contrary.

Level with a `factor` x: neither side costs more than x times as much for the same accuracy. Each at
its budget is right more often than the other at a share 1/x of its own. That says something only
where a side of less would have failed: as a control the right side at 1/x^2 of its budget must be
behind itself at 1/x, or the curve is flat there and the claim is inconclusive.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tts.eval.claims import measured
from tts.eval.claims.measured import Answers, Difference
from tts.eval.measures import sign_flips
from tts.eval.policy.difficulty import Estimator
from tts.types import InputError

DIRECTIONS = ('above', 'below', 'level')
LEVEL = 0.03  # "level" without a factor: within this of 0
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
    factor: of `level`, how many times more one side may cost; None for a margin of accuracy.
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
  factor: int | None = None

  def __post_init__(self):
    if self.direction not in DIRECTIONS:
      raise InputError(f'claim {self.id}: direction is {self.direction!r}, one of {DIRECTIONS}')


@dataclasses.dataclass(frozen=True)
class Look:
  """Where claims find what was measured.

  Attributes:
    side: (side, budget) --> its answers, or None where it was not measured.
    schemes: bins, id -> bin, by scheme.
    estimators: whose bins those are, by scheme, of those that are cut anew in replicates.
  """

  side: Callable[[Side, int], Answers | None]
  schemes: Mapping[str, Mapping[str, int]] = dataclasses.field(default_factory=dict)
  estimators: Mapping[str, Estimator] = dataclasses.field(default_factory=dict)


Term = tuple[float, Side, int]  # weight, side, budget


def _terms(claim: Claim) -> list[Term]:
  parts = [(1, claim.left, claim.budgets), (-1, claim.right, claim.budgets)]
  if claim.less:
    parts += [(-1, claim.left, claim.less), (1, claim.right, claim.less)]
  return [(sign / len(budgets or (0,)), side, budget if side.budget is None else side.budget)
          for sign, side, budgets in parts for budget in budgets or (0,)]


def _measure(terms: Sequence[Term], claim: Claim, look: Look) -> Difference | None:
  """A weighted sum of sides on a claim's questions; None where a part was not measured."""
  found = [(weight, look.side(side, budget)) for weight, side, budget in terms]
  if any(answers is None for _, answers in found) or (
      claim.bins and claim.scheme not in look.schemes):
    return None
  return measured.difference(found, claim.bins, look.schemes.get(claim.scheme),
                             look.estimators.get(claim.scheme))


def difference(claim: Claim, look: Look) -> Difference | None:
  """Left minus right; None where a part was not measured."""
  return _measure(_terms(claim), claim, look)


def holm(p_values: Sequence[float]) -> list[float]:
  """Holm's step-down correction: the chance of any false one among all is at most the level."""
  order = np.argsort(p_values, kind='stable')
  adjusted, largest = [0.0] * len(p_values), 0.0
  for rank, i in enumerate(order):
    largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
    adjusted[i] = largest
  return adjusted


@dataclasses.dataclass(frozen=True)
class Tested:
  """A claim's chances, uncorrected: of what was seen where it does not hold, and where it does.

  Attributes:
    holds: p of holding.
    fails: p of its contrary.
    parts: the differences that the test is made of, by name: `difference`, or of a level claim
      with a factor `left`, `right`, each above the other's share, and `control`, which shows that
      it could have failed.
  """

  holds: float
  fails: float
  parts: Mapping[str, Difference]


def _normal(z: float) -> float:
  """Chance of more than z."""
  return math.erfc(z / math.sqrt(2)) / 2


# Chances of what was seen where a difference is not above 0, and where it is not below.
Signs = Callable[[Difference], tuple[float, float]]


def signs(found: Difference) -> tuple[float, float]:
  """By all flips of signs, and where a policy is compared by its resampled error too."""
  above, below = sign_flips.chances(found.values)
  if found.chosen and found.error > 0:
    z = found.mean / found.error
    above, below = max(above, _normal(z)), max(below, _normal(-z))
  return above, below


def parts(claim: Claim, look: Look) -> dict[str, Difference] | None:
  """The differences that a claim's test is made of; None where one was not measured."""
  if claim.direction != 'level' or not claim.factor:
    found = difference(claim, look)
    return found and {'difference': found}

  def at(side: Side, share: int, sign: int) -> list[Term]:
    budgets = claim.budgets if side.budget is None else (side.budget,)
    if any(b % share for b in budgets):
      return []
    return [(sign / len(budgets), dataclasses.replace(side, budget=None), b // share)
            for b in budgets]

  x, out = claim.factor, {}
  for name, first, second, more in (('left', claim.left, claim.right, 1),
                                    ('right', claim.right, claim.left, 1),
                                    ('control', claim.right, claim.right, x)):
    both = at(first, more, 1), at(second, x * more, -1)
    found = _measure([*both[0], *both[1]], claim, look) if all(both) and not claim.less else None
    if found is None:
      return None
    out[name] = found
  return out


def test(claim: Claim, found: Mapping[str, Difference], chances: Signs = signs) -> Tested:
  """A claim's tests, uncorrected.

  Args:
    claim: what is tested.
    found: its `parts`.
    chances: how the sign of a difference is tested.
  """
  if 'left' in found:
    (left, left_not), (right, right_not) = (chances(found[n]) for n in ('left', 'right'))
    return Tested(max(left, right), min(1.0, 2 * min(left_not, right_not)), found)
  measured_ = found['difference']
  if claim.direction == 'level':
    low, high = measured_.interval() or (-1.0, 1.0)  # which differences of 0 do not make certain
    moved = [chances(dataclasses.replace(measured_, values=measured_.values + by, chosen=True,
                                         error=(high - low) / 2 / 1.96))
             for by in (LEVEL, -LEVEL)]
    return Tested(max(moved[0][0], moved[1][1]), min(1.0, 2 * min(moved[0][1], moved[1][0])), found)
  above, below = chances(measured_)
  return Tested(*((above, below) if claim.direction == 'above' else (below, above)), found)


def verdict(tested: Tested | None, p: float, chances: Signs = signs) -> bool | str:
  """`p`: of the claim in its family, for holding and for the contrary alike."""
  if tested is None or p >= _ALPHA:
    return 'inconclusive'
  if tested.holds > tested.fails:
    return False
  flat = 'control' in tested.parts and chances(tested.parts['control'])[0] >= _ALPHA
  return 'inconclusive' if flat else True


def _where(claim: Claim) -> str:
  budgets = 'N = ' + ', '.join(map(str, claim.budgets))
  if not claim.budgets:
    budgets = f'R = {claim.left.inference_ratio}'
  bins = f', {claim.scheme} bins {", ".join(map(str, claim.bins))}' if claim.bins else ''
  less = f', minus the same at {", ".join(map(str, claim.less))}' if claim.less else ''
  factor = f', at most {claim.factor} times the cost' if claim.factor else ''
  return f'{budgets}{less}{bins}{factor}'


def _control(tested: Tested | None) -> dict[str, Any] | None:
  found = tested and tested.parts.get('control')
  return found and {'difference': found.mean, 'ci95': found.interval(), 'p': signs(found)[0]}


def corrected(tested: Sequence[Tested | None]) -> list[float | None]:
  """Two-sided p of each claim in one Holm family; None of what was not tested."""
  known = [i for i, t in enumerate(tested) if t is not None]
  found = dict(zip(known, holm([
      min(1.0, 2 * min(tested[i].holds, tested[i].fails)) for i in known])))
  return [found.get(i) for i in range(len(tested))]


def evaluate(claims: Sequence[Claim], look: Look) -> list[dict[str, Any]]:
  """What became of each claim: `id`, `claim`, `reproduced`, `effect`, `ci95`, `evidence`, ...

  Args:
    claims: ids unique.
    look: see `Look`.

  Returns:
    A row per claim. `reproduced` is True, False or `inconclusive`; a claim in which something was
    not measured is inconclusive, its effect None. `p` is two-sided and Holm's. `differing` counts
    the questions whose difference is not 0, `error` is the effect's standard error, `control` that
    of a level claim with a factor.
  """
  found = [difference(claim, look) for claim in claims]
  tested: list[Tested | None] = []
  for claim, d in zip(claims, found):
    made = None if d is None or len(d.values) < 2 else parts(claim, look)
    tested.append(made and test(claim, made))
  p_values = corrected(tested)
  known = sum(t is not None for t in tested)
  rows = []
  for i, (claim, d, t) in enumerate(zip(claims, found, tested)):
    row = {'id': claim.id, 'claim': claim.claim, 'direction': claim.direction}
    if d is None:
      rows.append(row | {'reproduced': 'inconclusive', 'effect': None, 'ci95': None, 'n': 0,
                         'p': None, 'differing': 0, 'error': None, 'control': None,
                         'evidence': f'not measured: {_where(claim)}'})
      continue
    p, differing = p_values[i], int((np.abs(d.values) > 1e-9).sum())
    said = f'{_where(claim)}, {len(d.values):,} questions, {differing:,} of which differ'
    if t is None:
      said += '; a part of the test was not measured'
    elif p is not None:
      said += f', p = {p:.4f} (Holm, {known} claims, two-sided)'
    rows.append(row | {
        'reproduced': verdict(t, 1.0 if p is None else p), 'effect': d.mean,
        'ci95': d.interval(), 'n': len(d.values), 'p': p, 'differing': differing,
        'error': None if math.isnan(d.error) else d.error,
        'control': _control(t), 'evidence': said})
  return rows
