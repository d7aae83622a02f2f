"""Work as a fixed list of blocks: one compiled shape, one immutable record file each.

A block file is complete or absent. A run that was killed does the missing blocks and ends with the
same files, whatever the number of devices.
"""

from __future__ import annotations

import dataclasses
import os
import time
from typing import Any, Callable

import jax
import numpy as np
from tqdm import tqdm

from tts import parallel, rng
from tts.data.batching import length_sorted_blocks
from tts.eval import records
from tts.stages.workdir import Workdir
from tts.types import InputError, Problem


@dataclasses.dataclass(frozen=True)
class Block:
  """Problems that are run together, prompts encoded, padded to a fixed number."""

  problems: list[Problem]  # those that count; the rest of the rows only fill the block
  prefix: np.ndarray       # [B, P] int32
  prefix_len: np.ndarray   # [B] int32
  words: np.ndarray        # [B, 2] uint32, see `tts.rng`
  valid: np.ndarray        # [B] bool


def cut(problems: list[Problem], tokenizer: Any, max_prompt_tokens: int, size: int) -> list[Block]:
  """Problems of similar prompt length together, so that few wait for a longer one."""
  prompts = [tokenizer.encode_prompt(p.prompt) for p in problems]
  for problem, tokens in zip(problems, prompts):
    if len(tokens) > max_prompt_tokens:
      raise InputError(
          f'problem {problem.id} has {len(tokens)} prompt tokens, the buffer {max_prompt_tokens}: '
          f'set --config.limits.max_prompt_tokens={len(tokens)} or more')
  blocks = []
  for members in length_sorted_blocks([len(t) for t in prompts], size):
    prefix = np.zeros((size, max_prompt_tokens), np.int32)
    lengths = np.ones(size, np.int32)
    words = np.zeros((size, 2), np.uint32)
    for row, i in enumerate(members):
      prefix[row, :len(prompts[i])] = prompts[i]
      lengths[row] = len(prompts[i])
    words[:len(members)] = rng.problem_words([problems[i].id for i in members])
    blocks.append(Block([problems[i] for i in members], prefix, lengths, words,
                        np.arange(size) < len(members)))
  return blocks


class Program:
  """A device step mapped over the mesh, compiled at its first call; that time is kept apart."""

  compile_seconds = 0.0  # of all programs in this process

  def __init__(self, step: Callable, mesh: parallel.Mesh):
    self._mapped = parallel.pmapped(step, mesh)
    self._compiled = None

  def __call__(self, *args: Any) -> Any:
    if self._compiled is None:
      begun = time.monotonic()
      self._compiled = self._mapped.lower(*args).compile()
      Program.compile_seconds += time.monotonic() - begun
    return self._compiled(*args)


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
  result = jax.device_get(program(shared, *stacked))
  return [jax.tree.map(lambda x, g=g: x[g], result) for g in range(len(inputs))]


def run(workdir: Workdir, folder: str, mark: str, blocks: list[Any], groups: int,
        compute: Callable[[list[Any]], list[list[dict]]], info: dict[str, Any]) -> int:
  """Computes the blocks that are missing and writes each one's records.

  Args:
    workdir: of the run.
    folder: under `records/` and `timings/`, e.g. `search/beam-m4-n16`.
    mark: fingerprint of these records.
    blocks: every block, in order.
    groups: blocks computed at a time.
    compute: blocks --> rows of each.
    info: what the timing files say beside the seconds.

  Returns:
    How many blocks were there already.
  """
  target = workdir.claim(os.path.join('records', folder), mark)
  names = [f'block-{i:05d}' for i in range(len(blocks))]
  missing = [i for i, n in enumerate(names)
             if not os.path.exists(os.path.join(target, f'{n}.jsonl.gz'))]
  reused = len(blocks) - len(missing)
  with tqdm(total=len(blocks), initial=reused, desc=f'  {folder}', unit='block', delay=5,
            leave=False) as bar:
    for first in range(0, len(missing), groups):
      now = missing[first:first + groups]
      begun = time.monotonic() - Program.compile_seconds
      results = compute([blocks[i] for i in now])
      seconds = (time.monotonic() - Program.compile_seconds - begun) / len(now)
      for i, rows in zip(now, results):
        workdir.write_json(f'timings/{folder}/{names[i]}.json', {
            **info, 'seconds': seconds, 'questions': len({r['problem_id'] for r in rows})})
        records.write_block(os.path.join(target, f'{names[i]}.jsonl.gz'), rows)
      bar.update(len(now))
  return reused
