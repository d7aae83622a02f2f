"""`results.json` of a made-up run: its fields, numbers redone by hand, missing pieces."""

import collections
import dataclasses
import shutil

import numpy as np
import pytest

from tests.eval.report.partial_results_test import assemble
from tests.eval import synthetic
from tts.eval.measures import curves, flops, outcomes, verifier_quality
from tts.eval.storage import records, runfiles

CURVE = {'strategy', 'beam_width', 'lookahead', 'chains', 'chain_length', 'budget', 'bin',
         'accuracy', 'ci95', 'n', 'repeats', 'generated_tokens', 'verifier_tokens', 'flops',
         'seconds', 'truncated'}
ALL = ('prm', 'prm_plain', 'orm', 'orm_more')
VERIFIER = {'auc_within', 'auc_within_ci95', 'auc_within_n', 'auc_within_plain',
            'auc_logprob_within', 'logprob_weight', 'auc_pooled', 'auc_question_only',
            'prefix_auc_within', 'val_bce', 'ece', 'gap_closed', 'gap_closed_ci95',
            'auc_gain_within', 'auc_gain_within_ci95'}


OPTIMAL = {'mechanism', 'bins', 'estimator', 'charged', 'budget', 'accuracy', 'ci95',
           'best_fixed_accuracy', 'best_of_n_weighted_accuracy', 'majority_accuracy'}
EFFICIENCY = {'mechanism', 'bins', 'estimator', 'charged', 'baseline', 'axis', 'ratio', 'ci95',
              'at', 'at_ci95', 'censored', 'ratio_censored'}


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  return synthetic.write_run(tmp_path_factory.mktemp('whole'))


@pytest.fixture(scope='module')
def made(whole):
  return assemble(whole)


def find(rows, **what):
  found = [r for r in rows if all(r[k] == v for k, v in what.items())]
  assert len(found) == 1, (what, len(found))
  return found[0]


def test_fields_of_the_contract(made):
  assert set(made) >= {
      'config', 'config_hash', 'versions', 'device', 'wall_seconds', 'cpu_seconds',
      'peak_rss_bytes', 'seeds', 'models', 'verifier', 'curves', 'ablations', 'ledger',
      'compute_optimal', 'efficiency', 'flops_matched', 'claims', 'budget_seconds',
      'decomposition'}
  assert all(CURVE <= set(r) for r in made['curves'])
  assert all(CURVE | {'verifier', 'aggregation', 'selection', 'bins', 'proposal'} <= set(r)
             for r in made['ablations'])
  for name, fields in (('compute_optimal', OPTIMAL), ('efficiency', EFFICIENCY)):
    assert made[name] and all(fields <= set(r) for r in made[name])
    assert {r['bins'] for r in made[name]} == {'oracle', 'predicted', 'level'}
  steps = [(r['bins'], r['estimator'], r['budget'], r['step']) for r in made['decomposition']]
  assert steps and len(steps) == len(set(steps))
  assert {r['charged'] for r in made['decomposition']} == {False, True}
  assert all({'n', 'accuracy', 'gain', 'ci95'} <= set(r) for r in made['decomposition'])
  assert all(isinstance(r['interpolated'], bool) and 'budget_above' in r
             for r in made['flops_matched'] if r['difference'] is not None)
  assert [(r['bins'], r['against']) for r in made['difficulty']] == [
      ('oracle', 'oracle'), ('predicted', 'predicted'), ('predicted', 'oracle')]
  assert {r['bins'] for r in made['ablations']} >= {'oracle', 'predicted', 'level', 'absolute'}
  assert not {'curves.bin', 'verifier.prm', 'models.base'} & set(made['reasons'])
  assert VERIFIER <= set(made['verifier']['prm']) and VERIFIER <= set(made['verifier']['orm'])
  assert {'params', 'pass_at_1', 'greedy', 'checkpoint'} <= set(made['models']['base'])
  assert made['models']['mid'] is None
  assert made['wall_seconds']['base'] == 17 and made['budget_seconds']['base'] == 26
  assert list(made['wall_seconds']) == ['data', 'base', 'labels', 'verifiers', 'search',
                                        'difficulty']


