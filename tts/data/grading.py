"""Grades predictions: by normal form, and where that says no by math-verify.

The first stage is `answers.is_correct`, exact and fast. The second knows algebra
(`2\\sqrt{2}` is `\\sqrt{8}`), but computes whatever it is given: `9^{9^9}` never ends. So it
runs in worker processes of its own, each with limits of time and memory. A pair that exceeds
them costs its worker, which is replaced, and is wrong.
"""

from __future__ import annotations

import atexit
import collections
from collections.abc import Iterable, Sequence
import fractions
import functools
import importlib.util
import json
import multiprocessing.connection
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

from tts import machine
from tts.data import answers
from tts.types import InputError

GRADERS = ('exact', 'math')

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

_DOLLARS = re.compile(r'\\?\$|(?<!\\)\\[()\[\]]')
_NUMBERS = re.compile(r'(\\\{|[(\[]?)(-?\d+(?:/\d+)?(?:, ?-?\d+(?:/\d+)?)*)(\\\}|[)\]]?)')
_CLOSE = fractions.Fraction(1, 1000)  # math-verify rounds to six decimals
_BASE = re.compile(r'[0-9][0-9A-F]*\}?\s*_')


def check(grader: str) -> None:
  """Raises InputError where there is no such grader, or its library is not installed."""
  if grader not in GRADERS:
    raise InputError(f'grader {grader!r}: choose of {", ".join(GRADERS)}')
  if grader == 'math' and importlib.util.find_spec('math_verify') is None:
    raise InputError('grader "math" needs math-verify: pip install -e ".[math]"')


def are_correct(grader: str, pairs: Iterable[tuple[str, str]]) -> list[bool]:
  """Whether the last answers of predictions are the gold ones.

  Args:
    grader: of `GRADERS`. `exact` starts no process.
    pairs: (prediction, gold), the texts that `answers.is_correct` takes. Many at once are
      shared out among the workers.

  Raises:
    InputError: as `check`.
  """
  check(grader)
  pairs = list(pairs)
  right = [answers.is_correct(*pair) for pair in pairs]
  if grader == 'exact':
    return right
  asked = {i: _question(*pairs[i]) for i, exact in enumerate(right) if not exact}
  asked = {i: question for i, question in asked.items() if question is not None}
  for i, verdict in zip(asked, _pool().equal(list(asked.values()))):
    right[i] = verdict
  return right


def _question(prediction: str, gold: str) -> tuple[str, str] | None:
  """(gold answer, answer) as the workers take them; None where these have nothing to say."""
  answer, gold = answers.extract(prediction), answers.gold_answer(gold)
  if answer is None or max(len(answer), len(gold)) > answers.MAX_LENGTH:
    return None
  if _BASE.search(answer):
    return None  # math-verify would drop the base: 21_8 is not 21_9
  if '%' not in answer + gold and _far_apart(answers.normalize(answer), answers.normalize(gold)):
    return None  # most wrong answers, some of which take the library a tenth of a second
  pair = _DOLLARS.sub('', gold).strip(), _DOLLARS.sub('', answer).strip()
  return pair if all(map(_one_group, pair)) else None


def _far_apart(form: str, other: str) -> bool:
  """Whether normal forms are numbers, or as many in the same brackets, and surely not equal."""
  found = [_NUMBERS.fullmatch(form), _NUMBERS.fullmatch(other)]
  if not all(found) or found[0].group(1, 3) != found[1].group(1, 3):
    return False
  ordered = found[0][1] in ('(', '[')
  values = [[fractions.Fraction(n) for n in match[2].split(',')] for match in found]
  left, right = values if ordered else map(sorted, values)
  return len(left) == len(right) and any(abs(a - b) > _CLOSE for a, b in zip(left, right))


def _one_group(text: str) -> bool:
  """Whether `\\boxed{text}` is one box. Of several any would count."""
  depth = 0
  for token in re.findall(r'\\.?|[{}]', text, re.DOTALL):
    depth += (token == '{') - (token == '}')
    if depth < 0 or token == '\\':
      return False
  return depth == 0 and text != '' and '\\boxed' not in text and '\\fbox' not in text


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
    self._cache: dict[tuple[str, str], bool] = {}
    self._lock = threading.Lock()

  def equal(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
    """Whether answers are equal. A pair that exceeds its limits is not.

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
          self._cache[pair] = said == b'1'
        elif said != b'r':
          raise RuntimeError('a grading worker ended before it was ready: is math-verify whole?')
        if not said:
          self._replace(worker)
      for worker in [w for w in waiting.values() if w.late]:
        if worker.pair is None:
          raise RuntimeError(f'a grading worker was not ready after {_START_SECONDS} s')
        self._cache[worker.pair] = False
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


@functools.cache
def _pool() -> WorkerPool:
  """This process's own, made when it is first needed."""
  pool = WorkerPool()
  atexit.register(pool.close)
  return pool
