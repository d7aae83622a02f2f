"""Several processes of one run: who is first, and where they wait for each other.

A run exchanges nothing but files: every process writes its own blocks, and the first one does all
that is done once. The library has no files, so its results are `exchanged`. What processes compute
together is `tts.parallel`'s. The runtime, its heartbeats and its barriers are `jax.distributed`'s.
With one process everything here does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
import itertools
import re
from typing import Any, TypeVar

import jax
from jax.experimental import multihost_utils
import numpy as np
from orbax.checkpoint import multihost

from tts import parallel
from tts.data import buckets
from tts.types import InputError, LostError

_T = TypeVar('_T')
# A training may last for days. That a process died is for heartbeats to find, not for a barrier.
_LONGEST_WAIT_MS = 14 * 24 * 3600 * 1000
_barriers = itertools.count()


def count() -> int:
  return jax.process_count()


def index() -> int:
  return jax.process_index()


def is_first() -> bool:
  """Whether this process does what is done once, and speaks for all."""
  return index() == 0


def wait() -> None:
  """Returns once every process has called it as often as this one, and sees what they have written.

  Raises:
    LostError: one of them has died, or has sent no heartbeat for too long.
  """
  buckets.push()
  if count() == 1:
    return
  if not jax.distributed.is_initialized():
    raise InputError('these devices belong to several processes: start each with --distributed')
  arrive = multihost.get_barrier_sync_fn()
  try:
    arrive(key=f'tts-{next(_barriers)}', timeout_ms=_LONGEST_WAIT_MS)
  except jax.errors.JaxRuntimeError as error:
    found = re.search(r'\bTask (\d+)', str(error))
    # Without a number it is the barrier's keeper that does not answer.
    raise LostError(f'process {found[1] if found else 0} of {count()} is gone (its own output '
                    'may say why); start all of them again to go on') from error
  buckets.pull()


def by_first(function: Callable[..., _T]) -> Callable[..., _T | None]:
  """`function`, called in the first process alone while the others wait; they get None.

  Not to be nested: the first process would wait in the inner one.
  """
  @functools.wraps(function)
  def called(*args: Any, **kwargs: Any) -> _T | None:
    result = function(*args, **kwargs) if is_first() else None
    wait()
    return result

  return called


def team(mesh: parallel.Mesh) -> tuple[int, int]:
  """(which of them, how many): teams of processes that share a mesh, each with one of its own."""
  size = len(parallel.members(mesh))
  return jax.process_index() // size, jax.process_count() // size


def exchanged(data: bytes) -> list[bytes]:
  """What every process gives, in their order. All have to call it."""
  gather = lambda x: np.asarray(multihost_utils.process_allgather(x))
  lengths = gather(np.array([len(data)], np.int32)).reshape(-1)
  padded = np.zeros(int(lengths.max()), np.uint8)
  padded[:len(data)] = np.frombuffer(data, np.uint8)
  return [row[:n].tobytes() for row, n in zip(gather(padded).reshape(len(lengths), -1), lengths)]
