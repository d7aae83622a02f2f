"""Stage `labels`: step values of sampled solutions by Monte-Carlo rollouts, no human labels.

A step's label is the fraction of continuations from its end that reach the gold answer: the value
of the prefix under the generator itself (paper, section 5.1 and appendix D). All rollouts of one
solution branch off one prefill of it; a prefix that an earlier solution of the question has too is
rolled out once. The samples that went through a prefix are continuations of it as well, and count.
"""

from __future__ import annotations

import collections
import dataclasses
from typing import Any

import numpy as np

from tts.data import answers
from tts.sampling import pool as pool_lib
from tts.stages import blocks as blocks_lib
from tts.stages import programs, rows as rows_lib
from tts.stages import search as search_lib
from tts.stages.blocks import Block
from tts.stages.context import Run
from tts.stages.workdir import fingerprint
from tts.types import Problem, Strategy

_ROWS = 1024     # rollouts in flight in one call of the program
_MAX_SLOTS = 16  # rollouts of one solution in flight


@dataclasses.dataclass
class _Solution:
  """A kept solution: its row, and the steps whose rollouts it is the first to need."""

  problem: Problem
  row: dict[str, Any]
  sample: int
  words: np.ndarray
  prompt: np.ndarray
  steps: list[int]
  outcomes: dict[tuple[int, ...], list[bool]]  # of the question's continuations, by prefix

  def prefix(self, step: int) -> tuple[int, ...]:
    return tuple(self.row['tokens'][:self.row['step_ends'][step]])


def _solutions(run: Run, block: Block, samples: list[dict[int, pool_lib.Sample]],
               ) -> list[list[_Solution]]:
  """Per question its solutions that have an answer, with the rollouts shared out among them."""
  strategy = Strategy('sample', run.experiment.labels.samples)
  result = []
  for b, problem in enumerate(block.problems):
    length = int(block.prefix_len[b])
    mine, outcomes = [], collections.defaultdict(list)
    seen = set()
    for n, sample in sorted(samples[b].items()):
      row = rows_lib.sample_row(run, problem, strategy, sample, slot=n, stream='train_pool',
                                model='base', split='verifier', prompt_tokens=length,
                                first=not mine)
      solution = _Solution(
          problem, row, n, block.words[b], block.prefix[b, :length], [], outcomes)
      for step in range(len(row['step_ends'])):
        outcomes[solution.prefix(step)].append(row['correct'])
      if row['answer'] is None:
        continue
      for step in range(len(row['step_ends']) - 1):
        if solution.prefix(step) not in seen:
          seen.add(solution.prefix(step))
          solution.steps.append(step)
      mine.append(solution)
    result.append(mine)
  return result


def _inputs(solutions: list[_Solution], size: int, num_rollouts: int, max_steps: int,
            width: int) -> tuple:
  """Arguments of the rollout program; fewer solutions than `size` leave rows without jobs."""
  prefix = np.zeros((size, width), np.int32)
  lengths = np.ones((size, max_steps * num_rollouts), np.int32)
  words = np.zeros((size, 2), np.uint32)
  identity = np.zeros((*lengths.shape, 3), np.int32)
  num_jobs = np.zeros(size, np.int32)
  for i, s in enumerate(solutions):
    text = [*s.prompt, *s.row['tokens']]
    prefix[i, :len(text)] = text
    words[i] = s.words
    num_jobs[i] = len(s.steps) * num_rollouts
    # The longest continuations first: the queue's end is then made of short ones.
    for j, step in enumerate(s.steps):
      jobs = slice(j * num_rollouts, (j + 1) * num_rollouts)
      lengths[i, jobs] = len(s.prompt) + s.row['step_ends'][step]
      identity[i, jobs, 0], identity[i, jobs, 1] = s.sample, step
      identity[i, jobs, 2] = np.arange(num_rollouts)
  return prefix, lengths, words, identity, num_jobs


def _read_rollouts(run: Run, solution: _Solution, rollouts: dict[int, pool_lib.Sample]) -> None:
  """Grades a solution's rollouts into its question's outcomes, and its row's counts."""
  num = run.experiment.labels.rollouts
  texts = run.tokenizer.decode_batch([rollouts[j].tokens.tolist() for j in range(len(rollouts))])
  right = [rollouts[j].finished and answers.is_correct(text, solution.problem.answer)
           for j, text in enumerate(texts)]
  for j, step in enumerate(solution.steps):
    solution.outcomes[solution.prefix(step)] += right[j * num:(j + 1) * num]
  again = len(solution.prompt) + len(solution.row['tokens'])
  counts = solution.row['counts']
  counts['base'] = rows_lib.add(
      counts['base'], reencoded=again, last=len(rollouts),
      simulated=sum(len(r.tokens) for r in rollouts.values()),
      entered=again + sum(r.entered for r in rollouts.values()),
      attended=again * (again + 1) // 2 + sum(r.attended for r in rollouts.values()))


def run_labels(run: Run) -> int:
  """Writes one row per kept solution, `labels` (one per step) in it."""
  config, limits = run.experiment.labels, run.experiment.limits
  base = run.model('base')
  sampling = dataclasses.replace(run.experiment.sampling, temperature=config.temperature)
  blocks = blocks_lib.cut(run.problems('verifier', config.questions), run.tokenizer,
                          limits.max_prompt_tokens, config.block)
  sample = search_lib.sampler(run, base, 'train_pool', blocks, config.samples, sampling)
  width = limits.max_prompt_tokens + limits.max_tokens
  # A solution has a few jobs per rollout: more slots than that would idle.
  slots = min(_MAX_SLOTS, 2 * config.rollouts)
  size = _ROWS // slots
  program = blocks_lib.Program(programs.sample_step(
      base.arch, seed=run.seed, stream='rollout', num_slots=slots, sampling=sampling,
      limits=run.limits), run.mesh)

  def roll_out(calls: list[list[_Solution]]) -> None:
    for first in range(0, len(calls), run.groups):
      now = calls[first:first + run.groups]
      inputs = [_inputs(c, size, config.rollouts, limits.max_steps, width) for c in now]
      for call, log in zip(now, blocks_lib.on_groups(program, base.params, inputs, run.groups)):
        for solution, rollouts in zip(call, pool_lib.collect(log)):
          _read_rollouts(run, solution, rollouts)

  def compute(group: list[Block]) -> list[list[dict]]:
    tables = [_solutions(run, block, samples) for block, samples in zip(group, sample(group))]
    calls = []
    for table in tables:  # a call holds one block's solutions, those of similar work together
      todo = [s for of_question in table for s in of_question if s.steps]
      todo.sort(key=lambda s: (len(s.steps), len(s.row['tokens'])))
      calls += [todo[i:i + size] for i in range(0, len(todo), size)]
    roll_out(calls)
    return [[_labelled(s) for of_question in table for s in of_question] for table in tables]

  mark = fingerprint(base.mark, run.data_mark('verifier'), config, limits, sampling, run.seed,
                     run.tokenizer_mark())
  return blocks_lib.run(run.workdir, 'labels/rollouts', mark, blocks, run.groups, compute,
                        {'strategy': 'rollouts', 'budget': config.samples, 'theta': {}})


def _labelled(solution: _Solution) -> dict[str, Any]:
  """The solution's row with each step's label, and how many continuations that is the mean of."""
  steps = range(len(solution.row['step_ends']) - 1)
  outcomes = [solution.outcomes[solution.prefix(step)] for step in steps]
  return {**solution.row,
          'labels': [*(float(np.mean(o)) for o in outcomes), float(solution.row['correct'])],
          'continuations': [*(len(o) for o in outcomes), 1]}
