"""Every strategy tried in every estimator's bins: computed once for all that choose from it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

from tts.eval.measures.outcomes import Outcome
from tts.eval.policy import crossfit, options, over_bins
from tts.eval.policy.crossfit import Sums
from tts.eval.policy.difficulty import Estimator
from tts.eval.policy.options import Options
from tts.eval.policy.over_bins import Split


@dataclasses.dataclass(frozen=True)
class Trial:
  """One estimator's bins on one set of questions.

  Attributes:
    estimator: whose bins they are.
    found: the strategies that ran on these questions.
    sums: what each got right.
    widest: no other set of its mechanism has more questions.
  """

  estimator: Estimator
  found: Options
  sums: Sums
  widest: bool

  @functools.cached_property
  def splits(self) -> dict[int, Split]:
    """Mean budget -> its split over the bins, for the budgets that pay for anything."""
    made = {budget: over_bins.split(self.found, self.sums, budget, self.estimator)
            for budget in (self.found.budgets if self.sums.n else ())}
    return {budget: s for budget, s in made.items() if s is not None}


def every(outcomes: Sequence[Outcome], estimators: Sequence[Estimator]) -> list[Trial]:
  """By estimator: search, the set of the most questions first; then, where there are revisions,
  search, revisions and both on the questions of these.

  Args:
    outcomes: of all strategies.
    estimators: from `difficulty.estimators`.
  """
  tiers, revised = options.tiers(outcomes), options.mechanisms(outcomes)
  out = []
  for estimator in estimators:
    out += [Trial(estimator, found, _sums(estimator, found), not tier)
            for tier, found in enumerate(tiers)]
    if revised:  # all have the same outcomes
      sums = _sums(estimator, revised[0])
      out += [Trial(estimator, found, sums, found.mechanism != 'search') for found in revised]
  return out


def _sums(estimator: Estimator, found: Options) -> Sums:
  return crossfit.sums(estimator, found.ids, found.accuracy)
