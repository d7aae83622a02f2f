"""Rotary positions, as every open family has them: halves are rotated, not pairs."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp


def frequencies(half: int, theta: float, scaling: tuple[float, ...] = ()) -> jax.Array:
  """Radians per position of each rotated pair, float32 [half].

  Args:
    half: pairs, half a head.
    theta: the base.
    scaling: how a model was stretched to longer texts: () not at all; (factor,) every frequency
      divided; (factor, low, high, original length) Llama 3's, which divides those that turn less
      than `low` times in the original length, leaves those that turn more than `high` times, and
      goes from one to the other between.
  """
  plain = theta ** (-jnp.arange(half, dtype=jnp.float32) / half)
  if not scaling:
    return plain
  if len(scaling) == 1:
    return plain / scaling[0]
  factor, low, high, length = scaling
  turns = length * plain / (2 * math.pi)
  kept = jnp.clip((turns - low) / (high - low), 0, 1)
  return plain / factor * (1 - kept) + plain * kept


def rotate(x: jax.Array, positions: jax.Array, frequency: jax.Array) -> jax.Array:
  """Rotates x [..., C, H, E] by where it stands, positions int32 [..., C]; frequency [E / 2]."""
  half = x.shape[-1] // 2
  frequency = frequency.reshape((1,) * (positions.ndim + 1) + (half,))
  angle = positions[..., None, None].astype(jnp.float32) * frequency  # --> [..., C, 1, E/2]
  cos, sin = jnp.cos(angle).astype(x.dtype), jnp.sin(angle).astype(x.dtype)
  a, b = x[..., :half], x[..., half:]
  return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)
