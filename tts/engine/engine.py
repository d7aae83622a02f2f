"""Runs questions' coroutines over workers until all are done.

Who runs when decides nothing but the time: what a job gives depends on the job alone.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from tts.engine.tasks import Task
from tts.engine.workers import Author, Judge

Begin = Callable[[int], Coroutine]  # a group of devices --> a question's coroutine


def run(questions: Sequence[Begin], models: Sequence[Author | Judge], in_flight: int,
        tick: Callable[[int, float], None] = lambda tokens, share: None) -> list[Any]:
  """Runs questions, so many of each group at a time; the next one goes where one is done.

  Args:
    questions: in the order in which they begin.
    models: that their jobs are for.
    in_flight: questions of a group that have begun and are not done.
    tick: called after each device program with the tokens that it wrote or read, and the share of
      the questions that is done.

  Returns:
    What each coroutine returned.
  """
  workers = [worker for model in models for worker in model.workers]
  results: list[Any] = [None] * len(questions)
  left, waiting = len(questions), iter(enumerate(questions))

  def begin(group: int) -> None:
    found = next(waiting, None)
    if found is not None:
      i, question = found

      def done(result: Any) -> None:
        nonlocal left
        results[i] = result
        left -= 1
        begin(group)

      Task(question(group), done)

  for _ in range(in_flight):
    for group in range(models[0].groups):
      begin(group)
  while left:
    # A program takes its time however few rows it has: the one that does most in it comes first.
    worker = max(workers, key=lambda worker: worker.worth)
    assert worker.worth, 'a question waits for nothing'
    tick(worker.run(), 1 - left / len(questions))
  return results
