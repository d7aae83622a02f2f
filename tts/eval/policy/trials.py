"""Every strategy tried in every estimator's bins: computed once for all that choose from it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np

from tts.eval.measures.outcomes import Outcome
from tts.eval.policy import crossfit, over_bins, strategy_options
from tts.eval.policy.crossfit import Level, Sums
from tts.eval.policy.difficulty import Estimator
from tts.eval.policy.over_bins import Split
from tts.eval.policy.strategy_options import Options


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
  """One estimator's bins on one set of questions.

  Attributes:
    estimator: whose bins they are.
    found: the strategies that ran on these questions.
    widest: no other set of its mechanism has more questions.
    n: questions with an estimate.
  """

  estimator: Estimator
  found: Options
  widest: bool
  n: int

  @functools.cached_property
  def sums(self) -> Sums:
    """What each strategy got right; not made for who only asks what there is."""
    return crossfit.sums(self.estimator, self.found.ids, self.found.accuracy)

  @functools.cached_property
  def policy(self) -> Callable[[str], dict[int, Level]]:
    """axis --> budget -> the policy that may spend so many generations, and its cost on the axis.

    One policy on every axis: what it may choose does not depend on where its cost is read.
    """
    return functools.cache(functools.partial(self._curve, self.estimator))

  @functools.cached_property
  def fixed(self) -> Callable[[str], dict[int, Level]]:
    """axis --> budget -> the best single strategy, chosen on the same folds."""
    return functools.cache(functools.partial(self._curve, None))

  def _curve(self, estimator: Estimator | None, axis: str) -> dict[int, Level]:
    levels = [self.found.level('generations', budget) for budget in self.found.budgets]
    made = self.at('generations', levels, estimator, paid=axis)
    return {budget: level for budget, level in zip(self.found.budgets, made) if level is not None}

  def at(self, axis: str, allowances: Sequence[float], estimator: Estimator | None,
         held: Sums | None = None, paid: str | None = None) -> list[Level | None]:
    """The policy at some allowances on an axis; None where nothing is within one.

    Args:
      axis: of `options.AXES`.
      allowances: rising.
      estimator: None for the best single strategy, which has no use for an estimate.
      held: as `crossfit.levels` takes it.
      paid: the axis on which the cost of what was chosen is read; the same if None.
    """
    paid = paid or axis
    order = self.found.allowed(axis, max(allowances), estimator)
    costs = self.found.charged(axis, estimator)
    counts = [int((costs[order] <= a * (1 + 1e-9)).sum()) for a in allowances]
    some = [c for c in counts if c]
    if not some or not self.n:
      return [None] * len(allowances)
    sums = self.sums
    if estimator is None:
      sums, held = sums.unbinned(), held and held.unbinned()
      costs = self.found.charged(paid, None)
    else:
      costs = self.found.spent(paid, estimator)
    made = iter(crossfit.levels(sums, order, some, costs, held))
    return [next(made) if c else None for c in counts]

  def by_question(self, level: Level) -> np.ndarray:
    """Accuracy of a policy question by question, averaged over splits, float64 [Q] by `found.ids`.

    NaN where there is no estimate. A policy that chooses by bin alone, as `policy` does.
    """
    bins, fold = self.estimator.bin_of(self.found.ids), crossfit.folds(self.found.ids)
    each = [self.found.accuracy[picked[f, bins - 1], np.arange(len(bins))]
            for picked, f in zip(level.picked, fold)]
    return np.where(bins > 0, np.mean(each, axis=0), np.nan)

  def of(self, own: np.ndarray, reference: str) -> Trial:
    """The same where only some strategies may be chosen, within what another one costs."""
    out = dataclasses.replace(
        self, found=dataclasses.replace(self.found, own=self.found.own & own, reference=reference))
    out.__dict__['sums'] = self.sums  # what was right does not depend on who may be chosen
    return out

  def chosen(self, budget: int) -> np.ndarray:
    """The strategy of each bin, places int64 [BINS], chosen on all questions."""
    order = self.found.allowed('generations', self.found.level('generations', budget),
                               self.estimator)
    return crossfit.choose(self.sums.whole().right, order)[0, 0, :, 0]

  @functools.cached_property
  def splits(self) -> dict[int, Split]:
    """Mean budget -> its split over the bins, for the budgets that pay for anything."""
    return over_bins.splits(self.found, self.sums, self.estimator) if self.n else {}


def trial(estimator: Estimator, found: Options, widest: bool = True) -> Trial:
  """A trial of some strategies in an estimator's bins."""
  return Trial(estimator, found, widest, len(set(estimator.ids).intersection(found.ids)))


def every(outcomes: Sequence[Outcome], estimators: Sequence[Estimator]) -> list[Trial]:
  """By estimator: search, the set of the most questions first; then, where there are revisions,
  search, revisions and both on the questions of these.

  Args:
    outcomes: of all strategies.
    estimators: from `difficulty.estimators`.
  """
  tiers, revised = strategy_options.tiers(outcomes), strategy_options.mechanisms(outcomes)
  return [trial(estimator, found, widest) for estimator in estimators
          for found, widest in (*((f, not tier) for tier, f in enumerate(tiers)),
                                *((f, f.mechanism != 'search') for f in revised))]
