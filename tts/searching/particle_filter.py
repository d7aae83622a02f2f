"""Particle filtering (Puri et al. 2025, arXiv:2502.01618, section 3.1, algorithm 1).

1. N particles write a step each.
2. A particle's weight w is the verifier's logit; theta = softmax(w / T).
3. While some particle can go on, N are drawn from theta, finished ones among them: these stay as
   they are; go to 1.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from tts.searching.method import Allocation, Method, Rows, going_on, positive

_LEAST = 1e-6  # a probability's logit is taken from here to as far from 1


@dataclasses.dataclass(frozen=True)
class ParticleFilter(Method):
  """Multinomial resampling of all particles by the verifier.

  An answer that is drawn twice is two particles of one generation: it weighs twice in a vote, and
  is charged once. One that was cut off has no answer, and no weight while another has one.
  """

  temperature: float = 1.0  # T

  def __post_init__(self):
    positive(temperature=self.temperature)

  def heat(self, weight: jax.Array, rows: Rows) -> jax.Array | float:
    """What T is multiplied by in this round; weight: float32 [N], -inf for what is not drawn."""
    del weight, rows
    return 1.0

  def allocate(self, key: jax.Array, rows: Rows) -> Allocation:
    drawn = rows.live | rows.finished
    drawn = jnp.where(jnp.any(drawn), drawn, rows.truncated)
    score = jnp.clip(rows.score, _LEAST, 1 - _LEAST)
    weight = jnp.where(drawn, jnp.log(score) - jnp.log1p(-score), -jnp.inf)
    weight /= self.temperature * self.heat(weight, rows)
    parent = jax.random.categorical(key, weight, shape=rows.score.shape)
    return going_on(rows, jnp.where(jnp.any(rows.live), parent, jnp.arange(parent.size)))


@dataclasses.dataclass(frozen=True)
class EntropicParticleFilter(ParticleFilter):
  """A filter whose temperature rises while few particles hold the weight (its_hub, PR 144).

  While the effective sample size ESS is below N / 2, in the first half of the rounds:
  max(1, N / ESS (1 - t / t_max)).
  """

  def heat(self, weight: jax.Array, rows: Rows) -> jax.Array:
    theta = jax.nn.softmax(weight / self.temperature)
    effective = 1.0 / jnp.sum(jnp.square(theta))  # ESS
    time = rows.round / rows.max_rounds
    raised = jnp.maximum(1.0, theta.size / effective * (1.0 - time))
    return jnp.where((effective < theta.size / 2) & (time < 0.5), raised, 1.0)
