"""A decoder with a value head as the verifier that a search calls.

It keeps a key/value cache of its own and reads only the tokens that are new, so a step is scored
for the price of the step.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from tts.models import cache as cache_lib
from tts.models import generator
from tts.models.transformer import Decoder


class Verifier:
  """The functions of one verifier and its parameters; built inside a compiled program."""

  def __init__(self, decoder: Decoder, params: Any):
    self._decoder, self._params = decoder, params

  def start(self, prefix: jax.Array, prefix_len: jax.Array, past_size: int,
            chunk_size: int) -> cache_lib.Cache:
    """Prefills prefix int32 [B, P]; row n of a problem sees its first prefix_len[b, n] tokens."""
    _, keys_values = generator.prefill(self._decoder, self._params, prefix)
    return cache_lib.init(keys_values, prefix_len, past_size, chunk_size)

  def extend(self, cache: cache_lib.Cache, tokens: jax.Array, lengths: jax.Array) -> tuple:
    """Reads a chunk of new tokens.

    Args:
      cache: the state that `start` or `gather` returned.
      tokens: int32 [B, N, C].
      lengths: int32 [B, N], how many of them are real.

    Returns:
      (value at every token float32 [B, N, C], probabilities that the answer will be right;
      the cache; tokens attended to int32 [B, N]).
    """
    hidden, cache, attended = generator.advance(
        self._decoder, self._params, cache, tokens, lengths)
    logit = self._decoder.apply(self._params, hidden, method='values')
    return jax.nn.sigmoid(logit), cache, attended

  def gather(self, cache: cache_lib.Cache, parent: jax.Array) -> cache_lib.Cache:
    """Commits the chunk; row n goes on from row parent[n]. parent int32 [B, N]."""
    return cache_lib.commit(cache, parent)
