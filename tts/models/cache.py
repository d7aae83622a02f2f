"""Key/value cache of N candidates per problem, in three parts.

  prefix  [B, P]      the prompt (and, for rollouts, the solution), computed once and shared
  past    [B, N, T]   what each candidate has committed, packed, with a length per row
  chunk   [B, N, C]   what is being written now; every row writes the same column

A decoding loop writes one chunk column a token, in place, whatever the rows' lengths: `prefix` and
`past` do not change inside it. The chunk is a ring, so that a slot whose row has ended can begin
another while its neighbours go on. Columns carry rotated keys, so their order is free.

Heads stand before columns: the other way round XLA transposes the cache for every token, which on
a CPU makes attention five times slower.
"""

from __future__ import annotations

from collections.abc import Sequence
import functools

import flax.struct
import jax
import jax.numpy as jnp

from tts import parallel
from tts.models import blockwise
from tts.models.attention import MASKED, softcap

# Logical axes of a part, for `parallel`: its devices share the heads.
_PREFIX, _ROWS = (None, 'kv_heads', None, None), (None, None, 'kv_heads', None, None)


@flax.struct.dataclass
class Cache:
  """Keys and values per layer. K_kv heads, E head size."""

  prefix: tuple          # per layer (k, v), each [B, K_kv, P, E]
  past: tuple            # per layer (k, v), each [B, N, K_kv, T, E]
  chunk: tuple           # per layer (k, v), each [B, N, K_kv, C, E]
  prefix_len: jax.Array  # [B, N] int32, prefix columns that a row sees
  past_len: jax.Array    # [B, N] int32
  chunk_len: jax.Array   # [B, N] int32, newest chunk columns that belong to the row
  column: jax.Array      # []     int32, next chunk column to write (before wrapping)


@flax.struct.dataclass
class Layer:
  """One layer's view of the cache during a forward pass over C' new columns."""

  prefix: tuple
  past: tuple
  chunk: tuple
  masks: tuple           # visibility per part: [B, N, 1 or C', P], [.., 1 or C', T], [.., C', C]
  column: jax.Array

  def attend(self, q, k, v, cap=None):
    """Writes k, v [B, N, C', K_kv, E] at `column`; attends q to every part. cap: of `softcap`."""
    width = self.chunk[0].shape[3]
    start = (0, 0, 0, self.column % width, 0)
    chunk = tuple(
        jax.lax.dynamic_update_slice(old, jnp.swapaxes(new, 2, 3).astype(old.dtype), start)
        for old, new in zip(self.chunk, (k, v)))
    (pk, pv), (ok, ov), (ck, cv) = self.prefix, self.past, chunk

    def some(q, masks):
      scores = [
          jnp.einsum('bnckge,bkpe->bnkgcp', q, pk),
          jnp.einsum('bnckge,bnkte->bnkgct', q, ok),
          jnp.einsum('bnckge,bnkte->bnkgct', q, ck),
      ]
      weights = _softmax([softcap(s, cap) for s in scores], [m[:, :, None, None] for m in masks])
      wp, wo, wc = (w.astype(q.dtype) for w in weights)
      return (jnp.einsum('bnkgcp,bkpe->bnckge', wp, pv)
              + jnp.einsum('bnkgct,bnkte->bnckge', wo, ov)
              + jnp.einsum('bnkgct,bnkte->bnckge', wc, cv))

    num_columns = sum(part[0].shape[-2] for part in (self.prefix, self.past, chunk))
    return blockwise.over(some, (q, self.masks), 2, num_columns), chunk


def _softmax(scores, masks):
  """One softmax over the columns of all parts, in float32. scores [..., columns] per part."""
  scores = [jnp.where(m, s.astype(jnp.float32), MASKED) for s, m in zip(scores, masks)]
  # A part may have no columns; the chunk has the token itself, so the sum is never zero.
  top = functools.reduce(jnp.maximum, (
      jnp.max(s, axis=-1, keepdims=True, initial=MASKED) for s in scores))
  weights = [jnp.exp(s - top) for s in scores]
  # A reciprocal by hand: where XLA chooses, it chooses otherwise for one device than for two.
  scale = 1.0 / sum(jnp.sum(w, axis=-1, keepdims=True) for w in weights)
  return [w * scale for w in weights]


def init(prefix: tuple, prefix_len: jax.Array, past_size: int, chunk_size: int) -> Cache:
  """An empty cache over a prefilled prefix.

  Args:
    prefix: per layer (k, v), each [B, P, K_kv, E], as a forward pass gives them.
    prefix_len: int32 [B, N].
    past_size: T.
    chunk_size: C.
  """
  prefix = jax.tree.map(lambda x: parallel.constrain(jnp.swapaxes(x, 1, 2), *_PREFIX), prefix)

  def empty(size):
    return jax.tree.map(
        lambda x: _zeros((*prefix_len.shape, x.shape[1], size, x.shape[3]), x.dtype), prefix)

  zeros = jnp.zeros_like(prefix_len)
  return Cache(prefix=prefix, past=empty(past_size), chunk=empty(chunk_size),
               prefix_len=prefix_len, past_len=zeros, chunk_len=zeros,
               column=jnp.zeros((), jnp.int32))


