"""What a budget pays for, and rows redone from outcomes of a made-up run."""

import dataclasses

import numpy as np
import pytest

from tests.eval import synthetic
from tts.eval.measures import outcomes as outcomes_lib
from tts.eval.policy import compute_optimal, difficulty, efficiency, strategy_options, trials
from tts.eval.policy.difficulty import Estimator
from tts.eval.report import results
from tts.eval.storage import runfiles

AXES = strategy_options.AXES


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  return runfiles.load(synthetic.write_run(
      tmp_path_factory.mktemp('run'), questions=60, deep=20, beams=((1, 1), (2, 4), (4, 16))))


@pytest.fixture(scope='module')
def outcomes(run):
  return outcomes_lib.every(run)


@pytest.fixture(scope='module')
def made(run, outcomes):
  reasons = {}
  return (*compute_optimal.rows(results.trials_of(run, outcomes), reasons), reasons)


def free(ids):
  return Estimator('pool', 'oracle', ids, np.linspace(0, 1, len(ids)))


def test_strategies_are_compared_on_the_questions_that_all_ran(outcomes):
  wide, deep = strategy_options.tiers(outcomes)
  assert (len(wide.ids), wide.budgets) == (60, (1, 2, 4, 8, 16))
  assert (len(deep.ids), deep.budgets) == (20, (32, 64))
  names = [strategy_options.name(o) for o in wide.outcomes]
  assert names[:3] == ['best_of_n_weighted-n1', 'greedy-n1', 'logprob_weighted-n1']
  assert 'beam-m4-n64' not in names and 'beam-m1-n1' not in names
  assert {'beam-m4-n64', 'beam-m4-n16', 'majority-n1'} <= {
      strategy_options.name(o) for o in deep.outcomes}
  for found in (wide, deep):
    for o, accuracy in zip(found.outcomes, found.accuracy):
      expected = dict(zip(o.ids, o.accuracy))
      assert accuracy.tolist() == [expected[i] for i in found.ids]


def test_a_strategy_of_fewer_questions_is_left_out(outcomes):
  few = [dataclasses.replace(o, ids=o.ids[:7], accuracy=o.accuracy[:7], strategy='lookahead',
                             budget=4, parameters=(*o.parameters, ('lookahead', 1)))
         for o in outcomes if o.strategy == 'beam' and o.budget == 16
         and o.selection == 'best_of_n_weighted' and o.aggregation == 'last']
  names = lambda found: [strategy_options.name(o) for o in found.outcomes]
  assert list(map(names, strategy_options.tiers([*outcomes, *few]))) == list(
      map(names, strategy_options.tiers(outcomes)))


def test_what_the_first_samples_cost(outcomes):
  found, *_ = strategy_options.tiers(outcomes)
  first = Estimator('first_4', 'predicted', found.ids, np.zeros(60), strategy_options.price(outcomes, 4),
                    stay=4)
  costs = {axis: dict(zip(map(strategy_options.name, found.outcomes), found.charged(axis, first)))
           for axis in AXES}
  own = {axis: dict(zip(map(strategy_options.name, found.outcomes), found.costs[axis])) for axis in AXES}
  for axis in AXES:
    weighted = lambda n: own[axis][f'best_of_n_weighted-n{n}']
    for n in (1, 2, 4):  # less than the estimate has drawn already
      assert costs[axis][f'best_of_n_weighted-n{n}'] == pytest.approx(weighted(4))
    assert costs[axis]['best_of_n_weighted-n16'] == pytest.approx(weighted(16))
    assert costs[axis]['beam-m4-n16'] == pytest.approx(own[axis]['beam-m4-n16'] + weighted(4))
    assert costs[axis]['greedy-n1'] == pytest.approx(own[axis]['greedy-n1'] + weighted(4))
  assert costs['generations']['majority-n16'] == 16
  # The verifier reads four samples for the estimate, which a majority would not pay for.
  read = own['tokens']['best_of_n_weighted-n4'] - own['tokens']['majority-n4']
  assert read > 0
  assert costs['tokens']['majority-n16'] == pytest.approx(own['tokens']['majority-n16'] + read)


