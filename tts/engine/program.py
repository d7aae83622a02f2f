"""Device programs: a pure function of one group's arrays, mapped over the mesh, compiled once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import time
from typing import Any

import jax
import jax.numpy as jnp

from tts import parallel, placement
from tts.engine import pages


class Program:
  """A function mapped over the mesh's groups; compiled for the shapes of its arguments, once each.

  The first argument is shared by the groups: parameters, or () where there are none.
  """

  compile_seconds = 0.0  # that this process has waited for compilers

  def __init__(self, function: Callable, mesh: parallel.Mesh, donate: tuple[int, ...] = ()):
    self.function = function  # of one group
    # Left to the compiler, where results are would change from call to call: programs again.
    self._mapped: Any
    self._mapped, self._mesh = parallel.pmapped(
        lambda *args: jax.tree_util.tree_map_with_path(
            lambda path, x: placement.constrain(x, *pages.axes(path)), function(*args)),
        mesh, donate), mesh
    self._compiled: dict[tuple, Any] = {}

  def __call__(self, shared: Any, *block: Any) -> Any:
    leaves = jax.tree.leaves((shared, block))
    key = tuple((x.shape, x.dtype, spec(x)) for x in leaves)
    block = placement.on_groups(block, self._mesh)
    if key not in self._compiled:
      with waiting():
        lowered = self.lower(shared, *block)
        self._compiled[key] = lowered.compile(compiler_options(shared))
    return self._compiled[key](shared, *block)

  def lower(self, shared: Any, *block: Any) -> Any:
    """Lowered for arguments of these shapes, which need not be there; those of a block stacked."""
    return self._mapped.lower(shared, *block)


def spec(x: Any) -> tuple | None:
  """Which mesh axes an array's are shared over; None of one that is on no mesh yet."""
  found = getattr(getattr(x, 'sharding', None), 'spec', None)
  if found is None:
    return None
  found = tuple(found)
  while found and found[-1] is None:  # says the same as nothing
    found = found[:-1]
  return found


def compiler_options(params: Any) -> dict[str, Any]:
  """What a program with these parameters is compiled with.

  On a CPU bfloat16 weights are written out in float32 where they are read: a schedule that begins
  as much as it can at a time would hold them all.
  """
  halves = any(x.dtype == jnp.bfloat16 for x in jax.tree.leaves(params))
  frugal = {'xla_cpu_scheduler_type': 'CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED'}
  return frugal if halves and jax.default_backend() == 'cpu' else {}


@contextlib.contextmanager
def waiting() -> Iterator[None]:
  """Counts the time inside as waiting for compilers."""
  begun = time.monotonic()
  yield
  Program.compile_seconds += time.monotonic() - begun
