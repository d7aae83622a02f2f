"""All flips of signs against counting them one by one, and against the binomial."""

import itertools
import math

import numpy as np
import pytest

from tts.eval.measures import sign_flips


@pytest.mark.parametrize('values', [
    [1, 1, 1, -1, 0, 0], [0.5, 0.25, -0.75, 1.0], [1 / 3, 2 / 3, -1 / 3, 1.0, 0.0], [-1.0] * 5,
    [2.0, -1.0, -1.0]])
def test_chances_are_those_of_every_choice_of_signs(values):
  values = np.array(values)
  known = values[values != 0]
  sums = np.array([(known * s).sum() for s in itertools.product((1, -1), repeat=len(known))])
  above, below = sign_flips.chances(values)
  assert above == pytest.approx((sums >= known.sum() - 1e-9).mean())
  assert below == pytest.approx((sums <= known.sum() + 1e-9).mean())


def test_discordant_pairs_are_the_sign_test():
  for wins, losses in ((6, 0), (14, 5), (300, 240)):
    values = np.concatenate([np.ones(wins), -np.ones(losses), np.zeros(800)])
    n = wins + losses
    want = sum(math.comb(n, k) for k in range(wins, n + 1)) / 2**n
    assert sign_flips.chances(values)[0] == pytest.approx(want, rel=1e-6)


def test_values_that_are_no_lattice_are_near_their_own_chances():
  values = np.random.default_rng(0).normal(0.3, 1, 15)
  sums = np.array([(values * s).sum() for s in itertools.product((1, -1), repeat=15)])
  assert sign_flips.chances(values)[0] == pytest.approx((sums >= values.sum()).mean(), abs=0.01)


def test_nothing_differs():
  assert sign_flips.chances(np.zeros(9)) == (1.0, 1.0) == sign_flips.chances(np.zeros(0))
