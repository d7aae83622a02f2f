"""One step of every live row: written by the generator, then read by the verifier."""

from __future__ import annotations

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from tts.sampling import decode
from tts.sampling.logits import SamplingConfig


@flax.struct.dataclass
class Candidates:
  """N partial solutions of B problems, in generator and verifier."""

  generator: Any       # the generator's state
  verifier: Any        # the verifier's state
  rows: decode.Rows    # [B, N]
  score: jax.Array     # [B, N] float32, verifier's value at the row's last step


@flax.struct.dataclass
class Draft:
  """What was emitted, before the verifier has read it."""

  token: jax.Array     # [B, N, C] int32, PAD_ID after `length`
  length: jax.Array    # [B, N] int32, 0 where the row was not live
  logprob: jax.Array   # [B, N] float32, summed over the step
  entered: jax.Array   # [B] int32, tokens that entered the generator
  attended: jax.Array  # [B] int32, and what those attended to


@flax.struct.dataclass
class Step:
  """What was emitted."""

  token: jax.Array     # [B, N, C] int32, PAD_ID after `length`
  length: jax.Array    # [B, N] int32, 0 where the row was not live
  logprob: jax.Array   # [B, N] float32, summed over the step
  entered: jax.Array   # [B, 2] int32, tokens that entered the generator, the verifier
  attended: jax.Array  # [B, 2] int32, and what those attended to


def write(generator: Any, state: Any, rows: decode.Rows, sampling: SamplingConfig,
          limits: decode.Limits) -> tuple[Any, decode.Rows, Draft]:
  """Extends every live row to the end of its step: (the generator's state, rows, the `Draft`)."""
  shape = rows.live.shape
  width = limits.max_step_tokens
  zeros = jnp.zeros(shape, jnp.int32)

  def going(carry):
    column, _, _, active, *_ = carry
    return (column < width) & jnp.any(active)

  def body(carry):
    column, state, rows, active, token, length, logprob, entered, attended = carry
    state, rows, new, new_logprob, new_attended = decode.emit(
        generator, state, rows, active, sampling, limits)
    token = jax.lax.dynamic_update_index_in_dim(token, new, column, 2)
    return (column + 1, state, rows, active & rows.live & (rows.in_step > 0), token,
            length + active, logprob + new_logprob, entered + (new_attended > 0),
            attended + new_attended)

  carry = (jnp.zeros((), jnp.int32), state, rows, rows.live, jnp.zeros((*shape, width), jnp.int32),
           zeros, zeros.astype(jnp.float32), zeros, zeros)
  _, state, rows, _, token, length, logprob, entered, attended = jax.lax.while_loop(
      going, body, carry)
  return state, rows, Draft(token=token, length=length, logprob=logprob,
                            entered=jnp.sum(entered, 1), attended=jnp.sum(attended, 1))


def read(verifier: Any, state: Any, score: jax.Array, draft: Draft) -> tuple[Any, jax.Array, Step]:
  """Scores a draft at its end: (the verifier's state, score [B, N], the `Step`).

  Rows that have emitted nothing keep their `score` float32 [B, N].
  """
  values, state, counts = verifier.extend(state, draft.token, draft.length)
  counts = jnp.sum(counts, axis=1)  # --> [B, 2]
  last = jnp.maximum(draft.length - 1, 0)[..., None]
  value = jnp.take_along_axis(values, last, axis=2)[..., 0]
  step = Step(
      token=draft.token, length=draft.length, logprob=draft.logprob,
      entered=jnp.stack([draft.entered, counts[:, 0]], axis=1),
      attended=jnp.stack([draft.attended, counts[:, 1]], axis=1))
  return state, jnp.where(draft.length > 0, value, score), step


def take(generator: Any, verifier: Any, candidates: Candidates, sampling: SamplingConfig,
         limits: decode.Limits) -> tuple[Candidates, Step]:
  """Extends every live row by a step and scores it there; the others keep their scores.

  The step stays in the caches' chunks: `gather` before the next one.
  """
  c = candidates
  gen_state, rows, draft = write(generator, c.generator, c.rows, sampling, limits)
  ver_state, score, step = read(verifier, c.verifier, c.score, draft)
  return Candidates(generator=gen_state, verifier=ver_state, rows=rows, score=score), step


def gather(generator: Any, verifier: Any, candidates: Candidates,
           parent: jax.Array) -> Candidates:
  """Row n goes on from row parent[n], int32 [B, N]. The slot's key stays; all else moves."""
  c = candidates
  move = lambda x: jnp.take_along_axis(x, parent, axis=1)
  rows = jax.tree.map(move, c.rows.replace(key=None)).replace(key=c.rows.key)
  return Candidates(generator=generator.gather(c.generator, parent),
                    verifier=verifier.gather(c.verifier, parent), rows=rows, score=move(c.score))
