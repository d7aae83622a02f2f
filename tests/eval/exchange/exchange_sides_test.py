"""Both sides of the exchange from records: nothing is chosen by what it is scored on."""

import collections
import csv
import json

import numpy as np
import pytest

from tests.eval import synthetic
from tests.eval.exchange.exchange_test import KEYS, outcome
from tts.eval.exchange import exchange, exchange_sides as sides
from tts.eval.measures import flops, ledger, outcomes
from tts.eval.policy import crossfit, difficulty, trials
from tts.eval.report import report, small_bins
from tts.eval.storage import records, runfiles

IDS = tuple(f'q{i:03d}' for i in range(200))
ONE_BIN = dict.fromkeys(IDS, 1)


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
  workdir = synthetic.write_run(tmp_path_factory.mktemp('run'), questions=30, larger_pool=8)
  report.write(workdir)
  return workdir


@pytest.fixture(scope='module')
def run(workdir):
  return runfiles.load(workdir)


@pytest.fixture(scope='module')
def made(workdir):
  return json.loads((workdir / 'report/results.json').read_text())


WEIGHTED = dict(strategy='best_of_n_weighted', verifier='prm', aggregation='last',
                selection='best_of_n_weighted')


def setting(right, budget=1, ids=IDS, **fields):
  return outcome(right, ids, budget=budget, **{
      'flops': np.full(len(ids), 10.0 * budget), **WEIGHTED, **fields})


def table_of(found, bins=ONE_BIN, larger=None, axis='generations', verifier=True, name='level'):
  """Tables of the small side, whose policy has `bins` for its levels."""
  found = sorted(found, key=lambda o: (o.budget, o.strategy))
  ids = tuple(sorted(bins))
  estimators = [difficulty.Estimator(*how, ids, np.zeros(len(ids)),
                                     bins=np.array([bins[i] for i in ids]))
                for how in (('level', 'level'), ('pool', 'oracle'))]
  side = sides.small_side(trials.every(found, estimators))
  other = larger or outcome(0.5, IDS)
  own = {i: bins[i] for i in other.ids if i in bins}
  return side, side.tables(exchange.Larger('large', 'greedy', 1, 14.0, other, {}), name,
                           own, axis, verifier)


def test_equal_settings_gain_nothing():
  right = np.random.default_rng(0).random(200)
  _, ((point,),) = table_of([setting(right), *(
      setting(right, strategy=s, selection=s, verifier=None, aggregation=None)
      for s in ('majority', 'logprob_weighted'))])
  assert point.bins[None].small[0] == pytest.approx(right.mean(), abs=1e-5)
  assert point.bins[None].large[0] == 0.5 and point.bins[None].n == 200


def test_luck_in_a_fold_does_not_choose_for_it():
  """Of two settings each is right on half of the folds: whoever looks at the own fold is right."""
  fold, _ = crossfit.folds(IDS)
  found = [setting(fold % 2 == half, strategy=s, selection=s, verifier=None if half else 'prm',
                   aggregation=None if half else 'last')
           for half, s in enumerate(('best_of_n_weighted', 'majority'))]
  _, ((point,),) = table_of(found)
  assert point.bins[None].small[0] < 0.4


def test_each_bin_goes_by_its_own_best_setting():
  bins = {i: 1 + n % 2 for n, i in enumerate(IDS)}
  first = np.array([bins[i] == 1 for i in IDS], float)
  found = [setting(first), setting(1 - first, strategy='majority', selection='majority',
                                   verifier=None, aggregation=None)]
  _, ((point,),) = table_of(found, bins)
  assert {b: both.small[0] for b, both in point.bins.items()} == {None: 1, 1: 1, 2: 1}
  assert {b: both.n for b, both in point.bins.items()} == {None: 200, 1: 100, 2: 100}
  _, ((point,),) = table_of(found)
  assert point.bins[None].small[0] < 0.6


