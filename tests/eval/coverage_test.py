"""Known truths: intervals hold them, factors are read off, nothing is seldom said to hold.

Two hundred studies a kind; `benchmarks/coverage.py` runs thousands.
"""

import numpy as np
import pytest

from tests.eval import coverage, known_truth


@pytest.mark.parametrize('questions,discordant,shift,tries', [
    (80, 0.0125, 0.0125, 1), (80, 0.1, 0.04, 1), (80, 0.3, 0.1, 4), (600, 0.3, 0.0, 1)])
def test_claims_intervals_hold(questions, discordant, shift, tries):
  """Where one question in 80 differs too, and often none was drawn that does."""
  found = coverage.pairs(questions, discordant, shift, 200, tries)
  assert found.share > 0.91, found  # 0.95 less three standard errors
  assert found.share < 0.985 or discordant < 0.02, found


def test_families_of_nothing_seldom_have_a_claim_that_held():
  share, _, verdicts = coverage.null_families(120, 200)
  assert share <= 0.06 and verdicts <= 0.1  # at most 5% and three standard errors


@pytest.mark.parametrize('factor,worth', [
    (1, known_truth.constant(1)), (2, known_truth.constant(2)), (4, known_truth.constant(4)),
    (None, known_truth.crossing)])
def test_factors_are_read_off_and_held(factor, worth):
  """With searches at each fourth budget alone: what was run does not change what is read."""
  found = coverage.policies(1000, worth, (1, 4, 16, 64), 50)
  ratio = found['best_of_n_weighted']
  assert factor is None or ratio.truth == pytest.approx(factor, rel=0.01)
  assert ratio.estimate == pytest.approx(ratio.truth, rel=0.12)
  assert found['best_fixed'].estimate == pytest.approx(found['best_fixed'].truth, rel=0.12)
  for name, held in found.items():
    assert held.share >= 0.84, (name, held)  # 0.95 less three standard errors and a half
  assert np.mean([held.share for held in found.values()]) > 0.93
