"""From logits to a token: top-n-sigma, temperature, top-k, min-p, top-p, greedy."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

GROUP = 64  # ids that a token is drawn of at a time


@dataclasses.dataclass(frozen=True)
class SamplingConfig:
  """How a token is drawn. A further option is off by None: `fingerprint` leaves it out then.

  Attributes:
    temperature: 0 is greedy.
    top_k: keep the k likeliest tokens; 0 keeps all.
    top_p: keep the likeliest tokens up to this total probability; 1.0 keeps all.
    statistics: write down beside each token of what is reported how sure the model was of it:
      entropy, confidence (DeepConf) and log-probability; and of a solution its self-certainty.
    min_p: keep tokens of at least this share of the likeliest one's probability at the temperature
      (arXiv 2407.01082); None keeps all.
    top_n_sigma: keep tokens whose logits, before the temperature, are at most so many of their
      standard deviations below the largest (arXiv 2411.07641); None keeps all.
  """

  temperature: float = 1.0
  top_k: int = 0
  top_p: float = 1.0
  statistics: bool = False
  min_p: float | None = None
  top_n_sigma: float | None = None

  def __post_init__(self):
    if self.min_p is not None and not 0 < self.min_p <= 1:
      raise ValueError(f'min_p is {self.min_p}: it is to be above 0 and at most 1')
    if self.top_n_sigma is not None and not self.top_n_sigma > 0:
      raise ValueError(f'top_n_sigma is {self.top_n_sigma}: it is to be above 0')

  def to_learn_from(self, **changes: Any) -> SamplingConfig:
    """How that is drawn which models learn from: without statistics, which no training reads."""
    return dataclasses.replace(self, statistics=False, **changes)


def num_uniforms(vocab_size: int) -> int:
  """U, the uniforms that `sample` takes for a token."""
  return 1 if vocab_size <= GROUP else 1 + num_uniforms(-(-vocab_size // GROUP))


def sample(logits: jax.Array, uniform: jax.Array, config: SamplingConfig,
           size: int | None = None, greedy: jax.Array | None = None,
           again: Callable[[jax.Array], jax.Array] | None = None) -> tuple[jax.Array, jax.Array]:
  """Draws a group of ids, then an id of the group, each by inverting a cumulative distribution.

  Groups are drawn in the same way where there are more than `GROUP` of them. Over a whole large
  vocabulary the sum is too coarse: most ids are less likely than its rounding, so that the same
  uniform gave another token whenever a block of another shape rounded the logits differently.

  Top-k and min-p come before top-p; the token that crosses `top_p` is kept, so one always remains.
  Tokens tied with the k-th are kept. With top-p a token is drawn from all, and drawn again while it
  is none of the likeliest: that one takes a look at each of them, and no sorting of a vocabulary.

  The log-probability is of all V entries, those that are never drawn among them, as another
  program that reads the same logits would have it.

  Args:
    logits: float32 [..., V].
    uniform: float32 [U, ...] in [0, 1), `num_uniforms(V)` for each token, independent.
    config: static.
    size: draw among the first so many entries alone; None is all. Static.
    greedy: bool [...], whose token is the likeliest one, whatever `config` says; None for nobody's.
    again: 1, 2, ... (int32 []) --> further uniforms like `uniform`; with top-p alone.

  Returns:
    (token int32 [...], its natural log-probability under the model at temperature 1,
    float32 [...]).
  """
  allowed = logits
  if size is not None and size < logits.shape[-1]:
    allowed = jnp.where(jnp.arange(logits.shape[-1]) < size, logits, -jnp.inf)
  if config.temperature == 0:
    token = jnp.argmax(allowed, axis=-1)
  else:
    token = _drawn(allowed, uniform, config, again)
    if greedy is not None:
      token = jnp.where(greedy, jnp.argmax(allowed, axis=-1), token)
  chosen = jnp.take_along_axis(logits, token[..., None], axis=-1)[..., 0]
  return token.astype(jnp.int32), chosen - jax.nn.logsumexp(logits, axis=-1)


def _drawn(logits: jax.Array, uniform: jax.Array, config: SamplingConfig,
           again: Callable[[jax.Array], jax.Array] | None) -> jax.Array:
  """Tokens [...] drawn from what the config's options leave of logits [..., V]."""
  if config.top_n_sigma is not None:
    deviation = jnp.std(logits, axis=-1, keepdims=True, where=logits > -jnp.inf)
    least = jnp.max(logits, axis=-1, keepdims=True) - config.top_n_sigma * deviation
    logits = jnp.where(logits >= least, logits, -jnp.inf)
  logits = logits / config.temperature
  if config.top_k:
    kth = jax.lax.top_k(logits, min(config.top_k, logits.shape[-1]))[0][..., -1:]
    logits = jnp.where(logits >= kth, logits, -jnp.inf)
  weights = jnp.exp(logits - jnp.max(logits, axis=-1, keepdims=True))
  if config.min_p is not None:  # the likeliest one weighs 1
    weights = jnp.where(weights >= config.min_p, weights, 0.0)
  token = _draw(weights, uniform)
  if config.top_p == 1.0:
    return token
  bound = config.top_p * jnp.sum(weights, axis=-1)
  place = jnp.broadcast_to(jnp.arange(logits.shape[-1]), logits.shape)

  def outside(token):
    """Whether those that come before it have all of `top_p` already."""
    own = jnp.take_along_axis(weights, token[..., None], axis=-1)
    before = (weights > own) | ((weights == own) & (place < token[..., None]))
    return jnp.sum(jnp.where(before, weights, 0.0), axis=-1) >= bound

  def redraw(carry):
    attempt, token, out = carry
    token = jnp.where(out, _draw(weights, again(attempt)), token)
    return attempt + 1, token, outside(token)

  first = jnp.ones((), jnp.int32), token, outside(token)
  return jax.lax.while_loop(lambda carry: jnp.any(carry[-1]), redraw, first)[1]


def _draw(weights: jax.Array, uniform: jax.Array) -> jax.Array:
  """An index for each distribution float32 [..., V], of any total, by uniforms float32 [U, ...]."""
  size = weights.shape[-1]
  if size <= GROUP:
    return _invert(weights, uniform[0])
  padding = [(0, 0)] * (weights.ndim - 1) + [(0, -size % GROUP)]
  groups = jnp.pad(weights, padding).reshape(*weights.shape[:-1], -1, GROUP)
  group = _draw(jnp.sum(groups, axis=-1), uniform[1:])[..., None]
  inside = jnp.take_along_axis(groups, group[..., None], axis=-2)[..., 0, :]
  return group[..., 0] * GROUP + _invert(inside, uniform[0])


def _invert(probs: jax.Array, uniform: jax.Array) -> jax.Array:
  """Where the cumulative sum of probabilities [..., G], of any total, passes its share [...]."""
  # The backend may sum in blocks, so rounding can lift the sum at a token of probability zero:
  # such tokens are left out. The largest entry rather than 1: the sum is off by rounding.
  total = jnp.where(probs > 0, jnp.cumsum(probs, axis=-1), 0.0)
  threshold = uniform[..., None] * jnp.max(total, axis=-1, keepdims=True)
  return jnp.argmax(total > threshold, axis=-1)
