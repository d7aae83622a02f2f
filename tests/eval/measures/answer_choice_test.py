"""From scored samples to an answer: hand-made cases, a plain mirror, and what must always hold."""

import collections

import numpy as np
import pytest

from tts.eval.measures import answer_choice
from tts.eval.storage.samples import NO_ANSWER, numbered

X = NO_ANSWER
by_logprob = lambda answer, logprob: answer_choice.choose('logprob_weighted', answer, None, logprob)


def test_a_hand_made_case():
  answer = np.array([[5, 7, 7, X, 9]])
  score = np.array([[0.6, 0.3, 0.2, np.nan, 0.55]])
  assert answer_choice.best(answer, score).tolist() == [0]
  assert answer_choice.vote(answer, score).tolist() == [0]  # 0.6 against 0.3 + 0.2
  assert answer_choice.vote(answer, score + [0, 0.1, 0.1, 0, 0]).tolist() == [1]
  assert answer_choice.majority(answer).tolist() == [1]
  assert by_logprob(answer, np.log([[0.3, 0.2, 0.2, 1.0, 0.3]])).tolist() == [1]
  assert by_logprob(answer, np.log([[0.5, 0.2, 0.2, 1.0, 0.3]])).tolist() == [0]


def test_ties_go_to_the_lowest_slot():
  answer = np.array([[8, 3, 3, 8], [3, 8, 8, 3], [X, 4, 2, X]])
  assert answer_choice.majority(answer).tolist() == [0, 0, 1]
  half = np.full(answer.shape, 0.5)
  assert answer_choice.best(answer, half).tolist() == [0, 0, 1]
  assert answer_choice.vote(answer, half).tolist() == [0, 0, 1]


def test_nobody_without_answers_and_infinitely_unlikely_ones_still_count():
  answer = np.array([[X, X], [X, 2]])
  low = np.full((2, 2), -np.inf)
  assert answer_choice.best(answer, low).tolist() == [answer_choice.NOBODY, 1]
  assert answer_choice.majority(answer).tolist() == [answer_choice.NOBODY, 1]
  assert by_logprob(answer, low).tolist() == [answer_choice.NOBODY, 1]
  none = np.full((2, 2), X)
  assert answer_choice.vote(none, low).tolist() == [answer_choice.NOBODY] * 2


def test_very_negative_logprobs_do_not_underflow():
  answer = np.array([[1, 2, 2]])
  assert by_logprob(answer, np.array([[-2000.0, -2000.5, -2000.5]])).tolist() == [1]
  assert by_logprob(answer, np.array([[-2000.0, -2001.0, -2001.0]])).tolist() == [0]


def test_a_voters_nan_is_an_error():
  answer = np.array([[1, X]])
  answer_choice.best(answer, np.array([[0.1, np.nan]]))
  for choose in (answer_choice.best, answer_choice.vote):
    with pytest.raises(ValueError, match='NaN'):
      choose(answer, np.array([[np.nan, 0.1]]))


def plain_vote(answer, weight):
  """The rule as one would write it, for one row."""
  total, first = collections.defaultdict(float), {}
  for slot, (a, w) in enumerate(zip(answer, weight)):
    if a != X:
      total[a] += w
      first.setdefault(a, slot)
  return min((( -w, first[a]) for a, w in total.items()), default=(0, answer_choice.NOBODY))[1]


@pytest.mark.parametrize('size', [1, 2, 5, 16])
def test_votes_equal_the_plain_rule(size):
  rng = np.random.default_rng(size)
  answer = rng.integers(-1, 4, (300, size))
  weight = rng.choice([0.0, 0.25, 0.5, 1.0], (300, size))  # many ties
  for w, got in ((weight, answer_choice.vote(answer, weight)),
                 (np.ones_like(weight), answer_choice.majority(answer))):
    assert got.tolist() == [plain_vote(a, b) for a, b in zip(answer, w)]


def random_pool(seed, questions=40, size=16):
  rng = np.random.default_rng(seed)
  answer = rng.integers(-1, 4, (questions, size))
  return {'answer': answer, 'correct': answer == 0,
          'score': rng.random((questions, size)), 'logprob': rng.normal(-5, 2, (questions, size))}


def test_the_chosen_answer_does_not_depend_on_the_order_of_samples():
  pool = random_pool(0)
  order = np.random.default_rng(1).permutation(16)
  for name in ('best_of_n', 'best_of_n_weighted', 'logprob_weighted'):  # no ties in these
    pick = lambda p: np.take_along_axis(
        p['answer'], answer_choice.choose(name, p['answer'], p['score'], p['logprob'])[:, None], 1)
    np.testing.assert_array_equal(pick(pool), pick({k: v[:, order] for k, v in pool.items()}))