def test_a_choice_is_scored_on_the_questions_of_both():
  right = (np.arange(200) < 50).astype(float)
  _, ((point,),) = table_of([setting(right)], larger=outcome(0.25, IDS[:80]))
  assert point.bins[None].n == 80
  assert point.bins[None].small[0] == pytest.approx(50 / 80, abs=1e-5)
  assert point.bins[None].large == pytest.approx(np.full(1001, 0.25), abs=1e-5)


def test_bins_that_are_not_the_policys_hold_the_questions_that_they_hold():
  right = np.random.default_rng(1).random(200)
  side, _ = table_of([setting(right)])
  other = {i: 1 + (n < 30) for n, i in enumerate(IDS)}
  larger = exchange.Larger('large', 'greedy', 1, 14.0, outcome(0.5, IDS), other)
  ((point,),) = side.tables(larger, 'larger', other, 'generations', True)
  assert point.bins[2].n == 30
  assert point.bins[2].small[0] == pytest.approx(right[:30].mean(), abs=1e-5)


def test_what_may_be_spent_limits_what_is_chosen():
  plain = dict(strategy='majority', selection='majority', verifier=None, aggregation=None)
  found = [setting(0.1, 1, flops=np.full(200, 10.0), **plain),
           setting(0.15, 2, flops=np.full(200, 18.0), **plain),
           setting(0.2, 4, flops=np.full(200, 40.0), **plain),
           setting(0.5, 1, flops=np.full(200, 50.0)), setting(0.9, 4, flops=np.full(200, 200.0)),
           setting(0.05, 2, flops=np.full(200, 90.0)),
           setting(1.0, 4, strategy='oracle', selection='oracle', verifier=None,
                   aggregation=None)]
  side, (table,) = table_of(found)
  value = lambda points: {p.budget: float(round(p.bins[None].small[0], 5)) for p in points}
  assert value(table) == {1: 0.5, 2: 0.5, 4: 0.9}
  assert side.budgets == (1, 2, 4) and side.verified == 90
  assert side.one == 10 and side.more == 8
  (table,) = table_of(found, verifier=False)[1]
  assert value(table) == {1: 0.1, 2: 0.15, 4: 0.2}
  (table,) = table_of(found, axis='flops')[1]
  assert value(table) == {1: 0.5, 2: 0.5, 4: 0.9} and [p.cost for p in table] == [50, 90, 200]


def test_a_setting_of_fewer_questions_does_not_cut_the_others_to_its_own():
  few = IDS[:30]
  found = [setting(0.5, 4), setting(0.9, 4, few, strategy='lookahead', guided=True,
                                    parameters=(('beam_width', 2), ('lookahead', 1))),
           setting(0.7, 16, few)]
  _, (wide, deep) = table_of(found)
  assert [(p.budget, p.bins[None].n, round(p.bins[None].small[0], 5)) for p in wide] == [
      (4, 200, 0.5)]
  assert [(p.budget, p.bins[None].n, round(p.bins[None].small[0], 5)) for p in deep] == [
      (4, 30, 0.9), (16, 30, 0.9)]


def test_larger_models_answer_in_every_way(run):
  found = {(s.name, s.strategy): s for s in sides.larger_sides(run)}
  assert set(found) == {(m, s) for m in ('mid', 'large')
                        for s in ('greedy', 'majority', 'best_of_n')}
  assert found['mid', 'greedy'].scale == 4 and found['large', 'greedy'].scale == 3.5**2
  pool = run.setting('mid', 'sample')
  vote = found['mid', 'majority']
  assert vote.samples == 4 and vote.outcome.repeats == 1
  alone = outcomes.outcome(pool, run.models, strategy='majority', size=4, selection='majority')
  assert alone.repeats == 2  # of the whole pool; the side has the first of them
  np.testing.assert_allclose(vote.outcome.generated_tokens, 4 * 20)
  read = found['mid', 'best_of_n'].outcome
  assert (read.flops > vote.outcome.flops).all() and read.verifier == 'prm'


