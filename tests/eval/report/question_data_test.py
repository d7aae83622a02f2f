"""A report's numbers against those that `results/rebuild` makes of its per-question data."""

import dataclasses
import io
import json

import numpy as np
import pytest

from configs.claims import CLAIMS, REVISION_CLAIMS
from results.rebuild import intervals, numbers, study, votes
from tests.eval import synthetic
from tts.eval.claims import claim_sides
from tts.eval.measures import answer_choice, outcomes, sign_flips, statistics
from tts.eval.report import question_data, results
from tts.eval.storage import equal_answers, records, runfiles

POOLS = ((1, 16), (8, 2))


def changed(run):
  """The run, with answers of some questions the same by the grader, and rows of a beam repeated."""
  search = dict(run.search)
  rng = np.random.default_rng(0)
  for setting, samples in search.items():
    if setting.strategy.method == 'sample' and setting.model == 'base':
      pairs = {name: [tuple(pair) for pair in rng.choice(np.unique(row[row >= 0]), (3, 2))
                      if pair[0] != pair[1]]
               for name, row in zip(samples.ids[::3], samples.answer[::3])}
      search[setting] = dataclasses.replace(samples, equal={k: v for k, v in pairs.items() if v})
    elif setting.strategy.method == 'beam':
      search[setting] = dataclasses.replace(
          samples, weight=rng.integers(1, 4, samples.answer.shape))
  return dataclasses.replace(run, search=search)


@pytest.fixture(scope='module')
def made(tmp_path_factory):
  """The results of a run with everything in it, and the numbers rebuilt of it."""
  workdir = tmp_path_factory.mktemp('run')
  synthetic.write_run(workdir, questions=40, verifiers=('prm', 'prm_plain', 'orm'), larger_pool=2,
                      difficulty=4, beams=((4, 4), (4, 16)), deep=20)
  synthetic.write_revisions(workdir, 40, POOLS)
  claim_sides.save(CLAIMS, workdir)
  claim_sides.save(REVISION_CLAIMS, workdir, 'revision')
  run = changed(runfiles.load(workdir))
  found = results.measured(run)
  trials = results.trials_of(run, found)
  folder = tmp_path_factory.mktemp('published')
  records.write_json(folder / 'results.json', results.assemble(run, found, trials))
  estimators = list(dict.fromkeys(t.estimator for t in trials))
  data = question_data.encode(run, estimators, claim_sides.load(workdir))
  assert data == question_data.encode(run, estimators, claim_sides.load(workdir))
  (folder / question_data.FILE).write_bytes(data)
  return json.loads((folder / 'results.json').read_text('utf-8')), numbers.Numbers(folder)


def flat(value):
  return [x for v in value for x in flat(v)] if isinstance(value, (list, tuple)) else [value]


def agree(found, expected):
  found, expected = flat(found), flat(expected)
  assert len(found) == len(expected)
  for a, b in zip(found, expected):
    assert a == (pytest.approx(b, abs=1e-6) if isinstance(b, float) else b)


def test_the_file_needs_no_pickle(made):
  study = made[1].study
  assert study.whole and all(v.dtype.kind in 'iufb' for v in study.file.values())
  buffer = io.BytesIO()
  np.savez(buffer, **study.file)
  buffer.seek(0)
  assert np.load(buffer, allow_pickle=False)['about'].dtype == np.uint8
  assert intervals.same(study.about['resampling'])
  assert np.array_equal(study.file['folds'], numbers.policy.folds(study.ids))


def test_samples_that_repeat_are_kept_once():
  rng = np.random.default_rng(3)
  text = rng.integers(0, 3, (4, 9))  # equal texts have equal scores, of one question
  scores = rng.random((4, 3)).astype(np.float32)
  scores[0, 1] = np.nan
  whole = {'questions': np.arange(4, dtype=np.int32), 'answer': text.astype(np.int8),
           'score/prm': np.take_along_axis(scores, text, 1), 'correct': text == 0,
           'counts/base': rng.integers(0, 9, (4, 2, 4)), 'equal': np.zeros((4, 3), np.int32)}
  kept = question_data._once(whole)
  different = sum(len(set(row)) for row in text.tolist())
  assert kept['answer'].shape == kept['score/prm'].shape == (different,) and different <= 12
  back = study.every({f'7/{name}': values for name, values in kept.items()})
  assert set(back) == {f'7/{name}' for name in whole}
  for name, values in whole.items():
    np.testing.assert_array_equal(back[f'7/{name}'], values, name)
  alone = {'answer': np.arange(6, dtype=np.int8).reshape(2, 3)}
  assert question_data._once(alone) is alone


