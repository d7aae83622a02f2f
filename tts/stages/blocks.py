"""Work as a fixed list of blocks: one compiled shape, one immutable record file each.

A block file is complete or absent. A run that was killed does the missing blocks and ends with the
same files, whatever the number of devices and processes: of P processes number p does the blocks i
with i mod P = p, on its own devices. Processes that share their models count as one here: they
compute the same, and the first of them writes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent import futures
import contextlib
import dataclasses
import os
import pathlib
import time
from typing import Any, Callable

from absl import logging
import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from tts import hosts, machine, parallel, rng
from tts.data import buckets
from tts.data.batching import length_sorted_blocks
from tts.data.prompts import Prompts
from tts.eval import comparing, records, verdicts
from tts.sampling.decode import NO_JOB, Log
from tts.stages import watch
from tts.stages.workdir import Workdir, fault
from tts.types import InputError, Problem


@dataclasses.dataclass(frozen=True)
class Block:
  """Problems that are run together, prompts encoded, padded to a fixed number."""

  problems: list[Problem]  # those that count; the rest of the rows only fill the block
  prefix: np.ndarray       # [B, P] int32
  prefix_len: np.ndarray   # [B] int32
  words: np.ndarray        # [B, 2] uint32, see `tts.rng`
  valid: np.ndarray        # [B] bool
  question: tuple[np.ndarray, ...] = ()  # its own prefix and lengths, where `prefix` holds more


def cut(problems: list[Problem], prompts: Prompts, max_prompt_tokens: int,
        size: int) -> list[Block]:
  """Problems of similar prompt length together, so that few wait for a longer one.

  Those of one length stand in the order of their identities: a list in another order gives the
  same blocks.
  """
  tokens = {p.id: encode(p, prompts, max_prompt_tokens) for p in problems}
  problems = sorted(problems, key=lambda p: p.identity)
  encoded = [tokens[p.id] for p in problems]
  blocks = []
  for members in length_sorted_blocks([len(t) for t in encoded], size):
    prefix = np.zeros((size, max_prompt_tokens), np.int32)
    lengths = np.ones(size, np.int32)
    words = np.zeros((size, 2), np.uint32)
    for row, i in enumerate(members):
      prefix[row, :len(encoded[i])] = encoded[i]
      lengths[row] = len(encoded[i])
    words[:len(members)] = rng.problem_words([problems[i].identity for i in members])
    blocks.append(Block([problems[i] for i in members], prefix, lengths, words,
                        np.arange(size) < len(members)))
  return blocks


def encode(problem: Problem, prompts: Prompts, max_prompt_tokens: int) -> list[int]:
  """Ids of a problem's prompt.

  Raises:
    InputError: the tokenizer cannot write it, or it is too long.
  """
  try:
    tokens = prompts.encode(problem.prompt)
  except InputError as error:
    raise InputError(f'problem {problem.id}: {error}') from error
  if len(tokens) > max_prompt_tokens:
    raise InputError(
        f'problem {problem.id} has {len(tokens)} prompt tokens, the buffer {max_prompt_tokens}: '
        f'make the run with --config.limits.max_prompt_tokens={len(tokens)} or more')
  return tokens


class Program:
  """A device step mapped over the mesh. It is compiled for the shapes of its blocks, once each.

  At the first call with them, if not ahead of it.
  """

  compile_seconds = 0.0  # that this process has waited for compilers
  slot_steps = [0, 0]    # of samplers: slots that had a job, and all, summed over decoding steps

  def __init__(self, step: Callable, mesh: parallel.Mesh):
    self._mapped, self._mesh = parallel.pmapped(step, mesh), mesh
    self._compiling: dict[tuple, futures.Future] = {}  # by shapes

  def compile_ahead(self, pool: futures.Executor, *args: Any) -> futures.Future:
    """Begins to compile for arguments like these, if that has not begun."""
    shapes = self._shapes(*args)
    if shapes not in self._compiling:
      args = self._on_groups(*args)
      self._compiling[shapes] = pool.submit(
          lambda: self._mapped.lower(*args).compile(compiler_options(args[0])))
    return self._compiling[shapes]

  def __call__(self, *args: Any) -> Any:
    compiling = self._compiling.get(self._shapes(*args))
    if compiling is None or not compiling.done():
      with waiting(), futures.ThreadPoolExecutor(1) as pool:
        compiling = self.compile_ahead(pool, *args)
        compiling.result()
    return compiling.result()(*self._on_groups(*args))

  def _on_groups(self, shared: Any, *block: Any) -> tuple:
    return shared, *parallel.on_groups(block, self._mesh)

  @staticmethod
  def _shapes(_: Any, *block: Any) -> tuple:
    """Of a block; parameters are those of the step's architecture."""
    return tuple(np.shape(x) for x in jax.tree.leaves(block))


