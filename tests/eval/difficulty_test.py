"""Bins: equal size, easiest first, ties by a hash that knows nothing."""

import collections
import dataclasses
import hashlib

import numpy as np
import pytest

from tests.eval import synthetic
from tts.eval import difficulty, samples


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
  assert set(difficulty.schemes(unscored, None)) == {'oracle'}


def test_schemes_of_nothing():
  assert difficulty.schemes(None, None) == {}
