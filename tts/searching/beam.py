"""Beam search and lookahead search against a process reward model (Snell et al. 2024, 5.2).

1. N first steps are sampled.
2. The verifier scores each step; with lookahead k, where k greedy steps more lead.
3. The K = N / M best rows are kept.
4. Each that can go on writes M next steps; go to 2.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from tts.searching.method import Allocation, Method, Rows, going_on, in_order, positive


@dataclasses.dataclass(frozen=True)
class Beam(Method):
  """M children of each of the K best rows.

  A kept answer takes one slot and is never copied; live rows share the others evenly, the first
  ones taking what does not divide. Rows that were cut off are kept last, and ties go to the lower
  slot. The search is over when none of the rows that it would keep can go on.
  """

  beam_width: int = 4  # M

  def __post_init__(self):
    positive(beam_width=self.beam_width)

  def kept(self, num: int) -> int:
    return max(1, num // self.beam_width)

  def priority(self, rows: Rows) -> jax.Array:
    """What rows are kept by, float32 [N], NaN the lowest; a subclass may have another rule.

    Answers that were kept are ranked again in every round, beside rows that wrote another step.
    """
    return rows.score

  def allocate(self, key: jax.Array, rows: Rows) -> Allocation:
    del key
    num = rows.score.size
    kept = best(self.priority(rows), rows, self.kept(num))
    stop = ~jnp.any(kept & rows.live)
    parent = in_order(children(kept, rows.live))
    return dataclasses.replace(
        going_on(rows, jnp.where(stop, jnp.arange(num), parent)), stop=stop)


@dataclasses.dataclass(frozen=True)
class Lookahead(Beam):
  """Beam search whose rows are scored where k greedy steps more lead; k = 0 is beam search."""

  lookahead: int = 3  # k

  def __post_init__(self):
    super().__post_init__()
    positive(lookahead=self.lookahead + 1)


def best(priority: jax.Array, rows: Rows, count: int) -> jax.Array:
  """The `count` rows of the highest priority, bool [N]; those cut off behind all others."""
  order = jnp.lexsort((-priority, ~rows.live & ~rows.finished))  # stable: ties by slot
  rank = jnp.zeros_like(order).at[order].set(jnp.arange(order.size))
  return rank < count


def children(kept: jax.Array, live: jax.Array) -> jax.Array:
  """Slots of each row, int32 [N]: one of a kept row that has ended, the rest shared evenly.

  Args:
    kept: bool [N].
    live: bool [N].
  """
  parents = kept & live
  count = jnp.maximum(jnp.sum(parents), 1)
  spare = kept.size - jnp.sum(kept & ~live)
  nth = jnp.cumsum(parents) - 1
  return jnp.where(parents, spare // count + (nth < spare % count), kept.astype(jnp.int32))
