"""Several processes of one run: who is first, and where they wait for each other.

Nothing is exchanged here but files: every process writes its own blocks, and the first one does
all that is done once. What processes compute together is `tts.parallel`'s. The runtime, its
heartbeats and its barriers are `jax.distributed`'s. With one process everything here does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
import itertools
import re
from typing import Any, TypeVar

import jax
from orbax.checkpoint import multihost

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
