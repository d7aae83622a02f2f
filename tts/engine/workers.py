"""A model at work: the lanes that write and read with it, and where its texts are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tts import parallel
from tts.engine.nodes import Node
from tts.engine.reader import Reader
from tts.engine.shape import Shape
from tts.engine.store import Store
from tts.engine.writer import Writer
from tts.sampling.decode import Limits
from tts.sampling.logits import SamplingConfig

Make = Callable[[Any], Any]  # parameters --> a model's functions, inside a compiled program


class _Worker:
  """What both have."""

  def __init__(self, mesh: parallel.Mesh):
    self._store = Store(mesh)

  @property
  def workers(self) -> list[Writer | Reader]:
    """What computes with it, readers first."""
    return [self.reader]

  def hold(self, node: Node | None, times: int = 1) -> Node | None:
    """So many more hold the text."""
    if node is not None:
      node.uses += times
    return node

  def release(self, group: int, node: Node | None) -> None:
    """One holds it no longer."""
    self._store.tables[group].release(node)


class Author(_Worker):
  """A generator."""

  def __init__(self, mesh: parallel.Mesh, make: Make, params: Any, shape: Shape,
               sampling: SamplingConfig, limits: Limits):
    super().__init__(mesh)
    self.writer = Writer(self._store, make, params, shape, sampling, limits)
    self.reader = Reader(self._store, make, params, shape, values=False)
    self.limits = limits

  @property
  def workers(self) -> list[Writer | Reader]:
    return [self.reader, self.writer]


class Judge(_Worker):
  """A verifier."""

  def __init__(self, mesh: parallel.Mesh, make: Make, params: Any, shape: Shape):
    super().__init__(mesh)
    self.reader = Reader(self._store, make, params, shape, values=True)


def attended(before: int, tokens: int) -> int:
  """Keys that so many tokens attend to behind a text of `before`: each all before it, and itself."""
  return tokens * before + tokens * (tokens + 1) // 2