def test_curves_and_costs(made):
  results_, rebuilt = made
  rows = [r for r in results_['curves'] if r['bin'] is None and r['chain_length'] is None]
  assert len(rows) > 30
  for r in rows:
    where = r['strategy'], r['budget'], r['beam_width'], r['lookahead']
    agree(rebuilt.of('curve', where), [r['accuracy'], r['ci95'], r['n']])
    o = rebuilt.study.find(*where)
    agree([float(x.mean()) for x in (o.written, o.read, o.flops)],
          [r['generated_tokens'], r['verifier_tokens'], r['flops']])


def test_at_equal_flops(made):
  results_, rebuilt = made
  rows = results_['equal_flops']
  assert len({r['difference'] is None for r in rows}) == 2  # the PRM's are dearer than any majority
  assert {r['strategy'] for r in rows} > {'beam', 'best_of_n_weighted', 'logprob_weighted'}
  for r in rows:
    names = [r['strategy'], r['budget'], *([r['beam_width']] if r['beam_width'] else [])]
    agree(rebuilt.of('equal_flops', names), [r['difference'], r['ci95'], r['n']])
    if r['strategy'] == 'logprob_weighted':
      other, = (o for o in rebuilt.study.outcomes if o.label == 'majority'
                and o.budget == r['budget'])
      mine = rebuilt.study.find(*names)
      assert r['difference'] == pytest.approx(np.mean(mine.right - other.right))


def test_ablations(made):
  results_, rebuilt = made
  key = lambda o, width: (o['strategy'], o['budget'], width, o['verifier'], o['aggregation'],
                          o['selection'])
  rows = {key(r, r['beam_width']): r['accuracy'] for r in results_['ablations']
          if r['bin'] is None and r['proposal'] is None}
  found = {key(vars(o), o.width): o.right.mean() for o in rebuilt.study.outcomes}
  shared = rows.keys() & found.keys()
  assert len(shared) > 100 and {k[3] for k in shared} >= {'prm', 'prm_plain', 'orm', None}
  assert {k[4] for k in shared} >= {'min', 'prod', 'last'}
  for k in shared:
    assert found[k] == pytest.approx(rows[k]), k


def test_differences(made):
  results_, rebuilt = made
  assert len(results_['contrasts']) > 12
  for r in results_['contrasts']:
    agree(rebuilt.of('contrast', [r['id']]), [r['difference'], r['ci95'], r['n']])
  for r in results_['revisions']['contrasts']:
    if not any(word in r['id'] for word in ('control', 'flops', 'proposal')):
      agree(rebuilt.of('revision', [r['id']]), [r['difference'], r['ci95'], r['n']])
  for r in results_['revisions']['pass_at_1']:
    if r['bin'] is None:
      agree(rebuilt.of('chain', [r['step']]), [r['accuracy'], r['ci95'], r['n']])


def test_models_and_verifiers(made):
  results_, rebuilt = made
  for part, names, fields in (('model', ('base', 'mid', 'large'), ('pass_at_1', 'greedy')),
                              ('verifier', ('prm', 'prm_plain', 'orm'),
                               ('auc_within', 'auc_gain_within', 'gap_closed'))):
    for name in names:
      row = results_['models' if part == 'model' else part][name]
      for field in fields:
        agree(rebuilt.of(part, [name, field])[:2], [row[field], row[f'{field}_ci95']])


def test_policies(made):
  results_, rebuilt = made
  seen = 0
  for part, kind in (('efficiency', 'efficiency'), ('moved_efficiency', 'moved_efficiency')):
    for r in results_[part]:
      # Here every block takes as long, and rounding orders strategies of equal seconds.
      if r['mechanism'] == 'search' and r['at'] and r['axis'] != 'seconds':
        names = [r['bins'], r['estimator'], r['baseline'], *([r['axis']] * (kind == part[:10]))]
        agree(rebuilt.of(kind, names), [r['ratio_censored'] or r['ratio'], r['ci95'], r['n']])
        agree(rebuilt.of(kind.replace('efficiency', 'shares'), names)[0],
              [c or x for (_, x), c in zip(r['at'], r['censored'])])
        seen += 1
  assert seen > 20


def test_parts_of_policies(made):
  results_, rebuilt = made
  assert len(results_['decomposition']) > 100
  for r in results_['decomposition']:
    names = [r['bins'], r['estimator'], r['budget'], r['step']]
    agree(rebuilt.of('at', names)[0], r['accuracy'])
    if r['gain'] is not None:
      agree(rebuilt.of('part', names), [r['gain'], r['ci95'], r['n']])


