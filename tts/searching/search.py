"""Step-level search against a process reward model (paper, section 5): one question's.

A round: every live row is written to its step's end, the verifier reads the new tokens, and where
that is asked for, where the row leads; then the method says which rows go on in which slots. A row
is read as soon as it is written; only the method waits for all of the question's rows, and for
nobody else's. A generator that scores what it writes has the scores beside the tokens, and nothing
is read.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from tts import rng
from tts.engine.coroutines import together
from tts.engine.engine_models import attended, EngineGenerator, EngineVerifier, Spent
from tts.engine.nodes import Node
from tts.engine.reader import Read
from tts.engine.writer import Write, Written
from tts.roles import Ids
from tts.searching import tree
from tts.searching.method import Allocation, EMPTY, Method, Rows
from tts.types import NO_PARENT, PAD_ID


@dataclasses.dataclass(frozen=True)
class Question:
  """What a search begins with.

  Attributes:
    prompt: the generator's ids.
    own: the verifier's, of the question alone.
    keys: uint32 [N, 2], of the slots.
    key: uint32 [2], of the method; another than any slot's.
  """

  prompt: Sequence[int]
  own: Sequence[int]
  keys: np.ndarray
  key: np.ndarray


# A step's tokens, how many steps the verifier has read of the row before, and how many of its own
# ids --> the ids that it is to read.
Rewrite = Callable[[Ids, int, int], Ids]


def same_ids(tokens: Ids, before: int, used: int) -> Ids:
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
  step_tokens: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int32))
  step_logprob: float = 0.0  # both of the newest step


class Search:
  """One question's search; `run` is its coroutine."""

  def __init__(self, generator: EngineGenerator, verifier: EngineVerifier | None,
               question: Question, method: Method, group: int, rewrite: Rewrite = same_ids):
    """verifier: None where the generator scores what it writes."""
    self._generator, self._verifier, self._question = generator, verifier, question
    self._method, self._group, self._rewrite = method, group, rewrite
    self._nodes: list[tree.Node] = []
    self._spent = [generator.opening(question.prompt), Spent()]  # by generator and verifier

  async def run(self) -> tree.Tree:
    """Rounds until none of the rows that are kept goes on."""
    generator, verifier, group = self._generator, self._verifier, self._group
    num = len(self._question.keys)
    opened = [generator.opened(group, self._question.prompt)]
    if verifier is not None:
      opened.append(verifier.opened(group, self._question.own))
    prompt, question = [*await together(opened), None][:2]
    rows: list[_Row | None] = [_Row(generator.hold(prompt), self._hold(question))
                               for _ in range(num)]
    generator.release(group, prompt)
    self._release(question)
    parent, carry = np.arange(num, dtype=np.int32), self._method.begin(num)
    for index in range(generator.limits.max_steps):
      await together([self._step(row, self._question.keys[n])
                      for n, row in enumerate(rows) if row is not None and row.live])
      self._record(rows, index)
      found = self._allocated(rows, parent, carry, index)
      parent, carry = found.parent, found.carry
      rows = self._branch(rows, parent)
      if found.stop:
        break
    self._drop(rows)
    return tree.Tree(
        nodes=self._nodes, **self._costs(),
        candidates=[(n, row.node) for n, row in enumerate(rows)
                    if row is not None and not row.live])

  async def _step(self, row: _Row, key: np.ndarray) -> None:
    """A row's step, read; with lookahead where it leads, too."""
    ahead = self._method.lookahead
    assert row.text is not None  # it goes on
    written = await Write(self._generator.writer, self._group, row.text, key, steps=1, ahead=ahead,
                          place=(row.step, row.position, 0, 0), keep=True)
    self._spent[0] += self._generator.spent(row.text, written)
    self._generator.release(self._group, row.text)
    own, more = written.tokens[:written.own], written.tokens[written.own:]
    row.written, row.text = written, written.node
    row.step, row.position = row.step + written.live, row.position + written.own
    row.live, row.finished = written.live, written.finished
    row.step_tokens, row.step_logprob = own, float(written.logprob[:written.own].sum(
        dtype=np.float32))
    if self._verifier is None:
      values = _sound(written.values)
      row.score, row.judged = float(values[written.own - 1]), float(values[-1])
      return
    await self._read(row, own)
    row.judged = row.score
    if len(more):
      scout = dataclasses.replace(row, read=self._hold(row.read))
      begin = 0
      for end in self._generator.limits.roles.step_ends(more):
        await self._read(scout, more[begin:end])
        begin = end
      self._release(scout.read)
      row.judged = scout.score

  async def _read(self, row: _Row, tokens: np.ndarray) -> None:
    """The verifier reads a step of the row, in its own ids."""
    ids = self._rewrite(tokens, row.steps_read, row.ids_read)
    if not len(ids):
      return
    assert self._verifier is not None and row.read is not None
    seen = await Read(self._verifier.reader, self._group, row.read, ids, own=True, keep=True)
    self._spent[1] += Spent(len(ids), attended(row.read.end, len(ids)))
    self._release(row.read)
    row.read, row.score = seen.node, float(_sound(seen.values)[-1])
    row.steps_read, row.ids_read = row.steps_read + 1, row.ids_read + len(ids)

  def _hold(self, read: Node | None) -> Node | None:
    """A text of the verifier's, held once more."""
    return read if self._verifier is None else self._verifier.hold(read)

  def _release(self, read: Node | None) -> None:
    if self._verifier is not None:
      self._verifier.release(self._group, read)

  def _costs(self) -> dict[str, Any]:
    """Fields of a tree."""
    return {'entered': np.array([spent.entered for spent in self._spent]),
            'attended': np.array([spent.attended for spent in self._spent]),
            'discarded': self._spent[0].discarded}

  def _record(self, rows: list[_Row | None], index: int) -> None:
    """The steps of this round as nodes of the tree."""
    for slot, row in enumerate(rows):
      if row is None or row.written is None:
        continue
      written, simulation = row.written, None
      if self._method.lookahead and row.live:
        simulation = tree.Simulation(written.tokens[written.own:], row.judged, written.ended)
      self._nodes.append(tree.Node(
          parent=row.node, round=index, slot=slot, tokens=written.tokens[:written.own],
          score=row.score, logprob=row.step_logprob, live=row.live, finished=row.finished,
          simulation=simulation, **_statistics(written)))
      row.node = len(self._nodes) - 1

  def _allocated(self, rows: list[_Row | None], parent: np.ndarray, carry: Any,
                 index: int) -> Allocation:
    """Where the method says that rows go on."""
    num, limits = len(rows), self._generator.limits
    token = np.full((num, limits.max_step_tokens), PAD_ID, np.int32)
    length, logprob = np.zeros(num, np.int32), np.zeros(num, np.float32)
    for n, row in enumerate(rows):
      if row is not None:
        length[n], logprob[n] = len(row.step_tokens), row.step_logprob
        token[n, :length[n]] = row.step_tokens
    of = lambda value, dtype: np.array([row is not None and value(row) for row in rows], dtype)
    found = _allocate(self._method)(self._question.key, Rows(
        score=of(lambda row: row.judged, np.float32), logprob=logprob, token=token, length=length,
        parent=parent, live=of(lambda row: row.live, bool),
        finished=of(lambda row: row.finished, bool),
        truncated=of(lambda row: not row.live and not row.finished, bool), carry=carry,
        round=np.int32(index), max_rounds=np.int32(limits.max_steps)))
    return jax.device_get(found)

  def _branch(self, rows: list[_Row | None], parent: np.ndarray) -> list[_Row | None]:
    """The rows of the next round: slot n goes on from row parent[n]."""
    def begun(row: _Row | None) -> _Row | None:
      return row and dataclasses.replace(row, written=None, text=self._generator.hold(row.text),
                                         read=self._hold(row.read))

    new = [begun(None if p == EMPTY else rows[p]) for p in parent.tolist()]
    self._drop(rows)
    return new

  def _drop(self, rows: list[_Row | None]) -> None:
    for row in filter(None, rows):
      self._generator.release(self._group, row.text)
      self._release(row.read)


def _sound(values: np.ndarray) -> np.ndarray:
  """A verifier's values, none of which is NaN."""
  if np.isnan(values).any():
    raise FloatingPointError('the verifier gave NaN: its weights are broken')
  return values


def _statistics(written: Written) -> dict[str, Any]:
  """Fields of a node, of its own tokens, where statistics are asked for."""
  if written.statistics is None:
    return {}
  own = slice(written.own)
  return {'logprobs': written.logprob[own], 'statistics': written.statistics.at(own)}


@functools.cache
def _allocate(method: Method) -> Callable[[np.ndarray, Rows], Allocation]:
  """A method's rule, compiled: (the question's key uint32 [2], its rows)."""
  return jax.jit(lambda key, rows: method.allocate(rng.round_key(key, rows.round), rows))
