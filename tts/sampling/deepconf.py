"""DeepConf online (arXiv 2508.15260, section 4): samples are ended where the model gets too unsure.

Of a question's samples the first are written whole. What the least confident groups of most of them
had, no group of a later one is to be below: the first that is ends its sample, within the program
that writes it, and its lane goes to another. Those that were not ended vote, each by its least
confident group, and no more are begun once the leader has nearly all of the votes.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Hashable, Sequence
import dataclasses

import numpy as np

from tts.engine.coroutines import together
from tts.engine.engine_models import EngineGenerator
from tts.sampling import pool
from tts.sampling.pool import Sample


@dataclasses.dataclass(frozen=True)
class DeepConf:
  """How.

  Attributes:
    warm_up: samples that are written whole; as many more are begun at a time.
    keep: share of the warm-up's samples that a later sample is to be as confident as; published:
      0.1 ("low") and 0.9 ("high").
    window: tokens of a group.
    consensus: share of the votes with which the leader ends it; published: 0.95. Above 1, never.
  """

  warm_up: int
  keep: float
  window: int
  consensus: float


@dataclasses.dataclass(frozen=True)
class Found:
  """What was written for a question.

  Attributes:
    samples: in the order of their slots; fewer than were asked for where the votes agreed.
    confidence: float64 [n], each one's least confident group.
    least: what a vote's is not below.
  """

  samples: list[Sample]
  confidence: np.ndarray
  least: float

  @property
  def votes(self) -> np.ndarray:
    """bool [n], who may vote."""
    return self.confidence >= self.least


def lowest(confidence: np.ndarray, window: int) -> float:
  """Mean of the least confident group of a sample's tokens [T]; a shorter one is one group."""
  if len(confidence) <= window:
    return float(np.mean(confidence, dtype=np.float64))
  total = np.cumsum(np.concatenate([[0.0], confidence]), dtype=np.float64)
  return float((total[window:] - total[:-window]).min() / window)


def agreed(answers: Sequence[Hashable | None], weight: Sequence[float], consensus: float) -> bool:
  """Whether the answer with the most weight has so large a share of it. None has no vote."""
  total: dict[Hashable, float] = collections.defaultdict(float)
  for answer, value in zip(answers, weight):
    if answer is not None:
      total[answer] += value
  return bool(total) and max(total.values()) >= consensus * sum(total.values())


async def samples(generator: EngineGenerator, group: int, prompt: Sequence[int], keys: np.ndarray,
                  how: DeepConf, answer: Callable[[Sample], Hashable | None]) -> Found:
  """Of one question, at most a sample a key.

  Args:
    generator: with statistics, and a `window` as `how` has it.
    group: of devices.
    prompt: ids of the question.
    keys: uint32 [N, 2].
    how: of a warm-up of at most N samples.
    answer: what a sample votes for; equal ones are the same answer.
  """
  question = await generator.opened(group, prompt)
  found: list[Sample] = []
  confidence: list[float] = []
  least = -np.inf
  for first in range(0, len(keys), how.warm_up):
    found += await together([pool.draw(generator, group, question, key, least=least)
                             for key in keys[first:first + how.warm_up]])
    for sample in found[first:]:
      assert sample.statistics is not None
      confidence.append(lowest(sample.statistics.confidence, how.window))
    if first == 0:
      least = float(np.percentile(confidence, 100 * (1 - how.keep)))
    voting = [answer(sample) if sure >= least and not sample.stopped else None
              for sample, sure in zip(found, confidence)]
    if agreed(voting, confidence, how.consensus):
      break
  generator.release(group, question)
  sure = np.array(confidence)
  # One that was ended has a group below, but for rounding.
  sure[[i for i, sample in enumerate(found) if sample.stopped]] = -np.inf
  return Found(found, sure, least)
