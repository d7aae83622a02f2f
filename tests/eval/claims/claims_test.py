"""Claims against hand-made differences with known signs."""

import dataclasses

import numpy as np
import pytest

from tts.eval.claims import claims
from tts.eval.claims.claims import Claim, Look, Side
from tts.eval.claims.measured import Answers
from tts.types import InputError

A, B = Side('a'), Side('b')


def table(**sides):
  """A lookup of float64 [Q] arrays by strategy, or by (strategy, budget)."""
  def look(side, budget):
    values = sides.get(f'{side.strategy}_{budget}', sides.get(side.strategy))
    return None if values is None else Answers(
        {f'q{i:05}': float(v) for i, v in enumerate(values)})
  return look


def verdict(left, right, direction='above', **fields):
  row, = claims.evaluate([Claim('x', 'x', A, B, direction, **fields)],
                         Look(table(a=left, b=right)))
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
    (0.0, 1500, True), (0.0, 60, 'inconclusive'), (0.028, 1500, 'inconclusive'),
    (0.05, 1500, False), (-0.05, 1500, False)])
def test_level_by_a_margin_of_accuracy(shift, n, want):
  noise = np.random.default_rng(2).normal(size=n)
  noise = 0.2 * (noise - noise.mean())
  row = verdict(shift + noise, np.zeros(n), 'level')
  assert row['reproduced'] == want and row['control'] is None


def rising(rate, n=800, seed=5):
  """Answers that are right with a chance by budget, the same questions for all."""
  draw = np.random.default_rng(seed).random(n)
  return {budget: (draw < chance).astype(float) for budget, chance in rate.items()}


def by_factor(left, right, factor=2):
  sides = {f'a_{b}': v for b, v in left.items()} | {f'b_{b}': v for b, v in right.items()}
  row, = claims.evaluate([Claim('x', 'x', A, B, 'level', factor=factor)], Look(table(**sides)))
  return row


def test_level_by_a_factor_of_cost():
  """At 16, against half and a quarter of it: a curve that rises, one twice as dear, a flat one."""
  curve = {4: 0.5, 8: 0.6, 16: 0.7}
  same = rising(curve)
  assert by_factor(same, same)['reproduced'] is True
  dear = rising({4: 0.2, 8: 0.3, 16: 0.4})  # never what half of the other's budget gets
  assert by_factor(dear, same)['reproduced'] is False
  assert by_factor(same, dear)['reproduced'] is False
  row = by_factor(rising({4: 0.4, 8: 0.5, 16: 0.6}), same)  # just twice as dear
  assert row['reproduced'] == 'inconclusive'


def test_a_verdict_that_could_not_have_failed_is_none():
  """Better than either at half, on a curve that is flat at a quarter."""
  left = rising({8: 0.6, 16: 0.7})
  right = rising({4: 0.6, 8: 0.6, 16: 0.7})
  row = by_factor(left, right)
  assert row['reproduced'] == 'inconclusive' and row['p'] < 0.05
  assert row['control']['difference'] == 0 and row['control']['p'] == 1


def test_a_factor_that_was_not_measured_is_inconclusive():
  same = rising({8: 0.6, 16: 0.7})
  row = by_factor(same, same)
  assert row['reproduced'] == 'inconclusive' and 'not measured' in row['evidence']
  assert row['p'] is None and row['n'] == 800


def test_budgets_bins_and_what_is_subtracted():
  bins = {'oracle': {'q00000': 1, 'q00001': 3, 'q00002': 3}}
  look = Look(table(a_4=[1, 1, 0], a_16=[1, 0, 0], b=[0, 0, 0]), bins)
  def of(**fields):
    found = claims.difference(Claim('x', 'x', A, B, 'above', **fields), look)
    return found and found.values.tolist()
  assert of(budgets=(4, 16)) == [1, 0.5, 0]
  assert of(budgets=(4, 16), bins=(3,)) == [0.5, 0]
  assert of(budgets=(16,), less=(4,)) == [0, -1, 0]
  fixed = Claim('x', 'x', dataclasses.replace(A, budget=4), B, 'above', budgets=(16,))
  assert claims.difference(fixed, look).values.tolist() == [1, 1, 0]
  assert of(budgets=(16,), bins=(2,)) is None


def test_questions_that_one_side_lacks_are_left_out():
  found = {'a': {'x': 1.0, 'y': 0.0}, 'b': {'y': 1.0, 'z': 0.0}}
  look = Look(lambda side, budget: Answers(found[side.strategy]))
  assert claims.difference(Claim('x', 'x', A, B, 'above'), look).values.tolist() == [-1]


def test_what_was_not_measured_is_said():
  row, = claims.evaluate([Claim('x', 'x', A, B, 'above')], Look(table(a=[1, 0])))
  assert row['reproduced'] == 'inconclusive' and row['effect'] is None and row['n'] == 0
  assert row['evidence'].startswith('not measured')
  row, = claims.evaluate([Claim('x', 'x', A, B, 'above', bins=(1,))],
                         Look(table(a=[1, 0], b=[1, 0])))
  assert row['effect'] is None


def test_six_questions_that_differ_are_too_few_for_eleven_claims():
  """A difference that a bootstrap of its own cannot see to be luck: p = 2 / 64, times 11."""
  left = np.zeros(800)
  left[:6] = 1
  alone = verdict(left, np.zeros(800))
  assert alone['reproduced'] is True and alone['p'] == pytest.approx(2 / 64)
  assert alone['differing'] == 6
  many = [Claim(f'c{i}', 'x', A if i == 0 else B, B, 'above') for i in range(11)]
  rows = claims.evaluate(many, Look(table(a=left, b=np.zeros(800))))
  assert rows[0]['p'] == pytest.approx(11 * 2 / 64) and rows[0]['reproduced'] == 'inconclusive'


def test_no_difference_anywhere_is_no_certainty():
  row = verdict(np.ones(83), np.ones(83))
  assert row['effect'] == 0 and row['ci95'][0] < -0.02 and row['ci95'][1] > 0.02


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
    rows = claims.evaluate(many, Look(table(b=np.zeros(50), **sides)))
    wrong += any(r['reproduced'] != 'inconclusive' for r in rows)
    uncorrected += any(r['ci95'][0] > 0 for r in rows)
  assert wrong <= 10 < 15 < uncorrected


def test_a_direction_that_there_is_not():
  with pytest.raises(InputError, match='claim x: direction'):
    Claim('x', 'x', A, B, 'up')
