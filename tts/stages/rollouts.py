"""Monte-Carlo rollouts from the steps of sampled solutions, as cheap as they can be.

All rollouts of a solution branch off one prefill of it, up to the last step that has any; a prefix
that several solutions of a question have is rolled out once, for the first of them; a rollout that
ends makes room for the solution's next one. Solutions of similar work share a call, so that few
wait for the longest, and a call's prefixes are padded to one of a few widths.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
from typing import Any, Callable, Iterable

import numpy as np

from tts.config import LabelsConfig
from tts.answers import grading
from tts.sampling import pool as pool_lib
from tts.stages import blocks as blocks_lib, rows as rows_lib
from tts.stages.context import Run
from tts.types import Problem

_MAX_SLOTS = 8    # rollouts of one solution in flight
_WIDTHS = (3, 4)  # of prefixes, in quarters of the longest; a program to compile for each


@dataclasses.dataclass
class Solution:
  """A sampled solution that has an answer, and the steps that it is the first to need.

  Attributes:
    problem: its question.
    row: its record.
    words: of the question, uint32 [2], see `tts.rng`.
    prompt: int32 [P], unpadded.
    steps: the steps whose ends are rolled out here, ascending.
    outcomes: continuations of each prefix that reach the answer, and all; the question's own.
  """

  problem: Problem
  row: dict[str, Any]
  words: np.ndarray
  prompt: np.ndarray
  steps: list[int]
  outcomes: dict[tuple[int, ...], list[int]]

  def prefix(self, step: int) -> tuple[int, ...]:
    return tuple(self.row['tokens'][:self.row['step_ends'][step]])

  @property
  def text(self) -> list[int]:
    """Prompt and solution up to the last end that is rolled out."""
    return [*self.prompt, *self.prefix(self.steps[-1])]

  @property
  def work(self) -> int:
    """Tokens that one rollout of each step would take, were they all as long as the solution."""
    return sum(len(self.row['tokens']) - self.row['step_ends'][step] for step in self.steps)


def share_out(solutions: Iterable[Solution]) -> None:
  """Gives each of a question's prefixes to the first solution that has it."""
  seen = set()
  for solution in solutions:
    for step in range(len(solution.row['step_ends']) - 1):
      prefix = solution.prefix(step)
      if prefix not in seen:
        seen.add(prefix)
        solution.steps.append(step)


def num_slots(config: LabelsConfig) -> int:
  """Rollouts of one solution in flight: it has a few jobs per rollout, more slots would idle."""
  return min(_MAX_SLOTS, 2 * config.rollouts)


def roller(run: Run, step: Callable, params: Any) -> Callable[[list[list[Solution]]], None]:
  """A function that rolls out what blocks' solutions ask for, into their outcomes and counts.

  Args:
    run: its labels' config, limits, tokenizer and devices are used.
    step: `programs.sample_step` with `num_slots` slots.
    params: of the generator.
  """
  config, limits = run.experiment.labels, run.experiment.limits
  size = max(1, config.in_flight // num_slots(config))
  widest = limits.max_prompt_tokens + limits.max_tokens
  widths = [-(-widest * quarters // 4) for quarters in _WIDTHS]
  program = functools.cache(lambda width: blocks_lib.Program(step, run.mesh))

  def roll_out(tables: list[list[Solution]]) -> None:
    calls = collections.defaultdict(list)
    for solutions in tables:  # a call holds one block's solutions, whatever else is computed
      todo = sorted((s for s in solutions if s.steps), key=lambda s: -s.work)
      for first in range(0, len(todo), size):
        call = todo[first:first + size]
        longest = max(len(s.text) for s in call)
        calls[next(w for w in widths if w >= longest)].append(call)
    for width, of_width in sorted(calls.items()):
      of_width.sort(key=lambda call: -call[0].work)  # groups wait for each other
      for first in range(0, len(of_width), run.groups):
        now = of_width[first:first + run.groups]
        inputs = [_inputs(c, size, config.rollouts, limits.max_steps, width) for c in now]
        logs = blocks_lib.on_groups(program(width), params, inputs, run.groups)
        for call, log in zip(now, logs):
          _read(run, call, pool_lib.collect(log))

  return roll_out


def _inputs(solutions: list[Solution], size: int, num_rollouts: int, max_steps: int,
            width: int) -> tuple:
  """Arguments of the program; fewer solutions than `size` leave rows without jobs."""
  prefix = np.zeros((size, width), np.int32)
  lengths = np.ones((size, max_steps * num_rollouts), np.int32)
  words = np.zeros((size, 2), np.uint32)
  identity = np.zeros((*lengths.shape, 3), np.int32)
  num_jobs = np.zeros(size, np.int32)
  for i, s in enumerate(solutions):
    text = s.text
    prefix[i, :len(text)] = text
    words[i] = s.words
    num_jobs[i] = len(s.steps) * num_rollouts
    # The longest continuations first: the queue's end is then made of short ones.
    for j, step in enumerate(s.steps):
      jobs = slice(j * num_rollouts, (j + 1) * num_rollouts)
      lengths[i, jobs] = len(s.prompt) + s.row['step_ends'][step]
      identity[i, jobs, 0], identity[i, jobs, 1] = s.row['slot'], step
      identity[i, jobs, 2] = np.arange(num_rollouts)
  return prefix, lengths, words, identity, num_jobs


def _read(run: Run, solutions: list[Solution], samples: list[dict[int, pool_lib.Sample]]) -> None:
  """Grades a call's rollouts into their questions' outcomes, and their rows' counts."""
  num = run.experiment.labels.rollouts
  table = [[by_job[j] for j in range(len(by_job))] for by_job in samples[:len(solutions)]]
  finished = run.limits.roles.finished
  texts = run.tokenizer.decode_batch([r.tokens.tolist() for rs in table for r in rs])
  asked = [(s.problem.answer, finished(r.tokens)) for s, rs in zip(solutions, table) for r in rs]
  verdicts = iter(grading.are_correct(run.experiment.data.grader, [
      (text, gold) for text, (gold, ended) in zip(texts, asked) if ended]))
  for solution, rollouts in zip(solutions, table):
    right = [finished(r.tokens) and next(verdicts) for r in rollouts]
    for j, step in enumerate(solution.steps):
      outcome = solution.outcomes[solution.prefix(step)]
      outcome[0] += sum(right[j * num:(j + 1) * num])
      outcome[1] += num
    again = len(solution.text)
    attended = again * (again + 1) // 2 + sum(r.attended for r in rollouts)
    row = solution.row
    row['rollout_attended'] = attended
    row['counts']['base'] = rows_lib.add(
        row['counts']['base'], reencoded=again, last=len(rollouts), attended=attended,
        simulated=sum(len(r.tokens) for r in rollouts),
        entered=again + sum(r.entered for r in rollouts))
