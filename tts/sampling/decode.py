"""Emitting tokens: the one-token step that every sampler and search is made of, and the pool.

A generator is anything with `start`, `logits`, `extend`, `restart` and `gather` (see
`tts.models.generator.Generator`); nothing here knows a model.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from tts import roles as roles_lib, rng
from tts.roles import Roles
from tts.sampling import logits as logits_lib
from tts.types import PAD_ID

NO_JOB = -1
_FEW = 8  # ids that are compared one by one; more are looked up in a table


@dataclasses.dataclass(frozen=True)
class Limits:
  """Where a candidate is cut off. A truncated candidate has no answer.

  Attributes:
    max_tokens: T, a candidate's own tokens.
    max_steps: S, delimiters; the paper's 40 rounds.
    max_step_tokens: C, tokens of one step, its delimiter included.
    roles: which ids end a step, which a solution.
  """

  max_tokens: int
  max_steps: int
  max_step_tokens: int
  roles: Roles


@flax.struct.dataclass
class Rows:
  """How far each candidate is."""

  key: jax.Array       # [B, N] key, of the slot: it stays when rows move
  step: jax.Array      # [B, N] int32, delimiters emitted
  position: jax.Array  # [B, N] int32, tokens emitted
  past_steps: jax.Array      # [B, N] int32, delimiters in the slot's earlier answers (a chain)
  past_positions: jax.Array  # [B, N] int32, tokens in them
  in_step: jax.Array   # [B, N] int32, tokens emitted since the last delimiter
  live: jax.Array      # [B, N] bool, may go on
  finished: jax.Array  # [B, N] bool, ended by itself; not live and not finished = truncated
  half: jax.Array | None  # [B, N] bool, the step so far ends in a delimiter's first half


def init_rows(keys: jax.Array, live: jax.Array, limits: Limits) -> Rows:
  """Rows that have emitted nothing. keys [B, N], live bool [B, N]."""
  zeros, none = jnp.zeros(live.shape, jnp.int32), jnp.zeros_like(live)
  return Rows(key=keys, step=zeros, position=zeros, past_steps=zeros, past_positions=zeros,
              in_step=zeros, live=live, finished=none,
              half=none if limits.roles.first_halves else None)


def next_rows(rows: Rows, live: jax.Array, limits: Limits) -> Rows:
  """The slots' next candidates, which go on counting for their keys. live bool [B, N]."""
  return init_rows(rows.key, live, limits).replace(
      past_steps=rows.past_steps + rows.step,
      past_positions=rows.past_positions + rows.position)


def among(token: jax.Array, ids: tuple[int, ...]) -> jax.Array:
  """Whether each token int32 [...] is one of `ids`, static --> bool [...]."""
  if not ids:
    return jnp.zeros(token.shape, bool)
  if len(ids) <= _FEW:
    return functools.reduce(operator.or_, (token == i for i in ids))
  return jnp.take(jnp.asarray(roles_lib.table(ids)), token, mode='clip')


def _advance(rows: Rows, token: jax.Array, active: jax.Array, limits: Limits) -> Rows:
  """Counts a token int32 [B, N] into the active rows and ends those that it ends."""
  roles, half = limits.roles, rows.half
  delimiter, finished = among(token, roles.delimiters), among(token, roles.ends)
  if half is not None:
    delimiter |= half & among(token, roles.second_halves)
    half = jnp.where(active, among(token, roles.first_halves) & ~delimiter, half)
  if roles.blank_ends:
    finished |= (rows.in_step == 0) & among(token, roles.blank_ends)
  delimiter, finished = active & delimiter, active & finished
  step = rows.step + delimiter
  position = rows.position + active
  in_step = jnp.where(delimiter, 0, rows.in_step + active)
  full = active & ((position >= limits.max_tokens) | (step >= limits.max_steps)
                   | (in_step >= limits.max_step_tokens))
  return rows.replace(step=step, position=position, in_step=in_step,
                      live=rows.live & ~finished & ~full, finished=rows.finished | finished,
                      half=half)


