"""Reads tokens that are given: questions, and steps whose values a verifier is asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from tts import parallel
from tts.engine import nodes as nodes_lib, programs, store as store_lib
from tts.engine.nodes import Node
from tts.engine.shape import Shape
from tts.engine.store import Store
from tts.engine.tasks import Job
from tts.engine.worker import Worker


@dataclasses.dataclass
class Seen:
  """What a job read.

  Attributes:
    values: float32 [n], the verifier's at every token; empty of a generator.
    node: the text with these tokens, which the caller holds; None where it was not to be kept.
  """

  values: np.ndarray
  node: Node | None = None


class Read(Job):
  """Tokens behind a text; awaited it gives a `Seen`."""

  def __init__(self, worker: Reader, group: int, node: Node | None, tokens: Sequence[int], *,
               own: bool = False, keep: bool = True):
    """A job.

    Args:
      worker: which reads them.
      group: of devices.
      node: the text, which the caller holds until the job is done; None for one that begins.
      tokens: one at least.
      own: whether a generator wrote them: they are part of a solution.
      keep: whether the text with them is kept.
    """
    self.worker, self.group, self.node, self.own, self.keep = worker, group, node, own, keep
    self.tokens = np.asarray(tokens, np.int32)


class Reader(Worker):
  """The reading lanes of one model, in every group."""

  def __init__(self, store: Store, make: Callable[[Any], Any], params: Any, shape: Shape,
               values: bool):
    """make: parameters --> a model, inside a compiled program, a verifier where `values` is set."""
    super().__init__(store, shape.readers)
    self._params, self._shape, self._values, self._make = params, shape, values, make
    groups, count = self._ends.shape
    self._read = np.zeros((groups, count), np.int64)  # tokens of each lane's job, so far
    self._found: list[list[list[np.ndarray]]] = [[[] for _ in range(count)] for _ in range(groups)]
    self._width, self._texts = 0, None

  def run(self) -> int:
    """Fills the lanes, reads a tile in each, and hands in what is done. How many tokens were read."""
    self._fill()
    tile, shape = self._shape.tile, self._ends.shape
    tokens, counts = np.zeros((*shape, tile), np.int32), np.zeros(shape, np.int32)
    own = np.zeros(shape, bool)
    for g, jobs in enumerate(self._jobs):
      for lane, job in enumerate(jobs):
        if job is not None:
          some = job.tokens[self._read[g, lane]:self._read[g, lane] + tile]
          tokens[g, lane, :len(some)], counts[g, lane], own[g, lane] = some, len(some), job.own
    program = programs.read(self._store.mesh, self._make, self._values)
    self._texts, values = program(self._params, self._texts, tokens, counts, own)
    if self._values:
      values = jax.device_get(parallel.collected(values))
    self._read += counts
    self._ends += counts
    self.entered += int(counts.sum())
    # A group that has nothing to read computes nothing.
    self.computed += int(counts.any(axis=1).sum()) * tokens[0].size
    over = []
    for g, jobs in enumerate(self._jobs):
      for lane, job in enumerate(jobs):
        if job is not None:
          if self._values:
            self._found[g][lane].append(values[g, lane, :counts[g, lane]])
          if self._read[g, lane] == len(job.tokens):
            over.append((g, lane, job))
    self._hand_in(over)
    return int(counts.sum())

  def _fill(self) -> None:
    """Gives free lanes the jobs that wait."""
    taken = self._taken()
    for g, of_group in enumerate(taken):
      for lane, _ in of_group:
        self._read[g, lane], self._found[g][lane] = 0, []
    self._widen(int(self._ends.max()) + max(self._shape.tile, nodes_lib.SIZE))
    if any(taken):
      self._texts, _ = self._loaded(self._texts, taken)

  def _widen(self, need: int) -> None:
    """Makes the lanes' room for so many tokens, if it is less."""
    if need <= self._width:
      return
    self._width = self._shape.width(need)
    if self._texts is None:
      self._texts = programs.empty_texts(
          self._store.mesh, self._make, self._shape.readers, self._width)(self._params)
    else:
      self._texts = store_lib.widened(self._texts, self._width, self._store.mesh)

  def _hand_in(self, over: list[tuple[int, int, Read]]) -> None:
    """Hands in jobs, (group, lane, job); keeps the texts that are to be kept."""
    needed = [0] * len(self._queues)
    for g, _, job in over:
      needed[g] += nodes_lib.pages_for(len(job.tokens)) if job.keep else 0
    nodes: dict[tuple[int, int], Node] = {}
    if any(needed):
      self._store.reserve(self._texts, needed)
      saved: list[list[tuple[int, Node]]] = [[] for _ in needed]
      for g, lane, job in over:
        if job.keep:
          node = self._store.tables[g].add(job.node, len(job.tokens))
          nodes[g, lane] = self._held[g][lane] = node
          saved[g].append((lane, node))
      self._store.save(self._texts, self._texts.carry, saved)
    seen = []
    for g, lane, job in over:
      values = np.concatenate(self._found[g][lane]) if self._values else np.zeros(0, np.float32)
      seen.append((job, Seen(values, nodes.get((g, lane)))))
      self._jobs[g][lane] = None
    for job, each in seen:
      job.done(each)
