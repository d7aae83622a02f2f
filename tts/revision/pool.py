"""Host side of `sample_chains`: its log as chains of samples, with what each cost. numpy alone."""

from __future__ import annotations

import dataclasses

import numpy as np

from tts.revision.trajectories import MAX_CONTEXT
from tts.sampling.pool import Sample


@dataclasses.dataclass(frozen=True)
class Revision:
  """One answer of a chain.

  Attributes:
    sample: its own tokens, and what these entered and attended to.
    context: places in the chain of the answers that it was written after, oldest first.
    reencoded: tokens of its context that were read for it: the newest answer's last one and the
      question again, or, once an answer is dropped, all after the first question.
    reencoded_attended: tokens that these attended to.
  """

  sample: Sample
  context: tuple[int, ...]
  reencoded: int
  reencoded_attended: int


def collect(log) -> list[list[list[Revision]]]:
  """Per problem, per chain its answers in order. `log` is a `chains.Answers` with L in front.

  Problems that only fill the block have chains without answers.
  """
  num, problems, slots = log.length.shape
  return [[[_revision(log, t, b, n) for t in range(num) if log.length[t, b, n]]
           for n in range(slots)] for b in range(problems)]


def _revision(log, t: int, b: int, n: int) -> Revision:
  length = int(log.length[t, b, n])
  token, logprob, attended = (np.asarray(x[t, b, n, :length])
                              for x in (log.token, log.logprob, log.attended))
  return Revision(
      Sample(token, logprob, int(np.count_nonzero(attended)), int(attended.sum())),
      tuple(range(max(0, t - MAX_CONTEXT), t)), int(log.read[t, b, n]),
      int(log.read_attended[t, b, n]))
