"""Where a verifier is good and what fools it: cases worked out by hand."""

import dataclasses
import math

import numpy as np
import pytest

from tests.eval import synthetic
from tts.data.tokenizer import Tokenizer
from tts.eval.measures import outcomes, statistics, verifier_diagnostics
from tts.eval.storage import records, runfiles, samples
from tts.types import Strategy

NAN = math.nan


def pool_of(steps, right, votes=None, **others):
  """Samples of one setting; `steps` [Q, N, S], `right` [Q, N]."""
  steps, right = np.array(steps, float), np.array(right, bool)
  shape = right.shape
  votes = np.ones(shape, bool) if votes is None else np.array(votes, bool)
  last = np.maximum((~np.isnan(steps)).sum(axis=-1) - 1, 0)
  return samples.Samples(
      setting=samples.Setting('search', 'test', 'base', Strategy('sample', shape[1]), 0),
      ids=tuple(f'q{i}' for i in range(shape[0])), level=np.zeros(shape[0], int),
      present=np.ones(shape, bool), weight=np.ones(shape, int),
      answer=np.where(votes, np.where(right, 0, 1), -1),
      truncated=~votes, correct=right, steps=steps,
      answer_score=np.take_along_axis(steps, last[..., None], axis=-1)[..., 0],
      others={k: np.array(v, float) for k, v in others.items()},
      logprob=np.zeros(shape), certainty=np.full(shape, np.nan), confidence=None,
      length=np.ones(shape, int), counts={}, row_seconds=None)


def run_of(*pools):
  return runfiles.RunFiles(None, {}, {}, {}, {p.setting: p for p in pools}, {}, None, ())


def test_steps_compare_the_samples_that_have_them():
  # Question 0: 0.9 and 0.2 right; 0.8, whose second step is missing, and 0.1 wrong.
  pool = pool_of([[[0.9, 0.3], [0.2, 0.7], [0.8, NAN], [0.1, 0.5]],
                  [[0.5, 0.5]] * 4], [[1, 1, 0, 0], [1, 1, 1, 1]])
  found = {step: (auc, n) for step, auc, _, n in verifier_diagnostics.auc_by_step(pool, 'prm', True)}
  assert found[1] == (3 / 4, 1)    # 0.9 beats both, 0.2 one
  assert found[2] == (1 / 2, 1)    # 0.3 loses to 0.5, 0.7 wins; the cut one is not compared
  assert found['last'] == (1 / 4, 1)  # 0.8 beats both right ones, 0.5 one of them
  assert list(found) == [1, 2, 'last']


def test_an_outcome_verifier_has_its_last_step_alone():
  pool = pool_of([[[0.5], [0.5]]], [[1, 0]], orm=[[[0.9], [0.1]]])
  assert verifier_diagnostics.auc_by_step(pool, 'orm', False) == [['last', 1.0, None, 1]]
  assert verifier_diagnostics.auc_by_step(pool, 'orm_more', False) == []


def test_bins_hold_their_own_questions():
  steps = [[[0.9], [0.1]], [[0.1], [0.9]], [[0.9], [0.1]], [[0.5], [0.5]]]
  pool = pool_of(steps, [[1, 0]] * 3 + [[1, 1]])
  bins = {'q0': 1, 'q1': 1, 'q2': 5, 'q3': 3}
  found = verifier_diagnostics.auc_by_bin(pool, pool.answer_score, bins)
  assert [(b, auc, n) for b, auc, _, n in found] == [(1, 0.5, 2), (5, 1.0, 1)]


def test_selection_as_n_grows():
  pool = pool_of([[[0.2], [0.9], [0.6], [0.4]]], [[1, 0, 1, 0]])
  found = verifier_diagnostics.over_optimisation(run_of(pool), 'prm')
  assert [row[:3] for row in found] == [
      [1, pytest.approx(0.525), 0.5], [2, pytest.approx(0.75), 0.5], [4, 0.9, 0.0]]
  assert [row[-1] for row in found] == [1, 1, 1]
  # A try without an answer is wrong and has no score.
  pool = pool_of([[[0.2], [0.9], [0.6], [0.4]]], [[1, 1, 1, 1]], votes=[[1, 1, 0, 0]])
  assert [row[:3] for row in verifier_diagnostics.over_optimisation(run_of(pool), 'prm')] == [
      [1, pytest.approx(0.55), 0.5], [2, 0.9, 0.5], [4, 0.9, 1.0]]
  assert verifier_diagnostics.over_optimisation(run_of(), 'prm') == []


