"""Test-time scaling of language models in JAX: search, verifiers, allocation."""

from __future__ import annotations

from collections.abc import Iterable
import os


def solve(workdir: str | os.PathLike[str], questions: Iterable[str], budget: int,
          shared: bool = False) -> list:
  """Answers questions with a run's models, each by the strategy that its difficulty asks for.

  Args:
    workdir: of a run that has been through its report.
    questions: prompts, as the run's own are.
    budget: generations for each.
    shared: for each on average, more where more is expected to buy more.

  Returns:
    A `tts.stages.solve.Solution` per question, in order.

  Raises:
    tts.types.InputError: the folder, a question or the budget is no good; the message says why.
  """
  from tts.stages.solve import Solver
  from tts.types import Problem
  problems = [Problem(f'question-{i}', q.rstrip('\n') + '\n') for i, q in enumerate(questions)]
  return list(Solver(workdir).solve(problems, budget, shared))
