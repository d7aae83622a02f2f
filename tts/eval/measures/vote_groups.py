"""The candidates of votes: which samples of a try have the same answer."""

from __future__ import annotations

import functools

import numpy as np

from tts.eval.measures import answer_choice
from tts.eval.storage import equal_answers
from tts.eval.storage.samples import Samples

_KEPT = 32  # sizes of a pool, each read by every vote and verifier


def tries(samples: Samples, size: int) -> np.ndarray:
  """Answers in the disjoint groups of `size`, each group a try with candidates of its own.

  Args:
    samples: whose normal forms and verdicts count.
    size: samples of a try, at most N.

  Returns:
    int64 [Q * (N // size), size], equal in a row where answers are the same there.
  """
  return _tries(samples, size) if samples.equal else answer_choice.groups(samples.answer, size)


@functools.lru_cache(_KEPT)
def _tries(samples: Samples, size: int) -> np.ndarray:
  found = answer_choice.groups(samples.answer, size).copy()
  each = found.reshape(len(samples.ids), -1, size)
  for question, name in enumerate(samples.ids):
    if name in samples.equal:
      each[question] = equal_answers.grouped(each[question], samples.equal[name])
  return found
