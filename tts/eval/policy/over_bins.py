"""One budget split over bins: where a further generation buys most.

Each bin gets the strategy of the largest accuracy - price x cost, and the price of a generation is
the lowest at which the mean cost is within the budget. That is Lagrange's relaxation: whatever
budget it spends, no choice per bin of the same cost is better.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tts.eval.policy import crossfit
from tts.eval.policy.crossfit import Sums
from tts.eval.policy.difficulty import Estimator
from tts.eval.policy.strategy_options import Options

REPLICATES = 200  # of crossfit's: a price is searched in each
_LOWEST, _HIGHEST, _HALVINGS = 1e-6, 1e2, 26  # prices, in accuracy per generation


class _Offers:
  """Strategies that are right more often than all cheaper ones: no price can choose another.

  They are a few of many, and another few in every bin and replicate.
  """

  def __init__(self, right: np.ndarray, weight: np.ndarray, costs: np.ndarray):
    more = np.ones(right.shape, bool)
    more[1:] = right[1:] > np.maximum.accumulate(right, axis=0)[:-1]
    most = more.sum(axis=0).max()
    self._place = np.argsort(~more, axis=0, kind='stable')[:most]
    self._right = np.where(*(np.take_along_axis(x, self._place, axis=0)
                             for x in (more, right)), -np.inf)
    self._costs = costs[self._place]
    self._weight, self._whole = weight, weight.sum(axis=-2)

  def picked(self, price: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At a price [..., 1 + R] strategies int64 [..., BINS, 1 + R], of equals the first, and their
    cost, the mean of a question, float64 [..., 1 + R]."""
    paid = price[..., None, :] * self._weight
    best, cost, place = self._right[0] - paid * self._costs[0], self._costs[0], self._place[0]
    for right, costs, places in zip(self._right[1:], self._costs[1:], self._place[1:]):
      value = right - paid * costs
      better = value > best
      best, cost, place = (np.where(better, *x) for x in (
          (value, best), (costs, cost), (places, place)))
    with np.errstate(invalid='ignore', divide='ignore'):
      return place, (cost * self._weight).sum(axis=-2) / self._whole


def choose(right: np.ndarray, weight: np.ndarray, costs: np.ndarray,
           budgets: list[float]) -> list[np.ndarray | None]:
  """The strategy of each bin for each budget, which spends at most that a question on average.

  Args:
    right: float [S, ..., BINS, 1 + R], of all strategies.
    weight: float [..., BINS, 1 + R].
    costs: float64 [S], rising.
    budgets: each on average.

  Returns:
    Per budget int64 [..., BINS, 1 + R], or None where even the cheapest costs more.
  """
  offers = _Offers(right.astype(float), weight.astype(float), costs)
  shape = weight.shape[:-2] + weight.shape[-1:]
  free, spent = offers.picked(np.zeros(shape))
  out: list[np.ndarray | None] = []
  for budget in budgets:
    limit = budget * (1 + 1e-9)
    if costs[0] > limit:
      out.append(None)
      continue
    low, high = np.full(shape, _LOWEST), np.full(shape, _HIGHEST)
    for _ in range(_HALVINGS):
      middle = np.sqrt(low * high)
      within = ~(offers.picked(middle)[1] > limit)
      low, high = np.where(within, low, middle), np.where(within, middle, high)
    out.append(np.where((spent <= limit)[..., None, :], free, offers.picked(high)[0]))
  return out


@dataclasses.dataclass(frozen=True)
class Split:
  """One budget split over bins. Strategies are places in `Options.outcomes`.

  Attributes:
    picked: int64 [SPLITS, FOLDS, BINS], what each fold was scored by, chosen on the others.
    everywhere: int64 [BINS], chosen on all questions.
    accuracy: float64 [1 + R], over REPLICATES.
    spent: float64 [1 + R], generations of a question on average.
  """

  picked: np.ndarray
  everywhere: np.ndarray
  accuracy: np.ndarray
  spent: np.ndarray


def splits(found: Options, sums: Sums, estimator: Estimator | None) -> dict[int, Split]:
  """The best split of each mean budget, cross-validated; without those that pay for nothing."""
  costs = found.charged('generations', estimator)
  order = np.argsort(costs, kind='stable')
  order = order[np.isfinite(costs[order])]
  if not order.size:
    return {}
  mine = sums.first(REPLICATES)
  right, whole, own = mine.right[order], mine.whole(), costs[order]
  allowances = [found.level('generations', budget) for budget in found.budgets]
  held = choose(crossfit.others(right), crossfit.others(mine.weight), own, allowances)
  everywhere = choose(whole.right[order], whole.weight, own, allowances)
  out = {}
  total = mine.weight.sum(axis=(0, 1, 2), dtype=float)
  for budget, pick, everybody in zip(found.budgets, held, everywhere):
    if pick is not None:
      got = np.take_along_axis(right, pick[None], axis=0)[0]
      with np.errstate(invalid='ignore'):
        out[budget] = Split(order[pick[..., 0]], order[everybody[0, 0, :, 0]],
                            got.sum(axis=(0, 1, 2), dtype=float) / total,
                            (own[pick] * mine.weight).sum(axis=(0, 1, 2)) / total)
  return out
