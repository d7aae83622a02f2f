"""What writers and readers have in common: jobs that wait, and lanes that take them."""

from __future__ import annotations

import collections
from typing import Any

import numpy as np

from tts.engine import nodes as nodes_lib
from tts.engine.coroutines import Job
from tts.engine.nodes import Node
from tts.engine.pages import Pages
from tts.engine.store import Store
from tts.protocols import Texts


class Worker:
  """Lanes of every group, and the jobs that are for them. A job has `group` and `node`."""

  def __init__(self, store: Store, lanes: int):
    """lanes: of a group, at most."""
    self._store, self.lanes = store, lanes
    groups = len(store.tables)
    self._queues: list[collections.deque[Any]] = [collections.deque() for _ in range(groups)]
    self._busy = [0] * groups  # lanes that have a job
    self._jobs: list[list[Any]] = [[None] * lanes for _ in range(groups)]
    self._held: list[list[Node | None]] = [[None] * lanes for _ in range(groups)]
    self._ends = np.zeros((groups, lanes), np.int64)  # tokens of each lane's text, at most
    self._width = 0    # room of a lane, in tokens
    self.computed = 0  # tokens, those of lanes that had nothing to do among them
    self.entered = 0   # tokens that were written or read

  def submit(self, job: Job) -> None:
    self._queues[job.group].append(job)

  def _wanted(self) -> list[int]:
    """How many jobs of each group there are."""
    return [n + len(queue) for n, queue in zip(self._busy, self._queues)]

  def _left_by(self, g: int, lane: int) -> None:
    """The lane's job is done."""
    self._jobs[g][lane] = None
    self._busy[g] -= 1

  def _taken(self) -> list[list[tuple[int, Any]]]:
    """Gives free lanes the jobs that wait: per group (lane, job) of each that has another now."""
    taken: list[list[tuple[int, Any]]] = []
    for g, queue in enumerate(self._queues):
      taken.append([])
      free = [lane for lane, job in enumerate(self._jobs[g]) if job is None] if queue else []
      while queue and free:
        job = queue.popleft()
        lane = nodes_lib.nearest(job.node, self._held[g], free)
        free.remove(lane)
        self._jobs[g][lane] = job
        self._busy[g] += 1
        self._ends[g, lane] = 0 if job.node is None else job.node.end
        taken[g].append((lane, job))
    return taken

  def _moves(self, texts: Texts,
             taken: list[list[tuple[int, Any]]]) -> tuple[Pages, np.ndarray, np.ndarray]:
    """`Store.copies` for the lanes of jobs that were taken."""
    wanted = [[(lane, job.node) for lane, job in of_group] for of_group in taken]
    found = self._store.copies(texts, self._width, wanted, self._held)
    for g, of_group in enumerate(wanted):
      for lane, node in of_group:
        self._held[g][lane] = node
    return found
