"""Closed forms and hand-computed values."""

import itertools
import math

import numpy as np
import pytest

from tts.eval.measures import statistics


def test_interval_of_a_constant_is_the_constant():
  assert statistics.mean_interval(np.full(7, 0.3)) == [0.3, 0.3]
  assert statistics.mean_interval(np.array([0.3])) is None
  assert statistics.mean_interval(np.array([])) is None


def test_interval_is_the_normal_one_for_many_questions():
  values = np.random.default_rng(0).random(2000)
  low, high = statistics.mean_interval(values)
  half = 1.96 * values.std() / math.sqrt(2000)
  assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
  assert high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_intervals_repeat_and_cover():
  rng = np.random.default_rng(1)
  draws = [rng.random(60) < 0.4 for _ in range(200)]
  hits = [low <= 0.4 <= high for low, high in (statistics.mean_interval(d.astype(float))
                                               for d in draws)]
  assert 0.88 <= np.mean(hits) <= 0.99
  assert statistics.mean_interval(draws[0] * 1.0) == statistics.mean_interval(draws[0] * 1.0)


def test_differences_are_paired():
  rng = np.random.default_rng(2)
  a = rng.random(100)
  b = a + 0.1  # the same luck: the difference has no spread
  low, high = statistics.statistic_interval(lambda x, y: y - x, a, b)
  assert low == pytest.approx(0.1) and high == pytest.approx(0.1)


def test_undefined_replicates_are_left_out_and_none_if_they_are_most():
  assert statistics.interval(np.array([np.nan, 1.0, 1.0, 1.0])) == [1.0, 1.0]
  assert statistics.interval(np.array([np.nan, np.nan, np.nan, 1.0])) is None


@pytest.mark.parametrize('n,k', [(5, 1), (5, 2), (5, 5), (4, 3)])
def test_pass_at_k_is_the_mean_over_all_subsets(n, k):
  for c in range(n + 1):
    samples = [1] * c + [0] * (n - c)
    expected = np.mean([max(s) for s in itertools.combinations(samples, k)])
    assert statistics.pass_at_k(np.array([c]), n, k)[0] == pytest.approx(expected)
  with pytest.raises(ValueError):
    statistics.pass_at_k(np.array([1]), n, n + 1)


def test_auc_by_hand():
  score, right = np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False])
  assert statistics.auc(score, right) == (1 + 1 + 0.5 + 1) / 4
  assert statistics.auc(-score, right) == pytest.approx(1 - 3.5 / 4)
  assert statistics.auc(np.ones(4), right) == 0.5
  assert math.isnan(statistics.auc(score, np.ones(4, bool)))


def test_auc_equals_the_count_over_pairs():
  rng = np.random.default_rng(3)
  score, right = rng.integers(0, 5, 50) / 4, rng.random(50) < 0.5
  pairs = [(a > b) + 0.5 * (a == b) for a in score[right] for b in score[~right]]
  assert statistics.auc(score, right) == pytest.approx(np.mean(pairs))


def test_auc_within_leaves_out_questions_without_both():
  score = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 9.0], [1.0, 2.0, 3.0]])
  right = np.array([[True, False, False], [True, True, False], [True, True, True]])
  use = np.array([[True, True, True], [True, True, False], [True, True, True]])
  np.testing.assert_array_equal(statistics.auc_by_question(score, right, use),
                                [1, math.nan, math.nan])


def test_a_scorer_of_questions_alone_has_half_within_them():
  rng = np.random.default_rng(4)
  skill = rng.random((200, 1))
  right = rng.random((200, 16)) < skill
  score = np.broadcast_to(skill, right.shape)
  within = statistics.auc_by_question(score, right, np.ones_like(right))
  assert set(within[~np.isnan(within)]) == {0.5}
  assert statistics.auc(score.ravel(), right.ravel()) > 0.75


def test_prefix_auc_compares_equal_steps_and_not_the_last():
  n = math.nan
  steps = np.array([[[0.9, 0.2, 0.0], [0.1, 0.8, 1.0], [0.7, 0.1, n]]])
  right = np.array([[True, False, False]])
  use = np.ones((1, 3), bool)
  # Step 0: 0.9 against 0.1, 0.7: 1. Step 1: 0.2 against 0.8, the third row's being its last: 0.
  assert statistics.prefix_auc_by_question(steps, right, use).tolist() == [0.5]
  assert np.isnan(statistics.prefix_auc_by_question(steps[..., :1], right, use)).all()
  assert np.isnan(statistics.prefix_auc_by_question(steps, ~right & False, use)).all()


def test_calibration_by_hand():
  score, right = np.array([0.05, 0.15, 0.15, 1.0]), np.array([False, True, False, True])
  table = statistics.calibration(score, right)
  assert [(b['low'], b['n'], b['accuracy']) for b in table] == [
      (0.0, 1, 0.0), (0.1, 2, 0.5), (0.9, 1, 1.0)]
  assert statistics.expected_calibration_error(score, right) == pytest.approx(
      (0.05 + 2 * 0.35 + 0) / 4)
  with pytest.raises(ValueError):
    statistics.calibration(np.array([1.5]), np.array([True]))


def test_gap_closed():
  weighted, majority, oracle = (np.full(9, x) for x in (0.7, 0.6, 0.8))
  value, interval = statistics.gap_closed(weighted, majority, oracle)
  assert value == pytest.approx(0.5) and interval == pytest.approx([0.5, 0.5])
  value, interval = statistics.gap_closed(weighted, oracle, oracle)
  assert math.isnan(value) and interval is None
