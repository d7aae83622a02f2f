"""How sure a generator is of a token: numbers of the whole distribution that it is drawn from."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from tts.sampling.logits import GROUP

LIKELIEST = 20  # ids that DeepConf's confidence is of
_NO_WEIGHT = -200.0  # whose exponential is 0 in float32


@flax.struct.dataclass
class Statistics:
  """Of next-token distributions at temperature 1 over the real ids; natural logs, float32 [...]."""

  entropy: jax.Array
  confidence: jax.Array  # -log P, mean of the `LIKELIEST` ids (DeepConf, arXiv 2508.15260)
  certainty: jax.Array   # -log(V P), mean of all ids; a solution's self-certainty is the mean of
                         # its tokens' (arXiv 2502.18581)

  def at(self, place: Any) -> Statistics:
    """Of some tokens. place: an index."""
    return jax.tree.map(lambda x: x[place], self)


@flax.struct.dataclass
class Watch:
  """How confident a model was of the newest tokens of R texts; they end where that is too little.

  The mean of so many tokens in a row is a group's confidence (arXiv 2508.15260, section 3).
  """

  newest: jax.Array  # [R, w] float32, that of a text's token t at place t mod w
  least: jax.Array   # [R] float32, what no group is to be below

  def seen(self, confidence: jax.Array, position: jax.Array, active: jax.Array) -> Watch:
    """With the confidence [R] of active texts' newest tokens, before which they had `position`."""
    here = jnp.arange(self.newest.shape[1])[None] == (position % self.newest.shape[1])[:, None]
    return dataclasses.replace(self, newest=jnp.where(
        here & active[:, None], confidence[:, None], self.newest))

  def below(self, position: jax.Array) -> jax.Array:
    """Whether the group that ends texts of `position` int32 [R] tokens is too unsure, bool [R]."""
    return (position >= self.newest.shape[1]) & (jnp.mean(self.newest, axis=1) < self.least)


def watch(count: int, window: int) -> Watch | None:
  """Of texts that have nothing; None where no tokens make a group."""
  if not window:
    return None
  return Watch(jnp.zeros((count, window)), jnp.full(count, -jnp.inf))


def statistics(logits: jax.Array, size: int | None = None) -> Statistics:
  """Of each of the distributions that logits are of.

  Args:
    logits: float32 [..., V].
    size: the first so many entries are real, the others padding; None is all. Static.

  Returns:
    `Statistics` [...]. With fewer than `LIKELIEST` ids the confidence is of all of them.
  """
  vocab = logits.shape[-1]
  size = vocab if size is None else min(size, vocab)
  real = jnp.arange(vocab) < size
  some = lambda x, other: x if size == vocab else jnp.where(real, x, other)
  allowed = some(logits, -jnp.inf)
  log_total = jax.nn.logsumexp(allowed, axis=-1)  # the draw has it, too
  # Of the logarithm of an id of no weight, which may be infinite, nothing is added.
  log_prob = jnp.maximum(allowed - log_total[..., None], _NO_WEIGHT)
  likeliest = jnp.mean(_largest(allowed, min(LIKELIEST, size)), axis=-1)
  return Statistics(
      entropy=-jnp.sum(jnp.exp(log_prob) * log_prob, axis=-1), confidence=log_total - likeliest,
      certainty=log_total - jnp.sum(some(logits, 0.0), axis=-1) / size - math.log(size))


def _largest(values: jax.Array, num: int) -> jax.Array:
  """The `num` largest of float32 [..., V], in falling order --> [..., num].

  They lie in the `num` groups with the largest maxima: two short lists are sorted, and no
  vocabulary.
  """
  size = values.shape[-1]
  if size > num * GROUP:
    padding = [(0, 0)] * (values.ndim - 1) + [(0, -size % GROUP)]
    groups = jnp.pad(values, padding, constant_values=-jnp.inf)
    groups = groups.reshape(*values.shape[:-1], -1, GROUP)
    best = jax.lax.top_k(jnp.max(groups, axis=-1), num)[1]
    values = jnp.take_along_axis(groups, best[..., None], axis=-2)  # --> [..., num, GROUP]
    values = values.reshape(*values.shape[:-2], -1)
  return jax.lax.top_k(values, num)[0]
