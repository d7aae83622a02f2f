"""A decoder with a value head as the verifier that a search calls.

It keeps a key/value cache of its own and reads only the tokens that are new, so a step is scored
for the price of the step.
"""

from __future__ import annotations

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from tts.models import cache as cache_lib
from tts.models import generator
from tts.models.transformer import Decoder, Hidden


@flax.struct.dataclass
class State:
  """What the verifier knows of N candidates of B problems."""

  cache: cache_lib.Cache
  before: Hidden | None  # [B, N] at each row's newest token, where it matters to the next one


class Verifier:
  """The functions of one verifier and its parameters; built inside a compiled program."""

  def __init__(self, decoder: Decoder, params: Any):
    self._decoder, self._params = decoder, params

  def start(self, prefix: jax.Array, prefix_len: jax.Array, past_size: int,
            chunk_size: int) -> State:
    """Prefills prefix int32 [B, P]; row n of a problem sees its first prefix_len[b, n] tokens."""
    hidden, keys_values = generator.prefill(self._decoder, self._params, prefix)
    newest = jax.tree.map(
        lambda x: jnp.take_along_axis(x, _over(prefix_len - 1, x), axis=1), _lasting(hidden))
    return State(cache=cache_lib.init(keys_values, prefix_len, past_size, chunk_size),
                 before=newest)

  def extend(self, state: State, tokens: jax.Array, lengths: jax.Array) -> tuple:
    """Reads a chunk of new tokens.

    Args:
      state: what `start` or `gather` returned.
      tokens: int32 [B, N, C].
      lengths: int32 [B, N], how many of them are real.

    Returns:
      (value at every token float32 [B, N, C], probabilities that the answer will be right;
      the state; tokens that entered and what they attended to int32 [B, N, 2]).
    """
    hidden, cache, attended = generator.advance(
        self._decoder, self._params, state.cache, tokens, lengths, state.before)
    logit = self._decoder.apply(self._params, hidden.top, method='values')
    last = jnp.maximum(lengths - 1, 0)[..., None]
    newest = jax.tree.map(
        lambda x: jnp.take_along_axis(x, _over(last, x), axis=2)[:, :, 0], _lasting(hidden))
    before = jax.tree.map(
        lambda new, old: jnp.where(_over(lengths > 0, new), new, old), newest, state.before)
    read = jnp.stack([lengths, attended], axis=-1)
    return jax.nn.sigmoid(logit), State(cache=cache, before=before), read

  def gather(self, state: State, parent: jax.Array) -> State:
    """Commits the chunk; row n goes on from row parent[n]. parent int32 [B, N]."""
    before = jax.tree.map(
        lambda x: jnp.take_along_axis(x, _over(parent, x), axis=1), state.before)
    return State(cache=cache_lib.commit(state.cache, parent), before=before)


def _lasting(hidden: Hidden) -> Hidden | None:
  """What the next token's surprise depends on; None for a plain decoder."""
  return None if hidden.account is None else hidden.replace(top=None)


def _over(index: jax.Array, x: jax.Array) -> jax.Array:
  """`index` with axes added until it goes with `x`."""
  return index.reshape(index.shape + (1,) * (x.ndim - index.ndim))
