"""A verifier of your own: the mean of the PRM's values over all tokens so far.

  --config.plugins="('examples.my_verifier',)" --config.verifier=mean_value
"""

from __future__ import annotations

from typing import Any

import flax.struct
import jax.numpy as jnp

from tts.models.verifier import Verifier
from tts.stages import verifiers


@flax.struct.dataclass
class State:
  prm: Any
  total: Any  # float32 [B, N], of the values
  count: Any  # int32 [B, N], tokens


@verifiers.register('mean_value', of='prm')
class MeanValue(Verifier):

  def start(self, prefix, prefix_len, past_size, chunk_size):
    prm = super().start(prefix, prefix_len, past_size, chunk_size)
    return State(prm, jnp.zeros(prefix_len.shape), jnp.zeros(prefix_len.shape, jnp.int32))

  def extend(self, state, tokens, lengths):
    values, prm, read = super().extend(state.prm, tokens, lengths)
    real = jnp.arange(tokens.shape[-1])[None, None] < lengths[..., None]
    total = state.total[..., None] + jnp.cumsum(jnp.where(real, values, 0.0), axis=-1)
    count = state.count[..., None] + jnp.cumsum(real, axis=-1)
    return total / jnp.maximum(count, 1), State(prm, total[..., -1], count[..., -1]), read

  def gather(self, state, parent):
    move = lambda x: jnp.take_along_axis(x, parent, axis=1)
    return State(super().gather(state.prm, parent), move(state.total), move(state.count))
