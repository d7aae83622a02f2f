"""Isotonic fits against pooling; distances by hand."""

import itertools

import numpy as np
import pytest

from tts.eval.policy import efficiency

COST = 2.0 ** np.arange(5)


def pooled(values, weight):
  """Pooling adjacent violators, as it is usually written."""
  blocks = []
  for v, w in zip(values, weight):
    blocks.append([v, w, 1])
    while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
      v2, w2, n2 = blocks.pop()
      v1, w1, n1 = blocks.pop()
      blocks.append([(v1 * w1 + v2 * w2) / (w1 + w2), w1 + w2, n1 + n2])
  return [v for v, _, n in blocks for _ in range(n)]


def test_isotonic_is_pooling_adjacent_violators():
  rng = np.random.default_rng(0)
  values, weight = rng.random((200, 7)), rng.integers(1, 9, 7)
  got = efficiency.isotonic(values, weight)
  for row, fit in zip(values, got):
    assert fit == pytest.approx(pooled(row, weight))
  plain = efficiency.isotonic(values)
  assert plain[0] == pytest.approx(pooled(values[0], np.ones(7)))


def test_isotonic_is_the_nearest_rising_curve_on_a_grid():
  values = np.array([[0.4, 0.8, 0.2, 0.6]])
  fit = efficiency.isotonic(values)
  distance = lambda curve: ((np.array(curve) - values[0])**2).sum()
  grid = [c for c in itertools.product(np.linspace(0, 1, 21), repeat=4) if list(c) == sorted(c)]
  assert distance(fit[0]) <= min(map(distance, grid)) + 1e-12
  rising = np.sort(np.random.default_rng(1).random((3, 6)))
  assert efficiency.isotonic(rising) == pytest.approx(rising)


def test_a_curve_against_itself_is_exactly_one():
  values = np.random.default_rng(2).random((300, 5)).cumsum(axis=1) / 5  # some rise, some do not
  values[:, 2] -= 0.3
  got = efficiency.ratios(COST, values, COST, values)
  rises = ~np.isnan(got).any(axis=1)
  assert rises.sum() > 100 and (got[rises] == 1).all()


def test_the_same_curve_at_a_quarter_of_the_cost_is_four():
  values = np.sort(np.random.default_rng(3).random((50, 5)))
  assert efficiency.ratios(COST, values, COST / 4, values) == pytest.approx(np.full((50, 4), 4.0))
  assert efficiency.ratios(COST, values, COST * 4, values) == pytest.approx(np.full((50, 4), 0.25))


def test_distances_by_hand():
  base = np.array([[0.0, 0.5, 1.0]])
  cost = np.array([1.0, 4.0, 16.0])
  # A level of 0.25 costs the baseline 2, 0.5 costs 4, 0.75 costs 8, 0.9 costs 4 * 4**0.8.
  policy = np.array([[0.25, 0.25, 0.75]])
  expected = [2 / 1, 4 / 8, 8 / 16, 0]
  assert efficiency.ratios(cost, base, cost, policy)[0] == pytest.approx(expected)


def test_a_level_reached_at_the_smallest_cost_costs_that():
  base = np.array([[0.2, 0.6]])
  got = efficiency.ratios(np.array([1.0, 4.0]), base, np.array([0.5, 2.0]), np.array([[0.7, 0.9]]))
  assert got[0] == pytest.approx([2 * 4**s for s in efficiency.SHARES])


def test_a_baseline_without_a_rise_has_no_ratio():
  got = efficiency.ratios(COST[:2], np.array([[0.5, 0.5], [0.6, 0.4], [0.4, 0.6]]), COST[:2],
                          np.full((3, 2), 0.9))
  assert np.isnan(got).all(axis=1).tolist() == [True, True, False]
