"""From logits to a token: temperature, top-k, top-p, greedy."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class SamplingConfig:
  """How a token is drawn.

  Attributes:
    temperature: 0 is greedy.
    top_k: keep the k likeliest tokens; 0 keeps all.
    top_p: keep the likeliest tokens up to this total probability; 1.0 keeps all.
  """

  temperature: float = 1.0
  top_k: int = 0
  top_p: float = 1.0


def probabilities(logits: jax.Array, config: SamplingConfig) -> jax.Array:
  """The distribution that `sample` draws from. logits float32 [..., V] --> float32 [..., V].

  Top-k is applied before top-p; the token that crosses `top_p` is kept, so one always remains.
  Tokens tied with the k-th are kept.
  """
  if config.temperature == 0:
    return jax.nn.one_hot(jnp.argmax(logits, axis=-1), logits.shape[-1])
  logits = logits / config.temperature
  if config.top_k:
    kth = jax.lax.top_k(logits, min(config.top_k, logits.shape[-1]))[0][..., -1:]
    logits = jnp.where(logits >= kth, logits, -jnp.inf)
  probs = jax.nn.softmax(logits, axis=-1)
  if config.top_p < 1.0:
    order = jnp.argsort(-probs, axis=-1)
    ranked = jnp.take_along_axis(probs, order, axis=-1)
    before = jnp.cumsum(ranked, axis=-1) - ranked
    keep = jnp.take_along_axis(before < config.top_p, jnp.argsort(order, axis=-1), axis=-1)
    probs = jnp.where(keep, probs, 0.0)
    probs /= jnp.sum(probs, axis=-1, keepdims=True)
  return probs


def sample(logits: jax.Array, uniform: jax.Array, config: SamplingConfig,
           size: int | None = None) -> tuple:
  """Draws by inverting the cumulative distribution: one uniform a token, whatever V is.

  The log-probability is of all V entries, those that are never drawn among them, as another
  program that reads the same logits would have it.

  Args:
    logits: float32 [..., V].
    uniform: float32 [...] in [0, 1).
    config: static.
    size: draw among the first so many entries alone; None is all. Static.

  Returns:
    (token int32 [...], its natural log-probability under the model at temperature 1,
    float32 [...]).
  """
  log_probs = jax.nn.log_softmax(logits, axis=-1)
  if size is not None and size < logits.shape[-1]:
    logits = jnp.where(jnp.arange(logits.shape[-1]) < size, logits, -jnp.inf)
  if config.temperature == 0:
    token = jnp.argmax(logits, axis=-1)
  else:
    probs = probabilities(logits, config)
    # The backend may sum in blocks, so rounding can lift the sum at a token of probability zero:
    # such tokens are left out. The largest entry rather than 1: the sum is off by rounding.
    total = jnp.where(probs > 0, jnp.cumsum(probs, axis=-1), 0.0)
    threshold = uniform[..., None] * jnp.max(total, axis=-1, keepdims=True)
    token = jnp.argmax(total > threshold, axis=-1)
  logprob = jnp.take_along_axis(log_probs, token[..., None], axis=-1)[..., 0]
  return token.astype(jnp.int32), logprob
