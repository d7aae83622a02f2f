"""Writes steps and solutions: the generator's lanes, and the jobs that wait for one."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np

from tts import placement
from tts.engine import all_programs, lanes, nodes as nodes_lib
from tts.engine.coroutines import Job
from tts.engine.lanes import FINISHED, GREEDY, LIVE, STEP_ENDED, STOPPED
from tts.engine.nodes import Node
from tts.engine.shape import Shape
from tts.engine.store import Store
from tts.engine.worker import Worker
from tts.protocols import MakeGenerator, Params
from tts.sampling import decode
from tts.sampling.confidence import Statistics
from tts.sampling.logits import SamplingConfig

_NEVER = np.iinfo(np.int64).max
_NO_ID, _NO_LIMIT = -1, np.iinfo(np.int32).max
_UNWATCHED = -np.inf


@dataclasses.dataclass
class Written:
  """What a job wrote.

  Attributes:
    tokens: int32 [n], its own and then those that it looked ahead.
    logprob: float32 [n], natural log at temperature 1.
    own: how many of them are its own.
    steps: how many of these ended a step.
    live: whether the row may go on after these.
    finished: whether it ended by itself with them.
    ended: whether all that was written came to an end of the solution, or to a limit.
    stopped: whether it ended where the model was too unsure, whatever else it ended by.
    node: the text with its own tokens, which the caller holds; None where it was not to be kept.
    statistics: [n], beside `logprob`, where they are asked for.
    values: [n, ...], the text's at every token, of a generator that scores what it writes.
  """

  tokens: np.ndarray
  logprob: np.ndarray
  own: int
  steps: int
  live: bool
  finished: bool
  ended: bool
  stopped: bool = False
  node: Node | None = None
  statistics: Statistics | None = None
  values: np.ndarray | None = None


class Write(Job):
  """A step, or several, behind a text; awaited it gives a `Written`."""

  def __init__(self, worker: Writer, group: int, node: Node, key: np.ndarray, *, steps: int,
               ahead: int = 0, greedy: bool = False, place: tuple[int, int, int, int] = (0,) * 4,
               keep: bool = False, keep_ended: bool = False, inside: tuple[int, bool] = (0, False),
               until: int = _NO_ID, most: int = _NO_LIMIT, least: float = _UNWATCHED):
    """A job.

    Args:
      worker: which writes it.
      group: of devices.
      node: the text, which the caller holds until the job is done.
      key: uint32 [2], of the row's slot.
      steps: how many; it ends before where the solution does.
      ahead: so many steps more are written greedily, to see where it leads.
      greedy: whether its own are, too.
      place: steps and tokens that the row has written before, and that its slot had before that.
      keep: whether the text with its own tokens is kept, if it goes on.
      keep_ended: whether it is kept where it does not, without its last token, which never entered.
      inside: of the step that the text ends in: its tokens so far, and whether they end in a
        delimiter's first half.
      until: an id that the job ends with, as at a limit: it is drawn and does not enter.
      most: so many tokens of the row, those before the job among them, end it in the same way.
      least: a group of the writer's `window` tokens of less confidence ends it, likewise. Of a
        solution that begins with the job.
    """
    self.worker, self.group, self.node, self.key = worker, group, node, key
    self.steps, self.ahead, self.greedy, self.place = steps, ahead, greedy, place
    self.keep, self.keep_ended = keep, keep_ended
    self.inside, self.until, self.most, self.least = inside, until, most, least


class Writer(Worker):
  """The lanes of one generator, in every group."""

  def __init__(self, store: Store, make: MakeGenerator, params: Params, shape: Shape,
               sampling: SamplingConfig, limits: decode.Limits, window: int = 0):
    """Lanes without jobs.

    Args:
      store, params, shape: of the model.
      make: parameters --> a generator, inside a compiled program; hashable.
      sampling, limits: how it writes.
      window: tokens of a group whose confidence may end a solution; 0 for none. With statistics.
    """
    super().__init__(store, shape.lanes)
    self._params, self._shape, self._make, self._how = params, shape, make, (sampling, limits)
    self._logs: list[lanes.Log] = []  # of the calls that lanes' texts began in, and all after
    self._dropped = 0           # calls before these
    self._begun = np.full(self._ends.shape, _NEVER)  # call of each lane's job
    self._state: Any = None  # `Lanes`, once there are jobs
    self._log: Any = None    # of the newest call, on the devices
    self._window = window

  @property
  def worth(self) -> float:
    """`Shape.worth` of a call."""
    wanted = self._wanted()
    count = self._shape.fitting(max(wanted))
    return self._shape.worth(sum(min(count, n) for n in wanted) / len(wanted), count, self.lanes)

  def _fit(self) -> None:
    """Has as many lanes as suit the jobs that there are."""
    count, now = self._shape.fitting(max(self._wanted())), self._ends.shape[1]
    if count == now or count < max(self._busy):
      return
    # Lanes that have a job come first; what new ones have is nothing.
    order = np.array([sorted(range(now), key=[job is None for job in jobs].__getitem__)
                      + [-1] * max(0, count - now) for jobs in self._jobs])[:, :count]
    moved = lambda of, none: [[none if lane < 0 else each[lane] for lane in lanes]
                              for each, lanes in zip(of, order.tolist())]
    self._jobs, self._held = moved(self._jobs, None), moved(self._held, None)
    self._ends = np.array(moved(self._ends, 0))
    self._begun = np.array(moved(self._begun, _NEVER))
    places = np.maximum(order, 0)
    self._logs = [jax.tree.map(lambda x: np.stack([of[:, lanes] for of, lanes in zip(x, places)]),
                               dataclasses.replace(log, active=None)) for log in self._logs]
    if self._state is not None:
      self._state = all_programs.resize(self._store.mesh)((), self._state, order.astype(np.int32))

  def begin(self) -> None:
    """Fills the lanes, and has them written in."""
    self._fill()
    program = all_programs.write(self._store.mesh, self._make, self._shape.write, *self._how)
    self._state, self._log = program(self._params, self._state)

  def end(self) -> tuple[int, list[tuple[Write, Written]]]:
    """How many tokens were written, and the jobs that are done."""
    log = jax.device_get(placement.collected(self._log))
    self._logs.append(log)
    written = np.count_nonzero(log.code, axis=1)  # [G, L]
    self._ends += written
    self.entered += int(written.sum())
    # In a pass of its group a lane computes a token, whether it has one to write or not.
    self.computed += int(np.count_nonzero(log.code.any(axis=2))) * log.code.shape[2]
    return int(written.sum()), self._over(written.astype(bool) & ~log.active)

  def _fill(self) -> None:
    """Gives free lanes the jobs that wait."""
    self._fit()
    taken, (groups, count) = self._taken(), self._ends.shape
    fields = np.zeros((groups, lanes.FIELDS, count), np.int32)
    for g, of_group in enumerate(taken):
      if of_group:
        places = [lane for lane, _ in of_group]
        self._begun[g, places] = self._dropped + len(self._logs)
        fields[g][:2, places] = np.array([job.key for _, job in of_group]).view(np.int32).T
        fields[g][2:, places] = np.array([
            (*job.place, *job.inside, job.until, job.most, job.steps + job.ahead,
             job.ahead + job.steps * job.greedy,
             np.float32(job.least).view(np.int32)) for _, job in of_group]).T
    self._widen(self._shape.to_write(int(self._ends.max())))
    if any(taken):
      pages, copies, rows = self._moves(self._state.texts, taken)
      self._state = all_programs.fill(self._store.mesh)(
          (), self._state, pages, copies, np.concatenate([rows, fields], axis=1))

  def _widen(self, width: int) -> None:
    """Gives the lanes room for so many tokens, if they have less."""
    if width <= self._width:
      return
    self._width = width
    if self._state is None:
      self._state = all_programs.empty_lanes(
          self._store.mesh, self._make, self._ends.shape[1], self._width,
          self._window)(self._params)
    else:
      self._state = self._state.replace(
          texts=all_programs.widen(self._store.mesh, self._width)((), self._state.texts))

  def _over(self, over: np.ndarray) -> list[tuple[Write, Written]]:
    """The jobs of lanes that are over, bool [G, L], which are free now; keeps texts that go on."""
    if not over.any():
      return []
    done = self._collect(over)
    kept = [(g, lane, job, written) for g, lane, job, written in done
            if (job.keep if written.live else job.keep_ended)]
    entered = lambda written: written.own - (not written.live)
    needed = [0] * len(self._queues)
    for g, _, _, written in kept:
      needed[g] += nodes_lib.pages_for(entered(written))
    if kept:
      self._store.reserve(self._state.texts, needed)
      saved: list[list[tuple[int, Node]]] = [[] for _ in needed]
      for g, lane, job, written in kept:
        written.node = self._held[g][lane] = self._store.tables[g].add(job.node, entered(written))
        saved[g].append((lane, written.node))
      self._store.save(self._state.texts, self._width, self._state.saved, saved)
    for g, lane, _, _ in done:
      self._left_by(g, lane)
      self._begun[g, lane] = _NEVER
    old = min(int(self._begun.min()) - self._dropped, len(self._logs))
    del self._logs[:old]
    self._dropped += old
    return [(job, written) for _, _, job, written in done]

  def _collect(self, over: np.ndarray) -> list[tuple[int, int, Write, Written]]:
    """(group, lane, job, what it wrote) of the lanes that are over, bool [G, L]."""
    whole = jax.tree.map(lambda *parts: np.concatenate(parts, axis=1),  # [G, calls x m, L]
                         *(dataclasses.replace(log, active=None) for log in self._logs))
    groups, places = np.nonzero(over)
    jobs = [self._jobs[g][lane] for g, lane in zip(groups.tolist(), places.tolist())]
    first = (self._begun[groups, places] - self._dropped) * self._shape.write
    since = np.arange(whole.code.shape[1]) >= first[:, None]  # [jobs, calls x m]
    whole = jax.tree.map(lambda x: x[groups, :, places], whole)
    written = since & (whole.code != 0)
    own = written & ((whole.code & GREEDY == 0) | np.array([[job.greedy] for job in jobs]))
    steps = np.count_nonzero(own & (whole.code & STEP_ENDED != 0), axis=1).tolist()
    own = np.count_nonzero(own, axis=1).tolist()
    # All jobs' tokens one behind the other; a job has a piece of it.
    whole, found, begin = jax.tree.map(lambda x: x[written], whole), [], 0
    codes = whole.code.tolist()
    ends = np.cumsum(np.count_nonzero(written, axis=1)).tolist()
    for i, (g, lane, end) in enumerate(zip(groups.tolist(), places.tolist(), ends)):
      place, last = slice(begin, end), codes[begin + own[i] - 1]
      found.append((g, lane, jobs[i], Written(
          tokens=whole.token[place], logprob=whole.logprob[place], own=own[i], steps=steps[i],
          statistics=whole.statistics and whole.statistics.at(place),
          values=None if whole.value is None else whole.value[place],
          live=bool(last & LIVE), finished=bool(last & FINISHED), stopped=bool(last & STOPPED),
          ended=not codes[end - 1] & LIVE)))
      begin = end
    return found
