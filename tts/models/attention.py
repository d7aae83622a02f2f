"""Attention of a row's tokens to each other; `tts.models.texts` has that to what was read before.

Scores are made whole, or a block of queries at a time where rows are long (`blockwise`).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from tts.models import blockwise

MASKED = -1e30


def softcap(x: jax.Array, cap: float | None) -> jax.Array:
  """cap tanh(x / cap), which is x where it is small; x itself where `cap` is None."""
  return x if cap is None else cap * jnp.tanh(x / cap)


def attend_self(q: jax.Array, k: jax.Array, v: jax.Array, positions: jax.Array,
                segments: jax.Array | None = None, window: int | None = None,
                cap: float | None = None) -> jax.Array:
  """Causal attention; softmax in float32.

  Args:
    q: [..., T, K_kv, G, E], rotated and scaled.
    k: [..., T, K_kv, E], rotated.
    v: [..., T, K_kv, E].
    positions: int32 [..., T], where each token stands in its text.
    segments: int32 [..., T], which text of the row a token belongs to, 0 = padding, which sees
      nothing; None where a row is one text.
    window: how many tokens one sees, itself among them; None for all.
    cap: of `softcap`.

  Returns:
    [..., T, K_kv, G, E] of q's dtype.
  """
  count, dtype = q.shape[-4], q.dtype
  places = jnp.arange(count, dtype=jnp.int32).reshape((1,) * (positions.ndim - 1) + (count,))

  def some(q, place, position, segment):
    mask = place[..., :, None] >= places[..., None, :]
    if segment is not None:
      mask &= segment[..., :, None] == segments[..., None, :]
      mask &= (segment > 0)[..., :, None]
    if window is not None:
      mask &= position[..., :, None] - positions[..., None, :] < window
    scores = jnp.einsum('...ckge,...tke->...kgct', q, k.astype(dtype))
    scores = softcap(scores, cap).astype(jnp.float32)
    weights = jax.nn.softmax(jnp.where(mask[..., None, None, :, :], scores, MASKED), axis=-1)
    return jnp.einsum('...kgct,...tke->...ckge', weights.astype(dtype), v.astype(dtype))

  if blockwise.size(count, count) < count:
    # Every block adds to their gradients: in float32, as one product would.
    k, v = k.astype(jnp.float32), v.astype(jnp.float32)
  return blockwise.over(some, (q, places, positions, segments), positions.ndim - 1, count)