def compiler_options(params: Any) -> dict[str, Any]:
  """What a program with these parameters is compiled with.

  On a CPU bfloat16 weights are written out in float32 where they are read: a schedule that begins
  as much as it can at a time would hold them all.
  """
  halves = any(x.dtype == jnp.bfloat16 for x in jax.tree.leaves(params))
  frugal = {'xla_cpu_scheduler_type': 'CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED'}
  return frugal if halves and jax.default_backend() == 'cpu' else {}


@contextlib.contextmanager
def waiting() -> Iterator[None]:
  """Counts the time inside as waiting for compilers."""
  begun = time.monotonic()
  yield
  Program.compile_seconds += time.monotonic() - begun


@dataclasses.dataclass(frozen=True)
class OnBlocks:
  """A program with its parameters: a function from blocks to what it computes of each.

  Attributes:
    program: a `Program`, or what is called and compiled as one (`tts.stages.driven`).
    params: shared by all groups.
    inputs: a block --> the program's other arguments, numpy.
    read: the program's result, numpy --> what is returned for the block.
    groups: G.
  """

  program: Any
  params: Any
  inputs: Callable[[Block], tuple]
  read: Callable[[Any], Any]
  groups: int

  def __call__(self, blocks: list[Block]) -> list[Any]:
    inputs = [self.inputs(b) for b in blocks]
    return [self.read(x) for x in on_groups(self.program, self.params, inputs, self.groups)]

  def compile_ahead(self, pool: futures.Executor, block: Block) -> futures.Future:
    stacked = jax.tree.map(lambda x: np.stack([x] * self.groups), self.inputs(block))
    return self.program.compile_ahead(pool, self.params, *stacked)


def on_groups(program: Callable, shared: Any, inputs: list[tuple], groups: int) -> list[Any]:
  """Runs one block per device group; fewer than there are groups leaves the others a copy.

  Args:
    program: a `Program`.
    shared: parameters.
    inputs: per block the program's other arguments, numpy.
    groups: G.

  Returns:
    Per block the program's result, numpy.
  """
  padded = inputs + [inputs[-1]] * (groups - len(inputs))
  stacked = jax.tree.map(lambda *xs: np.stack(xs), *padded)
  result = jax.device_get(parallel.collected(program(shared, *stacked)))
  found = [jax.tree.map(lambda x, g=g: x[g], result) for g in range(len(inputs))]
  for log in (x for x in found if isinstance(x, Log)):
    busy = (log.job != NO_JOB).sum(axis=(1, 2))  # [L]
    Program.slot_steps[0] += int(busy.sum())
    Program.slot_steps[1] += int(np.count_nonzero(busy)) * log.job[0].size
  return found


@dataclasses.dataclass(frozen=True)
class Work:
  """Blocks whose records are wanted.

  Attributes:
    folder: under `records/` and `timings/`, e.g. `search/beam-m4-n16`.
    mark: fingerprint of these records.
    blocks: every block, in order.
    compute: blocks --> rows of each.
    info: what the timing files say beside the seconds.
    program: what `compute` spends its time in, to be compiled ahead; None if it has several.
    grader: by which votes among a question's rows take answers for the same.
  """

  folder: str
  mark: str
  blocks: list[Block]
  compute: Callable[[list[Block]], list[list[dict]]]
  info: dict[str, Any]
  program: OnBlocks | None = None
  grader: str = 'exact'


