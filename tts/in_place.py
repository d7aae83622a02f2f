"""Writing a part of an array where it lies, whatever its dtype."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from tts import parallel


def put(array: jax.Array, part: jax.Array, start: Sequence[jax.Array | int]) -> jax.Array:
  """`lax.dynamic_update_slice` of one dtype."""
  if not _by_bits(array):
    return jax.lax.dynamic_update_slice(array, part, start)
  return _back(jax.lax.dynamic_update_slice(_bits(array), _bits(part), start))


def put_row(array: jax.Array, part: jax.Array, index: jax.Array | int, axis: int) -> jax.Array:
  """`put` at one place of one axis, whole along the others."""
  return put(array, part, [index if i == axis else 0 for i in range(array.ndim)])


def cut(array: jax.Array, start: Sequence[jax.Array | int], size: Sequence[int]) -> jax.Array:
  """`lax.dynamic_slice`."""
  if not _by_bits(array):
    return jax.lax.dynamic_slice(array, start, size)
  # Without a barrier the bits of all of an array are taken before a loop that never changes it.
  array, start = jax.lax.optimization_barrier((array, tuple(map(jnp.int32, start))))
  return _back(jax.lax.dynamic_slice(_bits(array), start, size))


def cut_row(array: jax.Array, index: jax.Array | int, axis: int) -> jax.Array:
  """`cut` of one place of one axis, whole along the others."""
  return cut(array, [index if i == axis else 0 for i in range(array.ndim)],
             [1 if i == axis else size for i, size in enumerate(array.shape)])


def _by_bits(array: jax.Array) -> bool:
  """A CPU's compiler moves bfloat16 as float32, and converts all of an array for a part of it."""
  return array.dtype == jnp.bfloat16 and parallel.for_cpu()


def _bits(array: jax.Array) -> jax.Array:
  return jax.lax.bitcast_convert_type(array, jnp.uint16)


def _back(bits: jax.Array) -> jax.Array:
  return jax.lax.bitcast_convert_type(bits, jnp.bfloat16)
