"""From scored samples to one answer: section 3.4 of the paper, on the host.

Every function takes rows of candidates, [R, N], and gives the slot that each row chooses, int64
[R], or NOBODY. A candidate without an answer has no vote. Ties go to the lowest slot, for votes to
the answer that the lowest slot holds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tts.eval.storage.equal_answers import Pairs
from tts.eval.storage.samples import NO_ANSWER, numbered

NOBODY = -1
AGGREGATIONS = ('last', 'min', 'prod')
# Ways to choose an answer; the scored ones read a verifier. Of votes `weights` says how they count.
UNSCORED = ('majority', 'logprob_weighted')
SCORED = ('best_of_n', 'best_of_n_weighted')
SELECTIONS = (*UNSCORED, *SCORED, 'oracle')
OF_CHAINS = ('hierarchical', 'newest')  # and these, of chains of revisions


def aggregate(steps: np.ndarray, how: str) -> np.ndarray:
  """One score per candidate from its step scores.

  Args:
    steps: float64 [..., S], NaN past the last step.
    how: `last`, `min` or `prod` over the steps.

  Returns:
    float64 [...]; NaN where a candidate has no step.
  """
  missing = np.isnan(steps)
  none = missing.all(axis=-1)
  if how == 'last':
    last = np.maximum((~missing).sum(axis=-1) - 1, 0)
    return np.take_along_axis(steps, last[..., None], axis=-1)[..., 0] if steps.shape[-1] else (
        np.full(steps.shape[:-1], np.nan))
  if how == 'min':
    out = np.where(missing, np.inf, steps).min(axis=-1, initial=np.inf)
  elif how == 'prod':
    out = np.where(missing, 1.0, steps).prod(axis=-1)
  else:
    raise ValueError(f'aggregation {how!r}: one of {AGGREGATIONS}')
  return np.where(none, np.nan, out)


def _checked(answer: np.ndarray, score: np.ndarray) -> np.ndarray:
  votes = answer != NO_ANSWER
  if np.isnan(score[votes]).any():
    raise ValueError('a candidate with an answer has the score NaN')
  return votes


def best(answer: np.ndarray, score: np.ndarray) -> np.ndarray:
  """The slot of the highest score. answer int64 [R, N], score float64 [R, N]."""
  votes = _checked(answer, score)
  winner = np.where(votes, score, -np.inf).argmax(axis=1)  # the first of equals
  lowest = votes.argmax(axis=1)
  # A lone -inf ties with the absent; it still is an answer.
  winner = np.where(np.take_along_axis(votes, winner[:, None], 1)[:, 0], winner, lowest)
  return np.where(votes.any(axis=1), winner, NOBODY)


def vote(answer: np.ndarray, weight: np.ndarray) -> np.ndarray:
  """The lowest slot of the answer with the largest summed weight.

  Args:
    answer: int64 [R, N], NO_ANSWER or any number that equal answers of a row share.
    weight: float64 [R, N].
  """
  rows, size = answer.shape
  winner = np.full(rows, NOBODY)
  at = np.flatnonzero(_checked(answer, weight))
  if not at.size:
    return winner
  _, number = np.unique(answer.ravel()[at], return_inverse=True)
  row = at // size
  key = row * (number.max() + 1) + number
  # return_index gives the first place of each answer, which is its lowest slot.
  _, first, group = np.unique(key, return_index=True, return_inverse=True)
  total = np.bincount(group, weight.ravel()[at])
  order = np.lexsort((at[first], -total, row[first]))
  leader_row, leader = np.unique(row[first][order], return_index=True)
  winner[leader_row] = at[first[order[leader]]] % size
  return winner


def weights(selection: str, answer: np.ndarray, score: np.ndarray | None, logprob: np.ndarray,
            weight: np.ndarray | None = None) -> np.ndarray:
  """How much each candidate's vote counts, float64 [R, N].

  Args:
    selection: one of UNSCORED or SCORED; of `best_of_n` it is the score.
    answer: int64 [R, N], NO_ANSWER has no vote.
    score: float64 [R, N]; read by SCORED alone.
    logprob: float64 [R, N], of each candidate's text.
    weight: int64 [R, N], the particles that a candidate stands for; None for 1.
  """
  if selection == 'best_of_n':
    return score
  particles = np.ones(answer.shape) if weight is None else weight.astype(float)
  if selection == 'majority':
    return particles
  if selection == 'best_of_n_weighted':
    return particles * score
  if selection == 'logprob_weighted':  # exp(logprob - the row's largest)
    shown = np.where(answer != NO_ANSWER, logprob, -np.inf)
    top = shown.max(axis=1, keepdims=True)
    return particles * np.exp(shown - np.where(np.isneginf(top), 0.0, top))
  raise ValueError(f'selection {selection!r}: one of {UNSCORED + SCORED}')


def majority(answer: np.ndarray) -> np.ndarray:
  """The most frequent answer."""
  return vote(answer, np.ones(answer.shape))


def hierarchical(answer: np.ndarray, score: np.ndarray) -> np.ndarray:
  """Best-of-N weighted within each chain of revisions, then across them (paper, appendix I).

  A chain's representative is the highest-scored candidate that has the chain's winning answer. A
  chain without any answer has none. With one chain, or chains of length 1, the answer that is
  chosen is best-of-N weighted's.

  Args:
    answer: int64 [R, chains, length], see `vote`.
    score: float64 [R, chains, length].

  Returns:
    int64 [R], place in a row's chains laid end to end, or NOBODY.
  """
  rows, chains, length = answer.shape
  each = answer.reshape(-1, length)  # --> [R * chains, length]
  first = vote(each, score.reshape(each.shape))
  # Where nobody votes, slot 0 has no answer, as all others.
  winner = np.take_along_axis(each, np.maximum(first, 0)[:, None], 1)
  place = best(np.where(each == winner, each, NO_ANSWER), score.reshape(each.shape))
  shape = rows, chains
  place, winner = np.maximum(place, 0).reshape(shape), winner.reshape(shape)
  chain = vote(winner, np.take_along_axis(score, place[..., None], 2)[..., 0])
  chosen = np.take_along_axis(place, np.maximum(chain, 0)[:, None], 1)[:, 0]
  return np.where(chain == NOBODY, NOBODY, chain * length + chosen)


def newest(answer: np.ndarray) -> np.ndarray:
  """The last slot, what a chain of revisions ends with; NOBODY where that has no answer."""
  return np.where(answer[:, -1] == NO_ANSWER, NOBODY, answer.shape[1] - 1)


def choose(selection: str, answer: np.ndarray, score: np.ndarray | None,
           logprob: np.ndarray, chain_length: int | None = None,
           weight: np.ndarray | None = None) -> np.ndarray:
  """The slots that a selection chooses, int64 [R].

  Args:
    selection: one of UNSCORED or SCORED, or of OF_CHAINS, the latter of chains of this length.
    answer, score, logprob, weight: as of `weights`.
  """
  if selection == 'hierarchical':
    chains = len(answer), -1, chain_length
    return hierarchical(answer.reshape(chains), score.reshape(chains))
  if selection == 'newest':
    return newest(answer)
  counted = weights(selection, answer, score, logprob, weight)
  return best(answer, counted) if selection == 'best_of_n' else vote(answer, counted)


def groups(values: np.ndarray, size: int) -> np.ndarray:
  """[Q, N] --> [Q * (N // size), size]: group g of a question has slots g*size and on."""
  count = values.shape[1] // size
  return values[:, :count * size].reshape(-1, size)


def outcome(selection: str, size: int, *, answer: np.ndarray, correct: np.ndarray,
            score: np.ndarray | None, logprob: np.ndarray,
            chain_length: int | None = None,
            weight: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
  """How often each question comes out right with `size` of its samples.

  The mean over all disjoint groups of `size` in the pool, each an independent try. A group in which
  nobody has an answer is wrong.

  Args:
    selection: one of SELECTIONS or OF_CHAINS; `oracle` is right if any candidate is.
    size: samples per try, at most N.
    answer: int64 [Q, N], NO_ANSWER has no vote; or in groups already, as `grouping.tries` gives it.
    correct: bool [Q, N].
    score: float64 [Q, N], or None where the selection reads none.
    logprob: float64 [Q, N].
    chain_length: of chains that lie side by side, for OF_CHAINS.
    weight: int64 [Q, N], as `choose` takes it.

  Returns:
    (accuracy float64 [Q], share of tries without any answer float64 [Q]).
  """
  a, c, p = (groups(x, size) for x in (answer, correct, logprob))
  if selection == 'oracle':
    right = (c & (a != NO_ANSWER)).any(axis=1)
  else:
    s, w = (None if x is None else groups(x, size) for x in (score, weight))
    slot = choose(selection, a, s, p, chain_length, w)
    right = (slot != NOBODY) & np.take_along_axis(c, np.maximum(slot, 0)[:, None], 1)[:, 0]
  silent = (a == NO_ANSWER).all(axis=1)
  per_question = lambda x: x.reshape(len(correct), -1).mean(axis=1)
  return per_question(right), per_question(silent)


def best_of_n_weighted_answer(rows: list[dict[str, Any]], equal: Pairs = ()) -> str | None:
  """The answer that one question's records choose, as written in the lowest slot that has it.

  `equal`: as `numbered` takes it.
  """
  rows = sorted((r for r in rows if r['answer'] is not None and not r['truncated']),
                key=lambda r: r['slot'])
  if not rows:
    return None
  answer = np.array([numbered([r['answer'] for r in rows], equal)])
  score = np.array([[r.get('weight', 1) * r['answer_score'] for r in rows]], float)
  return rows[int(vote(answer, score)[0])]['answer']


def first_slots(answer: np.ndarray) -> np.ndarray:
  """The first slot of a row with each one's answer, int64 [R, N]; answer as of `two_largest`."""
  return (answer[:, :, None] == answer[:, None, :]).argmax(axis=2)


def two_largest(answer: np.ndarray, weight: np.ndarray) -> np.ndarray:
  """The totals of the second and the first answer of a vote after each sample, float64 [2, R, N].

  Args:
    answer: int64 [R, N], NO_ANSWER or any number that equal answers of a row share; in the order in
      which they are drawn. 0 stands for an answer not seen yet.
    weight: float64 [R, N], none negative, read where there is an answer.
  """
  rows, size = answer.shape
  first = first_slots(answer)  # so that totals are [R, N]
  totals, leader = np.zeros((rows, size)), np.full(rows, NOBODY)
  second, most = np.zeros((2, rows))
  out = np.zeros((2, rows, size))
  for n in range(size):
    at = np.flatnonzero(answer[:, n] != NO_ANSWER)
    slot = first[at, n]
    totals[at, slot] += weight[at, n]
    total, same = totals[at, slot], leader[at] == slot
    ahead = ~same & (total > most[at])
    second[at] = np.where(same, second[at], np.where(ahead, most[at],
                                                     np.maximum(second[at], total)))
    most[at] = np.where(same | ahead, total, most[at])
    leader[at] = np.where(ahead, slot, leader[at])
    out[0, :, n], out[1, :, n] = second, most
  return out


def majorities(answer: np.ndarray) -> np.ndarray:
  """The winner of `majority` of the first 1 to N samples, int64 [R, N]; answer as of `vote`."""
  rows, size = answer.shape
  first = first_slots(answer)
  votes, most, leader = np.zeros((rows, size), int), np.zeros(rows, int), np.full(rows, NOBODY)
  out = np.zeros((rows, size), int)
  for n in range(size):
    at = np.flatnonzero(answer[:, n] != NO_ANSWER)
    slot = first[at, n]
    votes[at, slot] += 1
    given = votes[at, slot]
    # Of answers with as many votes the one that was first wins.
    ahead = (given > most[at]) | ((given == most[at]) & (slot < leader[at]))
    leader[at] = np.where(ahead, slot, leader[at])
    most[at] = np.maximum(most[at], given)
    out[:, n] = leader
  return out