def emit(generator: Any, state: Any, rows: Rows, active: jax.Array,
         sampling: logits_lib.SamplingConfig, limits: Limits) -> tuple:
  """Draws one token for each active row and feeds it, unless it was the row's last.

  Args:
    generator: see the module's docstring.
    state: its state.
    rows: progress; their keys are not consumed (a token's key has its place in it).
    active: bool [B, N], a subset of the live rows.
    sampling: static.
    limits: static.

  Returns:
    (state, rows, token int32 [B, N] with PAD_ID where not active, log-probability float32
    [B, N] with 0 there, tokens attended to by the token fed int32 [B, N] with 0 where none was).
  """
  logits = generator.logits(state)
  uniform = rng.token_uniforms(rows.key, rows.past_steps + rows.step,
                               rows.past_positions + rows.position,
                               logits_lib.num_uniforms(logits.shape[-1]))
  token, logprob = logits_lib.sample(logits, uniform, sampling, limits.roles.size)
  token = jnp.where(active, token, PAD_ID)
  rows = _advance(rows, token, active, limits)
  state, attended = generator.extend(state, token, active & rows.live)
  return state, rows, token, jnp.where(active, logprob, 0.0), attended


@flax.struct.dataclass
class Log:
  """What every slot emitted in every iteration; `tts.sampling.pool.collect` sorts it by job.

  L is the largest number of iterations: max_tokens for each job that a slot can get.
  """

  token: jax.Array     # [L, B, N] int32
  logprob: jax.Array   # [L, B, N] float32
  attended: jax.Array  # [L, B, N] int32, 0 where the token was not fed
  job: jax.Array       # [L, B, N] int32, NO_JOB where the slot was idle


def sample_queue(generator: Any, prefix: jax.Array, job_prefix_len: jax.Array,
                 job_keys: jax.Array, num_jobs: jax.Array, *, num_slots: int,
                 sampling: logits_lib.SamplingConfig, limits: Limits) -> Log:
  """Samples every job of every problem, `num_slots` of a problem at a time.

  A job is one full sample that continues the first `job_prefix_len` tokens of its problem's
  prefix: the prompt, or, for a rollout, the prompt and some steps of a solution. A slot whose
  job ends takes the problem's next one, so that short jobs do not wait for long ones.

  Args:
    generator: see the module's docstring.
    prefix: int32 [B, P].
    job_prefix_len: int32 [B, J].
    job_keys: keys [B, J]; what a job draws depends on its key alone.
    num_jobs: int32 [B], how many of the J jobs a problem has.
    num_slots: N, static.
    sampling: static.
    limits: static.

  Returns:
    The `Log`.
  """
  num_problems, queue = job_prefix_len.shape
  slots = jnp.broadcast_to(jnp.arange(num_slots, dtype=jnp.int32), (num_problems, num_slots))
  take = lambda table, job: jnp.take_along_axis(table, jnp.minimum(job, queue - 1), axis=1)
  state = generator.start(prefix, take(job_prefix_len, slots), 0, limits.max_tokens)
  rows = init_rows(take(job_keys, slots), slots < num_jobs[:, None], limits)

  length = limits.max_tokens * -(-queue // num_slots)
  blank = jnp.zeros((length, num_problems, num_slots), jnp.int32)
  log = Log(token=blank, logprob=blank.astype(jnp.float32), attended=blank,
            job=jnp.full_like(blank, NO_JOB))

  def going(carry):
    i, _, rows, *_ = carry
    return (i < length) & jnp.any(rows.live)

  def body(carry):
    i, state, rows, job, next_job, log = carry
    active = rows.live
    state, rows, *entry = emit(generator, state, rows, active, sampling, limits)
    entry = Log(*entry, job=jnp.where(active, job, NO_JOB))
    log = jax.tree.map(lambda old, new: jax.lax.dynamic_update_index_in_dim(old, new, i, 0),
                       log, entry)
    ended = active & ~rows.live
    candidate = next_job[:, None] + jnp.cumsum(ended, axis=1) - 1  # --> [B, N]
    begins = ended & (candidate < num_jobs[:, None])
    job = jnp.where(begins, candidate, job)
    fresh = init_rows(take(job_keys, job), begins, limits)
    rows = jax.tree.map(lambda new, old: jnp.where(begins, new, old), fresh, rows)
    state = generator.restart(state, begins, take(job_prefix_len, job))
    return i + 1, state, rows, job, next_job + jnp.sum(begins, axis=1), log

  first = (jnp.zeros((), jnp.int32), state, rows, slots,
           jnp.full((num_problems,), num_slots, jnp.int32), log)
  return jax.lax.while_loop(going, body, first)[-1]
