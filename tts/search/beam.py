"""Which rows a round of beam search keeps, and which children it deals them.

The rules are written for one problem and mapped over problems by `search.py`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


def keep_best(priority: jax.Array, live: jax.Array, finished: jax.Array,
              num_kept: int) -> jax.Array:
  """The rows that survive, unbatched.

  By (priority descending, slot ascending); truncated rows, which are neither live nor finished,
  come last whatever theirs.

  Args:
    priority: float32 [N].
    live: bool [N].
    finished: bool [N].
    num_kept: K, static.

  Returns:
    bool [N] with K rows set.
  """
  truncated = ~live & ~finished
  order = jnp.lexsort((-priority, truncated))  # stable: equal rows stay in slot order
  rank = jnp.zeros_like(order).at[order].set(jnp.arange(order.size))
  return rank < num_kept


def deal(kept: jax.Array, live: jax.Array) -> jax.Array:
  """The row that each slot of the next round goes on from, unbatched.

  Survivors stay in slot order with their children side by side. A kept row that is not live gets
  one slot: an answer is never copied. Live ones share the rest evenly, the first ones taking what
  does not divide. With every row kept this is the identity.

  Args:
    kept: bool [N], at least one row of it live.
    live: bool [N].

  Returns:
    int32 [N], ascending.
  """
  num_slots = kept.size
  parents = kept & live
  num_parents = jnp.maximum(jnp.sum(parents), 1)
  spare = num_slots - jnp.sum(kept & ~live)
  nth = jnp.cumsum(parents) - 1
  children = spare // num_parents + (nth < spare % num_parents)
  children = jnp.where(parents, children, kept.astype(jnp.int32))
  return jnp.searchsorted(jnp.cumsum(children), jnp.arange(num_slots), side='right')


def select(priority: jax.Array, live: jax.Array, finished: jax.Array, num_kept: int) -> tuple:
  """One problem's selection, unbatched: what to keep, whether to stop, where slots go on from.

  A search stops when none of the rows that it would keep is live.

  Returns:
    (kept bool [N], stop bool [], parent int32 [N]: the identity where the search stops).
  """
  kept = keep_best(priority, live, finished, num_kept)
  stop = ~jnp.any(kept & live)
  identity = jnp.arange(priority.size)
  parent = jnp.where(stop, identity, deal(kept, live))
  return kept, stop, parent.astype(jnp.int32)