@pytest.mark.parametrize('strategy', answer_choice.SELECTIONS)
def test_one_sample_is_pass_at_one(strategy):
  pool = random_pool(2)
  accuracy, silent = answer_choice.outcome(strategy, 1, **pool)
  np.testing.assert_allclose(accuracy, pool['correct'].mean(axis=1))
  np.testing.assert_allclose(silent, (pool['answer'] == X).mean(axis=1))


@pytest.mark.parametrize('size', [1, 2, 4, 8, 16])
def test_the_oracle_is_never_beaten(size):
  pool = random_pool(3)
  oracle, _ = answer_choice.outcome('oracle', size, **pool)
  for strategy in answer_choice.SELECTIONS:
    assert (answer_choice.outcome(strategy, size, **pool)[0] <= oracle).all()


def test_accuracy_is_the_mean_over_all_disjoint_groups():
  pool = random_pool(4)
  accuracy, silent = answer_choice.outcome('best_of_n', 4, **pool)
  expected = np.zeros(40)
  for g in range(4):
    part = {k: v[:, 4 * g:4 * g + 4] for k, v in pool.items()}
    expected += answer_choice.outcome('best_of_n', 4, **part)[0] / 4
  np.testing.assert_allclose(accuracy, expected)
  assert set(np.unique(accuracy)) <= {0, 0.25, 0.5, 0.75, 1}
  assert len(answer_choice.groups(np.zeros((3, 16)), 5)) == 9  # one sample is left over


def test_a_question_without_any_answer_is_wrong_and_counted():
  answer = np.full((1, 4), X)
  for strategy in answer_choice.SELECTIONS:
    accuracy, silent = answer_choice.outcome(
        strategy, 2, answer=answer, correct=np.ones((1, 4), bool), score=np.full((1, 4), np.nan),
        logprob=np.zeros((1, 4)))
    assert accuracy.tolist() == [0] and silent.tolist() == [1]


def test_aggregation():
  steps = np.array([[0.5, 0.25, 0.75], [0.5, 0.9, np.nan], [np.nan] * 3])
  np.testing.assert_allclose(answer_choice.aggregate(steps, 'last'), [0.75, 0.9, np.nan])
  np.testing.assert_allclose(answer_choice.aggregate(steps, 'min'), [0.25, 0.5, np.nan])
  np.testing.assert_allclose(answer_choice.aggregate(steps, 'prod'), [0.09375, 0.45, np.nan])
  for how in answer_choice.AGGREGATIONS:
    assert np.isnan(answer_choice.aggregate(np.zeros((2, 0)), how)).all()
  with pytest.raises(ValueError, match='mean'):
    answer_choice.aggregate(steps, 'mean')


def test_answers_are_grouped_by_normal_form():
  assert numbered(['1/2', None, '\\frac{1}{2}', '3', '3.0']) == [0, X, 0, 1, 1]


def test_the_answer_of_one_questions_records():
  def row(slot, answer, score, truncated=False):
    return {'slot': slot, 'answer': answer, 'answer_score': score, 'truncated': truncated}

  rows = [row(3, '0.5', 0.4), row(0, '7', 0.6), row(1, '1/2', 0.3), row(2, '7', 9.0, True)]
  assert answer_choice.best_of_n_weighted_answer(rows) == '1/2'
  assert answer_choice.best_of_n_weighted_answer([row(0, None, 0.9)]) is None
  assert answer_choice.best_of_n_weighted_answer([]) is None


def plain_hierarchical(answer, score):
  """The paper's lines, for one row [chains, length]: the answer, or X."""
  representatives = []
  for chain, values in zip(answer, score):
    slot = plain_vote(chain, values)
    if slot != answer_choice.NOBODY:
      same = [i for i, a in enumerate(chain) if a == chain[slot]]
      representatives.append((chain[slot], max(values[i] for i in same)))
  if not representatives:
    return X
  names, values = zip(*representatives)
  return names[plain_vote(names, values)]


def chains(seed, num, length, count=400):
  """Answers [count, num, length], some missing, and scores of few values, NaN where none is."""
  rng = np.random.default_rng(seed)
  answer = rng.integers(-1, 4, (count, num, length))
  answer[rng.random((count, num)) < 0.1] = X
  return answer, np.where(answer == X, np.nan, rng.integers(0, 5, answer.shape) / 4)


