"""What a run shows while it goes: lines of measurements under `W/metrics`, traces in `W/profile`.

Where tensorboardX is installed (extra `tensorboard`) their numbers are TensorBoard's scalars too.

Nothing reads them but people and their tools. Records hold no time, and do not depend on either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import functools
import json
import os
import time
from typing import Any

import jax

from tts import hosts
from tts.runs.workdir import Workdir
from tts.train import progress

_FLUSH_SECONDS = 10
_SHOWN_SECONDS = 2
_PLACES = ('step', 'steps', 'blocks', 'of')  # where a line stands, not what it measures
_traced: set[str] | None = None  # stages that have a trace; None where none is wanted


def log(workdir: Workdir, **values: Any) -> None:
  """Adds a JSON line to the stage's file; in the first process alone, and in a stage alone.

  `seconds` in a line are those since the line before, without compiling.
  """
  if workdir.stage is None or not hosts.is_first():
    return
  path = workdir.path('metrics', f'{workdir.stage}.jsonl')
  os.makedirs(os.path.dirname(path), exist_ok=True)
  line = json.dumps({'time': round(time.time(), 3), **values}, allow_nan=False) + '\n'
  with open(path, 'ab', buffering=0) as file:
    file.write(line.encode())
  if (events := _events(workdir.path('metrics', 'tensorboard', workdir.stage))) is not None:
    of, step = values.get('model', values.get('work')), values.get('step', values.get('blocks'))
    for name, value in values.items():
      if isinstance(value, (int, float)) and name not in _PLACES:
        events.add_scalar(f'{of}/{name}', value, step)


@functools.cache
def _events(folder: str) -> Any:
  """What writes a folder's event file; None where the library is not installed."""
  try:
    import tensorboardX
  except ImportError:
    return None
  return tensorboardX.SummaryWriter(folder, flush_secs=_FLUSH_SECONDS)


def training(workdir: Workdir) -> dict[str, Callable]:
  """Arguments of `fit`: a bar, lines, and a trace of the first updates."""
  bar, last = progress.bar(), None

  def show(p: progress.Progress) -> None:
    nonlocal last
    bar(p)
    now = time.monotonic()
    log(workdir, model=p.name, step=p.step, steps=p.num_steps, loss=p.loss,
        seconds=round(now - (last or now), 4),
        tokens_per_second=round(p.tokens_per_second, 1), seconds_left=round(p.seconds_left, 1))
    last = now

  return {'progress': show, 'trace': functools.partial(traced, workdir)}


class Pace:
  """Tokens per second and the time left beside a bar of blocks, however long a question takes.

  How far the next question is, is told by the tokens since the last one was done.
  """

  def __init__(self, bar: Any, blocks: int, questions: int):
    """bar: of the blocks, those that are there included; so many blocks are to be computed."""
    self._bar, self._from, self._blocks, self._questions = bar, bar.n, blocks, questions
    self._begun = self._since = time.monotonic()
    self._shown = 0       # tokens when the bar was last drawn
    self._tokens = 0      # that were written or read
    self._done = 0        # questions
    self._at = 0          # tokens when the last question was done
    self._share = 0.0     # of the questions

  @property
  def seconds_left(self) -> float:
    """By the share of the questions that is done."""
    if not self._share:
      return 0.0
    return (time.monotonic() - self._begun) * (1 - self._share) / self._share

  def add(self, tokens: int, done: int) -> None:
    """So many tokens more have been written or read; so many questions are done in all."""
    self._tokens += tokens
    if done > self._done:
      self._done, self._at = done, self._tokens
      self._share = done / self._questions
    seconds = time.monotonic() - self._since
    if seconds < _SHOWN_SECONDS:
      return
    speed = (self._tokens - self._shown) / seconds
    self._since, self._shown = time.monotonic(), self._tokens
    following = 0.0
    if self._done:
      following = min(0.99, (self._tokens - self._at) / (self._at / self._done))
    self._bar.set_postfix_str(f'{speed:,.0f} tokens/s', refresh=False)
    self._draw(min(1.0, (self._done + following) / self._questions))

  def _draw(self, share: float) -> None:
    """A bar never goes back."""
    self._bar.update(max(0.0, round(self._from + self._blocks * share, 2) - self._bar.n))
    self._bar.refresh()


def profile_stages() -> None:
  """From here on some work of every stage is traced."""
  global _traced
  _traced = set()


@contextlib.contextmanager
def traced(workdir: Workdir) -> Iterator[None]:
  """Traces what is inside into `profile/<stage>`, the first time that the stage comes here.

  A folder of `jax.profiler`, for XProf, TensorBoard or Perfetto. The first process's alone.
  """
  stage = workdir.stage
  if _traced is None or stage is None or stage in _traced or not hosts.is_first():
    yield
    return
  _traced.add(stage)
  with jax.profiler.trace(workdir.path('profile', stage)):
    yield