def test_what_a_spent_pool_costs_and_what_a_budget_pays_for(outcomes):
  found, *_ = strategy_options.tiers(outcomes)
  pool = Estimator('pool_4', 'predicted', found.ids, np.zeros(60), strategy_options.price(outcomes, 4))
  assert found.charged('generations', pool).tolist() == [o.budget + 4 for o in found.outcomes]
  budgets = lambda axis, n, *a: {found.outcomes[i].budget
                                 for i in found.allowed(axis, found.level(axis, n), *a)}
  assert budgets('generations', 8) == {1, 2, 4, 8}
  assert budgets('generations', 8, pool) == {1, 2, 4}
  assert budgets('generations', 4, pool) == set()
  for axis in AXES:
    order = found.allowed(axis, found.level(axis, 8))
    assert (np.diff(found.costs[axis][order]) >= 0).all()
    assert (found.costs[axis][order] <= found.level(axis, 8) * 1.001).all()
  blind = dataclasses.replace(pool, charge={**pool.charge, 'flops': None})
  assert not found.allowed('flops', found.level('flops', 16), blind).size


def test_best_of_n_weighted_alone_has_an_efficiency_of_one(outcomes):
  alone = [o for o in outcomes if o.strategy == 'best_of_n_weighted']
  found, *_ = strategy_options.tiers(alone)
  trial = trials.trial(free(found.ids), found)
  for axis in AXES:
    base = compute_optimal.baseline(trial, axis, 'best_of_n_weighted')
    ratios = efficiency.ratios(*base, *base)
    assert ratios[~np.isnan(ratios)] == pytest.approx(1, abs=1e-6)
    assert not np.isnan(ratios[0]).any()


def test_a_policy_is_drawn_at_what_it_spends(outcomes):
  """Where the cheap choice is best everywhere, a larger allowance costs nothing more."""
  knows = lambda o: o.strategy == 'greedy' or (o.strategy, o.budget) == ('best_of_n_weighted', 16)
  found = [dataclasses.replace(o, accuracy=np.full(len(o.ids), float(knows(o)) / (
      1 if o.strategy == 'greedy' else 2))) for o in outcomes]
  trial = trials.every(found, [free(found[0].ids)])[0]
  for axis in ('generations', 'tokens', 'flops'):
    greedy = next(o for o in found if o.strategy == 'greedy')
    for curve in (*trial.policy(axis).values(), *trial.fixed(axis).values()):
      assert curve.spent == pytest.approx(strategy_options.cost(greedy, axis), rel=0.05)


def test_budgets_at_which_no_search_ran_are_not_points_of_the_curve(outcomes):
  found, *_ = strategy_options.tiers(outcomes)  # searches at 4 and 16
  assert [b for b in found.budgets if found.complete(b)] == [1, 4, 16]
  alone, *_ = strategy_options.tiers([o for o in outcomes if not o.guided])
  assert all(map(alone.complete, alone.budgets))


def test_rows_of_the_contract(made):
  policies, distances, reasons = made
  # A budget of 16 does not pay for 16 samples and an answer.
  assert any(k.startswith('efficiency.search.predicted.pool_16.') for k in reasons)
  assert all('did not' in v or 'no budget' in v or 'lies' in v for v in reasons.values())
  key = lambda r: (r['bins'], r['estimator'], r['budget'])
  assert len(set(map(key, policies))) == len(policies)
  budgets = {}
  for r in policies:
    budgets.setdefault((r['bins'], r['estimator']), []).append(r['budget'])
    assert r['mechanism'] == 'search' and len(r['choices']) == difficulty.BINS
    assert r['charged'] == (r['estimator'] not in ('pool', 'level'))
    assert r['ci95'][0] <= r['accuracy'] <= r['ci95'][1] + 0.05
    assert r['generations'] <= r['budget'] and r['n'] == (60 if r['budget'] <= 16 else 20)
    for name in ('best_fixed', 'best_of_n_weighted', 'majority', 'logprob_weighted'):
      assert r[f'{name}_difference'] == pytest.approx(r['accuracy'] - r[f'{name}_accuracy'])
      assert len(r[f'{name}_difference_ci95']) == 2
  assert budgets['oracle', 'pool'] == budgets['predicted', 'first_1'] == [1, 2, 4, 8, 16, 32, 64]
  assert budgets['predicted', 'first_4'] == [4, 8, 16, 32, 64]
  assert budgets['predicted', 'pool_16'] == [32, 64]
  assert {(r['baseline'], r['axis']) for r in distances} == {
      (b, a) for b in compute_optimal.BASELINES['search'] for a in AXES}


