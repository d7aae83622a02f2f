"""The vocabulary that every module shares.

Dimension letters, used in shape comments throughout:

  B  problems (questions) in a block
  N  slots of a problem: rows of its search, or samples; a lookahead of k charges N (k + 1) for them
  M  children of a row that beam search keeps; K = max(1, N // M) are kept
  k  steps of lookahead
  J  jobs (samples or rollouts) of a problem
  R  texts or rows side by side in an array
  L  lanes of the engine
  W  room of a text in tokens; C  columns of a chunk, or tokens of a step; n  new tokens
  P  tokens of a prompt; T  tokens of a solution
  S  steps, or rounds of a search
  V  vocabulary, D model width, H query heads, K_kv key/value heads, E head size
  Y  layers that are computed in one loop
  Q  questions in an analysis
  G  device groups along the mesh's `data` axis

Terms, one word for one thing:

  problem, question   one is asked; a problem is the question with its id and its gold answer
  prompt              the ids that a model is given: the question in its format
  solution            what a model writes to a question, in steps; its answer is found in it
  step                tokens up to a delimiter; a round of a search writes one step in every row
  row                 a partial solution in a slot of a search
  candidate           a solution that a strategy can answer with; particles of one are its weight
  sample, pool        a solution drawn on its own; so many of a question
  generator           the language model that writes solutions (base; mid and large are larger ones)
  verifier            what scores steps; PRM by labels of steps, ORM by labels of whole solutions
  method              a rule for which rows go on (`tts.methods`), with its parameters theta
  strategy            a method at a budget; also best-of-N in its forms, from the pool
  selection           how a strategy's answer is chosen among its candidates, by votes or scores
  budget              generations that a strategy is charged
  thought             what a model that thinks writes before its answer, up to a mark of its end
  finished, truncated a solution that ended by itself; that was cut off at a limit, without answer
  difficulty, bin     how rarely the base is right; 1 = easiest to 5 = hardest
  policy              which strategy each bin gets at each budget
  workdir, stage      the folder of a run, and one part of it; a block is a file of its records
  fingerprint, mark   a hash of what results were made by; theirs is moved to `stale` by another

The parameter ratio of two models is `scale`: the paper calls it M too.
"""

from __future__ import annotations

import dataclasses
from typing import Any

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


@dataclasses.dataclass(frozen=True)
class Strategy:
  """How a budget is spent: the paper's Target(theta, N, q), section 3, as a value.

  Attributes:
    method: a search method of `tts.methods`, `greedy`, `sample` (the independent pool that every
      best-of-N strategy is computed from), `budget_forcing` (independent samples whose thoughts end
      at a cap) or `chains` (the same for every split of a budget into chains of revisions).
    budget: what it is charged, in full generations.
    parameters: the method's own, (name, value) pairs by name; what is off has none. `beam_width` is
      M, `lookahead` k.
    chain_length: answers of a chain of revisions, each written after the last ones; the budget is
      so many for each chain. Of a search, the answers that its candidates are written after. None
      where nothing is revised.
  """

  method: str
  budget: int
  parameters: tuple[tuple[str, Any], ...] = ()
  chain_length: int | None = None

  @classmethod
  def of(cls, method: str, budget: int, chain_length: int | None = None,
         **parameters: Any) -> Strategy:
    """With parameters by name, those that are None left out."""
    given = sorted((k, v) for k, v in parameters.items() if v is not None)
    return cls(method, budget, tuple(given), chain_length)

  @property
  def beam_width(self) -> int | None:
    """M, children per kept row; None of a method that has none."""
    return dict(self.parameters).get('beam_width')

  @property
  def lookahead(self) -> int | None:
    """k, steps simulated before a row is scored; None of a method that has none."""
    return dict(self.parameters).get('lookahead')

  @property
  def charge(self) -> int:
    """Generations that a candidate is charged: k simulated steps are so many more."""
    return (self.lookahead or 0) + 1

  @property
  def num_candidates(self) -> int:
    """N, what it has to choose from; answers that a search goes on from are charged before."""
    before = 0 if self.method == 'chains' else self.chain_length or 0
    return (self.budget - before) // self.charge

  @property
  def others(self) -> dict[str, Any]:
    """The parameters that results have no column for."""
    return {k: v for k, v in self.parameters if k not in ('beam_width', 'lookahead')}

  @property
  def theta(self) -> dict[str, Any]:
    """All parameters, as records have them."""
    found = {'beam_width': self.beam_width, 'lookahead': self.lookahead, **self.others}
    if self.chain_length is not None:
      found['chain_length'] = self.chain_length
    return found

  @property
  def name(self) -> str:
    """Folder name of its records, e.g. `beam-m4-n16` or `rebase-temperature0.1-n16`."""
    parts = [self.method]
    for letter, value in (('m', self.beam_width), ('k', self.lookahead)):
      if value is not None:
        parts.append(f'{letter}{value}')
    parts += [f'{key}{value:g}' if isinstance(value, float) else f'{key}{value}'
              for key, value in self.others.items()]
    if self.chain_length is not None:
      parts.append(f'l{self.chain_length}')
    return '-'.join([*parts, f'n{self.budget}'])
