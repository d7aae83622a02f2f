"""A decoder as the generator that samplers and searches call: functions over a state."""

from __future__ import annotations

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from tts.models import cache as cache_lib
from tts.models.transformer import Decoder, Hidden


@flax.struct.dataclass
class State:
  """Where N candidates of B problems stand."""

  cache: cache_lib.Cache
  prefix_hidden: jax.Array  # [B, P, D] final hidden states of the prefix
  hidden: jax.Array         # [B, N, D] final hidden state of each row's newest token


def prefill(decoder: Decoder, params: Any, prefix: jax.Array) -> tuple:
  """Reads prefixes once. prefix int32 [B, P] --> (`Hidden` [B, P, D], keys and values per layer).

  Padding at the end of a row needs no mask: nothing before it attends to it, and a row's
  `prefix_len` hides it afterwards.
  """
  position = jnp.broadcast_to(jnp.arange(prefix.shape[1], dtype=jnp.int32), prefix.shape)
  return decoder.apply(params, prefix, position)


def advance(decoder: Decoder, params: Any, cache: cache_lib.Cache, tokens: jax.Array,
            lengths: jax.Array, before: Hidden | None = None) -> tuple:
  """Reads new tokens int32 [B, N, C'] of which the first `lengths` are real.

  Args:
    decoder: static.
    params: its parameters.
    cache: of what the rows have read so far.
    tokens: int32 [B, N, C'].
    lengths: int32 [B, N].
    before: `Hidden` [B, N] of each row's newest token; read with `Arch.surprise_layer` alone.

  Returns:
    (`Hidden` [B, N, C', D], the cache, tokens attended to by the real ones int32 [B, N]).
  """
  num_new = tokens.shape[-1]
  real = jnp.arange(num_new)[None, None] < lengths[..., None]
  position = cache_lib.positions(cache, num_new)
  layers = cache_lib.layers(
      cache, num_new, [decoder.arch.window(i) for i in range(decoder.arch.num_layers)])
  hidden, chunk = decoder.apply(params, tokens, position, layers=layers, own=real, before=before)
  attended = jnp.sum(jnp.where(real, position + 1, 0), axis=-1)
  return hidden, cache_lib.written(cache, chunk, num_new, lengths), attended


def last_hidden(prefix_hidden: jax.Array, prefix_len: jax.Array) -> jax.Array:
  """Hidden state at each row's last visible prefix token: [B, P, D], int32 [B, N] --> [B, N, D]."""
  return jnp.take_along_axis(prefix_hidden, prefix_len[..., None] - 1, axis=1)


class Generator:
  """The functions of one decoder and its parameters; built inside a compiled program."""

  def __init__(self, decoder: Decoder, params: Any):
    self._decoder, self._params = decoder, params

  def start(self, prefix: jax.Array, prefix_len: jax.Array, past_size: int,
            chunk_size: int) -> State:
    """Prefills prefix int32 [B, P]; row n of a problem sees its first prefix_len[b, n] tokens."""
    hidden, keys_values = prefill(self._decoder, self._params, prefix)
    cache = cache_lib.init(keys_values, prefix_len, past_size, chunk_size)
    return State(cache=cache, prefix_hidden=hidden.lm, hidden=last_hidden(hidden.lm, prefix_len))

  def logits(self, state: State) -> jax.Array:
    """Next-token logits of each row, float32 [B, N, V]."""
    return self._decoder.apply(self._params, state.hidden, method='logits')

  def extend(self, state: State, tokens: jax.Array, live: jax.Array) -> tuple[State, jax.Array]:
    """Feeds one token int32 [B, N] to the rows that are live.

    Returns:
      (the state, tokens attended to int32 [B, N]).
    """
    hidden, cache, attended = advance(
        self._decoder, self._params, state.cache, tokens[..., None], live.astype(jnp.int32))
    hidden = jnp.where(live[..., None], hidden.lm[:, :, 0], state.hidden)
    return state.replace(cache=cache, hidden=hidden), attended

  def read(self, state: State, tokens: jax.Array, lengths: jax.Array) -> tuple[State, jax.Array]:
    """Reads texts that are given, int32 [B, N, C'] of which the first `lengths` are real.

    They are committed, and so must be what the rows wrote before: `gather` first.

    Returns:
      (the state, tokens attended to int32 [B, N]).
    """
    shape, width = tokens.shape[:2], state.cache.chunk[0][0].shape[3]
    cache = cache_lib.with_chunk(state.cache, tokens.shape[-1])
    hidden, cache, attended = advance(self._decoder, self._params, cache, tokens, lengths)
    itself = jnp.broadcast_to(jnp.arange(shape[1], dtype=jnp.int32), shape)
    cache = cache_lib.with_chunk(cache_lib.commit(cache, itself), width)
    last = jnp.take_along_axis(hidden.lm, jnp.maximum(lengths - 1, 0)[..., None, None], axis=2)
    hidden = jnp.where(lengths[..., None] > 0, last[:, :, 0], state.hidden)
    return state.replace(cache=cache, hidden=hidden), attended

  def restart(self, state: State, rows: jax.Array, prefix_len: jax.Array) -> State:
    """Begins another candidate in `rows` bool [B, N], which sees prefix_len int32 [B, N]."""
    fresh = last_hidden(state.prefix_hidden, prefix_len)
    return state.replace(cache=cache_lib.restart(state.cache, rows, prefix_len),
                         hidden=jnp.where(rows[..., None], fresh, state.hidden))

  def gather(self, state: State, parent: jax.Array) -> State:
    """Commits the round's tokens; row n goes on from row parent[n]. parent int32 [B, N]."""
    hidden = jnp.take_along_axis(state.hidden, parent[..., None], axis=1)
    return state.replace(cache=cache_lib.commit(state.cache, parent), hidden=hidden)
