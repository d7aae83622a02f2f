"""The exchange of pretraining and test-time compute with larger models (paper, section 7, Fig. 9).

A model of n parameters costs X = 6 n D_pretrain to train and Y = 2 n D_inference to use; R is
D_inference / D_pretrain. A model of m n parameters, trained on the same tokens, costs m (X + Y).

Accounting `paper`: the small model keeps X and spends k times Y. From X + k Y = m (X + Y),
k = m + (m - 1) X / Y = m + 3 (m - 1) / R. Verifiers, labels and difficulty estimates are free, on
both sides. Where the larger model draws s samples a question, D_inference counts the tokens of all
of them, so that the small one may draw k s; that is the row's k.

Accounting `strict`: FLOPs per answer as measured, prompt, attention and verifier included, and what
each side spends once. The larger model spends O_large once and f_large on each of its
A = R D_pretrain / t answers of t tokens. From O_small + A f = O_large + A f_large, the small side
may spend on each answer

  f = f_large + (O_large - O_small) / A.

O is the generator's 6 n D; a verifier's labels, its 6 n D and that of the model that it starts
from where that is not the generator; and for estimated bins the difficulty pool, read by the
verifier for predicted ones alone. The row's k is how many plain generations of the small model f
pays for, their prompt read once. The small side does without a verifier where it has too little
left to use one, and then pays for one only where its bins are predicted by it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tts.eval.measures.outcomes import Outcome
from tts.eval.policy import crossfit

R = (0.16, 0.79, 22.0)
BINS = ('oracle', 'predicted', 'level', 'larger')
NEAR = 0.01   # of what may be spent: as good as all of it
_FLOOR = 0.05  # of the larger model's accuracy: a share of less says nothing


@dataclasses.dataclass(frozen=True)
class Both:
  """Both sides on some questions: accuracies float64 [1 + R] of the questions as they are and of
  replicates that draw the same ones for both, and n questions."""

  small: np.ndarray
  large: np.ndarray
  n: int


@dataclasses.dataclass(frozen=True)
class Point:
  """The small side's policy at a budget: what it may cost on the axis, and the comparisons by bin
  (None: all questions)."""

  budget: int
  cost: float
  bins: Mapping[int | None, Both]


@dataclasses.dataclass(frozen=True)
class Small:
  """The small model with test-time compute.

  Attributes:
    tables: (larger, name of the bins, bins, axis, verifier) --> per set of questions, the largest
      first, the policy at every budget that was run on it, rising. The policy goes by the bins of
      that name (`larger`: the oracle bins), spends on `generations` or `flops`, and chooses among
      settings that read a verifier too or among the others alone.
    budgets: generations of what has been run, ascending.
    one: FLOPs of one plain generation, its prompt included; None where unknown.
    more: FLOPs of each further one of the same question.
    verified: FLOPs of the cheapest setting in which a verifier has a choice; None without any.
    mechanism: what it spends them on, `search` or `revision`.
  """

  tables: Callable[[Larger, str, Mapping[str, int], str, bool], Sequence[Sequence[Point]]]
  budgets: tuple[int, ...]
  one: float | None
  more: float | None
  verified: float | None
  mechanism: str = 'search'

  def generations(self, spend: float) -> float:
    """How many plain generations that many FLOPs pay for, below 1 where not for one."""
    return 1 + (spend - self.one) / self.more


@dataclasses.dataclass(frozen=True)
class Larger:
  """A larger model and how it answers.

  Attributes:
    name: `mid` or `large`.
    strategy: `greedy`, `majority` or `best_of_n`.
    samples: s, drawn for one answer.
    scale: m, its parameters over the small model's.
    outcome: its answers.
    bins: id -> quintile of its own pass@1 in samples that no answer here is made of; empty where
      there are none.
  """

  name: str
  strategy: str
  samples: int
  scale: float
  outcome: Outcome
  bins: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Once:
  """FLOPs that are spent before the first answer.

  Attributes:
    tokens: D_pretrain.
    training: 6 n D by model.
    labels: of the verifier; None where they are not the run's.
    trunk: the model that the verifier starts from, or `scratch`.
    pool: of the difficulty pool, by the bins that are estimated from it; no entry where unknown.
    judge: the model that the main verifier reads.
  """

  tokens: int
  training: Mapping[str, int]
  labels: int | None
  trunk: str
  pool: Mapping[str, int]
  judge: str = 'prm'

  def spent(self, generator: str, verifier: bool, bins: str = 'level') -> int | None:
    """One side's sum, or None where a part of it is unknown. `bins`: what the policy goes by."""
    parts = [self.training.get(generator)]
    if verifier or bins == 'predicted':
      parts += [self.labels, self.training.get(self.judge)]
      if self.trunk not in ('scratch', generator):
        parts.append(self.training.get(self.trunk))
    if bins != 'level':
      parts.append(self.pool.get(bins))
    return None if None in parts else sum(parts)


