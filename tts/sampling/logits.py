"""From logits to a token: temperature, top-k, top-p, greedy."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

GROUP = 64  # ids that a token is drawn of at a time


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


def num_uniforms(vocab_size: int) -> int:
  """U, the uniforms that `sample` takes for a token."""
  return 1 if vocab_size <= GROUP else 1 + num_uniforms(-(-vocab_size // GROUP))


def sample(logits: jax.Array, uniform: jax.Array, config: SamplingConfig,
           size: int | None = None, greedy: jax.Array | None = None) -> tuple:
  """Draws a group of ids, then an id of the group, each by inverting a cumulative distribution.

  Groups are drawn in the same way where there are more than `GROUP` of them. Over a whole large
  vocabulary the sum is too coarse: most ids are less likely than its rounding, so that the same
  uniform gave another token whenever a block of another shape rounded the logits differently.

  The log-probability is of all V entries, those that are never drawn among them, as another
  program that reads the same logits would have it.

  Args:
    logits: float32 [..., V].
    uniform: float32 [U, ...] in [0, 1), `num_uniforms(V)` for each token, independent.
    config: static.
    size: draw among the first so many entries alone; None is all. Static.
    greedy: bool [...], whose token is the likeliest one, whatever `config` says; None for nobody's.

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
    token = _draw(probabilities(logits, config), uniform)
    if greedy is not None:
      token = jnp.where(greedy, jnp.argmax(logits, axis=-1), token)
  logprob = jnp.take_along_axis(log_probs, token[..., None], axis=-1)[..., 0]
  return token.astype(jnp.int32), logprob


def _draw(probs: jax.Array, uniform: jax.Array) -> jax.Array:
  """An index for each distribution float32 [..., V], by uniforms float32 [U, ...]."""
  size = probs.shape[-1]
  if size <= GROUP:
    return _invert(probs, uniform[0])
  padding = [(0, 0)] * (probs.ndim - 1) + [(0, -size % GROUP)]
  groups = jnp.pad(probs, padding).reshape(*probs.shape[:-1], -1, GROUP)
  group = _draw(jnp.sum(groups, axis=-1), uniform[1:])[..., None]
  inside = jnp.take_along_axis(groups, group[..., None], axis=-2)[..., 0, :]
  return group[..., 0] * GROUP + _invert(inside, uniform[0])


def _invert(probs: jax.Array, uniform: jax.Array) -> jax.Array:
  """Where the cumulative sum of probabilities [..., G], of any total, passes a share of it [...]."""
  # The backend may sum in blocks, so rounding can lift the sum at a token of probability zero:
  # such tokens are left out. The largest entry rather than 1: the sum is off by rounding.
  total = jnp.where(probs > 0, jnp.cumsum(probs, axis=-1), 0.0)
  threshold = uniform[..., None] * jnp.max(total, axis=-1, keepdims=True)
  return jnp.argmax(total > threshold, axis=-1)
