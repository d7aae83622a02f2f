"""A search method of your own: beam search that spreads its children over different parents.

  --config.plugins="('examples.my_method',)"

A row's score is lowered by `penalty` for each sibling that is ahead of it, so that one parent does
not own the next round (the sibling penalty of diverse beam decoding, Li & Jurafsky 2016). Other
penalties: --config.search.methods="('beam', 'diverse', 'diverse(penalty=0.1)')".
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from tts import methods


@methods.register('diverse')
@dataclasses.dataclass(frozen=True)
class Diverse(methods.Beam):
  penalty: float = 0.5

  def priority(self, rows: methods.Rows) -> jax.Array:
    siblings = rows.parent[:, None] == rows.parent[None, :]
    slot = jnp.arange(rows.score.size)
    ahead = (rows.score[None, :] > rows.score[:, None]) | (
        (rows.score[None, :] == rows.score[:, None]) & (slot[None, :] < slot[:, None]))
    return rows.score - self.penalty * jnp.sum(siblings & ahead, axis=1)
