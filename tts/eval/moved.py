"""Moving budget between questions: what one more generation buys decides where it goes.

The paper gives every question the same budget and leaves this to future work (section 8). Here a
policy's questions share one: each bin gets the strategy of the largest accuracy - price x cost, and
the price of a generation is the lowest at which the mean cost is within the budget. That is
Lagrange's relaxation: whatever budget it spends, no choice per bin of the same cost is better.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tts.eval import candidates as candidates_lib, compute_optimal, crossfit, difficulty
from tts.eval import efficiency
from tts.eval.candidates import Candidates
from tts.eval.crossfit import Sums
from tts.eval.difficulty import Estimator
from tts.eval.outcomes import Outcome

_LOWEST, _HIGHEST, _HALVINGS = 1e-9, 1e3, 50  # prices, in accuracy per generation


def _picked(found: Sums, costs: np.ndarray, price: np.ndarray) -> np.ndarray:
  """Strategies int64 [2, BINS, 1 + R] at a price [2, 1 + R]; of equals the first."""
  paid = price[:, None, :, None] * found.weight[..., None] * costs
  return (found.right - paid).argmax(axis=-1)


def _spent(found: Sums, costs: np.ndarray, picked: np.ndarray) -> np.ndarray:
  """Mean cost of a question in each fold, float64 [2, 1 + R]."""
  with np.errstate(invalid='ignore'):
    return (costs[picked] * found.weight).sum(axis=1) / found.weight.sum(axis=1)


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
  free = _picked(found, costs, np.zeros(found.weight.shape[::2]))
  low = np.full(found.weight.shape[::2], _LOWEST)
  high = np.full(found.weight.shape[::2], _HIGHEST)
  for _ in range(_HALVINGS):
    middle = np.sqrt(low * high)
    within = _spent(found, costs, _picked(found, costs, middle)) <= limit
    low, high = np.where(within, low, middle), np.where(within, middle, high)
  affordable = _spent(found, costs, free) <= limit
  return np.where(affordable[:, None], free, _picked(found, costs, high))


@dataclasses.dataclass(frozen=True)
class Split:
  """One budget split over bins. Strategies are places in `Candidates.outcomes`.

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


def split(found: Candidates, sums: Sums, budget: int, estimator: Estimator) -> Split | None:
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


def _measured(estimator: Estimator, found: Candidates, sums: Sums,
              ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
  """A policy's rows, and its distances from the baselines."""
  out, points = [], []
  for budget in found.budgets if sums.n else ():
    shared = split(found, sums, budget, estimator)
    equal = compute_optimal.allowed(found, 'generations', budget, estimator)
    if shared is None or not equal.size:
      continue
    points.append((found.level('generations', budget), shared.accuracy))
    other = crossfit.crossfit(sums, equal)
    out.append({
        **compute_optimal.what(estimator), 'budget': budget, 'n': sums.n,
        'accuracy': float(shared.accuracy[0]), 'ci95': crossfit.interval(shared.accuracy, sums.n),
        'generations': shared.generations, 'equal_accuracy': float(other[0]),
        'difference': float(shared.accuracy[0] - other[0]),
        'difference_ci95': crossfit.interval(shared.accuracy - other, sums.n),
        # By bin, fold by fold.
        'choices': [[candidates_lib.name(found.outcomes[i]) for i in fold]
                    for fold in shared.picked]})
  distances = []
  for name in compute_optimal.BASELINES if points else ():
    base = compute_optimal.baseline(found, 'generations', sums, name)
    each = base[0].size and efficiency.ratios(
        *base, np.array([x for x, _ in points]), np.stack([y for _, y in points], axis=1))
    if base[0].size and not np.isnan(each[0]).any():
      middle = np.median(each, axis=1)
      distances.append({**compute_optimal.what(estimator), 'baseline': name,
                        'axis': 'generations', 'n': sums.n, 'ratio': float(middle[0]),
                        'ci95': crossfit.interval(middle, sums.n)})
  return out, distances


def rows(outcomes: Sequence[Outcome], estimators: Sequence[Estimator],
         ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
  """A policy with a shared budget at each budget, and how much less it spends than the baselines.

  On the set of the most questions. Choices are made on one fold and scored on the other, as in
  `crossfit`; so the generations that are spent are about the budget and not bound by it.

  Args:
    outcomes: of all strategies.
    estimators: those whose bins a policy goes by; from them the free ones and `difficulty.SAVED`.

  Returns:
    (rows, each beside the policy that gives all questions as much; rows as those of `efficiency`).
  """
  made, distances = [], []
  for found in candidates_lib.tiers(outcomes)[:1]:
    for estimator in estimators:
      if not estimator.charged or estimator.name in difficulty.SAVED:
        sums = crossfit.sums(estimator, found.ids, found.accuracy)
        for total, part in zip((made, distances), _measured(estimator, found, sums)):
          total += part
  return made, distances
