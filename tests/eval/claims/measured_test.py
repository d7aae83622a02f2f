"""Differences of policies: what is chosen is chosen anew in every replicate."""

import numpy as np
import pytest

from tests.eval import known_truth
from tts.eval.claims import claim_sides, claims, measured
from tts.eval.claims.claims import Claim, Side
from tts.eval.policy import difficulty, trials
from tts.eval.policy.difficulty import Estimator

POLICY, WEIGHTED = Side('compute_optimal', bins='oracle'), Side('best_of_n_weighted')
SEARCH = Side('beam', beam_width=4)


@pytest.fixture(scope='module')
def study():
  rng = np.random.default_rng(0)
  ease = known_truth.easy_to_hard(400, rng)
  found = known_truth.outcomes(ease, known_truth.crossing, (4, 16), rng)
  pool = Estimator('pool', 'oracle', found[0].ids, ease)
  return found, trials.every(found, [pool]), {'oracle': difficulty.quintiles(pool.ids, ease)}


@pytest.fixture(scope='module')
def look(study):
  found, tried, schemes = study
  return claim_sides.look(found, tried, [], schemes)


def test_a_policys_error_is_that_of_its_choices_too(study, look):
  found = claims.difference(Claim('x', 'x', POLICY, WEIGHTED, 'above', (16,)), look)
  alone = found.values.std(ddof=1) / np.sqrt(len(found.values))
  assert found.chosen and found.error > 1.08 * alone
  level = study[1][0].policy('generations')[16]
  weighted = next(o for o in study[0] if (o.strategy, o.budget) == ('best_of_n_weighted', 16))
  assert found.mean == pytest.approx(level.accuracy[0] - weighted.accuracy.mean(), abs=1e-5)


def test_a_policys_bins_are_its_own(study, look):
  """In some of its bins the mean is that of the policy's own sums there."""
  found = claims.difference(Claim('x', 'x', POLICY, WEIGHTED, 'above', (4, 16), bins=(1, 2)), look)
  curves = study[1][0].policy('generations')
  mine = np.mean([curves[b].within((1, 2))[0] for b in (4, 16)])
  bins = study[2]['oracle']
  theirs = np.mean([np.mean([a for i, a in zip(o.ids, o.accuracy) if bins[i] in (1, 2)])
                    for o in study[0] if o.strategy == 'best_of_n_weighted'
                    and o.budget in (4, 16)])
  assert len(found.values) == 160 and found.mean == pytest.approx(mine - theirs, abs=1e-5)


def test_bins_of_fixed_strategies_are_cut_anew(look, monkeypatch):
  claim = Claim('x', 'x', SEARCH, WEIGHTED, 'above', (16,), bins=(3,))
  asked = []
  again = measured._replicates
  monkeypatch.setattr(measured, '_replicates', lambda *a: asked.append(again(*a)) or asked[-1])
  found = claims.difference(claim, look)
  assert len(found.values) == 80 and not found.chosen
  assert asked[0][0] == pytest.approx(found.mean, abs=1e-5)  # of the questions as they are
  assert found.error >= found.values.std(ddof=1) / np.sqrt(80)


def test_a_policy_between_two_budgets_is_between_their_answers(study):
  trial = study[1][0]
  low, high = (measured.policy(trial, [(1, b)]) for b in (4, 16))
  mixed = measured.policy(trial, [(0.25, 4), (0.75, 16)])
  for i in trial.found.ids[:50]:
    assert mixed.values[i] == pytest.approx(0.25 * low.values[i] + 0.75 * high.values[i])
  assert measured.policy(trial, [(1, 0.5)]) is None
