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
  assert rises.sum() > 100 and got[rises] == pytest.approx(1, abs=1e-6)


def test_the_same_curve_at_a_quarter_of_the_cost_is_four():
  values = np.sort(np.random.default_rng(3).random((50, 5)))
  for factor in (4, 1 / 4):
    got = efficiency.ratios(COST, values, COST / factor, values)
    assert got == pytest.approx(np.full((50, 4), factor), rel=1e-6)


@pytest.mark.parametrize('factor', [1, 2, 4])
@pytest.mark.parametrize('places', [[0, 1, 2, 3, 4, 5, 6], [0, 2, 4, 6]])
def test_a_factor_does_not_depend_on_the_budgets_that_were_run(factor, places):
  """A curve of falling slope, of which the policy has more or fewer points."""
  cost = 2.0 ** np.arange(7)
  curve = lambda x: 0.8 - 0.4 * x ** -0.6
  each = efficiency.ratios(
      cost, curve(cost)[None], cost[places], curve(factor * cost[places])[None])
  measured = np.isfinite(each[0])
  # The smallest cost is past the first shares; between points the extension is near, not exact.
  assert measured[2:].all() and not (each[0] == -np.inf).any()
  assert each[0, measured] == pytest.approx(factor, rel=0.05)


def test_distances_by_hand():
  base = np.array([[0.0, 0.5, 1.0]])
  cost = np.array([1.0, 4.0, 16.0])
  # A level of 0.25 costs the baseline 2, 0.5 costs 4, 0.75 costs 8, 0.9 costs 4 * 4**0.8.
  policy = np.array([[0.25, 0.25, 0.75]])
  # The policy is worth 2, 2 and 8 at 1, 4 and 16: worth 4 at 4 * 4**0.5.
  expected = [2 / 1, 4 / 8, 8 / 16, -np.inf]
  assert efficiency.ratios(cost, base, cost, policy)[0] == pytest.approx(expected)


def test_each_replicate_spends_what_it_spends():
  values = np.sort(np.random.default_rng(4).random((3, 5)))
  factor = np.array([[1.0], [2.0], [8.0]])
  got = efficiency.ratios(COST, values, COST / factor, values)
  assert got == pytest.approx(np.repeat(factor, 4, axis=1), rel=1e-6)


def test_what_is_reached_at_the_smallest_cost_is_censored():
  base = np.array([[0.2, 0.6]])
  got = efficiency.ratios(np.array([1.0, 4.0]), base, np.array([0.5, 2.0]),
                          np.array([[0.35, 0.9]]))
  assert (got[0, 0], np.isfinite(got[0, 1:]).all()) == (np.inf, True)  # 0.3, then 0.4 and above


def test_a_row_says_what_is_censored_and_never_zero():
  of = lambda *shares: efficiency.fields(np.array([shares] * 101), 50)
  row = of(np.inf, 2.0, 8.0, 4.0)
  assert row['ratio'] == pytest.approx(4) and row['ci95'] == pytest.approx([4, 4])
  assert row['at'][0] == [0.25, None] and row['censored'] == ['above', None, None, None]
  row = of(np.inf, 2.0, 8.0, -np.inf)
  assert row['ratio'] is None and row['ci95'] is None and row['ratio_censored'] == 'below'
  row = of(*4 * [np.inf])
  assert (row['ratio'], row['ratio_censored']) == (None, 'above')
  # A share that some replicates miss leaves that end open.
  each = np.vstack([np.full((91, 4), 2.0), np.full((10, 4), -np.inf)])
  row = efficiency.fields(each, 50)
  assert row['ratio'] == pytest.approx(2) and row['ci95'] == [None, pytest.approx(2)]
  assert row['at_ci95'][0] == [None, 2.0]


def test_a_baseline_without_a_rise_has_no_ratio():
  got = efficiency.ratios(COST[:2], np.array([[0.5, 0.5], [0.6, 0.4], [0.4, 0.6]]), COST[:2],
                          np.full((3, 2), 0.9))
  assert np.isnan(got).all(axis=1).tolist() == [True, True, False]