def test_rows_are_unique_and_every_budget_is_there(made):
  for name in ('curves', 'ablations'):
    keys = [tuple(r.get(k) for k in (
        'strategy', 'beam_width', 'lookahead', 'chains', 'chain_length', 'budget', 'bin',
        'verifier', 'aggregation', 'selection', 'bins')) for r in made[name]]
    assert max(collections.Counter(keys).values()) == 1
  for strategy in ('majority', 'logprob_weighted', 'best_of_n', 'best_of_n_weighted', 'oracle'):
    for budget in (1, 2, 4, 8, 16):
      found = find(made['curves'], strategy=strategy, budget=budget, bin=None)
      assert found['repeats'] == 16 // budget and found['n'] == 60
      assert sum(find(made['curves'], strategy=strategy, budget=budget, bin=b)['n']
                 for b in (1, 2, 3, 4, 5)) == 60
  find(made['curves'], strategy='greedy', budget=1, bin=None)
  for width, budget in ((2, 4), (4, 4), (4, 16)):
    assert find(made['curves'], strategy='beam', beam_width=width, budget=budget,
                bin=None)['lookahead'] is None


def test_bin_rows_average_to_the_whole(made):
  for budget in (1, 4, 16):
    for field in ('accuracy', 'generated_tokens', 'flops', 'truncated'):
      binned = [r for r in made['curves'] if r['strategy'] == 'best_of_n_weighted'
                and r['budget'] == budget and r['bin']]
      whole = find(made['curves'], strategy='best_of_n_weighted', budget=budget, bin=None)
      assert np.average([r[field] for r in binned], weights=[r['n'] for r in binned]) == (
          pytest.approx(whole[field]))


def test_accuracy_and_costs_redone_from_the_rows(whole, made):
  rows = list(records.read(whole, 'search', 'sample-n16'))
  by_question = collections.defaultdict(dict)
  for r in rows:
    by_question[r['problem_id']][r['slot']] = r
  right, cut = [], []
  for question in by_question.values():
    for g in range(4):
      group = [question[4 * g + i] for i in range(4)]
      votes = collections.defaultdict(float)
      for r in group:
        if r['answer'] is not None:
          votes[r['answer']] += r['answer_score']
      best = max(votes, key=votes.get, default=None)
      right.append(any(r['answer'] == best and r['correct'] for r in group))
      cut.append(sum(r['truncated'] for r in group))
  got = find(made['curves'], strategy='best_of_n_weighted', budget=4, bin=None)
  assert got['accuracy'] == pytest.approx(np.mean(right))
  assert got['truncated'] == pytest.approx(np.mean(cut))
  assert got['generated_tokens'] == 4 * 20
  assert got['verifier_tokens'] == 9 + 4 * 20  # the prompt once
  one = {'kept': 80, 'pruned': 0, 'simulated': 0}
  context = 45 + 4 * sum(9 + i + 1 for i in range(19))
  expected = flops.counted(synthetic.arch(), 'lm', {
      **one, 'entered': 9 + 4 * 19, 'attended': context})
  expected += flops.counted(synthetic.arch(), 'prm', {
      **one, 'entered': 9 + 4 * 20, 'attended': context + 4 * 29})
  assert got['flops'] == expected
  assert got['seconds'] == pytest.approx(0.25 * 3 / 60 * 4 / 16)


def test_a_vote_without_verifier_does_not_pay_for_one(made):
  got = find(made['curves'], strategy='majority', budget=16, bin=None)
  assert got['verifier_tokens'] == 0
  assert got['flops'] < find(made['curves'], strategy='best_of_n', budget=16, bin=None)['flops']
  beam = find(made['ablations'], strategy='beam', beam_width=4, budget=16, bin=None,
              selection='majority')
  assert beam['verifier_tokens'] > 0 and beam['verifier'] == 'prm'


def test_ablations_cover_what_the_paper_compares(made):
  for what in ({'verifier': 'orm'}, {'aggregation': 'min'}, {'aggregation': 'prod'}):
    find(made['ablations'], strategy='best_of_n_weighted', budget=16, bin=None, **what)
  for bins in ('predicted', 'level'):
    rows = [r for r in made['ablations'] if r['bins'] == bins and r['strategy'] == 'majority'
            and r['budget'] == 1]
    assert [r['bin'] for r in rows] == [1, 2, 3, 4, 5] and sum(r['n'] for r in rows) == 60
  find(made['ablations'], strategy='beam', beam_width=2, budget=4, bin=None, selection='majority')


