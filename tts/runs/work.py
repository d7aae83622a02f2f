"""Work as a fixed list of blocks, one immutable record file each.

A block file is complete or absent. A run that was killed does the missing blocks and ends with the
same files, whatever the number of devices and processes: of P processes number p does the blocks i
with i mod P = p, on its own devices. Processes that share their models count as one here: they
compute the same, and the first of them writes it.

Questions go through the engine one after the other, whichever block they are of, so that no lane
waits for the end of a block. A block is written when its last question is done, by a thread, while
the devices go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
import contextlib
import dataclasses
import functools
import os
import pathlib
import time
from typing import Any

from tqdm import tqdm

from tts import hosts, machine, parallel
from tts.data import buckets
from tts.engine import engine
from tts.engine.engine import Begin, Done
from tts.engine.program import Program
from tts.eval.storage import equal_answers, find_equal_answers, records
from tts.runs import watch
from tts.runs.blocks import Block
from tts.runs.models_at_work import Computed, PerQuestion, Workers
from tts.runs.workdir import Workdir

# Blocks that are being computed count as far as they are.
_BAR = ('{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total} blocks [{elapsed}<{remaining}'
        '{postfix}]')


@dataclasses.dataclass(frozen=True)
class Work:
  """Blocks whose records are wanted.

  Attributes:
    folder: under `records/` and `timings/`, e.g. `search/beam-m4-n16`.
    mark: fingerprint of all that the records depend on.
    blocks: every block, in order.
    questions: what is computed of each question.
    rows: a block, and what was computed of each of its questions --> its rows, grades and all.
    info: what the timing files say beside the seconds.
    workers: of the models that compute.
    grader: by which votes among a question's rows take answers for the same.
  """

  folder: str
  mark: str
  blocks: list[Block]
  questions: PerQuestion
  rows: Callable[[Block, list[Any]], list[dict[str, Any]]]
  info: dict[str, Any]
  workers: Workers
  grader: str = 'exact'


def run(workdir: Workdir, works: Sequence[Work], mesh: parallel.Mesh) -> int:
  """Computes the missing blocks and writes their records.

  Each process does its share, and returns when all have done theirs.

  Returns:
    How many blocks of this process were there already.
  """
  _claim(workdir, works)
  team = parallel.members(mesh)
  there = 0
  for work in works:
    share = range(hosts.index() // len(team), len(work.blocks), hosts.count() // len(team))
    missing = [i for i in share if not os.path.exists(workdir.path(_records(work.folder, i)))]
    there += len(share) - len(missing)
    with _Computing(workdir, work, len(share), missing, parallel.is_first_of(mesh)) as computing:
      for done in engine.stream(computing.questions(), work.questions.models,
                                work.questions.in_flight, computing.tick):
        computing.take(done)
  hosts.wait()
  return there


@hosts.by_first
def _claim(workdir: Workdir, works: Sequence[Work]) -> None:
  """Records of another fingerprint are moved away."""
  for work in works:
    workdir.claim(os.path.join('records', work.folder), work.mark)


def _records(folder: str, i: int) -> str:
  return f'records/{folder}/block-{i:05d}.jsonl.gz'


def _timing(folder: str, i: int) -> str:
  return f'timings/{folder}/block-{i:05d}.json'


class _Computing:
  """The missing blocks of a process's share, while they are computed."""

  def __init__(self, workdir: Workdir, work: Work, share: int, missing: list[int], writes: bool):
    """writes: False where another process writes the same records."""
    self._workdir, self._work, self._share, self._writes = workdir, work, share, writes
    self._missing, self._there = missing, share - len(missing)
    self._places: list[tuple[int, int]] = []  # block and place of each question that has begun
    self._found: dict[int, list[Any]] = {}    # of the blocks that have begun
    self._left: dict[int, int] = {}           # questions of these that are not done
    self._finished = 0                        # blocks
    self._kept: futures.Future | None = None
    self._stack = contextlib.ExitStack()

  def __enter__(self) -> _Computing:
    bar = self._stack.enter_context(tqdm(
        total=self._share, initial=self._there, desc=f'  {self._work.folder}', delay=5, leave=False,
        smoothing=0, disable=not hosts.is_first(), bar_format=_BAR))
    self._host = self._stack.enter_context(futures.ThreadPoolExecutor(1))
    self._trace = self._stack.enter_context(contextlib.ExitStack())
    count = sum(len(self._work.blocks[i].problems) for i in self._missing)
    self._pace = watch.Pace(bar, len(self._missing), count)
    self.tick = self._pace.add
    self._before, self._since = self._work.workers.computed(), self._now()
    if len(self._missing) == 1:  # else not the first one, which may compile
      self._trace.enter_context(watch.traced(self._workdir))
    return self

  def __exit__(self, *error: Any) -> None:
    with self._stack:
      if self._kept is not None and error[0] is None:
        self._kept.result()

  def questions(self) -> Iterator[Begin]:
    """The coroutines of the blocks' questions, in order; a block begins with its first one."""
    for i in self._missing:
      block = self._work.blocks[i]
      of, count = self._work.questions.of(block), len(block.problems)
      self._places += [(i, b) for b in range(count)]
      self._found[i], self._left[i] = [None] * count, count
      yield from (functools.partial(of, b) for b in range(count))

  def take(self, done: Done) -> None:
    """Keeps what was computed of a question, and its block if that was the last one."""
    i, b = self._places[done.index]
    self._found[i][b] = done.result
    self._left[i] -= 1
    if not self._left[i]:
      self._finish(i)

  def _finish(self, i: int) -> None:
    """Has a block's records written; its seconds are those since the block before was done."""
    now, so_far = self._now(), self._work.workers.computed()
    seconds, computed = now - self._since, so_far.copy()
    computed.subtract(self._before)
    self._since, self._before = now, so_far
    self._finished += 1
    line = {'work': self._work.folder, 'blocks': self._there + self._finished, 'of': self._share,
            'seconds': round(seconds, 4), 'slot_occupancy': computed.occupancy,
            'seconds_left': round(self._pace.seconds_left, 1)}
    if self._kept is not None:
      self._kept.result()  # if it has failed the run does too
    self._kept = self._host.submit(self._keep, i, self._found.pop(i), seconds, computed, line)
    self._trace.close()
    if self._finished == 1 and len(self._missing) > 1:
      self._trace.enter_context(watch.traced(self._workdir))

  def _keep(self, i: int, found: list[Any], seconds: float, computed: Computed,
            line: dict[str, Any]) -> None:
    """Writes the records of a block that has been computed.

    Args:
      i: its number.
      found: what was computed of its questions.
      seconds: that it took.
      computed: tokens in that time.
      line: for `watch.log`.
    """
    work, workdir = self._work, self._workdir
    rows = work.rows(work.blocks[i], found)
    if self._writes:
      workdir.write_json(_timing(work.folder, i), {
          **work.info, 'seconds': seconds, 'processor': machine.processor(),
          'questions': len({r['problem_id'] for r in rows}),
          'computed': {model: n for (model, kind), n in computed.items() if kind == 'computed'}})
      block = pathlib.Path(workdir.path(_records(work.folder, i)))
      equal_answers.write(workdir.root, block, find_equal_answers.of_rows(work.grader, rows))
      records.write_block(block, rows)
    buckets.push()
    watch.log(workdir, **line, tokens_per_second=round(_tokens(rows) / max(seconds, 1e-9), 1))

  @staticmethod
  def _now() -> float:
    """Seconds of a clock that stands while compilers are waited for."""
    return time.monotonic() - Program.compile_seconds


def _tokens(rows: Sequence[dict[str, Any]]) -> int:
  """What was written for a block's rows, kept or not."""
  return sum(row['counts'][row['model']].get(kind, 0) for row in rows if 'counts' in row
             for kind in ('kept', 'pruned', 'simulated'))
