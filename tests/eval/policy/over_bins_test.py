"""A split budget against every choice per bin there is; nothing is gained from nothing."""

import itertools
import types

import numpy as np
import pytest

from tts.eval.policy import crossfit, over_bins
from tts.eval.policy.crossfit import Sums
from tts.eval.policy.strategy_options import Options

COSTS = np.array([1.0, 2.0, 4.0, 8.0])


def sums_of(rng, bins=3, replicates=2):
  """Right [S, 2, bins, replicates], as folds would have it, and weights."""
  weight = rng.integers(1, 9, size=(2, bins, replicates)).astype(float)
  return weight * rng.random((len(COSTS), 2, bins, replicates)), weight


def candidates_of(costs):
  """Best-of-N weighted at each cost, in the order given."""
  name = 'best_of_n_weighted'
  outcomes = tuple(types.SimpleNamespace(strategy=name, selection=name, budget=c, verifier='prm',
                                         main='prm', aggregation='last', proposal=None)
                   for c in costs)
  return Options((), tuple(costs), outcomes, None, {'generations': np.array(costs, float)},
                    'search', 'best_of_n_weighted', np.ones(len(costs), bool))


@pytest.mark.parametrize('seed', range(8))
@pytest.mark.parametrize('budget', [1.0, 1.7, 3.0, 8.0])
def test_no_choice_that_costs_as_much_is_better(seed, budget):
  every_right, every_weight = sums_of(np.random.default_rng(seed))
  picked, = over_bins.choose(every_right, every_weight, COSTS, [budget])
  for fold, replicate in itertools.product(range(2), range(2)):
    weight, right = every_weight[fold, :, replicate], every_right[:, fold, :, replicate].T
    value = lambda c: sum(right[b, s] for b, s in enumerate(c))
    cost = lambda c: (COSTS[list(c)] * weight).sum() / weight.sum()
    mine = tuple(picked[fold, :, replicate])
    assert cost(mine) <= budget + 1e-9
    assert value(mine) >= max(value(c) for c in itertools.product(range(4), repeat=3)
                              if cost(c) <= cost(mine) + 1e-9) - 1e-6


@pytest.mark.parametrize('seed', range(8))
@pytest.mark.parametrize('budget', [1.7, 3.0, 5.0])
def test_no_price_would_spend_more_within_the_budget(seed, budget):
  """Of the choices that are best at some price, the dearest that is paid for is taken."""
  every_right, every_weight = sums_of(np.random.default_rng(seed))
  picked, = over_bins.choose(every_right, every_weight, COSTS, [budget])
  every = np.array(list(itertools.product(range(4), repeat=3)))
  for fold, replicate in itertools.product(range(2), range(2)):
    weight, right = every_weight[fold, :, replicate], every_right[:, fold, :, replicate].T
    value, cost = right[range(3), every].sum(axis=1), (COSTS[every] * weight).sum(axis=1)
    at = lambda price: (value - price * cost).argmax()
    best = [at(price) for price in np.geomspace(1e-6, 10, 2000)]
    most = max(value[c] for c in best if cost[c] <= budget * weight.sum())
    mine = right[range(3), picked[fold, :, replicate]].sum()
    assert mine >= most - 1e-9


def test_budget_goes_where_it_buys_most():
  """One bin gains nothing from more, one a lot: the first one's share is spent on the second."""
  right = np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.2, 0.4, 0.9]]).T[:, None, :, None] * 10
  weight = np.full((1, 2, 1), 10.0)
  some, many, few = over_bins.choose(right, weight, COSTS, [4.5, 100.0, 0.5])
  assert some[0, :, 0].tolist() == many[0, :, 0].tolist() == [0, 3]  # nothing is wasted
  assert few is None


def folded(right, weight):
  """Sums of one split from [S, FOLDS, bins], without replicates."""
  return Sums(np.array(right)[:, None, :, :, None], np.array(weight)[None, :, :, None], 80)


def test_copies_of_one_strategy_differ_by_nothing():
  """The cheapest is paid for in every bin, wherever it stands."""
  rng = np.random.default_rng(0)
  weight = rng.integers(1, 9, size=(2, crossfit.BINS)).astype(float)
  same = folded(np.repeat((weight * rng.random(weight.shape))[None], 4, axis=0), weight)
  got = over_bins.splits(candidates_of((4, 1, 2, 8)), same, None)[4]
  assert (got.picked == 1).all() and (got.everywhere == 1).all() and got.spent == [1]


def test_each_fold_is_spent_by_the_other_ones_choice():
  """Two bins, by hand. Budgets do not bind, and strategies do not lie in order of cost."""
  right = np.array([[[9.0, 1.0, 5.0], [1.0, 0.0, 3.0]],    # fold 0 picks 0 and 2
                    [[2.0, 2.0, 1.0], [9.0, 0.0, 1.0]]])   # fold 1 picks 1, the cheaper, and 0
  found = folded(np.moveaxis(right, -1, 0), [[10.0, 10.0], [30.0, 30.0]])
  got = over_bins.splits(candidates_of((4, 1, 2)), found, None)[4]
  assert got.picked.tolist() == [[[1, 0], [0, 2]]] and got.everywhere.tolist() == [0, 0]
  assert got.accuracy.tolist() == [(1 + 1 + 2 + 1) / 80]
  assert got.spent.tolist() == [(10 * 1 + 10 * 4 + 30 * 4 + 30 * 2) / 80]
