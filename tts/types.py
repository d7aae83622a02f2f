"""The vocabulary that every module shares.

Dimension letters, used in shape comments throughout:

  B  problems (questions) in a block
  N  candidates of a problem; charged N generations, or N (k + 1) with lookahead k
  M  children of a kept candidate in beam search; K = max(1, N // M) are kept
  J  jobs (samples or rollouts) queued for a problem, served by N slots
  P  columns of the shared prefix (prompt, or prompt and solution)
  T  columns of a candidate's own tokens
  C  columns of the chunk being written
  S  rounds (steps) of a search
  V  vocabulary, D model width, H query heads, K_kv key/value heads, E head size
  G  device groups along the mesh's `data` axis

The parameter ratio of two models is `scale`: the paper calls it M too.
"""

from __future__ import annotations

import dataclasses

# Ids of the tokenizers that are trained here; others' say their own. 0 also fills buffers where
# nothing is read, whatever the vocabulary.
PAD_ID, BOS_ID, EOS_ID, UNK_ID = 0, 1, 2, 3
NO_PARENT = -1


class InputError(ValueError):
  """A mistake in what the user gave: one line that says what, where and the fix.

  Launchers print it alone and exit with status 2.
  """


class LostError(RuntimeError):
  """Another process of the run is gone, and this one cannot go on without it."""


@dataclasses.dataclass(frozen=True)
class Problem:
  """One question.

  Attributes:
    id: unique in its benchmark; what records and messages call it.
    prompt: the text that the model continues, its final newline included.
    answer: the gold answer, or None where there is none.
    level: external difficulty, 1 (easiest) to 5, or None.
    solution: a worked solution in the format that the model is to write, or None.
    key: what its random keys come from: of the text alone, unique and stable. None is the id.
  """

  id: str
  prompt: str
  answer: str | None = None
  level: int | None = None
  solution: str | None = None
  key: str | None = None

  @property
  def identity(self) -> str:
    """What its random keys come from, wherever it stands in a list."""
    return self.key or self.id


def num_candidates(method: str, budget: int, lookahead: int | None,
                   chain_length: int | None = None) -> int:
  """N of a budget: what a strategy has to choose from.

  k simulated steps for each one kept are charged as generations of their own, and so are the
  answers that a search's candidates are written after.
  """
  before = 0 if method == 'chains' else chain_length or 0
  return (budget - before) // ((lookahead or 0) + 1)


@dataclasses.dataclass(frozen=True)
class Strategy:
  """How a budget is spent: the paper's Target(theta, N, q), section 3, as a value.

  Attributes:
    method: `beam`, `lookahead`, `greedy`, `sample` (the independent pool that every best-of-N
      strategy is computed from) or `chains` (the same for every split of a budget into chains of
      revisions).
    budget: what it is charged, in full generations.
    beam_width: M, children per kept candidate; None where it does not apply.
    lookahead: k, steps simulated before scoring; None for plain beam search.
    chain_length: answers of a chain of revisions, each written after the last ones; the budget is
      so many for each chain. Of a search, the answers that its candidates are written after. None
      where nothing is revised.
  """

  method: str
  budget: int
  beam_width: int | None = None
  lookahead: int | None = None
  chain_length: int | None = None

  @property
  def num_candidates(self) -> int:
    return num_candidates(self.method, self.budget, self.lookahead, self.chain_length)

  @property
  def theta(self) -> dict[str, int | None]:
    found = {'beam_width': self.beam_width, 'lookahead': self.lookahead}
    if self.chain_length is not None:
      found['chain_length'] = self.chain_length
    return found

  @property
  def name(self) -> str:
    """Folder name of its records, e.g. `beam-m4-n16`."""
    parts = [self.method]
    if self.beam_width is not None:
      parts.append(f'm{self.beam_width}')
    if self.lookahead is not None:
      parts.append(f'k{self.lookahead}')
    if self.chain_length is not None:
      parts.append(f'l{self.chain_length}')
    return '-'.join([*parts, f'n{self.budget}'])