def run(workdir: Workdir, works: Sequence[Work], mesh: parallel.Mesh) -> int:
  """Computes the blocks that are missing and writes each one's records, one a group at a time.

  Each process does its share, and returns when all have done theirs.

  Programs are compiled side by side, each by about two cores. Where the cores are the device as
  well, blocks wait for that, and their timings are not disturbed.

  Returns:
    How many blocks of this process were there already.
  """
  _claim(workdir, works)
  team = parallel.members(mesh)
  shares = [range(hosts.index() // len(team), len(work.blocks), hosts.count() // len(team))
            for work in works]
  missing = [[i for i in share if not os.path.exists(workdir.path(_records(work.folder, i)))]
             for work, share in zip(works, shares)]
  with futures.ThreadPoolExecutor(max(1, machine.cores() // 2)) as pool:
    compiling = {work.program.compile_ahead(pool, work.blocks[0])
                 for work, left in zip(works, missing) if left and work.program is not None}
    if jax.default_backend() == 'cpu':
      with waiting():
        for done in tqdm(futures.as_completed(compiling), desc='  compiling', unit='program',
                         total=len(compiling), delay=5, leave=False, disable=not hosts.is_first()):
          done.result()
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
                  lambda: verdicts.read(workdir.root, path)):
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


def _records(folder: str, i: int) -> str:
  return f'records/{folder}/block-{i:05d}.jsonl.gz'


def _timing(folder: str, i: int) -> str:
  return f'timings/{folder}/block-{i:05d}.json'


def _run(workdir: Workdir, work: Work, share: int, missing: list[int],
         mesh: parallel.Mesh) -> None:
  """Computes the missing of a process's `share` blocks."""
  folder, groups = work.folder, parallel.num_groups(mesh)
  with tqdm(total=share, initial=share - len(missing), desc=f'  {folder}', unit='block', delay=5,
            leave=False, disable=not hosts.is_first()) as bar:
    spent = 0.0
    for first in range(0, len(missing), groups):
      now = missing[first:first + groups]
      begun, slots = time.monotonic() - Program.compile_seconds, list(Program.slot_steps)
      # Not the first ones, if there are others: those may compile.
      with watch.traced(workdir) if first or len(missing) <= groups else contextlib.nullcontext():
        results = work.compute([work.blocks[i] for i in now])
      seconds = (time.monotonic() - Program.compile_seconds - begun) / len(now)
      for i, rows in zip(now, results if parallel.is_first_of(mesh) else []):
        workdir.write_json(_timing(folder, i), {
            **work.info, 'seconds': seconds, 'questions': len({r['problem_id'] for r in rows})})
        block = pathlib.Path(workdir.path(_records(folder, i)))
        verdicts.write(workdir.root, block, comparing.of_rows(work.grader, rows))
        records.write_block(block, rows)
      buckets.push()
      bar.update(len(now))
      spent += seconds * len(now)
      done, (busy, all_slots) = first + len(now), np.subtract(Program.slot_steps, slots).tolist()
      watch.log(workdir, work=folder, blocks=share - len(missing) + done, of=share,
                seconds=round(seconds * len(now), 4),
                tokens_per_second=round(_tokens(results) / max(seconds * len(now), 1e-9), 1),
                slot_occupancy=round(busy / all_slots, 4) if all_slots else None,
                seconds_left=round(spent / done * (len(missing) - done), 1))


def _tokens(results: list[list[dict]]) -> int:
  """What was written for blocks' rows, kept or not."""
  return sum(row['counts'][row['model']].get(kind, 0) for rows in results for row in rows
             if 'counts' in row for kind in ('kept', 'pruned', 'simulated'))
