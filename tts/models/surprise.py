"""How likely a language model found what was written: what a verifier judges a solution by.

A decoder knows what it expects one token early and only in its last layer. A value head on top of
it can therefore not compare what was written with what was expected; here that comparison is made
and handed to the layers above (`Arch.surprise_layer`).
"""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp

NUM_FEATURES = 6
_LARGEST = 10.0  # nats: beyond that a surprise tells no more


@flax.struct.dataclass
class Account:
  """Surprise of a text's own tokens so far, in nats."""

  total: jax.Array    # [...] float32, their sum
  largest: jax.Array  # [...] float32, the largest of them


def measure(log_probs: jax.Array, tokens: jax.Array, positions: jax.Array, own: jax.Array,
            before: Account) -> tuple[jax.Array, Account]:
  """Surprise at every token.

  Args:
    log_probs: float32 [..., C, V], what was expected in each token's place.
    tokens: int32 [..., C].
    positions: int32 [..., C], 0 where a text begins: its first token was not predicted.
    own: bool [..., C], tokens that a generator wrote; those of a prompt do not count.
    before: `Account` [...] of the tokens before the first one.

  Returns:
    (features float32 [..., C, 6]: the token's probability, its surprise, how much likelier the
    likeliest token was, the entropy, the account's two numbers; the `Account` [..., C]).
  """
  begins = positions == 0
  nats = -jnp.take_along_axis(log_probs, tokens[..., None], axis=-1)[..., 0]
  entropy = -jnp.sum(jnp.exp(log_probs) * log_probs, axis=-1)
  counted = jnp.where(own & ~begins, nats, 0.0)
  account = Account(total=_running(jnp.add, begins, counted, before.total),
                    largest=_running(jnp.maximum, begins, counted, before.largest))
  clipped = lambda x: jnp.minimum(x, _LARGEST) / 2
  features = [jnp.exp(-nats), clipped(nats), clipped(nats + jnp.max(log_probs, axis=-1)), entropy,
              clipped(account.total / 2), clipped(account.largest)]
  # Before a text's first token stands nothing, or another text.
  return jnp.where(begins[..., None], 0.0, jnp.stack(features, axis=-1)), account


def _running(combine, begins: jax.Array, x: jax.Array, before: jax.Array) -> jax.Array:
  """Running sums or maxima along the last axis, anew where a text begins. x float32 [..., C]."""
  x = jnp.concatenate([before[..., None], x], axis=-1)
  begins = jnp.concatenate([jnp.zeros_like(begins[..., :1]), begins], axis=-1)

  def join(left, right):
    return left[0] | right[0], jnp.where(right[0], right[1], combine(left[1], right[1]))

  return jax.lax.associative_scan(join, (begins, x), axis=begins.ndim - 1)[1][..., 1:]