def test_selection_accuracy_is_that_of_best_of_n(tmp_path):
  run = runfiles.load(synthetic.write_run(tmp_path, questions=20, deep=5))
  best = {o.budget: o for o in outcomes.pools(run) if o is not None and o.verifier == 'orm'
          and o.strategy == 'best_of_n'}
  found = verifier_diagnostics.over_optimisation(run, 'orm')
  assert [row[0] for row in found] == [1, 2, 4, 8, 16, 32, 64]
  for size, score, accuracy, _, n in found:
    assert accuracy == pytest.approx(best[size].accuracy.mean()) and 0 < score < 1
    assert n == len(best[size].ids) == (20 if size <= 16 else 5)
  scores = [row[1] for row in found if row[-1] == 20]
  assert scores == sorted(scores)  # the highest of more is higher


@pytest.fixture(scope='module')
def fooled(tmp_path_factory):
  workdir = synthetic.write_run(tmp_path_factory.mktemp('run'), questions=30, difficulty=0)
  tokenizer = Tokenizer.train(['1234567890 +=abcdefghij\n'], 32)
  (workdir / 'tokenizer').mkdir()
  tokenizer.save(workdir / 'tokenizer')
  records.write_json(workdir / 'questions.json', {
      f'q{q:04d}': {'prompt': f'what is {q}?\n', 'answer': str(100 + q)} for q in range(29)})
  return workdir, tokenizer


def test_fools_are_the_worst_wrong_answers(fooled):
  workdir, tokenizer = fooled
  run = runfiles.load(workdir)
  rows = {}
  for row in records.read(workdir, 'search', 'sample-n16'):
    if row['answer'] is not None:
      rows.setdefault(row['problem_id'], []).append(row)
  margins = {}
  for name, mine in rows.items():
    of = lambda right: [r['answer_score'] for r in mine if r['correct'] == right]
    if of(True) and of(False):
      margins[name] = max(of(False)) - max(of(True))
  expected = sorted(margins.values(), reverse=True)[:12]
  found = verifier_diagnostics.fools(run, run.setting('base', 'sample'), 'prm')
  assert [f['margin'] for f in found] == pytest.approx(expected)
  for f in found:
    assert f['margin'] == pytest.approx(margins[f['problem_id']])
    mine = {r['slot']: r for r in rows[f['problem_id']]}
    for side, right in (('wrong', False), ('right', True)):
      row = mine[f[side]['slot']]
      assert row['correct'] is right and row['answer'] == f[side]['answer']
      assert [s for _, s in f[side]['steps']] == row['step_scores']
      assert f[side]['score'] == row['answer_score']
      text = ''.join(t for t, _ in f[side]['steps'])
      assert text.replace('\n', '') == tokenizer.decode(row['tokens']).replace('\n', '')
    known = f['problem_id'] != 'q0029'
    assert f['gold'] == (str(100 + int(f['problem_id'][1:])) if known else None)


def test_fools_of_a_verifier_of_whole_answers_have_one_score(fooled):
  run = runfiles.load(fooled[0])
  found = verifier_diagnostics.fools(run, run.setting('base', 'sample'), 'orm')
  assert found and all([s is None for _, s in f['wrong']['steps']] == [True] * 3 + [False]
                       for f in found)
  assert verifier_diagnostics.fools(run, run.setting('base', 'sample'), 'prm_plain') == []


def test_fools_without_tokenizer_or_questions_have_no_text(tmp_path):
  run = runfiles.load(synthetic.write_run(tmp_path, questions=9, difficulty=0))
  for f in verifier_diagnostics.fools(run, run.setting('base', 'sample'), 'prm'):
    assert f['prompt'] is None and all(t is None for t, _ in f['wrong']['steps'])


def test_the_main_verifiers_own_score_is_told_from_the_combined(tmp_path):
  from tts.eval.measures import verifier_quality
  run = runfiles.load(synthetic.write_run(tmp_path, questions=12, difficulty=0))
  pool = run.setting('base', 'sample')
  right = np.where(pool.correct, 1.0, 0.0)
  changed = dataclasses.replace(pool, others={**pool.others, 'prm_alone': right[..., None]})
  run = dataclasses.replace(run, search={pool.setting: changed})
  found = verifier_quality.describe(run, 'prm', {}, {})
  assert found['auc_within_plain'] == 1 > found['auc_within'] > 0.5


def test_known_means_are_paired_and_of_what_is_known():
  rng = np.random.default_rng(0)
  value = rng.random(200)
  half = np.where(np.arange(200) % 2, value, NAN)
  (mean, ci, n), (_, same, _), (none, nothing, zero) = statistics.known_means(
      np.stack([half, half + 0.0, np.full(200, NAN)]))
  assert mean == pytest.approx(np.nanmean(half)) and n == 100 and ci == same
  assert ci[0] < mean < ci[1] and (none, nothing, zero) == (None, None, 0)
  full = statistics.known_means(value[None])[0]
  assert full[1] == pytest.approx(statistics.mean_interval(value))