def test_the_best_fixed_strategy_is_one_for_all_bins(outcomes):
  """Two strategies that each know what the other does not: only a policy knows both."""
  easy = np.arange(60) < 36
  knows = {('best_of_n_weighted', 4): ~easy, ('greedy', 1): easy}
  pair = [dataclasses.replace(o, accuracy=knows[o.strategy, o.budget] * 1.0) for o in outcomes
          if (o.strategy, o.budget) in knows and o.verifier in (None, 'prm')
          and o.aggregation in (None, 'last')]
  pair += [dataclasses.replace(o, budget=1, accuracy=np.zeros(60)) for o in pair if o.budget == 4]
  estimator = Estimator('pool', 'oracle', pair[0].ids, -np.arange(60.0))
  policies, distances = compute_optimal.rows(trials.every(pair, [estimator]), {})
  row = next(r for r in policies if r['budget'] == 4)
  assert row['accuracy'] == 1 and row['best_fixed_accuracy'] == pytest.approx(0.6)
  assert row['best_fixed_difference'] == pytest.approx(0.4)
  assert row['choices'] == 3 * ['greedy-n1'] + 2 * ['best_of_n_weighted-n4']
  assert row['generations'] == pytest.approx((3 * 1 + 2 * 4) / 5)
  assert [r['ratio'] for r in distances if r['baseline'] == 'best_fixed'] == [None] * 4  # no rise


def test_baselines_are_those_of_the_curves(made, outcomes):
  row = next(r for r in made[0] if (r['bins'], r['budget']) == ('oracle', 16))
  for name in ('best_of_n_weighted', 'majority', 'logprob_weighted'):
    accuracy = next(o.accuracy for o in outcomes if (o.strategy, o.budget) == (name, 16)
                    and o.verifier in (None, 'prm') and o.aggregation in (None, 'last'))
    assert row[f'{name}_accuracy'] == pytest.approx(accuracy.mean(), abs=1e-6)


def test_a_price_that_was_not_measured_gives_null_with_its_reason(outcomes):
  found, *_ = strategy_options.tiers(outcomes)
  estimator = Estimator('first_1', 'predicted', found.ids, np.linspace(0, 1, 60),
                        {**strategy_options.price(outcomes, 1), 'flops': None}, stay=1)
  reasons = {}
  _, distances = compute_optimal.rows(trials.every(outcomes, [estimator]), reasons)
  nulls = [r for r in distances if r['ratio'] is None]
  assert {r['axis'] for r in nulls if not r['at']} == {'flops'} and len(reasons) == len(nulls)
  assert all(r['ci95'] is None for r in nulls)
  untimed = [dataclasses.replace(o, seconds=None) for o in outcomes]
  _, distances = compute_optimal.rows(trials.every(untimed, [free(found.ids)]), reasons)
  assert {r['axis'] for r in distances if not r['at']} == {'seconds'}


def test_a_flat_baseline_gives_null_with_its_reason(outcomes):
  flat = [dataclasses.replace(o, accuracy=np.full(len(o.ids), 0.5)) if o.strategy == 'majority'
          else o for o in outcomes]
  reasons = {}
  _, distances = compute_optimal.rows(trials.every(flat, [free(flat[0].ids)]), reasons)
  nulls = [r for r in distances if not r['at']]
  assert {r['baseline'] for r in nulls} == {'majority'} and len(nulls) == 4
  assert reasons['efficiency.search.oracle.pool.majority.tokens'] == (
      'majority does not rise with its budget')


def test_nothing_to_compare():
  reasons = {}
  assert compute_optimal.rows(trials.every([], [free(('a', 'b'))]), reasons) == ([], [])
  assert 'compute_optimal' in reasons
