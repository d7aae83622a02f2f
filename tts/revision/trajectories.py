"""What a revision model learns from: wrong answers in context, then a right one.

Of a question's independent samples each right one is the end of a trajectory (paper, section 6.1
and appendix H). Nothing here knows a tokenizer or a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import dataclasses

import numpy as np
from rapidfuzz.distance import Levenshtein

from tts import rng as rng_lib

MAX_CONTEXT = 4  # the paper's: answers in context, in training and in a chain


@dataclasses.dataclass(frozen=True)
class Answer:
  """One sample of a question.

  Attributes:
    text: as it was written.
    correct: whether its final answer is right; None where it has none that can be read.
  """

  text: str
  correct: bool | None


@dataclasses.dataclass(frozen=True)
class Trajectory:
  """Places in a question's samples.

  Attributes:
    context: of the wrong answers, in the order in which the model is shown them.
    target: of the right answer, which alone is learnt.
  """

  context: tuple[int, ...]
  target: int


def build(samples: Sequence[Answer], targets: int, generator: np.random.Generator,
          ) -> list[Trajectory]:
  """Up to `targets` trajectories of a question, each with another right sample at its end.

  k ~ U{0..4} wrong samples stand before it, of which there may be fewer. The last is the one of
  the smallest character edit distance to the right one, the first such: what the model is to write
  is then a correction of what it last read. The others are drawn without replacement.

  Args:
    samples: of the question; those without an answer are left out.
    targets: most trajectories; the right samples are drawn where there are more.
    generator: of these draws, consumed.
  """
  right = [i for i, s in enumerate(samples) if s.correct]
  wrong = [i for i, s in enumerate(samples) if s.correct is False]
  chosen = sorted(generator.permutation(right)[:targets].tolist())
  found = []
  for target in chosen:
    k = int(generator.integers(0, min(MAX_CONTEXT, len(wrong)) + 1))
    context: list[int] = []
    if k:
      nearest = min(wrong, key=lambda i: Levenshtein.distance(samples[i].text,
                                                              samples[target].text))
      others = [i for i in wrong if i != nearest]
      context = [*generator.permutation(others)[:k - 1].tolist(), nearest]
    found.append(Trajectory(tuple(context), target))
  return found


def of_question(problem_id: str, seed: int) -> np.random.Generator:
  """The draws of one question: the same whatever other questions there are."""
  return np.random.default_rng((seed, *rng_lib.problem_words([problem_id])[0].tolist()))
