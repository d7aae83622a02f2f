"""Bins of questions by difficulty, 1 = easiest to 5 = hardest (paper, section 3.2).

Estimates come from a pool of samples apart from the one whose accuracy is reported, so that luck in
a question's scored samples does not choose its bin.
"""

from __future__ import annotations

import hashlib

import numpy as np

from tts.eval.samples import Samples

BINS = 5


def oracle_estimate(pool: Samples) -> np.ndarray:
  """Pass@1 of each question, float64 [Q]; a sample without an answer is wrong."""
  return (pool.correct & pool.votes).mean(axis=1)


def predicted_estimate(pool: Samples) -> np.ndarray | None:
  """Mean verifier score of each question's samples, float64 [Q]; no gold answer is used.

  A sample without an answer scores 0: that it cannot be right needs no gold answer. None where the
  pool has not been scored.
  """
  if np.isnan(pool.answer_score[pool.votes]).any() or not pool.votes.any():
    return None
  return np.where(pool.votes, pool.answer_score, 0.0).mean(axis=1)


def quintiles(ids: tuple[str, ...], estimate: np.ndarray, bins: int = BINS) -> dict[str, int]:
  """Bins of equal size, sizes differing by one at most.

  Args:
    ids: problem ids [Q].
    estimate: float64 [Q], higher = easier. Equal ones are ordered by the id's SHA-256, an order
      that knows nothing of the question.
    bins: how many.

  Returns:
    id -> bin, 1 = the highest estimates.
  """
  digest = [hashlib.sha256(i.encode()).digest() for i in ids]
  order = sorted(range(len(ids)), key=lambda q: (-estimate[q], digest[q]))
  return {ids[q]: rank * bins // len(ids) + 1 for rank, q in enumerate(order)}


def schemes(pool: Samples | None, questions: Samples | None) -> dict[str, dict[str, int]]:
  """Every binning that can be made: `oracle`, `predicted`, `level`, each id -> bin.

  Args:
    pool: the difficulty pool, or None.
    questions: any samples of the reported questions, for their external levels, or None.
  """
  out = {}
  if pool is not None:
    out['oracle'] = quintiles(pool.ids, oracle_estimate(pool))
    predicted = predicted_estimate(pool)
    if predicted is not None:
      out['predicted'] = quintiles(pool.ids, predicted)
  if questions is not None:
    levels = {i: int(v) for i, v in zip(questions.ids, questions.level) if v > 0}
    if levels:
      out['level'] = levels
  return out
