"""Long rows a block at a time: what is held does not grow with the square of their length.

Attention makes a number for every query and key, a loss one for every token and id of the
vocabulary. Of a long row these are more than all else of a forward pass together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

BLOCK = 128  # places at a time
# Numbers of one row (and head) that are made at once, the scores of 1,024 tokens: a row's stay in a
# TPU's fast memory, where blocks save nothing, and no committed run has more (BUILD_NOTES.md,
# "TPU"). On a CPU blocks take less time from 512 tokens on.
WHOLE = 1 << 20


def size(count: int, each: int) -> int:
  """How many of `count` places are computed at a time where each makes `each` numbers."""
  return BLOCK if count > BLOCK and count * each > WHOLE else count


def over(function: Callable[..., jax.Array], args: tuple[Any, ...], axis: int,
         each: int) -> jax.Array:
  """function(*args), a block of places at a time where their numbers are many.

  A gradient computes a block again instead of keeping what it made.

  Args:
    function: of places that do not depend on each other --> an array of as many along `axis`.
    args: trees of arrays with the places along `axis`; those of one there go to every block.
    axis: not negative.
    each: numbers that `function` makes for a place of a row.
  """
  count = max(x.shape[axis] for x in jax.tree.leaves(args))
  block = size(count, each)
  if block == count:
    return function(*args)
  num = -(-count // block)
  leaves, tree = jax.tree.flatten(args)
  split = [x.shape[axis] == count for x in leaves]

  def blocks(x):
    padding = [(0, 0)] * x.ndim
    padding[axis] = (0, num * block - count)
    x = jnp.pad(x, padding).reshape(*x.shape[:axis], num, block, *x.shape[axis + 1:])
    return jnp.moveaxis(x, axis, 0)

  def one(now):
    now = iter(now)
    return function(*tree.unflatten([next(now) if s else x for x, s in zip(leaves, split)]))

  # --> [num, ..., block, ...]
  out = jax.lax.map(jax.checkpoint(one, prevent_cse=False),
                    [blocks(x) for x, s in zip(leaves, split) if s])
  out = jnp.moveaxis(out, 0, axis)
  out = out.reshape(*out.shape[:axis], num * block, *out.shape[axis + 2:])
  return jax.lax.slice_in_dim(out, 0, count, axis=axis)