def test_the_exchange(made):
  results_, rebuilt = made
  rows = [r for r in results_['flops_matched'] if r['difference'] is not None and (
      r['mechanism'], r['accounting'], r['larger_strategy'], r['bins'])
          == ('search', 'paper', 'greedy', 'level')]
  assert {r['bin'] for r in rows} == {None, 1, 2, 3, 4, 5} and {r['R'] for r in rows} > {0.16}
  assert any(r['interpolated'] for r in rows)
  for r in rows:
    agree(rebuilt.of('exchange', [r['larger'], r['R'], r['bin'] or 0]),
          [r['difference'], r['ci95'], r['n']])


def test_claims(made):
  results_, rebuilt = made
  known = [r for r in results_['claims'] if r['effect'] is not None]
  assert len(known) > 15 and any(r['direction'] == 'level' for r in known)
  for r in results_['claims']:
    found = rebuilt.of('verdict', [r['id']])
    if r['effect'] is None:
      assert found is None
    else:
      agree([found[k] for k in ('reproduced', 'p', 'effect', 'ci95', 'n')],
            [r[k] for k in ('reproduced', 'p', 'effect', 'ci95', 'n')])


@pytest.mark.parametrize('seed', range(3))
def test_votes_against_the_software(seed):
  rng = np.random.default_rng(seed)
  answer, score = rng.integers(-1, 4, (300, 8)), rng.integers(1, 4, (300, 8)) / 4  # with ties
  assert np.array_equal(votes.vote(answer, score), answer_choice.vote(answer, score))
  assert np.array_equal(votes.highest(answer, score), answer_choice.best(answer, score))
  assert np.array_equal(votes.hierarchical(answer, score, 2), answer_choice.hierarchical(
      answer.reshape(300, 4, 2), score.reshape(300, 4, 2)))
  pairs = [(0, 1), (1, 2), (2, 3)][:seed + 1]
  equal = np.array([(q, a, b) for q in range(300) for a, b in pairs])
  assert np.array_equal(votes.merged(answer, equal, 8), equal_answers.grouped(answer, pairs))


@pytest.mark.parametrize('values', [
    [0.0] * 5, [1.0, -1.0, 1.0, 1.0], [0.25, 0.5, -0.125, 0.0], [0.3333333, 1.7, -0.2]])
def test_tests_against_the_software(values):
  values = np.array(values)
  agree(intervals.flips(values), sign_flips.chances(values))
  shifted = values + 0.5
  agree(intervals.mean(shifted), [shifted.mean(), statistics.mean_interval(shifted), len(values)])


@pytest.mark.parametrize('latent', (False, True))
def test_costs_of_a_pool_that_is_no_power_of_two(tmp_path, latent):
  """Of 12 samples the try of 8 uses the first 8 alone; a latent verifier reads no tokens."""
  workdir = synthetic.write_run(tmp_path / 'run', questions=8, pool=12, beams=((4, 8),))
  if latent:
    records.write_json(workdir / 'models/prm/model.json', {
        'kind': 'latent', 'arch': None, 'params': 70, 'metrics': {},
        'head': {'layers': [1, 2], 'width': 32, 'beside': [0]}})
  run = runfiles.load(workdir)
  found = results.measured(run)
  records.write_json(tmp_path / 'results.json', {})
  (tmp_path / question_data.FILE).write_bytes(question_data.encode(run, [], []))
  study = numbers.Study(tmp_path)
  key = lambda o: (o.strategy, o.budget, o.verifier, o.aggregation, o.selection)
  expected = {key(o): o for o in found}
  assert len(study.outcomes) > 40 and {o.budget for o in study.outcomes} == {1, 2, 4, 8}
  read = 0
  for o in study.outcomes:
    other = expected[key(o)]
    for mine, theirs in ((o.written, other.generated_tokens), (o.read, other.verifier_tokens),
                         (o.flops, other.flops)):
      np.testing.assert_allclose(mine, theirs)
    read += o.read.sum() if o.verifier == 'prm' else 0
  assert (read == 0) == latent


def test_a_run_without_answers_has_a_file_too(tmp_path):
  run = runfiles.load(synthetic.write_run(tmp_path, pool=0, difficulty=0))
  assert not outcomes.every(run)
  file = np.load(io.BytesIO(question_data.encode(run, [], [])), allow_pickle=False)
  assert json.loads(file['about'].tobytes())['ids'] == []
