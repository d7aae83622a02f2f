"""Monte-Carlo rollouts from the steps of sampled solutions, as cheap as they can be.

All rollouts of a solution branch off one reading of it, up to the last step that has any; a prefix
that several solutions of a question have is rolled out once, for the first of them.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
import dataclasses
from typing import Any

import numpy as np

from tts import rng
from tts.answers import grading
from tts.engine.coroutines import together
from tts.engine.engine_models import EngineGenerator
from tts.runs import record_rows
from tts.runs.blocks import Block
from tts.runs.run import Run
from tts.sampling import pool as pool_lib
from tts.types import Problem


@dataclasses.dataclass
class Solution:
  """A sampled solution that has an answer, and the steps that it is the first to need.

  Attributes:
    problem: its question.
    row: its record.
    prompt: ids.
    steps: the steps whose ends are rolled out here, ascending.
    outcomes: continuations of each prefix that reach the answer, and all; the question's own.
  """

  problem: Problem
  row: dict[str, Any]
  prompt: list[int]
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


def wanted(block: Block, b: int, rows: Sequence[dict[str, Any]]) -> list[Solution]:
  """A question's solutions that have an answer, with the prefixes shared out among them.

  Each prefix is the first one's that has it.
  """
  outcomes: dict[tuple[int, ...], list[int]] = collections.defaultdict(lambda: [0, 0])
  found = [Solution(block.problems[b], row, block.prompts[b], [], outcomes)
           for row in rows if row['answer'] is not None]
  seen = set()
  for solution in found:
    for step in range(len(solution.row['step_ends']) - 1):
      prefix = solution.prefix(step)
      if prefix not in seen:
        seen.add(prefix)
        solution.steps.append(step)
  return found


def all_keys(run: Run, block: Block) -> np.ndarray:
  """Of every rollout that a block's questions may have: uint32 [B, samples, steps, rollouts, 2].

  All are drawn at once, whatever the solutions will be: that takes less than one call a question.
  """
  sizes = run.experiment.labels.samples, run.limits.max_steps, run.experiment.labels.rollouts
  identity = np.indices(sizes, np.int32).reshape(1, 3, -1).swapaxes(1, 2)
  found = rng.row_keys(run.seed, 'rollout', block.words, identity.repeat(len(block.words), axis=0))
  return found.reshape(-1, *sizes, 2)


async def roll_out(generator: EngineGenerator, group: int, solutions: Sequence[Solution],
                   keys: np.ndarray) -> list[list[pool_lib.Sample]]:
  """Rollouts of each step that a question's solutions are to have: per solution all of its.

  keys: uint32 [samples, steps, rollouts, 2], the question's.
  """
  async def continued(solution: Solution) -> list[pool_lib.Sample]:
    last, ends = solution.steps[-1] + 1, solution.row['step_ends']
    tokens, mine = solution.row['tokens'], keys[solution.row['slot']]
    steps = [tokens[begin:end] for begin, end in zip([0, *ends], ends[:last])]
    found = await pool_lib.rollouts(
        generator, group, solution.prompt, steps,
        [mine[step] if step in solution.steps else () for step in range(last)])
    return [sample for of_step in found for sample in of_step]

  asked = [solution for solution in solutions if solution.steps]
  # The longest first: the end is then made of short ones.
  order = sorted(range(len(asked)), key=lambda i: -asked[i].work)
  found = await together([continued(asked[i]) for i in order])
  of = {id(asked[i]): rollouts for i, rollouts in zip(order, found)}
  return [of.get(id(solution), []) for solution in solutions]


def read(run: Run, solutions: Sequence[Solution], table: Sequence[list[pool_lib.Sample]]) -> None:
  """Grades rollouts into their questions' outcomes, and their rows' counts.

  table: per solution its rollouts, as `roll_out` gives them.
  """
  answer, num = run.limits.roles.answer, run.experiment.labels.rollouts
  read_from = [[answer(r.tokens, solution.prefix(solution.steps[i // num]))
                for i, r in enumerate(rs)] for solution, rs in zip(solutions, table)]
  texts = iter(run.tokenizer.decode_batch([() if part is None else part.tolist()
                                           for parts in read_from for part in parts]))
  over = [[part is not None for part in parts] for parts in read_from]
  ended = [(text, solution.problem) for solution, flags in zip(solutions, over)
           for flag, text in zip(flags, texts) if flag]
  verdicts = iter(grading.are_correct(
      run.experiment.data.grader, [(text, problem.answer) for text, problem in ended],
      [problem.prompt for _, problem in ended]))
  for solution, rollouts, flags in zip(solutions, table, over):
    if not rollouts:
      continue
    right = [flag and next(verdicts) for flag in flags]
    for j, step in enumerate(solution.steps):
      outcome = solution.outcomes[solution.prefix(step)]
      outcome[0] += sum(right[j * num:(j + 1) * num])
      outcome[1] += num
    again = len(solution.text)
    attended = again * (again + 1) // 2 + sum(r.attended for r in rollouts)
    row = solution.row
    row['rollout_attended'] = attended
    row['counts']['base'] = record_rows.add(
        row['counts']['base'], reencoded=again, last=len(rollouts), attended=attended,
        simulated=sum(len(r.tokens) for r in rollouts),
        entered=again + sum(r.entered for r in rollouts))
