"""Runs questions' coroutines over workers until all are done.

Who runs when decides nothing but the time: what a job gives depends on the job alone.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from tts.engine.coroutines import Task
from tts.engine.engine_models import EngineGenerator, EngineVerifier

Begin = Callable[[int], Coroutine]  # a group of devices --> a question's coroutine
_FULL = 0.999  # `Shape.worth` of a program with a job for every row, but for rounding


class Done(NamedTuple):
  """A question that is done."""

  index: int   # type: ignore[assignment]  # of the questions, from 0
  result: Any  # what its coroutine returned


def stream(questions: Iterable[Begin], models: Sequence[EngineGenerator | EngineVerifier],
           in_flight: int,
           tick: Callable[[int, int], None] = lambda tokens, done: None) -> Iterator[Done]:
  """Runs questions, so many of each group at a time; the next one goes where one is done.

  Args:
    questions: in the order in which they begin; taken as they begin.
    models: that their jobs are for.
    in_flight: questions of a group that have begun and are not done.
    tick: called after each device program with the tokens that it wrote or read, and how many
      questions are done; and with 0 when one is.

  Yields:
    Questions as they are done, in any order. Nothing goes on while the caller does not.
  """
  workers = [worker for model in models for worker in model.workers]
  waiting = iter(enumerate(questions))
  found: collections.deque[Done] = collections.deque()
  running = done = 0

  def begin(group: int) -> None:
    nonlocal running
    following = next(waiting, None)
    if following is None:
      return
    index, question = following
    running += 1

    def ended(result: Any) -> None:
      nonlocal running, done
      found.append(Done(index, result))
      running, done = running - 1, done + 1
      begin(group)

    Task(question(group), ended)

  for _ in range(in_flight):
    for group in range(models[0].groups):
      begin(group)
  over: list[Any] = []  # (job, result) of those that are done and not handed in

  def hand_in() -> None:
    for job, result in over:
      job.done(result)
    over.clear()

  while running:
    # A program takes its time however few rows it has: the one that does most in it comes first.
    worker = max(workers, key=lambda worker: worker.worth)
    if over and worker.worth < _FULL:
      hand_in()  # who has waited for these may have more for the program
    else:
      assert worker.worth, 'a question waits for nothing'
      worker.begin()
      hand_in()  # while the devices work
      tokens, over = worker.end()
      tick(tokens, done)
    if found:
      tick(0, done)
    while found:
      yield found.popleft()
  yield from found  # of questions that asked for nothing


def run(questions: Sequence[Begin], models: Sequence[EngineGenerator | EngineVerifier],
        in_flight: int,
        tick: Callable[[int, float], None] = lambda tokens, share: None) -> list[Any]:
  """What the coroutines of questions return, in their order. Args: as of `stream`.

  tick: is told of the share of the questions that is done.
  """
  results: list[Any] = [None] * len(questions)
  for index, result in stream(questions, models, in_flight,
                              lambda tokens, done: tick(tokens, done / len(questions))):
    results[index] = result
  return results
