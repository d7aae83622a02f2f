"""Worker processes that compare answers by math-verify, each with limits of time and memory."""

from __future__ import annotations

import collections
from collections.abc import Sequence
import json
import multiprocessing.connection
import os
import pathlib
import subprocess
import sys
import threading
import time

from tts import machine

# Of one pair: processor seconds, after which the kernel ends the worker whatever it is doing. They
# do not depend on what else the machine does, so verdicts do not either.
SECONDS = 4.0
# A worker that waits instead of computing is ended by the parent after so many times that.
_PATIENCE = 5
_START_SECONDS = 120
MEMORY_BYTES = 1 << 30
_MAX_WORKERS = 8
_MAX_CACHE = 1 << 18
_WORKER = pathlib.Path(__file__).with_name('grading_worker.py')


class WorkerPool:
  """Worker processes that compare answers by math-verify, started when they are needed."""

  def __init__(self, workers: int | None = None, seconds: float = SECONDS,
               memory_bytes: int = MEMORY_BYTES):
    """Starts nothing yet.

    Args:
      workers: how many at most; None takes the processors of this process, at most 8.
      seconds: of processor time that one pair may take.
      memory_bytes: that a worker may map, where the platform has such a limit.
    """
    self._most = workers or min(_MAX_WORKERS, machine.cores())
    self._limits = seconds, memory_bytes
    self._workers: list[_Worker] = []
    self._cache: dict[tuple[str, str], bool | None] = {}
    self._lock = threading.Lock()

  def equal(self, pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
    """Whether answers are equal; None of a pair that exceeds its limits.

    Args:
      pairs: (gold, answer), each the LaTeX of one answer alone.

    Raises:
      RuntimeError: a worker cannot be started.
    """
    with self._lock:
      if len(self._cache) > _MAX_CACHE:
        self._cache.clear()
      todo = collections.deque(dict.fromkeys(p for p in pairs if p not in self._cache))
      try:
        self._work(todo)
      except BaseException:
        self.close()  # what an interrupted worker says later would be taken for another pair's
        raise
      return [self._cache[pair] for pair in pairs]

  def _work(self, todo: collections.deque[tuple[str, str]]) -> None:
    while todo or any(worker.pair for worker in self._workers):
      for worker in [w for w in self._workers if w.idle]:
        if worker.ended:  # killed from outside while it had nothing to do
          self._replace(worker)
        elif todo:
          worker.send(todo.popleft())
      # More workers than pairs left would come too late.
      while len(self._workers) < min(self._most, len(todo) + sum(
          not worker.idle for worker in self._workers)):
        self._workers.append(_Worker(*self._limits))
      waiting = {worker.fileno(): worker for worker in self._workers if not worker.idle}
      left = min(worker.deadline for worker in waiting.values()) - time.monotonic()
      for fd in multiprocessing.connection.wait(list(waiting), max(0.0, left)):
        worker = waiting[fd]
        pair, said = worker.pair, worker.read()
        if pair is not None:
          self._cache[pair] = {b'1': True, b'0': False}.get(said)
        elif said != b'r':
          raise RuntimeError('a grading worker ended before it was ready: is math-verify whole?')
        if not said:
          self._replace(worker)
      for worker in [w for w in waiting.values() if w.late]:
        if worker.pair is None:
          raise RuntimeError(f'a grading worker was not ready after {_START_SECONDS} s')
        self._cache[worker.pair] = None
        self._replace(worker)

  def _replace(self, worker: _Worker) -> None:
    self._workers.remove(worker)  # the next one is started when there is work for it
    worker.close()

  def close(self) -> None:
    """Ends all workers. The next call starts new ones."""
    while self._workers:
      self._workers.pop().close()


class _Worker:
  """One process: starting, idle, or at work on `pair`."""

  def __init__(self, seconds: float, memory_bytes: int):
    self._patience = _PATIENCE * seconds
    # Not `multiprocessing`: it would import the main module, and JAX with it. A fixed hash seed
    # makes the order of sets, which SymPy goes by, the same in every worker.
    self._process = subprocess.Popen(
        [sys.executable, '-P', str(_WORKER), str(seconds), str(memory_bytes)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True,
        env={**os.environ, 'PYTHONHASHSEED': '0'})
    self.pair: tuple[str, str] | None = None
    self.idle = False
    self.deadline = time.monotonic() + _START_SECONDS

  def fileno(self) -> int:
    return self._process.stdout.fileno()

  @property
  def late(self) -> bool:
    return not self.idle and time.monotonic() > self.deadline

  @property
  def ended(self) -> bool:
    return self._process.poll() is not None

  def send(self, pair: tuple[str, str]) -> None:
    self.pair, self.idle = pair, False
    self.deadline = time.monotonic() + self._patience
    try:
      self._process.stdin.write(json.dumps(pair).encode() + b'\n')
    except BrokenPipeError:
      pass  # it has been killed; `read` says so

  def read(self) -> bytes:
    """`r` once it is ready, then `1` or `0` for its pair; b'' if it has ended."""
    self.pair, self.idle = None, True
    return self._process.stdout.read(1)

  def close(self) -> None:
    self._process.kill()
    self._process.stdin.close()
    self._process.stdout.close()
    self._process.wait()
