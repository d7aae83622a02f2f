"""Steps of a policy against studies whose truth is known."""

import numpy as np
import pytest

from tests.eval import known_truth
from tts.eval.policy import decomposition, trials
from tts.eval.policy.difficulty import Estimator

# What search adds where it is worth four times its cost, from the chances themselves.
EASE = known_truth.easy_to_hard(3000)
GAIN = float((known_truth.chance(EASE, 64.0) - known_truth.chance(EASE, 16.0)).mean())


def made(factor, budget=16, seed=0, questions=3000):
  rng = np.random.default_rng(seed)
  study = known_truth.study(known_truth.easy_to_hard(questions, rng), factor,
                            known_truth.BUDGETS[1:], rng)
  return {r['step']: r for r in decomposition.rows([study]) if r['budget'] == budget}


def test_what_is_the_searchs_is_called_the_searchs():
  found = made(known_truth.constant(4))
  search = found['search']
  assert search['against'] == 'best_of_n_weighted'
  assert search['ci95'][0] < GAIN < search['ci95'][1] and search['ci95'][0] > 0
  for step in ('choosing', 'choosing_random_bins', 'moving_random_bins'):
    assert found[step]['ci95'][0] < 0.002 and abs(found[step]['gain']) < 0.02


def test_what_is_choosings_is_called_choosings():
  """Search ahead on hard questions, behind on easy ones: bins that are drawn gain nothing."""
  found = made(known_truth.crossing)
  assert found['choosing']['gain'] > 0.01
  # The truth, of bins that are cut at the chances themselves (`known_truth.study`).
  assert found['choosing']['ci95'][0] < 0.0224 < found['choosing']['ci95'][1]
  assert found['choosing_random_bins']['gain'] < 0.003
  assert found['choosing']['accuracy'] == pytest.approx(
      found['fixed']['accuracy'] + found['choosing']['gain'], abs=1e-6)


def test_votes_stand_at_the_policys_flops():
  found = [known_truth.outcome('best_of_n_weighted', b, np.full(60, 0.5 + b / 100))
           for b in (1, 2, 4, 8)]
  found += [known_truth.outcome('majority', b, np.full(60, b / 20), verifier=None,
                                aggregation=None, selection='majority',
                                flops=np.full(60, 0.5e6 * b)) for b in (1, 2, 4, 8)]
  pool = Estimator('pool', 'oracle', found[0].ids, np.arange(60.0))
  rows = {r['budget']: r for r in decomposition.rows(trials.every(found, [pool]))
          if r['step'] == 'majority_at_equal_flops'}
  assert rows[4]['flops'] == pytest.approx(4e6) and rows[4]['generations'] == pytest.approx(8)
  assert rows[4]['accuracy'] == pytest.approx(0.4, abs=1e-4) and rows[4]['reached']
  assert rows[4]['gain'] == pytest.approx(0.4 - 0.54, abs=1e-4)
  assert not rows[8]['reached'] and rows[8]['accuracy'] == pytest.approx(0.4, abs=1e-4)


def test_a_charged_policys_placebo_pays_as_much():
  found = known_truth.outcomes(EASE[::30], known_truth.constant(2), (4, 16),
                               np.random.default_rng(0))
  price = dict.fromkeys(('generations', 'tokens', 'flops', 'seconds'), 4.0)
  estimator = Estimator('first_1', 'predicted', found[0].ids, np.arange(100.0), price)
  rows = decomposition.rows(trials.every(found, [estimator]))
  assert min(r['budget'] for r in rows) == 8 and all(r['charged'] for r in rows)
  for r in rows:
    if 'random' in r['step']:
      assert r['generations'] >= 5
  assert {r['budget'] for r in decomposition.headline(rows)} == {16}
