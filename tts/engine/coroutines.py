"""What is to be computed, as coroutines: one a question, each awaiting jobs.

A question's coroutine knows neither lanes nor neighbours. It awaits a job (a step to be written, a
text to be read), or several things at once (`together`), and goes on as soon as these are done.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any


class Job:
  """Work for a worker, which sets `result`. Awaiting it hands it over."""

  worker: Any  # with `submit(job)`
  group: int   # of devices
  result: Any = None
  _task: Task

  def __await__(self):
    yield self
    return self.result

  def begin(self, task: Task) -> None:
    self._task = task
    self.worker.submit(self)

  def done(self, result: Any) -> None:
    """Hands in the result: who awaits it goes on."""
    self.result = result
    self._task.go_on()


class _Together:
  """Several coroutines at once."""

  def __init__(self, coroutines: list[Coroutine]):
    self._coroutines = coroutines
    self._results: list[Any] = [None] * len(coroutines)
    self._left = len(coroutines)

  def __await__(self):
    if self._left:
      yield self
    return self._results

  def begin(self, task: Task) -> None:
    for i, coroutine in enumerate(self._coroutines):
      def done(result, i=i):
        self._results[i] = result
        self._left -= 1
        if not self._left:
          task.go_on()

      Task(coroutine, done)


def together(coroutines: Iterable[Coroutine]) -> _Together:
  """Awaits all of them; their results, in order."""
  return _Together(list(coroutines))


class Shared:
  """A coroutine that several await and that runs once, at the first of them."""

  def __init__(self, coroutine: Coroutine):
    self._coroutine = coroutine
    self._waiting: list[Task] = []
    self._begun, self._over, self._result = False, False, None

  def __await__(self):
    if not self._over:
      yield self
    return self._result

  def begin(self, task: Task) -> None:
    self._waiting.append(task)
    if not self._begun:
      self._begun = True
      Task(self._coroutine, self._done)

  def _done(self, result: Any) -> None:
    self._over, self._result = True, result
    for task in self._waiting:
      task.go_on()


class Task:
  """A coroutine on its way."""

  def __init__(self, coroutine: Coroutine, done: Callable[[Any], None]):
    self._coroutine, self._done = coroutine, done
    self.go_on()

  def go_on(self) -> None:
    try:
      wanted = self._coroutine.send(None)
    except StopIteration as end:
      self._done(end.value)
    else:
      wanted.begin(self)