def test_a_larger_models_bins_know_nothing_of_what_is_scored(run):
  pool = run.setting('large', 'sample')
  lower, upper = sides.halves(pool)
  assert lower.setting.strategy.budget == upper.setting.strategy.budget == 4
  np.testing.assert_array_equal(np.hstack([lower.correct, upper.correct]), pool.correct)
  np.testing.assert_array_equal(upper.counts['prm'], pool.counts['prm'][:, 4:])
  expected = difficulty.quintiles(pool.ids, (pool.correct & pool.votes)[:, 4:].mean(axis=1))
  for side in sides.larger_sides(run):
    if side.name == 'large':
      assert side.bins == expected


def test_rows_of_a_run_are_complete_and_unique(made):
  rows = made['flops_matched']
  assert max(collections.Counter(tuple(r[k] for k in KEYS) for r in rows).values()) == 1
  paper = [r for r in rows if r['accounting'] == 'paper']
  assert len(paper) == 2 * 3 * 4 * 6 * 3  # models, ways, binnings, bins and all, R
  for row in paper:
    k = row['larger_samples'] * (row['m'] + 3 * (row['m'] - 1) / row['R'])
    assert row['k'] == pytest.approx(k) and row['budget'] <= k * 1.01
    assert row['difference'] == pytest.approx(row['small_accuracy'] - row['large_accuracy'])
    if row['larger_strategy'] == 'greedy' and row['bin'] is None:
      assert row['large_accuracy'] == pytest.approx(made['models'][row['larger']]['greedy'])
  assert len(made['break_even']) == 2 * 3 * 4 * 6
  assert 'flops_matched' not in made['reasons']


def test_costs_before_the_first_answer(tmp_path):
  synthetic.write_run(tmp_path, questions=6, difficulty=4)
  row = synthetic.row(np.random.default_rng(0), 0, 0.5, 0, scored=())
  rolled_out = {**row, 'labels': [1.0] * 4, 'continuations': [1] * 4}
  records.write_block(tmp_path / 'records/labels/rollouts/block-00000.jsonl.gz', [rolled_out])
  # Another verifier's labels are not the PRM's cost.
  records.write_block(tmp_path / 'records/labels/outcomes/block-00000.jsonl.gz', [row])
  run = runfiles.load(tmp_path)
  found = sides.once(run)
  meta = run.models['base']
  assert found.labels == flops.counted(meta['arch'], 'lm', row['counts']['base'])
  assert found.tokens == 10**6 and found.training['large'] == 6 * 25 * 112**2 * 10**6
  entry = run.ledger.table(run.models)['difficulty']
  assert found.pool == {'oracle': entry['base']['flops'],
                        'predicted': entry['base']['flops'] + entry['prm']['flops']}
  assert found.trunk == 'scratch'
  assert ledger.Ledger().label_flops(run.models) is None


def test_a_run_without_larger_models_says_so(tmp_path):
  synthetic.write_run(tmp_path, questions=6, large=False, beams=())
  made = report.write(tmp_path)
  assert made['flops_matched'] == made['break_even'] == []
  assert 'no larger model' in made['reasons']['flops_matched']
  assert not (tmp_path / 'report/exchange.png').exists()


def test_the_report_shows_every_comparison(workdir, made):
  text = (workdir / 'report/index.html').read_text().split('every comparison')[1]
  for name in ('paper', 'strict'):
    table = text.split(f'{name} accounting, ')[1].split('</table>')[0]
    assert table.count('<tr>') - 1 == sum(
        r['accounting'] == name for r in small_bins.left_out(made)['flops_matched'])
  rows = list(csv.DictReader((workdir / 'report/exchange.csv').open()))
  assert {r['larger'] for r in rows} == {'mid', 'large'}
  assert {r['larger_strategy'] for r in rows} == {'greedy'} and rows[0]['ci95_low']
