"""Reads tokens that are given: questions, and steps whose values a verifier is asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from tts import placement
from tts.engine import all_programs, nodes as nodes_lib
from tts.engine.coroutines import Job
from tts.engine.nodes import Node
from tts.engine.shape import Shape
from tts.engine.store import Store
from tts.engine.worker import Worker
from tts.protocols import Make, Params
from tts.roles import Ids


@dataclasses.dataclass
class Seen:
  """What a job read.

  Attributes:
    values: float32 [n], the verifier's at every token; empty of a generator. [n, F] of one that
      gives what is learnt from (`tts.models.latent_states.States`).
    node: the text with these tokens, which the caller holds; None where it was not to be kept.
  """

  values: np.ndarray
  node: Node | None = None


class Read(Job):
  """Tokens behind a text; awaited it gives a `Seen`."""

  def __init__(self, worker: Reader, group: int, node: Node | None, tokens: Ids, *,
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

  def __init__(self, store: Store, make: Make, params: Params, shape: Shape,
               values: bool):
    """make: parameters --> a model, inside a compiled program, a verifier where `values` is set."""
    super().__init__(store, shape.readers)
    self._params, self._shape, self._values, self._make = params, shape, values, make
    groups, count = self._ends.shape
    self._left = np.zeros((groups, count), np.int64)  # tokens of each lane's job that are not read
    self._found: list[list[list[np.ndarray]]] = [[[] for _ in range(count)] for _ in range(groups)]
    self._texts: Any = None    # `Texts`, once there are jobs
    self._reading: Any = None  # of the newest call: whose tokens, how many, and the values

  @property
  def worth(self) -> float:
    """`Shape.worth` of a call."""
    shape, wanted = self._shape, self._wanted()
    tiles = self._worth([min(self.lanes, n) for n in wanted], self._rows(max(wanted)), shape.tile)
    if not shape.long:
      return tiles
    long = [any(len(job.tokens) >= shape.long for job in queue) or bool((left >= shape.long).any())
            for queue, left in zip(self._queues, self._left)]
    return max(tiles, self._worth(long, 1, shape.long))

  def _worth(self, texts: Sequence[int] | np.ndarray, rows: int, size: int) -> float:
    """Of reading `size` tokens in `rows` lanes where each group has so many texts."""
    used = sum(min(rows, n) for n in texts) / len(texts)
    most = max(self._shape.readers * self._shape.tile, self._shape.long)
    return self._shape.worth(used * size, rows * size, most)

  def _rows(self, texts: int) -> int:
    """Lanes that are read in where so many have something to read."""
    return self._shape.few if texts <= 2 * self._shape.few else self._shape.readers

  def begin(self) -> None:
    """Fills the lanes, and has them read."""
    self._fill()
    shape = self._shape
    # Whether much of a text is read at once, and so where it is cut, depends on what is left of it.
    long = (self._left >= shape.long) & (shape.long > 0)
    tiles = (self._left > 0) & ~long
    rows = self._rows(int(tiles.sum(axis=1).max()))
    if self._worth(long.sum(axis=1), 1, shape.long) > self._worth(
        tiles.sum(axis=1), rows, shape.tile):
      self._read(long, 1, shape.long)
    else:
      self._read(tiles, rows, shape.tile)

  def _read(self, which: np.ndarray, count: int, size: int) -> None:
    """Has up to `size` tokens read in up to `count` of these lanes, bool [G, L], of each group."""
    rows = np.zeros((len(which), count, 3 + size), np.int32)
    rows[..., 0] = -1
    placed = []
    for g, of_group in enumerate(which):
      lanes = np.flatnonzero(of_group)[:count].tolist()
      placed += [(g, lane if count == self.lanes else i, lane) for i, lane in enumerate(lanes)]
    for g, i, lane in placed:
      job, left = self._jobs[g][lane], int(self._left[g, lane])
      some = job.tokens[len(job.tokens) - left:][:size]
      rows[g, i, :3 + len(some)] = lane, len(some), job.own, *some
    program = all_programs.read(self._store.mesh, self._make, self._values)
    self._texts, found = program(self._params, self._texts, rows)
    self._reading = placed, rows[..., 1], found
    # A group that has nothing to read computes nothing.
    self.computed += len({g for g, _, _ in placed}) * count * size

  def end(self) -> tuple[int, list[tuple[Read, Seen]]]:
    """How many tokens were read, and the jobs that are done."""
    placed, counts, values = self._reading
    if self._values:
      values = jax.device_get(placement.collected(values))
    over = []
    for g, i, lane in placed:
      count = int(counts[g, i])
      if self._values:
        self._found[g][lane].append(values[g, i, :count])
      self._left[g, lane] -= count
      self._ends[g, lane] += count
      if not self._left[g, lane]:
        over.append((g, lane, self._jobs[g][lane]))
    tokens = int(counts.sum())
    self.entered += tokens
    return tokens, self._over(over)

  def _fill(self) -> None:
    """Gives free lanes the jobs that wait."""
    taken = self._taken()
    for g, of_group in enumerate(taken):
      for lane, job in of_group:
        self._left[g, lane], self._found[g][lane] = len(job.tokens), []
    self._widen(self._shape.to_read(int(self._ends.max())))
    if any(taken):
      self._texts = all_programs.load(self._store.mesh)(
          (), self._texts, *self._moves(self._texts, taken))

  def _widen(self, width: int) -> None:
    """Gives the lanes room for so many tokens, if they have less."""
    if width <= self._width:
      return
    self._width = width
    if self._texts is None:
      self._texts = all_programs.empty_texts(
          self._store.mesh, self._make, self._shape.readers, self._width)(self._params)
    else:
      self._texts = all_programs.widen(self._store.mesh, self._width)((), self._texts)

  def _over(self, over: list[tuple[int, int, Read]]) -> list[tuple[Read, Seen]]:
    """Jobs that are over, (group, lane, job), with what they read; keeps the texts of these."""
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
      self._store.save(self._texts, self._width, self._texts.carry, saved)
    seen = []
    for g, lane, job in over:
      values = np.concatenate(self._found[g][lane]) if self._values else np.zeros(0, np.float32)
      seen.append((job, Seen(values, nodes.get((g, lane)))))
      self._left_by(g, lane)
    return seen
