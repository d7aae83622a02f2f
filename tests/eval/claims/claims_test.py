"""Claims against hand-made differences with known signs."""

import dataclasses

import numpy as np
import pytest

from tts.eval.claims import claims
from tts.eval.claims.claims import Claim, Side
from tts.types import InputError

A, B = Side('a'), Side('b')


def table(**sides):
  """A lookup of float64 [Q] arrays by strategy, or by (strategy, budget)."""
  def look(side, budget):
    values = sides.get(f'{side.strategy}_{budget}', sides.get(side.strategy))
    return None if values is None else {f'q{i:05}': float(v) for i, v in enumerate(values)}
  return look


def verdict(left, right, direction='above', **fields):
  row, = claims.evaluate([Claim('x', 'x', A, B, direction, **fields)], table(a=left, b=right), {})
  return row


def test_signs():
  rng = np.random.default_rng(0)
  low = rng.random(400) * 0.5
  high = low + 0.1 + 0.2 * rng.random(400)
  assert verdict(high, low)['reproduced'] is True
  assert verdict(low, high)['reproduced'] is False
  assert verdict(low, high, 'below')['reproduced'] is True
  assert verdict(high, low, 'below')['reproduced'] is False
  row = verdict(high, low)
  assert row['effect'] == pytest.approx((high - low).mean()) and row['n'] == 400
  assert row['ci95'][0] < row['effect'] < row['ci95'][1]


def test_no_difference_is_inconclusive():
  noise = np.random.default_rng(1).normal(size=(2, 300))
  noise -= noise.mean(axis=1, keepdims=True)
  for direction in ('above', 'below'):
    assert verdict(noise[0], noise[1], direction)['reproduced'] == 'inconclusive'
  same = np.ones(300)
  assert verdict(same, same)['reproduced'] == 'inconclusive'


@pytest.mark.parametrize('shift,n,want', [
    (0.0, 1500, True), (0.0, 1499, 'inconclusive'), (0.028, 1500, 'inconclusive'),
    (0.05, 1500, False), (-0.05, 200, False)])
def test_level(shift, n, want):
  noise = np.random.default_rng(2).normal(size=n)
  noise = 0.1 * (noise - noise.mean())
  row = verdict(shift + noise, np.zeros(n), 'level')
  assert row['reproduced'] == want and row['p'] is None


def test_budgets_bins_and_what_is_subtracted():
  look = table(a_4=[1, 1, 0], a_16=[1, 0, 0], b=[0, 0, 0])
  bins = {'oracle': {'q00000': 1, 'q00001': 3, 'q00002': 3}}
  def of(**fields):
    return claims.differences(Claim('x', 'x', A, B, 'above', **fields), look, bins)
  assert of(budgets=(4, 16)).tolist() == [1, 0.5, 0]
  assert of(budgets=(4, 16), bins=(3,)).tolist() == [0.5, 0]
  assert of(budgets=(16,), less=(4,)).tolist() == [0, -1, 0]
  fixed = Claim('x', 'x', dataclasses.replace(A, budget=4), B, 'above', budgets=(16,))
  assert claims.differences(fixed, look, bins).tolist() == [1, 1, 0]
  assert of(budgets=(16,), bins=(2,)) is None


def test_questions_that_one_side_lacks_are_left_out():
  look = lambda side, budget: {'a': {'x': 1.0, 'y': 0.0}, 'b': {'y': 1.0, 'z': 0.0}}[side.strategy]
  assert claims.differences(Claim('x', 'x', A, B, 'above'), look, {}).tolist() == [-1]


def test_what_was_not_measured_is_said():
  row, = claims.evaluate([Claim('x', 'x', A, B, 'above')], table(a=[1, 0]), {})
  assert row['reproduced'] == 'inconclusive' and row['effect'] is None and row['n'] == 0
  assert row['evidence'].startswith('not measured')
  row, = claims.evaluate([Claim('x', 'x', A, B, 'above', bins=(1,))], table(a=[1, 0], b=[1, 0]), {})
  assert row['effect'] is None


def test_holm_by_hand():
  assert claims.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
  assert claims.holm([0.5, 0.9]) == [1.0, 1.0] and claims.holm([]) == []


def test_many_claims_of_nothing_are_seldom_reproduced():
  """Of 20 true nulls at once the chance of any claim is about 5%, not 64%."""
  rng = np.random.default_rng(3)
  wrong, uncorrected = 0, 0
  many = [Claim(f'c{i}', 'x', Side(f'c{i}'), B, 'above') for i in range(20)]
  for _ in range(60):
    sides = {f'c{i}': rng.normal(size=50) for i in range(20)}
    rows = claims.evaluate(many, table(b=np.zeros(50), **sides), {})
    wrong += any(r['reproduced'] is True for r in rows)
    uncorrected += any(r['ci95'][0] > 0 for r in rows)
  assert wrong <= 10 < 15 < uncorrected


def test_a_direction_that_there_is_not():
  with pytest.raises(InputError, match='claim x: direction'):
    Claim('x', 'x', A, B, 'up')