def chosen(answer, slot):
  """The answers in the chosen slots, X for NOBODY; answer [R, N]."""
  taken = np.take_along_axis(answer, np.maximum(slot, 0)[:, None], 1)[:, 0]
  return np.where(slot == answer_choice.NOBODY, X, taken)


@pytest.mark.parametrize('num, length', [(1, 6), (6, 1), (2, 3), (3, 2), (4, 8)])
def test_hierarchical_equals_the_plain_rule(num, length):
  answer, score = chains(num, num, length)
  slot = answer_choice.hierarchical(answer, score)
  flat = answer.reshape(len(answer), -1)
  assert chosen(flat, slot).tolist() == [plain_hierarchical(a, s) for a, s in zip(answer, score)]
  # The slot is one of the highest score that its chain gives to the answer.
  chain = answer[np.arange(len(slot)), np.maximum(slot, 0) // length]
  values = score[np.arange(len(slot)), np.maximum(slot, 0) // length]
  same = chain == chosen(flat, slot)[:, None]
  top = np.where(same, values, -1).max(axis=1)
  taken = np.take_along_axis(score.reshape(flat.shape), np.maximum(slot, 0)[:, None], 1)[:, 0]
  assert (taken == top)[slot != answer_choice.NOBODY].all()


@pytest.mark.parametrize('num, length', [(1, 7), (7, 1), (1, 1)])
def test_hierarchical_of_one_chain_or_of_single_answers_is_best_of_n_weighted(num, length):
  answer, score = chains(9, num, length)
  flat = answer.reshape(len(answer), -1)
  want = answer_choice.vote(flat, score.reshape(flat.shape))
  assert chosen(flat, answer_choice.hierarchical(answer, score)).tolist() == chosen(flat, want).tolist()


def test_hierarchical_counts_a_chain_once():
  """An answer that one chain repeats does not outvote two chains; flat weighting says otherwise."""
  answer = np.array([[[7, 7, 7], [5, X, X], [6, 5, 5]]])
  score = np.array([[[0.5, 0.6, 0.5], [0.5, np.nan, np.nan], [0.1, 0.2, 0.4]]])
  assert answer_choice.hierarchical(answer, score).tolist() == [3]  # 0.5 + 0.4 against 0.6
  assert answer_choice.vote(answer.reshape(1, -1), score.reshape(1, -1)).tolist() == [0]


def test_particles_vote_as_often_as_they_are():
  answer, score = np.array([[0, 1, 1, 2]]), np.array([[0.9, 0.5, 0.2, 0.6]])
  logprob, weight = np.log(np.array([[0.4, 0.1, 0.1, 0.3]])), np.array([[1, 1, 1, 3]])
  chosen = lambda selection, weight: int(answer_choice.choose(
      selection, answer, score, logprob, weight=weight)[0])
  assert [chosen(s, weight) for s in answer_choice.UNSCORED + answer_choice.SCORED] == [3, 3, 0, 3]
  assert [chosen(s, None) for s in answer_choice.UNSCORED + answer_choice.SCORED] == [1, 0, 0, 0]
  # As if each particle were a candidate of its own.
  repeated = lambda x: np.repeat(x, weight[0], axis=1)
  for selection in answer_choice.UNSCORED + answer_choice.SCORED:
    slot = int(answer_choice.choose(selection, repeated(answer), repeated(score), repeated(logprob))[0])
    assert repeated(answer)[0, slot] == answer[0, chosen(selection, weight)]


@pytest.mark.parametrize('seed', range(20))
def test_a_vote_after_each_sample_is_the_vote_of_these(seed):
  rng = np.random.default_rng(seed)
  answer = rng.integers(-1, 1 + seed % 5, size=(30, 12))
  weight = rng.integers(0, 4, size=answer.shape) / 4 if seed % 2 else rng.random(answer.shape)
  winner, totals = answer_choice.majorities(answer), answer_choice.two_largest(answer, weight)
  for n in range(12):
    some = np.where(np.arange(12) <= n, answer, NO_ANSWER)
    np.testing.assert_array_equal(winner[:, n], answer_choice.majority(some))
    for row, given, found in zip(some, weight, totals[:, :, n].T):
      each = [given[row == a].sum() for a in set(row.tolist()) - {NO_ANSWER}]
      np.testing.assert_allclose(found, sorted([0.0, 0.0, *each])[-2:], atol=1e-12)
