"""Both sides of the exchange from records: nothing is chosen by what it is scored on."""

import collections
import csv
import json

import numpy as np
import pytest

from tests.eval import synthetic
from tests.eval.exchange.exchange_test import KEYS, outcome
from tts.eval.exchange import exchange_sides as sides
from tts.eval.measures import flops, ledger, outcomes
from tts.eval.policy import crossfit, difficulty
from tts.eval.report import report
from tts.eval.storage import records, runfiles

IDS = tuple(f'q{i:03d}' for i in range(200))
HALF = crossfit.folds(IDS)
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


def test_folds_are_of_about_equal_size():
  assert 80 < HALF.sum() < 120


def test_equal_settings_gain_nothing():
  right = np.random.default_rng(0).random(200)
  settings = [outcome(right, IDS) for _ in range(5)]
  np.testing.assert_array_equal(sides.chosen(settings, ONE_BIN).accuracy, right)


def test_luck_in_a_fold_does_not_choose_for_it():
  """Of two settings each is right on one fold alone: whoever looks at the own fold is right."""
  settings = [outcome(HALF == half, IDS) for half in (0, 1)]
  assert sides.chosen(settings, ONE_BIN).accuracy.max() == 0


def test_each_bin_goes_by_its_own_best_setting():
  bins = {i: 1 + n % 2 for n, i in enumerate(IDS)}
  first = np.array([bins[i] == 1 for i in IDS], float)
  settings = [outcome(first, IDS), outcome(1 - first, IDS)]
  assert sides.chosen(settings, bins).accuracy.min() == 1
  assert sides.chosen(settings, ONE_BIN).accuracy.mean() < 0.6


def test_a_choice_is_among_shared_questions():
  found = sides.chosen([outcome(1.0, IDS), outcome(0.0, IDS[50:])], ONE_BIN)
  assert found.ids == IDS[50:] and found.accuracy.min() == 1
  assert sides.chosen([outcome(1.0, IDS[:9]), outcome(0.0, IDS[9:])], ONE_BIN) is None
  assert sides.chosen([], ONE_BIN) is None


def test_what_may_be_spent_limits_what_is_chosen():
  setting = lambda right, budget, cost, name, verifier=None: outcome(
      right, IDS, strategy=name, budget=budget, flops=np.full(200, cost), selection=name,
      verifier=verifier, aggregation=verifier and 'last')
  found = [setting(0.1, 1, 10.0, 'majority'), setting(0.15, 2, 18.0, 'majority'),
           setting(0.2, 4, 40.0, 'majority'),
           setting(0.5, 1, 50.0, 'best_of_n', 'prm'), setting(0.9, 4, 200.0, 'best_of_n', 'prm'),
           setting(0.3, 16, 160.0, 'majority'), setting(1.0, 4, 40.0, 'oracle')]
  side = sides.small_side(found, {'level': ONE_BIN})
  value = lambda *how: side.choose('level', *how).accuracy.mean()
  assert side.budgets == (1, 2, 4, 16) and side.verified == 200
  assert side.one == 10 and side.more == 8
  assert value('generations', 4, True) == pytest.approx(0.9)
  assert value('generations', 16, False) == pytest.approx(0.3)
  assert value('generations', 3, True) == pytest.approx(0.5)
  assert value('flops', 49, True) == pytest.approx(0.2)
  assert value('flops', 160, True) == pytest.approx(0.5)
  assert value('flops', 200, True) == pytest.approx(0.9)
  assert side.choose('level', 'flops', 9, True) is None


def test_a_setting_of_fewer_questions_does_not_cut_the_others_to_its_own():
  """Unless no setting of the largest budget has more: then all are compared on what it has."""
  few = IDS[:30]
  main = dict(verifier='prm', aggregation='last', selection='best_of_n_weighted')
  found = [outcome(0.5, IDS, strategy='best_of_n_weighted', budget=4, **main),
           outcome(0.9, ids=few, strategy='lookahead', budget=4,
                   parameters=(('beam_width', 2), ('lookahead', 1)), **main),
           outcome(0.7, ids=few, strategy='beam', budget=16,
                   parameters=(('beam_width', 4),), **main)]
  side = sides.small_side(found, {'level': ONE_BIN})
  assert side.choose('level', 'generations', 4, True).ids == IDS
  assert set(side.choose('level', 'generations', 4, True).accuracy) == {0.5}
  deep = side.choose('level', 'generations', 16, True)
  assert deep.ids == few and set(deep.accuracy) == {0.9}


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
    assert row['k'] == pytest.approx(k) and row['budget'] <= k
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
    assert table.count('<tr>') - 1 == sum(r['accounting'] == name for r in made['flops_matched'])
  rows = list(csv.DictReader((workdir / 'report/exchange.csv').open()))
  assert {r['larger'] for r in rows} == {'mid', 'large'}
  assert {r['larger_strategy'] for r in rows} == {'greedy'} and rows[0]['ci95_low']
