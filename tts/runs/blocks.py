"""Work as a fixed list of blocks: some questions, one immutable record file each.

A block file is complete or absent. A run that was killed does the missing blocks and ends with the
same files, whatever the number of devices and processes: of P processes number p does the blocks i
with i mod P = p, on its own devices. Processes that share their models count as one here: they
compute the same, and the first of them writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent import futures
import contextlib
import dataclasses
import os
import pathlib
import time
from typing import Any, Callable

from absl import logging
import numpy as np
from tqdm import tqdm

from tts import hosts, parallel, rng
from tts.data import buckets
from tts.data.batching import length_sorted_blocks
from tts.data.prompts import Prompts, within
from tts.engine.program import Program
from tts.eval.storage import compare_answers, equal_answers, records
from tts.runs import watch
from tts.runs.workdir import fault, Workdir
from tts.types import InputError, Problem


@dataclasses.dataclass(frozen=True)
class Block:
  """Problems that are run together, and recorded together.

  Attributes:
    problems: B.
    prompts: ids of each.
    words: uint32 [B, 2], of their keys; see `tts.rng`.
    questions: ids of the question alone, where a prompt holds more: answers that were given before.
  """

  problems: list[Problem]
  prompts: list[list[int]]
  words: np.ndarray
  questions: list[list[int]] | None = None


def cut(problems: list[Problem], prompts: Prompts, max_prompt_tokens: int,
        size: int) -> list[Block]:
  """Problems of similar prompt length together, so that few wait for a longer one.

  Those of one length stand in the order of their identities: a list in another order gives the
  same blocks.
  """
  tokens = {p.id: encode(p, prompts, max_prompt_tokens) for p in problems}
  problems = sorted(problems, key=lambda p: p.identity)
  encoded = [tokens[p.id] for p in problems]
  return [Block([problems[i] for i in members], [encoded[i] for i in members],
                rng.problem_words([problems[i].identity for i in members]))
          for members in length_sorted_blocks([len(t) for t in encoded], size)]


def encode(problem: Problem, prompts: Prompts, max_prompt_tokens: int) -> list[int]:
  """Ids of a problem's prompt.

  Raises:
    InputError: the tokenizer cannot write it, or it is too long.
  """
  return within(prompts, problem.prompt, max_prompt_tokens, f'problem {problem.id}',
                'make the run with --config.limits.max_prompt_tokens=')


@dataclasses.dataclass(frozen=True)
class Work:
  """Blocks whose records are wanted.

  Attributes:
    folder: under `records/` and `timings/`, e.g. `search/beam-m4-n16`.
    mark: fingerprint of these records.
    blocks: every block, in order.
    compute: blocks --> of each what gives its rows, grades and all: while the devices are at the
      next blocks a thread calls it.
    info: what the timing files say beside the seconds.
    workers: what `compute` uses.
    grader: by which votes among a question's rows take answers for the same.
  """

  folder: str
  mark: str
  blocks: list[Block]
  compute: Callable[[list[Block]], list[Callable[[], list[dict]]]]
  info: dict[str, Any]
  workers: Any
  grader: str = 'exact'


def run(workdir: Workdir, works: Sequence[Work], mesh: parallel.Mesh) -> int:
  """Computes the missing blocks, as many at a time as there are device groups, and writes records.

  Each process does its share, and returns when all have done theirs.

  Returns:
    How many blocks of this process were there already.
  """
  _claim(workdir, works)
  team = parallel.members(mesh)
  shares = [range(hosts.index() // len(team), len(work.blocks), hosts.count() // len(team))
            for work in works]
  missing = [[i for i in share if not os.path.exists(workdir.path(_records(work.folder, i)))]
             for work, share in zip(works, shares)]
  for work, share, left in zip(works, shares, missing):
    _run(workdir, work, len(share), left, mesh)
  hosts.wait()
  return sum(map(len, shares)) - sum(map(len, missing))


@hosts.by_first
def _claim(workdir: Workdir, works: Sequence[Work]) -> None:
  """Records of another fingerprint are moved away."""
  for work in works:
    workdir.claim(os.path.join('records', work.folder), work.mark)


def mend(workdir: Workdir) -> None:
  """Moves every block away that is damaged, or its seconds or verdicts: it is computed anew.

  Of all stages at once, as a report reads them all.
  """
  for path in sorted(pathlib.Path(workdir.path('records')).rglob('block-*.jsonl.gz')):
    relative = path.relative_to(workdir.root)
    timing = pathlib.Path('timings', *relative.parts[1:-1], relative.name.split('.')[0] + '.json')
    faults = []
    for check in (lambda: records.check(str(path)), lambda: _check_timing(workdir, str(timing)),
                  lambda: equal_answers.read(workdir.root, path)):
      try:
        check()
      except InputError as error:
        logging.warning('computed anew: %s', fault(error))
        faults.append(error)
    if faults:
      workdir.retire(str(relative), 'is damaged')


def _check_timing(workdir: Workdir, relative: str) -> None:
  path = workdir.path(relative)
  if not os.path.exists(path):  # a report does without
    return
  if not isinstance(records.read_object(path, 'seconds')['seconds'], (int, float)):
    raise InputError(f'{path}: "seconds" is no number')


# Blocks that are being computed count as far as they are.
_BAR = ('{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total} blocks [{elapsed}<{remaining}'
        '{postfix}]')


def _records(folder: str, i: int) -> str:
  return f'records/{folder}/block-{i:05d}.jsonl.gz'


def _timing(folder: str, i: int) -> str:
  return f'timings/{folder}/block-{i:05d}.json'


def _run(workdir: Workdir, work: Work, share: int, missing: list[int],
         mesh: parallel.Mesh) -> None:
  """Computes the missing of a process's `share` blocks."""
  folder, groups = work.folder, parallel.num_groups(mesh)
  with tqdm(total=share, initial=share - len(missing), desc=f'  {folder}', delay=5, leave=False,
            smoothing=0, disable=not hosts.is_first(), bar_format=_BAR) as bar, \
      futures.ThreadPoolExecutor(1) as host:
    spent, kept = 0.0, None
    pace = watch.Pace(bar)
    work.workers.tick = pace.add
    for first in range(0, len(missing), groups):
      now = missing[first:first + groups]
      pace.begin(len(now))
      begun, before = time.monotonic() - Program.compile_seconds, work.workers.computed()
      # Not the first ones, if there are others: those may compile.
      with watch.traced(workdir) if first or len(missing) <= groups else contextlib.nullcontext():
        found = work.compute([work.blocks[i] for i in now])
      seconds = time.monotonic() - Program.compile_seconds - begun
      computed = work.workers.computed()
      computed.subtract(before)
      pace.end()
      spent += seconds
      finished = first + len(now)
      line = {'work': folder, 'blocks': share - len(missing) + finished, 'of': share,
              'seconds': round(seconds, 4), 'slot_occupancy': computed.occupancy,
              'seconds_left': round(spent / finished * (len(missing) - finished), 1)}
      if kept is not None:
        kept.result()  # if it has failed the run does too
      kept = host.submit(_keep, workdir, work, now if parallel.is_first_of(mesh) else [], found,
                         seconds, computed, line)
    if kept is not None:
      kept.result()


