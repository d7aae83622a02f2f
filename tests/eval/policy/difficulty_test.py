"""Bins: equal size, easiest first, ties by a hash that knows nothing."""

import collections
import dataclasses
import hashlib

import numpy as np
import pytest

from tests.eval import synthetic
from tts.eval.policy import difficulty, estimators
from tts.eval.storage import runfiles, samples


def test_quintiles_of_equal_size_easiest_first():
  ids = tuple(f'q{i}' for i in range(10))
  bins = difficulty.quintiles(ids, np.arange(10) / 10)
  assert bins == {f'q{i}': 5 - i // 2 for i in range(10)}


@pytest.mark.parametrize('questions', [1, 4, 5, 7, 23, 400])
def test_sizes_differ_by_one_at_most(questions):
  ids = tuple(f'q{i}' for i in range(questions))
  sizes = collections.Counter(difficulty.quintiles(ids, np.zeros(questions)).values())
  assert max(sizes.values()) - min(sizes.values()) <= 1
  assert len(sizes) == min(5, questions) and set(sizes) <= {1, 2, 3, 4, 5}


def test_ties_are_ordered_by_hash_whatever_the_order_of_questions():
  ids = tuple(f'q{i}' for i in range(20))
  bins = difficulty.quintiles(ids, np.zeros(20))
  assert bins == difficulty.quintiles(ids[::-1], np.zeros(20))
  first = min(ids, key=lambda i: hashlib.sha256(i.encode()).digest())
  assert bins[first] == 1


def test_estimates_count_a_sample_without_answer_as_wrong(tmp_path):
  synthetic.write_run(tmp_path, questions=6, pool=0, difficulty=8)
  (pool,) = samples.load(tmp_path, 'difficulty').values()
  pool = dataclasses.replace(
      pool, correct=np.ones((6, 8), bool), answer=np.where(np.eye(6, 8) > 0, 1, -1),
      answer_score=np.full((6, 8), 0.5))
  assert difficulty.oracle_estimate(pool).tolist() == [1 / 8] * 6
  assert difficulty.predicted_estimate(pool).tolist() == [0.5 / 8] * 6
  unscored = dataclasses.replace(pool, answer_score=np.full((6, 8), np.nan))
  assert difficulty.predicted_estimate(unscored) is None
  assert set(difficulty.schemes(unscored, None)) == {'oracle', 'absolute'}


def test_schemes_of_nothing():
  assert difficulty.schemes(None, None) == {}


def test_absolute_bins_are_cut_at_fixed_accuracies():
  pass_at_1 = np.array([1, 0.8, 0.79, 0.6, 0.41, 0.4, 0.2, 0.19, 0])
  bins = difficulty.absolute(tuple('abcdefghi'), pass_at_1)
  assert list(bins.values()) == [1, 1, 2, 2, 3, 3, 4, 5, 5]


def test_estimators_read_their_own_samples_and_pay_for_them(tmp_path):
  synthetic.write_run(tmp_path, questions=20, pool=16, beams=(), difficulty=16)
  (pool,) = samples.load(tmp_path, 'difficulty').values()
  questions = next(s for k, s in samples.load(tmp_path, 'search').items()
                   if k.strategy.method == 'sample')
  price = lambda s: {'generations': float(s), 'tokens': 20.0 * s}
  free = {'generations': 0.0, 'tokens': 0.0}
  found = {(e.scheme, e.name): e for e in (
      *difficulty.estimators(pool, questions, price),
      *estimators.every(runfiles.load(tmp_path), price, free))}
  assert list(found) == [
      ('oracle', 'pool'), ('predicted', 'pool'), ('level', 'level'), ('predicted', 'pool_4'),
      ('predicted', 'first_1'), ('predicted', 'first_2'), ('predicted', 'first_4')]
  first = found['predicted', 'first_2']
  expected = np.where(questions.votes, questions.answer_score, 0)[:, :2].mean(axis=1)
  assert first.estimate.tolist() == expected.tolist()
  assert first.charged and first.charge['tokens'] == 40 and first.stay == 2
  pooled = found['predicted', 'pool_4']
  assert pooled.estimate.tolist() == difficulty.predicted_estimate(pool, slice(4)).tolist()
  assert pooled.charged and pooled.stay == 0
  assert not found['oracle', 'pool'].charged and not found['predicted', 'pool'].charged
  assert found['level', 'level'].bins.tolist() == questions.level.tolist()
  assert difficulty.estimators(None, None, price) == []


def test_the_first_samples_estimate_without_gold_answers(tmp_path):
  synthetic.write_run(tmp_path, questions=20, pool=16, beams=(), difficulty=16)
  (pool,) = samples.load(tmp_path, 'difficulty').values()
  wrong = dataclasses.replace(pool, correct=np.zeros_like(pool.correct))
  for a, b in zip(difficulty.estimators(pool, pool, lambda s: {'generations': s}),
                  difficulty.estimators(wrong, wrong, lambda s: {'generations': s})):
    assert (a.estimate == b.estimate).all() == (a.scheme != 'oracle')
