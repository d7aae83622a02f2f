"""What of an experiment is about revisions."""

from __future__ import annotations

import dataclasses

from tts.revision.trajectories import CONTEXTS


@dataclasses.dataclass(frozen=True)
class RevisionConfig:
  """A model that corrects its own answers (paper, section 6 and appendix H).

  Attributes:
    enabled: False leaves revisions out.
    questions: training questions (the split `revision`); the last tenth is held out.
    samples: of the base, per question (the paper: 64).
    temperature: of these samples; high, so that more of them are wrong.
    targets: right samples of a question that are learnt, at most: easy ones have many.
    contexts: what stands before a right answer: `wrong` ones, as in the paper, or `any`.
    block: questions per block.
    orm_questions: questions (of the split `verifier`) whose chains its verifiers learn from; the
      last tenth is held out.
    orm_chains: (chains, length) of each of these.
    asked: the first so many reported questions are answered in chains.
    chains: (chains, length) of each of these; a split of a budget is measured on the smallest pair
      that holds it.
    searched: (k, budget) pairs: beam search for steps of the revision model with k answers in
      context, which are charged too.
  """

  enabled: bool = False
  questions: int = 1000
  samples: int = 32
  temperature: float = 1.3
  targets: int = 6
  contexts: str = 'wrong'
  block: int = 50
  orm_questions: int = 500
  orm_chains: tuple[int, int] = (4, 6)
  asked: int = 100
  chains: tuple[tuple[int, int], ...] = ((1, 16), (4, 4), (16, 2))
  searched: tuple[tuple[int, int], ...] = ((4, 16),)

  def __post_init__(self):
    for name, value in vars(self).items():
      if isinstance(value, (int, float)) and not isinstance(value, bool) and value <= 0:
        raise ValueError(f'{name} is {value}: it must be positive')
    if self.contexts not in CONTEXTS:
      raise ValueError(f'contexts is {self.contexts!r}: one of {CONTEXTS}')
    for name, pairs in (('orm_chains', (self.orm_chains,)), ('chains', self.chains)):
      if not all(len(pair) == 2 and min(pair) > 0 for pair in pairs):
        raise ValueError(f'{name} is {getattr(self, name)}: give (chains, length), both positive')
    if not all(len(pair) == 2 and 0 < pair[0] < pair[1] for pair in self.searched):
      raise ValueError(f'searched is {self.searched}: give (k, budget), k positive and below it')
