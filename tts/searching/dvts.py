"""Diverse verifier tree search (Beeching, Tunstall & Rush 2024, search-and-learn).

N / M independent subtrees: in each round every subtree writes M steps behind the one that it kept,
and keeps the best of them. Subtrees never compete, so none of them can crowd out the others.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from tts.searching.beam import best
from tts.searching.method import EMPTY, Allocation, Method, Rows, going_on, positive


@dataclasses.dataclass(frozen=True)
class DVTS(Method):
  """Beam search that keeps one row in each subtree of M slots; the last one may have fewer.

  A subtree whose best row cannot go on is over: its rows that have ended stay as candidates.
  """

  beam_width: int = 4  # M

  def __post_init__(self):
    positive(beam_width=self.beam_width)

  def kept(self, num: int) -> int:
    return -(-num // self.beam_width)

  def allocate(self, key: jax.Array, rows: Rows) -> Allocation:
    del key
    slots = jnp.arange(rows.score.size)
    tree = slots // self.beam_width
    own = tree[None] == jnp.arange(self.kept(slots.size))[:, None]  # [subtrees, N]
    # To a subtree the others' rows are as if they had been cut off.
    kept = jax.vmap(lambda own: jnp.argmax(best(
        jnp.where(own, rows.score, -jnp.inf),
        dataclasses.replace(rows, live=rows.live & own, finished=rows.finished & own),
        1)))(own)[tree]
    stays = jnp.where(rows.finished | rows.truncated, slots, EMPTY)
    return going_on(rows, jnp.where(rows.live[kept], kept, stays))
