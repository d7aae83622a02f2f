"""Blocks of questions: what is computed together, and recorded in one file; see `tts.runs.work`."""

from __future__ import annotations

import dataclasses
import os
import pathlib

from absl import logging
import numpy as np

from tts import rng
from tts.data.batching import length_sorted_blocks
from tts.data.prompts import Prompts, within
from tts.eval.storage import equal_answers, records
from tts.runs.workdir import fault, Workdir
from tts.types import InputError, Problem


@dataclasses.dataclass(frozen=True)
class Block:
  """Problems that are run together, and recorded together.

  Attributes:
    problems: B.
    prompts: ids of each.
    words: uint32 [B, 2], of their keys; see `tts.rng`.
  """

  problems: list[Problem]
  prompts: list[list[int]]
  words: np.ndarray


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
