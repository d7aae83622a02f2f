"""Step-level search against a process reward model (paper, section 5): one question's.

A round: every live row is written to its step's end, the verifier reads the new tokens, and where
that is asked for, where the row leads; then rows are selected and branch. A row is read as soon as
it is written; only the selection waits for all of the question's rows, and for nobody else's.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence

import jax
import numpy as np

from tts.engine.nodes import Node
from tts.engine.reader import Read
from tts.engine.tasks import together
from tts.engine.workers import Author, Judge, attended
from tts.engine.writer import Write, Written
from tts.search import beam, methods, tree
from tts.types import NO_PARENT, PAD_ID


@dataclasses.dataclass(frozen=True)
class BeamConfig:
  """N candidates of which K = max(1, N // M) are kept and share N children.

  They are selected by the verifier's value `lookahead` steps later; 0 is plain beam search.
  """

  num_candidates: int
  beam_width: int
  lookahead: int = 0

  @property
  def num_kept(self) -> int:
    return max(1, self.num_candidates // self.beam_width)


@dataclasses.dataclass(frozen=True)
class Question:
  """What a search begins with.

  Attributes:
    prompt: the generator's ids.
    own: the verifier's, of the question alone.
    keys: uint32 [N, 2], of the slots.
  """

  prompt: Sequence[int]
  own: Sequence[int]
  keys: np.ndarray


# A step's tokens, how many steps the verifier has read of the row before, and how many of its own
# ids --> the ids that it is to read.
Rewrite = Callable[[np.ndarray, int, int], Sequence[int]]


def same_ids(tokens: np.ndarray, before: int, used: int) -> np.ndarray:
  """`Rewrite` for a verifier with the generator's tokenizer."""
  del before, used
  return tokens


@dataclasses.dataclass
class _Row:
  """A candidate between two rounds."""

  text: Node | None     # the generator's, None where the row does not go on
  read: Node | None     # the verifier's
  step: int = 0         # delimiters written
  position: int = 0     # tokens written
  steps_read: int = 0   # by the verifier
  ids_read: int = 0
  score: float = 0.5    # of the verifier, float32
  judged: float = 0.5   # what it is selected by
  live: bool = True
  finished: bool = False
  node: int = NO_PARENT  # of the tree
  written: Written | None = None  # in this round


class Search:
  """One question's search; `run` is its coroutine."""

  def __init__(self, author: Author, judge: Judge, question: Question, config: BeamConfig,
               group: int, priority: methods.Priority = methods.by_score,
               rewrite: Rewrite = same_ids):
    self._author, self._judge, self._question = author, judge, question
    self._config, self._group, self._rewrite = config, group, rewrite
    self._select = _selection(priority, config.num_kept)
    self._nodes: list[tree.Node] = []
    self._counts = np.zeros((2, 2), np.int64)  # entered, attended to; of generator and verifier

  async def run(self) -> tree.Tree:
    """Rounds until none of the rows that are kept goes on."""
    author, judge, group, num = self._author, self._judge, self._group, self._config.num_candidates
    prompt, question = await together([
        author.opened(group, self._question.prompt), judge.opened(group, self._question.own)])
    rows = [_Row(author.hold(prompt), judge.hold(question)) for _ in range(num)]
    author.release(group, prompt)
    judge.release(group, question)
    parent = np.arange(num, dtype=np.int32)
    for index in range(author.limits.max_steps):
      await together([self._step(row, self._question.keys[n])
                      for n, row in enumerate(rows) if row.live])
      self._record(rows, index)
      stop, next_parent = self._chosen(rows, parent)
      if stop:
        break
      rows, parent = self._branch(rows, next_parent), next_parent
    self._drop(rows)
    return tree.Tree(
        nodes=self._nodes, entered=self._counts[0], attended=self._counts[1],
        candidates=[(n, row.node) for n, row in enumerate(rows) if not row.live])

  async def _step(self, row: _Row, key: np.ndarray) -> None:
    """A row's step, read; with lookahead where it leads, too."""
    ahead = self._config.lookahead
    written = await Write(self._author.writer, self._group, row.text, key, steps=1, ahead=ahead,
                          place=(row.step, row.position, 0, 0), keep=True)
    self._count(0, row.text.end, len(written.tokens) - written.ended)
    self._author.release(self._group, row.text)
    own, more = written.tokens[:written.own], written.tokens[written.own:]
    row.written, row.text = written, written.node
    row.step, row.position = row.step + written.live, row.position + written.own
    row.live, row.finished = written.live, written.finished
    await self._read(row, own)
    row.judged = row.score
    if len(more):
      scout = dataclasses.replace(row, read=self._judge.hold(row.read))
      begin = 0
      for end in self._author.limits.roles.step_ends(more):
        await self._read(scout, more[begin:end])
        begin = end
      self._judge.release(self._group, scout.read)
      row.judged = scout.score

  async def _read(self, row: _Row, tokens: np.ndarray) -> None:
    """The verifier reads a step of the row, in its own ids."""
    ids = self._rewrite(tokens, row.steps_read, row.ids_read)
    if not len(ids):
      return
    seen = await Read(self._judge.reader, self._group, row.read, ids, own=True, keep=True)
    self._count(1, row.read.end, len(ids))
    self._judge.release(self._group, row.read)
    row.read, row.score = seen.node, float(seen.values[-1])
    row.steps_read, row.ids_read = row.steps_read + 1, row.ids_read + len(ids)
    if np.isnan(row.score):
      raise FloatingPointError('the verifier gave NaN: its weights are broken')

  def _count(self, model: int, start: int, tokens: int) -> None:
    """So many tokens entered a model behind a text of `start`."""
    self._counts[:, model] += tokens, attended(start, tokens)

  def _record(self, rows: list[_Row], index: int) -> None:
    """The steps of this round as nodes of the tree."""
    for slot, row in enumerate(rows):
      if row.written is None:
        continue
      written, simulation = row.written, None
      if self._config.lookahead and row.live:
        simulation = tree.Simulation(written.tokens[written.own:], row.judged, written.ended)
      self._nodes.append(tree.Node(
          parent=row.node, round=index, slot=slot, tokens=written.tokens[:written.own],
          score=row.score, logprob=_step_logprob(written), live=row.live, finished=row.finished,
          simulation=simulation))
      row.node = len(self._nodes) - 1

  def _chosen(self, rows: list[_Row], parent: np.ndarray) -> tuple[bool, np.ndarray]:
    """Whether the search stops, and the row that each slot goes on from."""
    num, width = len(rows), self._author.limits.max_step_tokens
    token, length = np.full((num, width), PAD_ID, np.int32), np.zeros(num, np.int32)
    logprob = np.zeros(num, np.float32)
    for n, row in enumerate(rows):
      if row.written is not None:
        length[n], logprob[n] = row.written.own, _step_logprob(row.written)
        token[n, :length[n]] = row.written.tokens[:length[n]]
    of = lambda name, dtype: np.array([getattr(row, name) for row in rows], dtype)
    _, stop, following = self._select(methods.Rows(
        score=of('judged', np.float32), logprob=logprob, token=token, length=length, parent=parent,
        live=of('live', bool), finished=of('finished', bool)))
    return bool(stop), np.asarray(following)

  def _branch(self, rows: list[_Row], parent: np.ndarray) -> list[_Row]:
    """The rows of the next round: slot n goes on from row parent[n]."""
    new = [dataclasses.replace(rows[p], written=None, text=self._author.hold(rows[p].text),
                               read=self._judge.hold(rows[p].read)) for p in parent.tolist()]
    self._drop(rows)
    return new

  def _drop(self, rows: list[_Row]) -> None:
    for row in rows:
      self._author.release(self._group, row.text)
      self._judge.release(self._group, row.read)


def _step_logprob(written: Written) -> float:
  return float(written.logprob[:written.own].sum(dtype=np.float32))


@functools.cache
def _selection(priority: methods.Priority, num_kept: int) -> Callable[[methods.Rows], tuple]:
  """`beam.select` of one question's rows by a rule, compiled."""
  return jax.jit(lambda rows: beam.select(priority(rows), rows.live, rows.finished, num_kept))