@dataclasses.dataclass(frozen=True)
class Allowance:
  """What the small side may spend on a question: k, the same on an axis, and on a verifier."""

  k: float
  axis: str
  most: float
  verifier: bool


def matched(scale: float, ratio: float) -> float:
  """k of the paper: generations of the small model for one answer of the larger, at R = `ratio`."""
  return scale + 3 * (scale - 1) / ratio


def level_ratio(scale: float, k: float) -> float | None:
  """The R at which `matched` gives k; None where k is not above m, which no R gives."""
  return 3 * (scale - 1) / (k - scale) if k > scale else None


def paper(larger: Larger, ratio: float) -> Allowance:
  k = matched(larger.scale, ratio) * larger.samples
  return Allowance(k, 'generations', k, True)


def strict(larger: Larger, small: Small, ratio: float, once: Once, bins: str) -> Allowance | None:
  """The module's `f`, or None where a cost is unknown. `bins`: what the policy goes by."""
  before = once.spent(larger.name, larger.strategy == 'best_of_n')
  if before is None or small.one is None or larger.outcome.flops is None:
    return None
  answers = ratio * once.tokens / larger.outcome.generated_tokens.mean()

  def left(verifier: bool) -> float | None:
    own = once.spent('base', verifier, bins)
    return None if own is None else float(larger.outcome.flops.mean() + (before - own) / answers)

  with_one = None if small.verified is None else left(True)
  if with_one is not None and with_one >= small.verified:
    return Allowance(small.generations(with_one), 'flops', with_one, True)
  without = left(False)
  return None if without is None else Allowance(small.generations(without), 'flops', without, False)


def _bins(larger: Larger, schemes: Mapping[str, Mapping[str, int]],
          ) -> Iterator[tuple[str, str, Mapping[str, int]]]:
  """(name, the bins that the policy goes by, id -> bin) of each binning that there is.

  A policy of the small model cannot know the larger one's pass@1; it goes by the oracle bins.
  """
  for name in BINS:
    bins = larger.bins if name == 'larger' else schemes.get(name)
    policy = 'oracle' if name == 'larger' else name
    if bins and policy in schemes:
      yield name, policy, bins


def rows(sides: Sequence[Larger], small: Small, schemes: Mapping[str, Mapping[str, int]],
         once: Once | None,
         accountings: Sequence[str] = ('paper', 'strict')) -> list[dict[str, Any]]:
  """`flops_matched`: every comparison of every larger model, over all questions and in each bin.

  `difference` is small minus larger, its interval a paired bootstrap over questions in which the
  policy chooses anew. A comparison
  that cannot be made is one row, bin null, with nulls and a `reason`.

  Args:
    sides: the larger models' ways to answer.
    small: the small side.
    schemes: `oracle`, `predicted`, `level`, each id -> bin, those that there are.
    once: for strict accounting; None where D_pretrain is unknown.
    accountings: those that are wanted.
  """
  out = []
  for larger in sides:
    for accounting in accountings:
      for name, policy, bins in _bins(larger, schemes):
        for ratio in R:
          may = paper(larger, ratio) if accounting == 'paper' else (
              once and strict(larger, small, ratio, once, policy))
          start = {'mechanism': small.mechanism, 'accounting': accounting, 'larger': larger.name,
                   'larger_strategy': larger.strategy, 'larger_samples': larger.samples,
                   'bins': name, 'R': ratio, 'm': larger.scale, **_spending(may)}
          found = may and between(small.tables(larger, name, bins, may.axis, may.verifier),
                                  may.most)
          if not found:
            out.append(start | _nothing(may, small))
            continue
          low, high, share = found
          start |= {'budget': low.budget, 'interpolated': low is not high,
                    'budget_above': high.budget if low is not high else None,
                    'underspent': low is high and low.cost < may.most / 2}
          out += [start | _compared(bin_, low.bins[bin_], high.bins[bin_], share)
                  for bin_ in low.bins if bin_ in high.bins]
  return out


