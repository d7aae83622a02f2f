"""Runs questions' coroutines over workers until all are done.

Who runs when decides nothing but the time: what a job gives depends on the job alone.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from tts.engine.tasks import Task
from tts.engine.workers import Author, Judge

Begin = Callable[[int], Coroutine]  # a group of devices --> a question's coroutine
_FULL = 0.75  # of a reader's lanes have to have a job, as long as there is something to write


def run(work: Sequence[Sequence[Begin]], models: Sequence[Author | Judge],
        in_flight: Callable[[int], int], tick: Callable[[int], None] = lambda tokens: None,
        ) -> list[list[Any]]:
  """Runs every group's questions, in order, so many at a time.

  Args:
    work: per group its questions.
    models: that their jobs are for.
    in_flight: lanes of a group --> its questions that have begun and are not done.
    tick: called after each device program with the tokens that it wrote or read.

  Returns:
    What each coroutine returned.
  """
  writers = [model.writer for model in models if isinstance(model, Author)]
  readers = [model.reader for model in models]
  most = in_flight(max(worker.lanes for worker in (*writers, *readers)))
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
    for _ in range(most):
      begin(g)
  while any(left):
    writing = [writer for writer in writers if writer.busy]
    # A tile that is nearly full, or all that there is to do.
    reading = [reader for reader in readers
               if reader.busy and (not writing or reader.busy >= _FULL * reader.lanes * len(work))]
    for worker in (*reading, *(writing if not reading else ())):
      tick(worker.run())
    assert reading or writing, 'a question waits for nothing'
  return results
