"""A model at work: the lanes that write and read with it, and where its texts are kept."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
from typing import TypeVar

from tts import parallel
from tts.engine.coroutines import Shared
from tts.engine.nodes import Node
from tts.engine.reader import Read, Reader
from tts.engine.shape import Shape
from tts.engine.store import Store
from tts.engine.writer import Writer, Written
from tts.protocols import MakeGenerator, MakeVerifier, Params
from tts.sampling.decode import Limits
from tts.sampling.logits import SamplingConfig

N = TypeVar('N', bound=Node | None)


@dataclasses.dataclass(frozen=True)
class Spent:
  """What jobs cost a model, so many of them added up.

  Attributes:
    entered: tokens that entered it; None where that is not known.
    attended: keys that these attended to; likewise.
    discarded: tokens that it wrote behind the end of what was asked for.
  """

  entered: int | None = 0
  attended: int | None = 0
  discarded: int = 0

  def __add__(self, other: Spent) -> Spent:
    return Spent(_added(self.entered, other.entered), _added(self.attended, other.attended),
                 self.discarded + other.discarded)


def _added(one: int | None, other: int | None) -> int | None:
  """Their sum; None where one is not known."""
  return None if one is None or other is None else one + other


class _Worker:
  """What both have."""

  reader: Reader

  def __init__(self, mesh: parallel.Mesh, shape: Shape, prefix: Sequence[int]):
    self.shape, self._prefix = shape, list(prefix)
    self._store = Store(mesh, shape.pages)
    self._roots: dict[int, Shared] = {}  # by group, the text of the prefix

  async def opened(self, group: int, prompt: Sequence[int]) -> Node:
    """A text of a question's ids, which the caller holds; what all questions share is read once."""
    prompt, shared = list(prompt), self._prefix
    if not shared or len(prompt) <= len(shared) or prompt[:len(shared)] != shared:
      return (await Read(self.reader, group, None, prompt)).node
    if group not in self._roots:
      self._roots[group] = Shared(self._root(group))
    root = await self._roots[group]
    return (await Read(self.reader, group, root, prompt[len(shared):])).node

  async def _root(self, group: int) -> Node:
    return (await Read(self.reader, group, None, self._prefix)).node

  @property
  def mesh(self) -> parallel.Mesh:
    return self._store.mesh

  @property
  def groups(self) -> int:
    """Groups of devices that work."""
    return len(self._store.tables)

  @property
  def workers(self) -> list[Writer | Reader]:
    """What computes with it, readers first."""
    return [self.reader]

  def hold(self, node: N, times: int = 1) -> N:
    """So many more hold the text."""
    if node is not None:
      node.uses += times
    return node

  def release(self, group: int, node: Node | None) -> None:
    """One holds it no longer."""
    self._store.tables[group].release(node)


class EngineGenerator(_Worker):
  """A generator."""

  def __init__(self, mesh: parallel.Mesh, make: MakeGenerator, params: Params, shape: Shape,
               sampling: SamplingConfig, limits: Limits, prefix: Sequence[int] = (),
               judge: MakeVerifier | None = None, window: int = 0):
    """A generator.

    Args:
      mesh, make, params, shape, sampling, limits: of the model, and how it writes.
      prefix: ids that questions begin with; one that does not is read whole.
      judge: of a `JudgingGenerator`, the verifier on its texts, which reads what is given.
      window: of a `Writer`.
    """
    super().__init__(mesh, shape, prefix)
    self.writer = Writer(self._store, make, params, shape, sampling, limits, window)
    self.reader = Reader(self._store, judge or make, params, shape, values=judge is not None)
    self.limits = limits

  @property
  def workers(self) -> list[Writer | Reader]:
    return [self.reader, self.writer]

  def opening(self, prompt: Sequence[int]) -> Spent:
    """What the jobs behind a question's ids cost without it, beside what `spent` says of each."""
    del prompt
    return Spent()

  def spent(self, node: Node, written: Written) -> Spent:
    """What a job behind a text cost: every token enters once, but for the last of all."""
    entered = len(written.tokens) - written.ended
    return Spent(entered, attended(node.end, entered))


class EngineVerifier(_Worker):
  """A verifier."""

  def __init__(self, mesh: parallel.Mesh, make: MakeVerifier, params: Params, shape: Shape,
               prefix: Sequence[int] = ()):
    """prefix: as of an `EngineGenerator`, in the verifier's ids."""
    super().__init__(mesh, shape, prefix)
    self.reader = Reader(self._store, make, params, shape, values=True)


def in_flight(models: Sequence[EngineGenerator | EngineVerifier], rows: int) -> int:
  """Questions of a group that go through models at a time, each with so many rows."""
  return max(model.shape.in_flight(rows) for model in models)


def attended(before: int, tokens: int) -> int:
  """Keys that so many tokens attend to behind a text of `before`: all before each, and itself."""
  return tokens * before + tokens * (tokens + 1) // 2
