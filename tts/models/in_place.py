"""Writing a part of an array where it lies, whatever its dtype."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from tts import parallel


def put(array: jax.Array, part: jax.Array, start: Sequence[jax.Array | int]) -> jax.Array:
  """`lax.dynamic_update_slice` of one dtype."""
  return _as_bits(lambda array, part: jax.lax.dynamic_update_slice(array, part, start), array, part)


def put_row(array: jax.Array, part: jax.Array, index: jax.Array | int, axis: int) -> jax.Array:
  """`put` at one place of one axis, whole along the others."""
  return put(array, part, [index if i == axis else 0 for i in range(array.ndim)])


def cut(array: jax.Array, start: Sequence[jax.Array | int], size: Sequence[int]) -> jax.Array:
  """`lax.dynamic_slice`."""
  return _as_bits(lambda array: jax.lax.dynamic_slice(array, start, size), array)


def cut_row(array: jax.Array, index: jax.Array | int, axis: int) -> jax.Array:
  """`cut` of one place of one axis, whole along the others."""
  return cut(array, [index if i == axis else 0 for i in range(array.ndim)],
             [1 if i == axis else size for i, size in enumerate(array.shape)])


def _as_bits(move, *arrays):
  """A CPU's compiler moves bfloat16 as float32, and converts all of an array for a part of it."""
  dtype = arrays[0].dtype
  if dtype != jnp.bfloat16 or not parallel.for_cpu():
    return move(*arrays)
  bits = (jax.lax.bitcast_convert_type(x, jnp.uint16) for x in arrays)
  return jax.lax.bitcast_convert_type(move(*bits), dtype)