def around(costs: Sequence[float], most: float) -> tuple[int, int, float] | None:
  """The places of the costs on both sides of an allowance, and the share of the second.

  The same place twice where it is within 1%, or where none is above; None where all cost more.
  """
  below = [i for i, c in enumerate(costs) if c * (1 - NEAR) <= most]
  if not below:
    return None
  low = below[-1]
  if low + 1 == len(costs) or costs[low] >= most * (1 - NEAR):
    return low, low, 0.0
  return low, low + 1, math.log(most / costs[low]) / math.log(costs[low + 1] / costs[low])


def between(tables: Sequence[Sequence[Point]],
            most: float) -> tuple[Point, Point, float] | None:
  """`around` in the table of the most questions that has a budget above, if any has.

  None where the smallest budget costs more.
  """
  for table in tables:
    at = around([p.cost for p in table], most)
    if at is not None and (table[at[1]].cost >= most * (1 - NEAR) or table is tables[-1]):
      return table[at[0]], table[at[1]], at[2]
  return None


def _spending(may: Allowance | None) -> dict[str, Any]:
  return {'k': may and may.k, 'budget': None, 'budget_above': None, 'interpolated': None,
          'underspent': None, 'verifier': may and may.verifier}


def _compared(bin_: int | None, low: Both, high: Both, share: float) -> dict[str, Any]:
  """`share` of the way from one budget's comparison to the other's."""
  mine, theirs = ((1 - share) * a + share * b for a, b in (
      (low.small, high.small), (low.large, high.large)))
  small, large = float(mine[0]), float(theirs[0])
  return {'bin': bin_, 'n': low.n, 'small_accuracy': small, 'large_accuracy': large,
          'difference': small - large,
          'ci95': crossfit.difference_interval(mine - theirs, low.n),
          'relative_change': (small - large) / large if large > _FLOOR else None, 'reason': None}


def _nothing(may: Allowance | None, small: Small) -> dict[str, Any]:
  if may is None:
    reason = 'a cost is unknown: a model without its number of training tokens, or no labels here'
  elif small.budgets and may.k < min(small.budgets):
    reason = 'what is left does not pay for one generation'
  else:
    reason = 'no question has both sides yet'
  return {'bin': None, 'n': 0, 'small_accuracy': None, 'large_accuracy': None, 'difference': None,
          'ci95': None, 'relative_change': None, 'reason': reason}


def break_even(sides: Sequence[Larger], small: Small,
               schemes: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
  """The R below which the small side is ahead, by the paper's accounting.

  The difference over budgets, linear in their logarithm between those that were run, is 0 at a k
  first; `matched` turned round gives R. `R` is null, with a `reason`, where it is nowhere 0, or at
  a k that every R pays for.
  """
  out = []
  for larger in sides:
    for name, _, bins in _bins(larger, schemes):
      curves: dict[int | None, list[tuple[int, float]]] = {}
      known: set[int] = set()
      for table in small.tables(larger, name, bins, 'generations', True):
        for point in (p for p in table if p.budget not in known):
          known.add(point.budget)
          for bin_, both in point.bins.items():
            curves.setdefault(bin_, []).append(
                (point.budget, float(both.small[0] - both.large[0])))
      for bin_, curve in curves.items():
        at = crossing(curve)
        k = at and at / larger.samples
        ratio = k and level_ratio(larger.scale, k)
        reason = None
        if k is None:
          reason = f'behind at every budget that was run, {curve[-1][0]} generations the largest'
        elif ratio is None:
          reason = 'level at a k of at most m: ahead at every R'
        out.append({'mechanism': small.mechanism, 'accounting': 'paper', 'larger': larger.name,
                    'larger_strategy': larger.strategy, 'larger_samples': larger.samples,
                    'bins': name, 'bin': bin_, 'm': larger.scale, 'k': k, 'R': ratio,
                    'reason': reason})
  return out


def crossing(curve: Sequence[tuple[int, float]]) -> float | None:
  """The first budget at which a difference is 0 or more, linear in log budget between points."""
  for i, (budget, value) in enumerate(curve):
    if value >= 0:
      if i == 0:
        return float(budget)
      before, low = curve[i - 1]
      return before * math.exp(math.log(budget / before) * -low / (value - low))
  return None
