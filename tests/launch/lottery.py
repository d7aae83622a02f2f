"""A search method that is none of the project's, and needs its key: a plugin of a test."""

import dataclasses

import jax
import jax.numpy as jnp

from tts import methods


@methods.register('lottery')
@dataclasses.dataclass(frozen=True)
class Lottery(methods.Method):
  temperature: float = 0.5

  def allocate(self, key, rows):
    weight = jnp.where(rows.live, rows.score / self.temperature, -jnp.inf)
    drawn = jax.random.categorical(key, weight, shape=weight.shape)
    stays = jnp.where(rows.finished | rows.truncated, jnp.arange(weight.size), methods.EMPTY)
    return methods.going_on(rows, jnp.where(rows.live, drawn, stays))