def test_verifier_numbers_make_sense_for_the_model_they_come_from(made):
  prm, orm = made['verifier']['prm'], made['verifier']['orm']
  assert 0.8 < orm['auc_within'] + 0.1 < prm['auc_within'] < 1
  assert prm['auc_within_ci95'][0] < prm['auc_within'] < prm['auc_within_ci95'][1]
  assert prm['auc_gain_within'] == pytest.approx(prm['auc_within'] - prm['auc_logprob_within'])
  assert 0.5 < prm['prefix_auc_within'] < prm['auc_within']
  assert 0 < prm['prefix_auc_within_n'] <= prm['auc_within_n'] < 60
  assert prm['auc_within_plain'] == prm['auc_within'] and prm['val_bce'] == 0.4
  assert orm['prefix_auc_within'] is None and 'verifier.orm.prefix_auc_within' in made['reasons']
  at = lambda s: find(made['curves'], strategy=s, budget=16, bin=None)['accuracy']
  assert prm['gap_closed'] == pytest.approx(
      (at('best_of_n_weighted') - at('majority')) / (at('oracle') - at('majority')))


def test_the_rival_is_the_better_of_summed_and_mean_logprob(whole):
  run = runfiles.load(whole)
  pool = run.setting('base', 'sample')
  exact = np.where(pool.correct, -1.0, -2.0)
  for logprob, length in ((exact, np.where(pool.correct, 1, 8)),  # the sum tells, the mean misleads
                          (np.full(exact.shape, -8.0), np.where(pool.correct, 8, 1))):
    changed = dataclasses.replace(pool, logprob=logprob, length=length)
    found = verifier_quality.describe(
        dataclasses.replace(run, search={**run.search, pool.setting: changed}), 'prm', {}, {})
    assert found['auc_logprob_within'] == 1
    assert found['auc_gain_within'] == pytest.approx(found['auc_within'] - 1)


def test_the_scorer_of_questions_knows_the_difficulty_pool_alone(whole):
  run = runfiles.load(whole)
  pool = run.difficulty_pool
  blank = dataclasses.replace(pool, correct=np.zeros_like(pool.correct))
  blind = dataclasses.replace(run, difficulty={pool.setting: blank})
  found = verifier_quality.describe(blind, 'prm', {}, {})
  assert found['auc_question_only'] == 0.5
  assert verifier_quality.describe(run, 'prm', {}, {})['auc_question_only'] > 0.7


@pytest.fixture(scope='module')
def many(tmp_path_factory):
  return assemble(synthetic.write_run(
      tmp_path_factory.mktemp('many'), questions=40, verifiers=ALL, deep=10))


def test_every_verifier_has_its_rows(many):
  assert set(many['verifier']) == {'main', 'latent', 'logprob', *ALL}
  for name in ALL[1:]:
    for strategy in ('best_of_n', 'best_of_n_weighted'):
      got = find(many['ablations'], strategy=strategy, budget=16, bin=None, verifier=name)
      assert got['aggregation'] == 'last' and got['n'] == 40
  got = find(many['ablations'], strategy='beam', beam_width=4, budget=16, bin=None,
             verifier='prm_plain', selection='best_of_n_weighted', aggregation='last')
  assert got['verifier_tokens'] > 0 and got['flops'] > 0
  assert {r['strategy'] for r in many['curves']} == {
      'greedy', 'majority', 'logprob_weighted', 'oracle', 'best_of_n', 'best_of_n_weighted', 'beam'}
  keys = [tuple(r.get(k) for k in ('strategy', 'beam_width', 'budget', 'bin', 'verifier',
                                   'aggregation', 'selection', 'bins'))
          for part in ('curves', 'ablations') for r in many[part]]
  assert len(keys) == len(set(keys))


def test_a_verifier_that_knows_less_selects_worse(many):
  prm, plain = many['verifier']['prm'], many['verifier']['prm_plain']
  assert prm['prefix_auc_within'] > plain['prefix_auc_within'] > 0.4  # each by its own steps
  assert plain['auc_within'] < prm['auc_within'] and plain['auc_within_n'] == prm['auc_within_n']
  assert [s[0] for s in plain['auc_by_step']] == [1, 2, 3, 4, 'last']
  assert plain['auc_by_step'][-1][1] == pytest.approx(plain['auc_within'])
  assert [s[0] for s in many['verifier']['orm_more']['auc_by_step']] == ['last']
  assert many['logprob']['auc_within_n'] == prm['auc_within_n']
  assert sum(b[-1] for b in prm['auc_by_bin']) == prm['auc_within_n']


