"""Replicates against plain loops; no gain from nothing, and leaks that would show one."""

import hashlib

import numpy as np
import pytest

from tts.eval.policy import crossfit, difficulty
from tts.eval.policy.difficulty import BINS, Estimator


def ids_of(questions):
  return tuple(f'q{i:03d}' for i in range(questions))


def estimator_of(rng, questions, **fields):
  estimate = rng.integers(9, size=questions) / 8  # with ties
  return Estimator('pool', 'oracle', ids_of(questions), estimate, **fields)


def by_loops(estimator, ids, accuracy, weight, order):
  """One replicate: copies are questions, cut into bins, chosen on one fold, scored on the other."""
  digest = lambda i, salt=b'': hashlib.sha256(salt + i.encode()).digest()
  copies = [q for q, w in enumerate(weight) for _ in range(int(w))]
  copies.sort(key=lambda q: (-estimator.estimate[q], digest(estimator.ids[q])))
  if estimator.bins is None:
    bins = [rank * BINS // len(copies) + 1 for rank in range(len(copies))]
  else:
    bins = [estimator.bins[q] for q in copies]
  right = count = 0
  for split in range(crossfit.SPLITS):
    members = {}
    for q, b in zip(copies, bins):
      if estimator.ids[q] in ids and b:
        word = digest(estimator.ids[q], b'fold ')[4 * split:4 * split + 4]
        fold = int.from_bytes(word, 'little') % crossfit.FOLDS
        members.setdefault((fold, b), []).append(ids.index(estimator.ids[q]))
    for (fold, b), inside in members.items():
      other = [q for (f, bin_), more in members.items() if f != fold and bin_ == b for q in more]
      best = max(order, key=lambda s: (sum(accuracy[s][q] for q in other), -list(order).index(s)))
      right += sum(accuracy[best][q] for q in inside)
      count += len(inside)
  return right / count


@pytest.mark.parametrize('questions,scored', [(23, 23), (40, 17), (6, 6)])
@pytest.mark.parametrize('given', [False, True])
def test_replicates_are_what_loops_over_copies_give(questions, scored, given):
  rng = np.random.default_rng(questions)
  estimator = estimator_of(rng, questions,
                           bins=rng.integers(6, size=questions) if given else None)
  ids = estimator.ids[:scored]
  accuracy = rng.integers(5, size=(4, scored)) / 4
  order = np.array([2, 0, 3])
  got = crossfit.crossfit(crossfit.sums(estimator, ids, accuracy), order)
  weights = crossfit.replicates(questions)
  for r in range(60):
    assert got[r] == pytest.approx(
        by_loops(estimator, ids, accuracy, weights[r], order), abs=1e-5), r
  assert got.shape == (1 + crossfit.REPLICATES,)


def test_questions_as_they_are_lie_in_the_bins_of_the_report():
  estimator = estimator_of(np.random.default_rng(0), 33)
  bins = difficulty.quintiles(estimator.ids, estimator.estimate)
  found = crossfit.sums(estimator, estimator.ids, np.ones((1, 33)))
  counts = [sum(b == k for b in bins.values()) for k in range(1, BINS + 1)]
  for weight in found.weight:  # of each split
    assert weight[..., 0].sum(axis=0).tolist() == counts
    assert (weight.sum(axis=(0, 1)) == 33).all()  # a replicate's bins hold all its copies
    assert np.abs(weight.sum(axis=0) - 33 / BINS).max() < 1


def test_one_strategy_is_its_mean():
  rng = np.random.default_rng(1)
  estimator = estimator_of(rng, 50)
  accuracy = rng.random((1, 50))
  found = crossfit.sums(estimator, estimator.ids, accuracy)
  assert crossfit.crossfit(found, np.array([0])) == pytest.approx(found.means()[0])
  expected = crossfit.replicates(50) @ accuracy[0] / 50
  assert crossfit.crossfit(found.unbinned(), np.array([0])) == pytest.approx(expected, abs=1e-6)


def test_equals_go_to_the_first():
  right = np.array([[1.0, 2.0, 2.0], [3.0, 3.0, 3.0]]).T
  assert crossfit.choose(right, np.array([2, 1, 0])).tolist() == [2, 2]
  assert crossfit.choose(right, np.array([0, 1])).tolist() == [1, 0]


def test_what_is_best_in_each_bin_is_found():
  ids = ids_of(200)
  estimate = np.arange(200) / 200
  easy = (estimate >= 0.6).astype(float)
  found = crossfit.sums(Estimator('pool', 'oracle', ids, estimate), ids, np.stack([easy, 1 - easy]))
  assert crossfit.crossfit(found, np.array([0, 1]))[0] == 1
  assert crossfit.crossfit(found.unbinned(), np.array([0, 1]))[0] == pytest.approx(0.6)


def test_several_allowances_are_each_alone():
  rng = np.random.default_rng(2)
  estimator = estimator_of(rng, 60)
  found = crossfit.sums(estimator, estimator.ids, rng.random((5, 60)))
  order, costs = np.array([3, 1, 4, 0, 2]), np.array([8.0, 2.0, 16.0, 1.0, 4.0])
  made = crossfit.levels(found, order, [1, 1, 3, 5], costs)
  for level, count in enumerate((1, 1, 3, 5)):
    assert made[level].accuracy == pytest.approx(crossfit.crossfit(found, order[:count]))
    spent = (costs[made[level].picked] * found.weight[..., 0]).sum() / found.weight[..., 0].sum()
    assert made[level].spent[0] == pytest.approx(spent)
    assert set(made[level].picked.ravel()) <= set(order[:count])


def test_who_is_scored_may_be_some_of_those_who_choose():
  rng = np.random.default_rng(3)
  estimator = estimator_of(rng, 60)
  accuracy, of = rng.random((4, 60)), rng.random(60) < 0.4
  found = crossfit.sums(estimator, estimator.ids, accuracy)
  held, rest = (crossfit.sums(estimator, estimator.ids, accuracy, of=x) for x in (of, ~of))
  assert (held.n, rest.n) == (of.sum(), 60 - of.sum())
  order = np.arange(4)
  mine, theirs = (crossfit.crossfit(found, order, x) for x in (held, rest))
  share = held.weight[0].sum(axis=(0, 1)) / 60
  assert share * mine + (1 - share) * theirs == pytest.approx(crossfit.crossfit(found, order),
                                                              abs=1e-5)


def test_folds_are_equal_shares_that_know_nothing_of_ties_and_of_each_other():
  ids = ids_of(2000)
  first, second = crossfit.folds(ids)
  for fold in (first, second):
    assert np.abs(np.bincount(fold) - 2000 / crossfit.FOLDS).max() < 60
  order = difficulty.in_order(ids, np.zeros(2000))
  assert abs(first[order[:400]].mean() - (crossfit.FOLDS - 1) / 2) < 0.6
  assert abs((first == second).mean() - 1 / crossfit.FOLDS) < 0.03


def gains(policy, draws=250, questions=40, strategies=6):
  """Policy's accuracy minus the strategies' mean, over draws of strategies that are all equal."""
  order = np.arange(strategies)
  out = []
  for draw in range(draws):
    rng = np.random.default_rng(draw)
    accuracy = (rng.random((strategies, questions)) < 0.5).astype(float)
    out.append(policy(estimator_of(rng, questions), accuracy, order, rng) - accuracy.mean())
  return np.mean(out), np.std(out) / np.sqrt(draws)


def as_it_is(estimator, accuracy, order, rng):
  return crossfit.crossfit(crossfit.sums(estimator, estimator.ids, accuracy), order)[0]


def resampled(estimator, accuracy, order, rng):
  found = crossfit.crossfit(crossfit.sums(estimator, estimator.ids, accuracy), order)
  return found[1:].mean()


def resampled_before_folding(estimator, accuracy, order, rng):
  """The planted leak: copies are told apart, so that they fall on both sides."""
  drawn = rng.integers(len(estimator.ids), size=len(estimator.ids))
  copies = Estimator('pool', 'oracle', estimator.ids, estimator.estimate[drawn])
  return as_it_is(copies, accuracy[:, drawn], order, rng)


@pytest.mark.parametrize('policy', [as_it_is, resampled])
def test_equal_strategies_give_no_gain(policy):
  gain, error = gains(policy)
  assert abs(gain) < 3.5 * error


def test_resampling_before_folding_would_gain_from_nothing():
  gain, error = gains(resampled_before_folding)
  assert gain > 5 * error


@pytest.mark.parametrize('policy', [as_it_is, resampled])
def test_choosing_on_the_scored_fold_would_gain_from_nothing(policy, monkeypatch):
  monkeypatch.setattr(crossfit, 'others', lambda values: values)
  gain, error = gains(policy, draws=60)
  assert gain > 5 * error
