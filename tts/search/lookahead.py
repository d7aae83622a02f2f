"""Lookahead: a candidate is judged by where the likeliest continuation of it leads (section 5.2).

Every live row is rolled out for up to k further steps at temperature 0, the verifier reads along,
and its last value is what the row is selected by. Nothing of it stays: states are values, so the
search goes on from those that it had.
"""

from __future__ import annotations

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from tts.sampling import decode
from tts.sampling.logits import SamplingConfig
from tts.search import step as step_lib
from tts.search.step import Candidates

GREEDY = SamplingConfig(temperature=0.0)


@flax.struct.dataclass
class Simulation:
  """What was written to judge the candidates of a round, and thrown away."""

  score: jax.Array     # [B, N] float32, what a row is selected by: a live one's value at the end
  token: jax.Array     # [B, N, k, C] int32, PAD_ID after `length`
  length: jax.Array    # [B, N, k] int32, 0 where the row had ended
  ended: jax.Array     # [B, N] bool, the simulation came to the answer or to a limit
  entered: jax.Array   # [B, 2] int32, tokens that entered the generator, the verifier
  attended: jax.Array  # [B, 2] int32, and what those attended to


def simulate(generator: Any, verifier: Any, candidates: Candidates, num_steps: int,
             limits: decode.Limits) -> Simulation:
  """Rolls every live row out. A row that is not live keeps its score and costs nothing.

  Args:
    generator: see `tts.search.search.search_round`.
    verifier: see there.
    candidates: after a step, which still is in the caches' chunks.
    num_steps: k, static, at least 1.
    limits: static; they stop a simulation as they stop a candidate.
  """
  shape = candidates.score.shape
  identity = jnp.broadcast_to(jnp.arange(shape[1], dtype=jnp.int32), shape)
  blank = jnp.zeros((*shape, num_steps), jnp.int32)
  counts = jnp.zeros((shape[0], 2), jnp.int32)

  def going(carry):
    i, ahead, *_ = carry
    return (i < num_steps) & jnp.any(ahead.rows.live)

  def body(carry):
    i, ahead, token, length, entered, attended = carry
    ahead = step_lib.gather(generator, verifier, ahead, identity)
    ahead, step = step_lib.take(generator, verifier, ahead, GREEDY, limits)
    put = lambda old, new: jax.lax.dynamic_update_index_in_dim(old, new, i, 2)
    return (i + 1, ahead, put(token, step.token), put(length, step.length),
            entered + step.entered, attended + step.attended)

  carry = (jnp.zeros((), jnp.int32), candidates,
           jnp.zeros((*blank.shape, limits.max_step_tokens), jnp.int32), blank, counts, counts)
  _, ahead, token, length, entered, attended = jax.lax.while_loop(going, body, carry)
  return Simulation(score=ahead.score, token=token, length=length,
                    ended=candidates.rows.live & ~ahead.rows.live, entered=entered,
                    attended=attended)