def _keep(workdir: Workdir, work: Work, now: list[int], found: list[Callable[[], list[dict]]],
          seconds: float, computed: Any, line: dict[str, Any]) -> None:
  """Writes the records of blocks that have been computed; none where another process does.

  Args:
    workdir: of the run.
    work: what they are of.
    now: the blocks to be written.
    found: what gives their rows.
    seconds: that all of these blocks took.
    computed: in them.
    line: for `watch.log`.
  """
  results = [rows() for rows in found]
  for i, rows in zip(now, results):
    workdir.write_json(_timing(work.folder, i), {
        **work.info, 'seconds': seconds / len(found),
        'questions': len({r['problem_id'] for r in rows}),
        'computed': {model: n / len(found) for (model, kind), n in computed.items()
                     if kind == 'computed'}})
    block = pathlib.Path(workdir.path(_records(work.folder, i)))
    equal_answers.write(workdir.root, block, compare_answers.of_rows(work.grader, rows))
    records.write_block(block, rows)
  buckets.push()
  watch.log(workdir, **line, tokens_per_second=round(_tokens(results) / max(seconds, 1e-9), 1))


def _tokens(results: list[list[dict]]) -> int:
  """What was written for blocks' rows, kept or not."""
  return sum(row['counts'][row['model']].get(kind, 0) for rows in results for row in rows
             if 'counts' in row for kind in ('kept', 'pruned', 'simulated'))
