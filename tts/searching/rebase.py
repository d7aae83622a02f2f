"""REBASE, reward-balanced search (Wu et al. 2024, arXiv:2408.00724, section 3.1.2, equation 1).

1. B_0 = N rows write a step each.
2. B_i = B_(i-1) - C_i, where C_i solutions were completed in the round.
3. Row j of those that go on gets W_j = B_i softmax_j(R_j / T) children, rounded; go to 2.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from tts.searching.method import Allocation, Method, Rows, going_on, in_order, positive, shares


@dataclasses.dataclass(frozen=True)
class Rebase(Method):
  """Children in proportion to softmax(score / T).

  The paper does not say how rounded numbers add up to B_i: here by the largest remainders
  (`method.shares`). A solution that was cut off is completed too, and takes its slot along.
  """

  temperature: float = 0.1  # T

  def __post_init__(self):
    positive(temperature=self.temperature)

  def allocate(self, key: jax.Array, rows: Rows) -> Allocation:
    del key
    completed = rows.finished | rows.truncated
    budget = rows.score.size - jnp.sum(completed)
    highest = jnp.max(jnp.where(rows.live, rows.score, -jnp.inf))
    weights = jnp.where(rows.live, jnp.exp((rows.score - highest) / self.temperature), 0.0)
    children = jnp.where(jnp.any(rows.live), shares(weights, budget), 0)
    return going_on(rows, in_order(jnp.where(completed, 1, children)))
