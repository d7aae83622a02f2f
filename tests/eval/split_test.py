"""A split budget against every choice per bin there is; nothing is gained from nothing."""

import itertools

import numpy as np
import pytest

from tts.eval import crossfit, split
from tts.eval.crossfit import Sums

COSTS = np.array([1.0, 2.0, 4.0, 8.0])


def sums_of(rng, bins=3, replicates=2):
  weight = rng.integers(1, 9, size=(2, bins, replicates)).astype(float)
  return Sums(weight[..., None] * rng.random((2, bins, replicates, len(COSTS))), weight, 10)


@pytest.mark.parametrize('seed', range(8))
@pytest.mark.parametrize('budget', [1.0, 1.7, 3.0, 8.0])
def test_no_choice_that_costs_as_much_is_better(seed, budget):
  found = sums_of(np.random.default_rng(seed))
  picked = split.choose(found, COSTS, budget)
  for fold, replicate in itertools.product(range(2), range(2)):
    weight, right = found.weight[fold, :, replicate], found.right[fold, :, replicate]
    value = lambda c: sum(right[b, s] for b, s in enumerate(c))
    cost = lambda c: (COSTS[list(c)] * weight).sum() / weight.sum()
    mine = tuple(picked[fold, :, replicate])
    assert cost(mine) <= budget + 1e-9
    assert value(mine) >= max(value(c) for c in itertools.product(range(4), repeat=3)
                              if cost(c) <= cost(mine) + 1e-9) - 1e-6


def test_budget_goes_where_it_buys_most():
  """One bin gains nothing from more, one a lot: the first one's share is spent on the second."""
  right = np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.2, 0.4, 0.9]])[None, :, None] * 10
  found = Sums(np.broadcast_to(right, (2, 2, 1, 4)), np.full((2, 2, 1), 10.0), 40)
  assert split.choose(found, COSTS, 4.5)[0, :, 0].tolist() == [0, 3]
  assert split.choose(found, COSTS, 100.0)[0, :, 0].tolist() == [0, 3]  # nothing is wasted
  assert split.choose(found, COSTS, 0.5) is None


def test_copies_of_one_strategy_differ_by_nothing():
  rng = np.random.default_rng(0)
  weight = rng.integers(1, 9, size=(2, crossfit.BINS, 3)).astype(float)
  same = Sums(np.repeat((weight * rng.random(weight.shape))[..., None], 4, axis=-1), weight, 9)
  assert (split.choose(same, COSTS, 3.0) == 0).all()  # the cheapest, in every bin
