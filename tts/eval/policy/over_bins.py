"""One budget split over bins: where a further generation buys most.

Each bin gets the strategy of the largest accuracy - price x cost, and the price of a generation is
the lowest at which the mean cost is within the budget. That is Lagrange's relaxation: whatever
budget it spends, no choice per bin of the same cost is better.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tts.eval.policy.crossfit import Sums
from tts.eval.policy.difficulty import Estimator
from tts.eval.policy.options import Options

_LOWEST, _HIGHEST, _HALVINGS = 1e-9, 1e3, 50  # prices, in accuracy per generation


class _Offers:
  """Strategies that are right more often than all cheaper ones: no price can choose another.

  They are a few of many, and another few in every bin and replicate.
  """

  def __init__(self, found: Sums, costs: np.ndarray):
    more = np.ones(found.right.shape, bool)
    more[..., 1:] = found.right[..., 1:] > np.maximum.accumulate(found.right, axis=-1)[..., :-1]
    most = more.sum(axis=-1).max()
    self._place = np.argsort(~more, axis=-1, kind='stable')[..., :most]
    self._right = np.where(*(np.take_along_axis(x, self._place, axis=-1)
                             for x in (more, found.right)), -np.inf)
    self._costs = costs[self._place]
    self._weight, self._whole = found.weight, found.weight.sum(axis=1)
    self._first = np.arange(0, self._place.size, most).reshape(found.weight.shape)

  def picked(self, price: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At a price [2, 1 + R] strategies int64 [2, BINS, 1 + R], of equals the first, and their cost.

    The cost is the mean of a question in each fold, float64 [2, 1 + R].
    """
    paid = (price[:, None] * self._weight)[..., None] * self._costs
    at = self._first + (self._right - paid).argmax(axis=-1)
    with np.errstate(invalid='ignore'):
      spent = (self._costs.ravel()[at] * self._weight).sum(axis=1) / self._whole
    return self._place.ravel()[at], spent


def choose(found: Sums, costs: np.ndarray, budget: float) -> np.ndarray | None:
  """The strategy of each bin on each fold, which spend at most `budget` a question on average.

  Args:
    found: of all strategies.
    costs: float64 [S], rising.
    budget: on average.

  Returns:
    int64 [2, BINS, 1 + R], or None where even the cheapest costs more.
  """
  limit = budget * (1 + 1e-9)
  if costs[0] > limit:
    return None
  offers = _Offers(found, costs)
  free, spent = offers.picked(np.zeros(found.weight.shape[::2]))
  low = np.full(found.weight.shape[::2], _LOWEST)
  high = np.full(found.weight.shape[::2], _HIGHEST)
  for _ in range(_HALVINGS):
    middle = np.sqrt(low * high)
    within = offers.picked(middle)[1] <= limit
    low, high = np.where(within, low, middle), np.where(within, middle, high)
  return np.where((spent <= limit)[:, None], free, offers.picked(high)[0])


@dataclasses.dataclass(frozen=True)
class Split:
  """One budget split over bins. Strategies are places in `Options.outcomes`.

  Attributes:
    picked: int64 [2, BINS], chosen on each fold.
    everywhere: int64 [BINS], chosen on all questions.
    accuracy: float64 [1 + R], each fold by the other's choice.
    generations: mean that this spends on the questions as they are.
  """

  picked: np.ndarray
  everywhere: np.ndarray
  accuracy: np.ndarray
  generations: float


def split(found: Options, sums: Sums, budget: int, estimator: Estimator) -> Split | None:
  """The best split of a mean budget, cross-validated; None where it does not pay for anything."""
  costs = found.charged('generations', estimator)
  order = np.argsort(costs, kind='stable')
  order = order[np.isfinite(costs[order])]
  mine = Sums(sums.right[..., order], sums.weight, sums.n)
  level = found.level('generations', budget)
  picked = choose(mine, costs[order], level) if order.size else None
  if picked is None:
    return None
  held = picked[::-1]
  right = np.take_along_axis(mine.right, held[..., None], axis=-1)
  with np.errstate(invalid='ignore'):
    accuracy = right.sum(axis=(0, 1, 3)) / mine.weight.sum(axis=(0, 1))
  whole = Sums(mine.right.sum(axis=0, keepdims=True)[:, :, :1],
               mine.weight.sum(axis=0, keepdims=True)[:, :, :1], mine.n)
  weight = mine.weight[:, :, 0]
  return Split(order[picked[:, :, 0]], order[choose(whole, costs[order], level)[0, :, 0]], accuracy,
               float((costs[order][held[:, :, 0]] * weight).sum() / weight.sum()))
