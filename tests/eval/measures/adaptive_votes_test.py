"""Adaptive self-consistency against its definition, a plain loop, and what it promises."""

import collections

import numpy as np
import pytest
from scipy import stats

from tts.eval.measures import adaptive_votes
from tts.eval.storage.samples import NO_ANSWER


def drawn(answer, threshold):
  return adaptive_votes.drawn(adaptive_votes.after_each(answer), threshold)


def test_the_chance_is_the_beta_posterior_s():
  """Share of the first of two answers, uniform before: Beta(v1 + 1, v2 + 1) above one half."""
  votes = np.arange(33)
  assert adaptive_votes.chances(32) == pytest.approx(
      stats.beta.sf(0.5, votes[:, None] + 1, votes + 1), abs=1e-12)


def one_by_one(answers, threshold):
  """The rule for one question, as it is told."""
  votes = collections.Counter()
  for n, answer in enumerate(answers, 1):
    if answer != NO_ANSWER:
      votes[answer] += 1
    ranked = [count for _, count in votes.most_common(2)] + [0, 0]
    if ranked[0] and stats.beta.sf(0.5, ranked[0] + 1, ranked[1] + 1) >= threshold:
      return n
  return len(answers)


@pytest.mark.parametrize('threshold', [0.7, 0.95, 0.999])
def test_samples_are_drawn_until_the_rule_ends_it(threshold):
  rng = np.random.default_rng(0)
  answer = rng.choice([NO_ANSWER, 3, 5, 8], (300, 24), p=[0.1, 0.5, 0.25, 0.15])
  assert drawn(answer, threshold).tolist() == [
      one_by_one(row, threshold) for row in answer.tolist()]


def test_four_that_agree_are_enough_at_0_95():
  assert drawn(np.full((1, 16), 7), 0.95).tolist() == [4]
  assert drawn(np.full((1, 16), NO_ANSWER), 0.95).tolist() == [16]


@pytest.mark.parametrize('threshold', [0.8, 0.9, 0.95])
def test_an_error_is_no_likelier_than_the_rule_says(threshold):
  """Of two answers whose share is uniform, the wrong one leads where it stops rarely enough."""
  rng = np.random.default_rng(1)
  share = rng.uniform(size=6_000)
  answer = (rng.uniform(size=(6_000, 100)) < share[:, None]).astype(int)
  stops = drawn(answer, threshold)
  over = stops < 100
  leads = np.array([row[:n].mean() for row, n in zip(answer, stops)]) > 0.5
  wrong = (leads != (share > 0.5))[over]
  error = wrong.mean()
  assert error - 3 * np.sqrt(error * (1 - error) / over.sum()) <= 1 - threshold
  assert error > 0.2 * (1 - threshold)  # it spends what it may


def test_beside_a_fixed_vote_of_the_same_cost():
  """Sure questions end early and unsure ones late, so that it is ahead at equal mean cost."""
  rng = np.random.default_rng(2)
  share = np.where(np.arange(400) % 2, 0.95, 0.6)
  correct = rng.uniform(size=(400, 32)) < share[:, None]
  found, everything = adaptive_votes.compared(correct.astype(int), correct, (0.95, 1.1))
  assert found['n'] == 400 and 4 < found['generations'] < 20
  assert found['difference'] == pytest.approx(found['accuracy'] - found['majority'])
  assert found['difference_ci95'][0] > 0
  assert everything['generations'] == 32 and everything['difference'] == 0
