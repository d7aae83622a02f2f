"""Rank correlation against repeated questions; two halves of one pool."""

import dataclasses

import numpy as np
import pytest

from tests.eval import synthetic
from tts.eval.measures import difficulty_agreement
from tts.eval.storage import samples


def midranks(values):
  return np.array([(values < v).sum() + ((values == v).sum() + 1) / 2 for v in values])


def test_replicates_are_what_repeated_questions_give():
  rng = np.random.default_rng(0)
  a, b = rng.integers(6, size=30) / 5, rng.integers(4, size=30) / 3
  weight = rng.integers(3, size=(20, 30)).astype(float)
  got = difficulty_agreement.spearman(a, b, weight)
  for w, value in zip(weight, got):
    copies = np.repeat(np.arange(30), w.astype(int))
    expected = np.corrcoef(midranks(a[copies]), midranks(b[copies]))[0, 1]
    assert value == pytest.approx(expected)


def test_extremes():
  ids, values = tuple(f'q{i}' for i in range(20)), np.arange(20) / 20
  same = difficulty_agreement.compare(ids, values, values**2)
  assert (same['same_bin'], same['within_one']) == (1, 1)
  assert same['spearman'] == pytest.approx(1) and same['spearman_ci95'] == pytest.approx([1, 1])
  turned = difficulty_agreement.compare(ids, values, -values)
  assert turned['spearman'] == pytest.approx(-1) and turned['same_bin'] == 0.2
  assert turned['within_one'] == 0.2  # bins 1..5 against 5..1: 4, 2, 0, 2, 4 apart
  flat = difficulty_agreement.compare(ids, values, np.zeros(20))
  assert flat['spearman'] is None and flat['spearman_ci95'] is None and flat['n'] == 20


def test_halves_of_a_pool(tmp_path):
  synthetic.write_run(tmp_path, questions=60, pool=0, difficulty=32)
  (pool,) = samples.load(tmp_path, 'difficulty').values()
  rows = {(r['bins'], r['against']): r for r in difficulty_agreement.rows(pool)}
  assert [r['samples'] for r in rows.values()] == [16, 16, 32] and len(rows) == 3
  right = pool.correct & pool.votes
  expected = difficulty_agreement.compare(pool.ids, right[:, :16].mean(axis=1), right[:, 16:].mean(axis=1))
  assert rows['oracle', 'oracle'].items() >= expected.items()
  assert rows['oracle', 'oracle']['spearman'] > 0.7
  low, high = rows['oracle', 'oracle']['spearman_ci95']
  assert low < rows['oracle', 'oracle']['spearman'] < high
  unscored = dataclasses.replace(pool, answer_score=np.full(pool.answer.shape, np.nan))
  assert [r['bins'] for r in difficulty_agreement.rows(unscored)] == ['oracle']
  assert difficulty_agreement.rows(None) == []