def test_each_verifier_is_charged_what_it_read(tmp_path):
  synthetic.write_run(tmp_path, questions=10, verifiers=ALL, beams=((4, 4),), difficulty=0)
  for path in records.blocks(tmp_path, 'search'):
    rows = records.read_block(path)
    for r in rows:
      if 'orm_more' in r['counts']:
        r['counts']['orm_more']['entered'] += 1000
      if r['verifier'] == 'prm_plain':
        r['counts']['prm_plain']['entered'] += 500
    records.write_block(path, rows)
  made = assemble(tmp_path)
  tokens = lambda part, **what: find(made[part], bin=None, **what)['verifier_tokens']
  weighted = {v: tokens('ablations', strategy='best_of_n_weighted', budget=4, verifier=v)
              for v in ALL[1:]}
  weighted['prm'] = tokens('curves', strategy='best_of_n_weighted', budget=4)
  assert weighted['prm'] == weighted['prm_plain'] == weighted['orm'] == 9 + 4 * 20
  assert weighted['orm_more'] == weighted['orm'] + 4000
  for selection in ('majority', 'best_of_n_weighted'):
    rows = [r for r in made['ablations'] if r['strategy'] == 'beam' and r['bin'] is None
            and r['selection'] == selection and r['verifier'] == 'prm_plain']
    assert rows and all(r['verifier_tokens'] > 1000 for r in rows)
  assert tokens('curves', strategy='beam') < 200


def test_wide_budgets_are_of_fewer_questions(many):
  sizes = {r['budget']: r['n'] for r in many['curves'] if r['strategy'] == 'majority'
           and r['bin'] is None}
  assert sizes == {1: 40, 2: 40, 4: 40, 8: 40, 16: 40, 32: 10, 64: 10}
  assert find(many['curves'], strategy='beam', budget=64, bin=None)['n'] == 10
  assert many['models']['base']['pass_at_1_n'] == 40
  assert many['verifier']['prm']['gap_closed'] is not None


def test_the_pool_of_most_questions_is_the_one_that_is_described(tmp_path):
  run = runfiles.load(synthetic.write_run(tmp_path, questions=12, pool=4, deep=5, difficulty=0))
  assert [(len(p.ids), p.setting.strategy.budget) for p in run.pools('base')] == [(12, 4), (5, 16)]
  assert run.setting('base', 'sample').setting.strategy.budget == 4
  assert run.setting('large', 'sample') is None


def test_seconds_are_null_in_bins(made):
  assert all((r['seconds'] is None) == (r['bin'] is not None) for r in made['curves'])


def test_ledger_balances(made):
  assert {m['ratio'] for s in made['ledger'].values() for m in s.values()} == {1.0}
  assert set(made['ledger']['search']) == {'base', 'large', 'prm', 'orm'}


def test_labelled_steps_are_those_with_continuations(tmp_path):
  synthetic.write_run(tmp_path, questions=6, beams=(), difficulty=0)
  rows = [{**synthetic.row(np.random.default_rng(0), 0, 0.5, i, scored=()),
           'labels': [1.0] * n, 'continuations': [1] * n} for i, n in enumerate((3, 1, 5))]
  records.write_block(tmp_path / 'records/labels/rollouts/block-00000.jsonl.gz', rows)
  records.write_json(tmp_path / 'timings/labels/rollouts/block-00000.json', {'seconds': 1.5})
  for row in rows:
    del row['continuations']
  records.write_block(tmp_path / 'records/labels/outcomes/block-00000.jsonl.gz', rows)
  entry = assemble(tmp_path)['ledger']['labels']['base']
  assert entry['labelled_steps'] == 6 and entry['labelled_steps_per_second'] == 4
  assert entry['kept'] == 6 * 20


def test_equal_files_give_equal_results(whole, made):
  assert assemble(whole) == made


def test_repeated_searches_are_averaged(tmp_path):
  synthetic.write_run(tmp_path, questions=10, beams=((4, 4),))
  alone = find(assemble(tmp_path)['curves'], strategy='beam', bin=None)
  source = tmp_path / 'records/search/beam-m4-n4/block-00000.jsonl.gz'
  rows = records.read_block(source)
  records.write_block(tmp_path / 'records/search/beam-m4-n4-r1/block-00000.jsonl.gz', [
      {**r, 'repeat': 1, 'correct': False} for r in rows if r['problem_id'] != 'q0003'])
  both = find(assemble(tmp_path)['curves'], strategy='beam', bin=None)
  assert alone['repeats'] == 1 and both['repeats'] == 2 and both['n'] == 9
  run = runfiles.load(tmp_path)
  (one,) = (o for o in outcomes.searches(run) if o is not None and curves.is_main(o))
  assert 'q0003' not in one.ids
  shutil.rmtree(tmp_path / 'records/search/beam-m4-n4-r1')
  (before,) = (o for o in outcomes.searches(runfiles.load(tmp_path)) if curves.is_main(o))
  expected = dict(zip(before.ids, before.accuracy / 2))
  assert dict(zip(one.ids, one.accuracy)) == {i: expected[i] for i in one.ids}
