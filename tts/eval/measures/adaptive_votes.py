"""Adaptive self-consistency: samples are drawn until a vote's leader is likely to stay ahead.

After each sample the two answers with the most votes, v1 and v2, are compared. Were both equally
likely, the chance of a lead like this would be small: with a uniform prior of the first one's share
among the two, the posterior chance that it is above one half is P(Bin(v1 + v2 + 1, 1/2) <= v1), and
drawing ends where that is at least a threshold (arXiv 2305.11860, the Beta rule, 0.95). Unlike
`early_stopping`, the answer may be another than that of all samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import functools
from typing import Any

import numpy as np

from tts.eval.measures import answer_choice, statistics
from tts.eval.storage.runfiles import RunFiles
from tts.eval.storage.samples import NO_ANSWER, Samples

THRESHOLDS = (0.8, 0.9, 0.95, 0.99)
_ORDERS = 16  # of a question's samples, at most: each begins with another one


@functools.cache
def chances(size: int) -> np.ndarray:
  """Posterior chance that the first of two answers is the likelier one, by the votes of both.

  float64 [size + 1, size + 1]. A coin more or less is thrown: each is the mean of those with one
  vote less on either side.
  """
  found = np.zeros((size + 2, size + 2))
  found[1:, 0] = 1.0  # of -1 votes for the second
  for first in range(1, size + 2):
    for second in range(1, size + 2):
      found[first, second] = (found[first - 1, second] + found[first, second - 1]) / 2
  return found[1:, 1:]


def after_each(answer: np.ndarray) -> np.ndarray:
  """The leader's chance (`chances`) after each sample, float64 [R, N]; 0 before any answer.

  answer: int64 [R, N], in the order in which they are drawn; NO_ANSWER has no vote.
  """
  second, leader = answer_choice.two_largest(answer, np.ones(answer.shape)).astype(int)
  return np.where(leader > 0, chances(answer.shape[1])[leader, second], 0.0)


def drawn(chance: np.ndarray, threshold: float) -> np.ndarray:
  """Samples that are drawn until the rule ends it, int64 [R], 1 to N.

  Args:
    chance: of `after_each`.
    threshold: above 0.5.
  """
  over = chance >= threshold
  return np.where(over.any(axis=1), over.argmax(axis=1) + 1, chance.shape[1])


def _right(answer: np.ndarray, correct: np.ndarray, count: np.ndarray | int) -> np.ndarray:
  """Whether the majority of the first `count` samples is right, bool [R]."""
  among = np.arange(answer.shape[1]) < np.reshape(count, (-1, 1))
  slot = answer_choice.majority(np.where(among, answer, NO_ANSWER))
  return (slot >= 0) & np.take_along_axis(correct, np.maximum(slot, 0)[:, None], axis=1)[:, 0]


def compared(answer: np.ndarray, correct: np.ndarray,
             thresholds: Sequence[float] = THRESHOLDS) -> list[dict[str, Any]]:
  """The rule beside a majority of a fixed number of samples that is as many on average.

  Args:
    answer: int64 [Q, N], NO_ANSWER has no vote.
    correct: bool [Q, N].
    thresholds: of `drawn`.

  Returns:
    For each `threshold` `generations`, `accuracy`, `majority` at the same mean cost and `difference`
    of both, each with a 95% interval over questions; `n`. A question's samples are drawn in several
    orders, each with another one first, and their mean counts.
  """
  questions, size = answer.shape
  shifts = np.unique(np.linspace(0, size, min(size, _ORDERS), endpoint=False).astype(int))
  turned = [(np.roll(answer, -s, axis=1), np.roll(correct, -s, axis=1)) for s in shifts]
  chance = [after_each(a) for a, _ in turned]
  fixed = lambda count: np.mean([_right(a, c, count) for a, c in turned], axis=0)
  out = []
  for threshold in thresholds:
    stops = [drawn(each, threshold) for each in chance]
    cost = np.mean(stops, axis=0)
    right = np.mean([_right(a, c, n) for (a, c), n in zip(turned, stops)], axis=0)
    below = int(cost.mean())
    share = cost.mean() - below  # between two numbers of samples, as often as their mean asks
    plain = fixed(below) * (1 - share) + (fixed(min(below + 1, size)) * share if share else 0)
    said = {'generations': cost, 'accuracy': right, 'majority': plain, 'difference': right - plain}
    out.append({'threshold': threshold, **{key: value for name, values in said.items() for key, value
                                           in ((name, float(values.mean())),
                                               (f'{name}_ci95', statistics.mean_interval(values)))},
                'n': questions})
  return out


def rows(run: RunFiles) -> Iterator[dict[str, Any]]:
  """Of the base's pool, by every threshold."""
  for pool in run.pools('base')[:1]:
    for row in compared(_answers(pool), pool.correct):
      yield {'rule': 'beta', 'budget': pool.setting.strategy.budget, **row}


def _answers(pool: Samples) -> np.ndarray:
  return np.where(pool.votes, pool.answer, NO_ANSWER)
