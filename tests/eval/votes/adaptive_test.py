"""Adaptive votes against their definitions, a plain loop, and what they promise."""

import collections

import numpy as np
import pytest
from scipy import stats

from tts.eval.storage.samples import NO_ANSWER
from tts.eval.votes import adaptive


def drawn(answer, threshold):
  return adaptive.drawn(adaptive.after_each(answer), threshold)


def test_the_chance_is_the_beta_posterior_s():
  """Share of the first of two answers, uniform before: Beta(v1 + 1, v2 + 1) above one half."""
  votes = np.arange(33)
  assert adaptive.chances(32) == pytest.approx(
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


def votes(*counts, size=64):
  """Of answers with so many votes, as `leader_chance` takes them."""
  found = np.zeros((1, size + 1), np.int64)
  np.add.at(found[0], list(counts), 1)
  return found


@pytest.mark.parametrize('counts', [
    [1], [5], [1, 1], [3, 1], [3, 2, 1], [10, 8, 3, 1, 1], [40, 10, 5], [32, 31]])
def test_the_leader_s_chance_is_that_of_drawn_dirichlet_shares(counts):
  """The publication draws shares; 200,000 of them say the same within their error."""
  shares = np.random.default_rng(3).gamma([*counts, adaptive.ALPHA], size=(200_000, len(counts) + 1))
  drawn_chance = (shares.argmax(axis=1) == 0).mean()
  found = adaptive.leader_chance(votes(*counts))[0]
  assert found == pytest.approx(drawn_chance, abs=4 * np.sqrt(0.25 / 200_000))


def test_the_leader_s_chance_in_closed_form():
  """One answer against what is not seen: a Beta distribution."""
  found = [adaptive.leader_chance(votes(n))[0] for n in (1, 2, 8, 64)]
  assert found == pytest.approx(stats.beta.sf(0.5, [1, 2, 8, 64], adaptive.ALPHA), abs=1e-9)
  # Two that are level share what the unseen one leaves.
  level = adaptive.leader_chance(votes(64, 64))[0]
  assert level == pytest.approx(0.5, abs=1e-9)


def test_bayes_factors_after_each_sample():
  """Odds of the leader's chance times the answers seen, whoever they are and in any order."""
  rng = np.random.default_rng(4)
  answer = rng.choice([NO_ANSWER, 3, 5, 8], (40, 12), p=[0.2, 0.4, 0.25, 0.15])
  found = adaptive.bayes_factors(answer)
  for row, factors in zip(answer.tolist(), found):
    for n in range(1, 13):
      counts = [c for _, c in collections.Counter(x for x in row[:n] if x != NO_ANSWER).items()]
      if not counts:
        assert factors[n - 1] == 0
        continue
      chance = adaptive.leader_chance(votes(*counts, size=12))[0]
      assert factors[n - 1] == pytest.approx(len(counts) * chance / (1 - chance), rel=1e-9)
