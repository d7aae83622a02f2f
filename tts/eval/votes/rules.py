"""Votes of samples that need no verifier, each a function of one try at all questions.

A rule says how many tokens of each sample are written, and which sample's answer is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import dataclasses
import functools
from typing import Any, NamedTuple

import numpy as np

from tts.eval.measures import answer_choice, vote_groups
from tts.eval.storage.samples import NO_ANSWER, Samples
from tts.eval.votes import adaptive, early_stopping, trace_confidence

WARM_UP = 16  # of DeepConf online, as published; of fewer samples than 64 a quarter
CONSENSUS = 0.95  # of DeepConf online, as published
POWER = 0.5   # of Borda votes, as published
_SHARE = 8    # a window is the mean solution's length over this; published: 2,048 tokens


@dataclasses.dataclass(frozen=True, eq=False)
class Tries:
  """One try at each question: n of its N samples, in the order in which they are drawn.

  Attributes:
    pool: all samples.
    start: slot of the first one; behind the last slot it goes on with the first.
    size: n.
  """

  pool: Samples
  start: int
  size: int

  def picked(self, values: np.ndarray) -> np.ndarray:
    """[Q, N] --> [Q, n]."""
    return np.roll(values, -self.start, axis=1)[:, :self.size]

  @property
  def answer(self) -> np.ndarray:
    """int64 [Q, n], equal where the grader takes answers for one."""
    return self.picked(vote_groups.tries(self.pool, self.pool.answer.shape[1]))

  @property
  def chance(self) -> np.ndarray:
    """`adaptive.after_each` of these, float64 [Q, n]."""
    return _after_each(adaptive.after_each, self.pool, self.start)[:, :self.size]

  @property
  def factor(self) -> np.ndarray:
    """`adaptive.bayes_factors` of these, float64 [Q, n]."""
    return _after_each(adaptive.bayes_factors, self.pool, self.start)[:, :self.size]

  @property
  def lead(self) -> np.ndarray:
    """`early_stopping.lead` of these with a vote each, float64 [Q, n]."""
    return _after_each(early_stopping.lead, self.pool, self.start)[:, :self.size]

  @property
  def majorities(self) -> np.ndarray:
    """`answer_choice.majorities` of these, int64 [Q, n]."""
    return _after_each(answer_choice.majorities, self.pool, self.start)[:, :self.size]


@functools.lru_cache(128)  # what is said after n samples is the same in every try that has them
def _after_each(rule: Callable[[np.ndarray], np.ndarray], pool: Samples, start: int) -> np.ndarray:
  return rule(Tries(pool, start, pool.answer.shape[1]).answer)


class Drawn(NamedTuple):
  """What a rule made of a try."""

  tokens: np.ndarray  # int64 [Q, n] written of each sample, 0 of one that was not begun
  begun: np.ndarray   # bool [Q, n]
  slot: np.ndarray    # int64 [Q] of 0 to n - 1, or answer_choice.NOBODY


@dataclasses.dataclass(frozen=True)
class Rule:
  """A way to vote.

  Attributes:
    name: in the results.
    parameters: (name, value) pairs.
    vote: a try --> what was drawn.
    possible: whether a pool has what it reads.
    smallest: samples of a try, at least.
  """

  name: str
  parameters: tuple[tuple[str, Any], ...]
  vote: Callable[[Tries], Drawn]
  possible: Callable[[Samples], bool] = lambda pool: True
  smallest: int = 2


def window(pool: Samples) -> int:
  """Tokens of a group of DeepConf's, scaled to a pool's solutions."""
  return max(1, round(float(pool.confidence.length.mean()) / _SHARE))


def majority(tries: Tries, count: np.ndarray | int) -> Drawn:
  """Of the first `count` samples, int or int64 [Q], at least 1."""
  count = np.broadcast_to(count, len(tries.pool.ids))[:, None]
  begun = np.arange(tries.size) < count
  return Drawn(tries.picked(tries.pool.length) * begun, begun,
               np.take_along_axis(tries.majorities, count - 1, axis=1)[:, 0])


def _settled(tries: Tries) -> Drawn:
  return majority(tries, early_stopping.settled(tries.lead))


def _beta(chance: float, tries: Tries) -> Drawn:
  return majority(tries, adaptive.drawn(tries.chance, chance))


def _best_of_infinity(factor: float, tries: Tries) -> Drawn:
  return majority(tries, adaptive.drawn(tries.factor, factor))


def _all(tries: Tries, answer: np.ndarray, weight: np.ndarray) -> Drawn:
  """A weighted vote of samples that are all drawn."""
  return Drawn(tries.picked(tries.pool.length), np.ones(answer.shape, bool),
               answer_choice.vote(answer, weight))


def _borda(tries: Tries) -> Drawn:
  """Votes by the rank of a sample's self-certainty among those that answer (arXiv 2502.18581)."""
  answer = tries.answer
  sure = np.where(answer != NO_ANSWER, tries.picked(tries.pool.certainty), -np.inf)
  rank = np.argsort(np.argsort(-sure, axis=1, kind='stable'), axis=1)
  return _all(tries, answer, (answer.shape[1] - rank) ** POWER)


