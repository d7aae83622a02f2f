"""A verifier of your own: the mean of the PRM's values over all tokens so far.

  --config.plugins="('examples.my_verifier',)" --config.verifier=mean_value
"""

from __future__ import annotations

from typing import Any

import flax.struct
import jax.numpy as jnp

from tts.models.verifier import Verifier
from tts.runs import verifiers


@flax.struct.dataclass
class Carry:
  prm: Any    # what the PRM carries
  total: Any  # float32 [R], of the values
  count: Any  # int32 [R], tokens that a generator wrote


@verifiers.register('mean_value', of='prm')
class MeanValue(Verifier):

  def empty(self, rows, width):
    texts = super().empty(rows, width)
    return texts.replace(carry=Carry(texts.carry, jnp.zeros(rows), jnp.zeros(rows, jnp.int32)))

  def extend(self, texts, tokens, lengths, own):
    carry = texts.carry
    values, after = super().extend(texts.replace(carry=carry.prm), tokens, lengths, own)
    real = (jnp.arange(tokens.shape[-1])[None] < lengths[:, None]) & own[:, None]
    total = carry.total[:, None] + jnp.cumsum(jnp.where(real, values, 0.0), axis=-1)
    count = carry.count[:, None] + jnp.cumsum(real, axis=-1)
    carry = Carry(after.carry, total[:, -1], count[:, -1])
    return total / jnp.maximum(count, 1), after.replace(carry=carry)
