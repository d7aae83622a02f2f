"""A search strategy of your own: beam search that spreads its children over different parents.

  --config.plugins="('examples.my_strategy',)"

A candidate's score is lowered by `penalty` for each sibling that is ahead of it, so that one parent
does not own the next round (the sibling penalty of diverse beam decoding, Li & Jurafsky 2016).
Another `@methods.register` line with another penalty is another strategy.
"""

from __future__ import annotations

import jax.numpy as jnp

from tts.search import methods


@methods.register('diverse', penalty=0.5)
def diverse(rows: methods.Rows, penalty: float):
  """One question's rows --> priority float32 [N], the K highest of which are kept."""
  siblings = rows.parent[:, None] == rows.parent[None, :]
  slot = jnp.arange(rows.score.size)
  ahead = (rows.score[None, :] > rows.score[:, None]) | (
      (rows.score[None, :] == rows.score[:, None]) & (slot[None, :] < slot[:, None]))
  return rows.score - penalty * jnp.sum(siblings & ahead, axis=1)
