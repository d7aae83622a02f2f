"""Best-of-N: independent solutions, of which a verifier or a vote chooses at the end."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from tts.searching.method import Allocation, Method, Rows, going_on


@dataclasses.dataclass(frozen=True)
class BestOfN(Method):
  """Every row goes on as itself until it ends (paper, section 5.2)."""

  def allocate(self, key: jax.Array, rows: Rows) -> Allocation:
    del key
    return going_on(rows, jnp.arange(rows.score.size))
