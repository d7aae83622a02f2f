"""What a revision model learns from: other answers in context, then a right one.

Of a question's independent samples each right one is the end of a trajectory (paper, section 6.1
and appendix H). Nothing here knows a tokenizer or a model.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses

import numpy as np
from rapidfuzz.distance import Levenshtein

from tts import rng as rng_lib

MAX_CONTEXT = 4  # the paper's: answers in context, in training and in a chain
CONTEXTS = ('wrong', 'any')


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
    context: of the answers before it, in the order in which the model is shown them.
    target: of the right answer, which alone is learnt.
  """

  context: tuple[int, ...]
  target: int


def build(samples: Sequence[Answer], targets: int, generator: np.random.Generator,
          contexts: str = 'wrong') -> list[Trajectory]:
  """Up to `targets` trajectories of a question, each with another right sample at its end.

  k ~ U{0..4} other samples stand before it, of which there may be fewer, drawn without
  replacement. The paper's are wrong ones, and the last is the one of the smallest character edit
  distance to the right one, the first such: what the model is to write is then a correction of
  what it last read. `any` draws all of them from right and wrong ones alike, as a chain that is
  right at times will have them.

  Args:
    samples: of the question; those without an answer are left out.
    targets: most trajectories; the right samples are drawn where there are more.
    generator: of these draws, consumed.
    contexts: one of CONTEXTS.
  """
  right = [i for i, s in enumerate(samples) if s.correct]
  wrong = [i for i, s in enumerate(samples) if s.correct is False]
  chosen = sorted(generator.permutation(right)[:targets].tolist())
  found = []
  for target in chosen:
    shown = wrong if contexts == 'wrong' else [i for i in sorted(right + wrong) if i != target]
    k = int(generator.integers(0, min(MAX_CONTEXT, len(shown)) + 1))
    context: list[int] = []
    if k and contexts == 'any':
      context = generator.permutation(shown)[:k].tolist()
    elif k:
      nearest = min(wrong, key=lambda i: Levenshtein.distance(samples[i].text,
                                                              samples[target].text))
      others = [i for i in wrong if i != nearest]
      context = [*generator.permutation(others)[:k - 1].tolist(), nearest]
    found.append(Trajectory(tuple(context), target))
  return found


def stopped(chain: Sequence[Answer]) -> Trajectory | None:
  """A chain as far as its first right answer, which is learnt; None where it has none.

  On-policy trajectories, for ReST-EM (paper, appendix K). What stands before is wrong or has no
  answer, and at most as much of it as a chain has in context.
  """
  end = next((i for i, answer in enumerate(chain) if answer.correct), None)
  return None if end is None else Trajectory(tuple(range(max(0, end - MAX_CONTEXT), end)), end)


def balanced(found: Sequence[tuple[str, Trajectory]],
             generator: np.random.Generator) -> list[tuple[str, Trajectory]]:
  """As many (question, trajectory)s of each length of context as there are of the rarest.

  Else nearly all would be right at once, with nothing to revise.
  """
  by_length: dict[int, list[int]] = {}
  for i, (_, trajectory) in enumerate(found):
    by_length.setdefault(len(trajectory.context), []).append(i)
  least = min(map(len, by_length.values()), default=0)
  kept = [i for _, places in sorted(by_length.items())
          for i in generator.permutation(places)[:least].tolist()]
  return [found[i] for i in sorted(kept)]


def of_question(problem_id: str, seed: int) -> np.random.Generator:
  """The draws of one question: the same whatever other questions there are."""
  return np.random.default_rng((seed, *rng_lib.problem_words([problem_id])[0].tolist()))
