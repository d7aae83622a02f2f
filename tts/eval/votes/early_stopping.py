"""Stopping a vote early: how many samples are drawn until no further one can change the answer.

Samples come one after the other. The vote is settled once its leader is ahead of every other
answer, those not seen yet among them, by more than the samples still to come could give. The answer
is that of all samples, always; only their number falls.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tts.eval.measures import answer_choice, outcomes as outcomes_lib, statistics, vote_groups
from tts.eval.storage.runfiles import RunFiles
from tts.eval.storage.samples import NO_ANSWER, Samples


def drawn(answer: np.ndarray, weight: np.ndarray) -> np.ndarray:
  """Samples that are drawn until the vote is settled, int64 [R], 1 to N.

  Args:
    answer: int64 [R, N], NO_ANSWER or any number that equal answers of a row share.
    weight: float64 [R, N], each from 0 to 1, read where there is an answer.
  """
  votes = answer != NO_ANSWER
  if ((weight < 0) | (weight > 1))[votes].any():
    raise ValueError('a vote may weigh from 0 to 1')
  return settled(lead(answer, weight))


def lead(answer: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
  """How far the leader is ahead after each sample, float64 [R, N]; arguments as of `drawn`."""
  second, leader = answer_choice.two_largest(
      answer, np.ones(answer.shape) if weight is None else weight)
  return leader - second


def settled(lead: np.ndarray) -> np.ndarray:
  """Samples after which those still to come could not change a vote, int64 [R], 1 to N.

  lead: of the first N samples.
  """
  size = lead.shape[1]
  # Equal totals go to the lower slot; a lead that could be made up to a tie is not settled.
  done = lead > size - 1 - np.arange(size)
  return np.where(done.any(axis=1), done.argmax(axis=1) + 1, size)


def _per_question(pool: Samples, size: int, weight: np.ndarray) -> np.ndarray:
  """Mean over the pool's groups of `size`, float64 [Q]."""
  stops = drawn(vote_groups.tries(pool, size), answer_choice.groups(weight, size))
  return stops.reshape(len(pool.ids), -1).mean(axis=1)


def rows(run: RunFiles) -> Iterator[dict[str, Any]]:
  """Per vote and budget how many samples are drawn on average, and its interval."""
  for pool in run.pools('base')[:1]:
    weights = {'majority': np.ones(pool.answer.shape)}
    score = outcomes_lib.scores(pool, pool.main, 'last')
    if score is not None:
      weights['best_of_n_weighted'] = score
    for size in outcomes_lib.budgets(pool.setting.strategy.budget)[1:]:
      for strategy, weight in weights.items():
        values = _per_question(pool, size, weight)
        yield {'strategy': strategy, 'budget': size, 'generations': float(values.mean()),
               'ci95': statistics.mean_interval(values), 'n': len(values)}