def threshold(score: np.ndarray, keep: float) -> np.ndarray:
  """What the best share `keep` of scores float64 [Q, n] is not below, float64 [Q, 1]."""
  return np.percentile(score, 100 * (1 - keep), axis=1, keepdims=True)


@functools.lru_cache(16)
def _measured(pool: Samples, measure: str) -> np.ndarray:
  """float64 [Q, N]; 0 of a sample without tokens."""
  return np.nan_to_num(trace_confidence.MEASURES[measure](pool.confidence, window(pool)))


def _deepconf(measure: str, keep: float, tries: Tries) -> Drawn:
  """Offline: the most confident samples vote, each by its confidence."""
  score, answer = tries.picked(_measured(tries.pool, measure)), tries.answer
  return _all(tries, np.where(score >= threshold(score, keep), answer, NO_ANSWER), score)


def warm_up(size: int) -> int:
  """Samples that are drawn whole before any is stopped."""
  return min(WARM_UP, size // 4)


def _deepconf_online(keep: float, tries: Tries) -> Drawn:
  """Samples behind the warm-up are stopped at the first group that is less confident than most of
  the warm-up's least confident ones; those that are not stopped vote, by their confidence. No more
  are begun, as many at a time as the warm-up has, once the leader has nearly all of the votes."""
  pool, first = tries.pool, warm_up(tries.size)
  score, answer = tries.picked(_measured(pool, 'lowest')), tries.answer
  least = threshold(score[:, :first], keep)
  stopped = trace_confidence.stopped(pool.confidence, window(pool),
                                     np.broadcast_to(least, pool.length.shape))
  answer = np.where(score >= least, answer, NO_ANSWER)
  begun = np.ones(answer.shape, bool)
  for count in range(first, tries.size, first):
    leader = answer_choice.two_largest(answer[:, :count], score[:, :count])[1, :, -1]
    total = np.where(answer[:, :count] != NO_ANSWER, score[:, :count], 0.0).sum(axis=1)
    begun[:, count:] &= ~((total > 0) & (leader >= CONSENSUS * total))[:, None]
  tokens = np.where(np.arange(tries.size) < first, tries.picked(pool.length),
                    tries.picked(stopped))
  return Drawn(tokens * begun, begun, answer_choice.vote(
      np.where(begun, answer, NO_ANSWER), score))


def sure(pool: Samples) -> bool:
  """Whether the self-certainty of each sample that votes is known."""
  return not np.isnan(pool.certainty[pool.votes]).any()


def traced(pool: Samples) -> bool:
  """Whether the confidence of every token is known."""
  return pool.confidence is not None and bool((pool.confidence.length == pool.length).all())


def every() -> Iterator[Rule]:
  """All rules, at published settings and beside them."""
  yield Rule('settled', (), _settled)
  for chance in (0.8, 0.9, 0.95, 0.99):
    yield Rule('beta', (('threshold', chance),), functools.partial(_beta, chance))
  for factor in (3.0, 10.0, 30.0, 100.0):
    yield Rule('best_of_infinity', (('bayes_factor', factor),), functools.partial(
        _best_of_infinity, factor))
  yield Rule('self_certainty_borda', (('power', POWER),), _borda, sure)
  for measure in trace_confidence.MEASURES:
    for keep in (0.1, 0.9):
      yield Rule('deepconf', (('measure', measure), ('keep', keep)), functools.partial(
          _deepconf, measure, keep), traced)
  for keep in (0.1, 0.9):
    yield Rule('deepconf_online', (('keep', keep),), functools.partial(_deepconf_online, keep),
               traced, smallest=8)
