"""Runs questions' coroutines over workers until all are done.

Who runs when decides nothing but the time: what a job gives depends on the job alone.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from tts.engine.tasks import Task
from tts.engine.workers import Author, Judge

Begin = Callable[[int], Coroutine]  # a group of devices --> a question's coroutine


def run(work: Sequence[Sequence[Begin]], models: Sequence[Author | Judge],
        in_flight: int, tick: Callable[[int], None] = lambda tokens: None,
        ) -> list[list[Any]]:
  """Runs every group's questions, in order, so many at a time.

  Args:
    work: per group its questions.
    models: that their jobs are for.
    in_flight: questions of a group that have begun and are not done.
    tick: called after each device program with the tokens that it wrote or read.

  Returns:
    What each coroutine returned.
  """
  workers = [worker for model in models for worker in model.workers]
  results: list[list[Any]] = [[None] * len(of_group) for of_group in work]
  left = [len(of_group) for of_group in work]
  waiting = [iter(enumerate(of_group)) for of_group in work]

  def begin(g: int) -> None:
    found = next(waiting[g], None)
    if found is not None:
      i, question = found

      def done(result: Any) -> None:
        results[g][i] = result
        left[g] -= 1
        begin(g)

      Task(question(g), done)

  for g in range(len(work)):
    for _ in range(in_flight):
      begin(g)
  while any(left):
    # A program takes as long with few lanes in use: the one that has most of its own comes first.
    worker = max(workers, key=lambda worker: worker.load)
    assert worker.load, 'a question waits for nothing'
    tick(worker.run())
  return results