def _zeros(shape: tuple[int, ...], dtype) -> jax.Array:
  return parallel.constrain(jnp.zeros(shape, dtype), *_ROWS)


def positions(cache: Cache, num_new: int) -> jax.Array:
  """Where the next `num_new` tokens of each row stand, int32 [B, N, C']."""
  first = cache.prefix_len + cache.past_len + cache.chunk_len
  return first[..., None] + jnp.arange(num_new, dtype=jnp.int32)[None, None]


def layers(cache: Cache, num_new: int, windows: Sequence[int | None]) -> list[Layer]:
  """The per-layer views that a forward pass over `num_new` columns needs.

  Args:
    cache: of what was read before.
    num_new: C'.
    windows: per layer how many tokens it sees, itself among them; None for all.
  """
  num_prefix, num_past, num_chunk = (
      part[0][0].shape[-2] for part in (cache.prefix, cache.past, cache.chunk))

  def below(length, size):
    return jnp.arange(size)[None, None, None] < length[..., None, None]  # --> [B, N, 1, size]

  # New column i of a row sees itself and the row's chunk_len + i columns before it.
  newest = cache.column + jnp.arange(num_new)  # [C']
  age = (newest[:, None] - jnp.arange(num_chunk)[None]) % num_chunk  # [C', C]
  span = cache.chunk_len[..., None] + jnp.arange(num_new)[None, None]  # [B, N, C']
  whole = (below(cache.prefix_len, num_prefix), below(cache.past_len, num_past),
           age[None, None] <= span[..., None])

  def masks(window):
    if window is None:
      return whole
    # Column t of the past stands behind the row's prefix; ages are distances already.
    oldest = positions(cache, num_new)[..., None] - window  # [B, N, C', 1], the newest not seen
    past = jnp.arange(num_past)[None, None, None] + cache.prefix_len[..., None, None]
    return (whole[0] & (jnp.arange(num_prefix)[None, None, None] > oldest),
            whole[1] & (past > oldest), whole[2] & (age < window)[None, None])

  made = {window: masks(window) for window in set(windows)}
  return [Layer(prefix=p, past=o, chunk=c, masks=made[window], column=cache.column)
          for p, o, c, window in zip(cache.prefix, cache.past, cache.chunk, windows, strict=True)]


def written(cache: Cache, chunk: tuple, num_new: int, lengths: jax.Array) -> Cache:
  """The cache after a forward pass. lengths int32 [B, N], how many of the new columns are real."""
  return cache.replace(chunk=chunk, chunk_len=cache.chunk_len + lengths,
                       column=cache.column + num_new)


def restart(cache: Cache, rows: jax.Array, prefix_len: jax.Array) -> Cache:
  """Empties `rows` (bool [B, N]) of their own tokens: another candidate begins there."""
  zero = lambda x: jnp.where(rows, 0, x)
  return cache.replace(prefix_len=jnp.where(rows, prefix_len, cache.prefix_len),
                       past_len=zero(cache.past_len), chunk_len=zero(cache.chunk_len))


def with_chunk(cache: Cache, size: int) -> Cache:
  """The same cache with an empty chunk of `size` columns; the old one must be committed."""
  chunk = jax.tree.map(
      lambda x: _zeros((*x.shape[:3], size, x.shape[-1]), x.dtype), cache.chunk)
  return cache.replace(chunk=chunk, chunk_len=jnp.zeros_like(cache.chunk_len),
                       column=jnp.zeros_like(cache.column))


def commit(cache: Cache, parent: jax.Array) -> Cache:
  """Appends the chunk to the past, then row n becomes a copy of row parent[n]; an empty chunk.

  The chunk must start at column 0 (one round, no wrapping). parent int32 [B, N].
  """
  take = jax.vmap(lambda x, p: jnp.take(x, p, axis=0))
  past_len, chunk_len = take(cache.past_len, parent), take(cache.chunk_len, parent)
  size, width = cache.past[0][0].shape[3], cache.chunk[0][0].shape[3]
  column = jnp.arange(size)[None, None]
  from_chunk = column >= past_len[..., None]  # [B, N, T]
  source = jnp.clip(column - past_len[..., None], 0, width - 1)

  def append(past, chunk):
    new = jnp.take_along_axis(take(chunk, parent), source[:, :, None, :, None], axis=3)
    return jnp.where(from_chunk[:, :, None, :, None], new, take(past, parent))

  past = tuple(tuple(append(p, c) for p, c in zip(ps, cs))
               for ps, cs in zip(cache.past, cache.chunk))
  return cache.replace(
      past=past, past_len=past_len + chunk_len, prefix_len=take(cache.prefix_len, parent),
      chunk_len=jnp.zeros_like(chunk_len), column=jnp.zeros_like(cache.column))
