"""Emitting tokens: the one-token step that every sampler and search is made of.

A generator is a `tts.protocols.Generator`; nothing here knows a model.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from tts import roles as roles_lib, rng
from tts.protocols import Generator, JudgingGenerator, Writing
from tts.roles import Roles
from tts.sampling import confidence, logits as logits_lib
from tts.types import PAD_ID

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
  """How far each of R candidates is."""

  key: jax.Array       # [R, 2] uint32, of the slot: a token's draws come from it and its place
  step: jax.Array      # [R] int32, delimiters emitted
  position: jax.Array  # [R] int32, tokens emitted
  past_steps: jax.Array      # [R] int32, delimiters in the slot's earlier answers (a chain)
  past_positions: jax.Array  # [R] int32, tokens in them
  in_step: jax.Array   # [R] int32, tokens emitted since the last delimiter
  live: jax.Array      # [R] bool, may go on
  finished: jax.Array  # [R] bool, ended by itself; not live and not finished = truncated
  half: jax.Array      # [R] bool, the step so far ends in a delimiter's first half
  until: jax.Array     # [R] int32, an id that is written no further than; negative for none
  most: jax.Array      # [R] int32, tokens that `position` comes to at most, beside the limits


def among(token: jax.Array, ids: tuple[int, ...]) -> jax.Array:
  """Whether each token int32 [...] is one of `ids`, static --> bool [...]."""
  if not ids:
    return jnp.zeros(token.shape, bool)
  if len(ids) <= _FEW:
    return functools.reduce(operator.or_, (token == i for i in ids))
  return jnp.take(jnp.asarray(roles_lib.table(ids)), token, mode='clip')


def advance(rows: Rows, token: jax.Array, active: jax.Array, limits: Limits) -> Rows:
  """Counts a token int32 [R] into the active rows and ends those that it ends."""
  roles, half = limits.roles, rows.half
  delimiter, finished = among(token, roles.delimiters), among(token, roles.ends)
  if roles.first_halves:
    delimiter |= half & among(token, roles.second_halves)
    half = jnp.where(active, among(token, roles.first_halves) & ~delimiter, half)
  if roles.blank_ends:
    finished |= (rows.in_step == 0) & among(token, roles.blank_ends)
  delimiter, finished = active & delimiter, active & finished
  step = rows.step + delimiter
  position = rows.position + active
  in_step = jnp.where(delimiter, 0, rows.in_step + active)
  full = active & ((position >= limits.max_tokens) | (step >= limits.max_steps)
                   | (in_step >= limits.max_step_tokens) | (position >= rows.most)
                   | (token == rows.until))
  return dataclasses.replace(
      rows, step=step, position=position, in_step=in_step, live=rows.live & ~finished & ~full,
      finished=rows.finished | finished, half=half)


class Emitted(NamedTuple):
  """A token of each row, and what it has made of them."""

  writing: Writing
  rows: Rows
  token: jax.Array    # [R] int32, PAD_ID where not active
  logprob: jax.Array  # [R] float32, natural log at temperature 1, 0 where not active
  statistics: confidence.Statistics | None  # [R] likewise; None where they are not asked for
  value: jax.Array | None  # [R, ...] likewise, of a `JudgingGenerator`: of the text with it
  watch: confidence.Watch | None  # where texts are watched
  stopped: jax.Array | None  # [R] bool, ended by that, whatever else they ended by


def emit(generator: Generator, writing: Writing, rows: Rows, active: jax.Array, greedy: jax.Array,
         sampling: logits_lib.SamplingConfig, limits: Limits,
         watch: confidence.Watch | None = None) -> Emitted:
  """Draws one token for each active row and feeds it, unless it was the row's last.

  Args:
    generator: which has the texts.
    writing: its state.
    rows: progress; their keys are not consumed (a token's key has its place in it).
    active: bool [R], a subset of the live rows.
    greedy: bool [R], rows that take the likeliest token whatever `sampling` says.
    sampling: static.
    limits: static.
    watch: of the rows, with `sampling.statistics`; None where none is watched.
  """
  logits = generator.logits(writing)
  uniforms = lambda attempt: rng.token_uniforms(
      rows.key, rows.past_steps + rows.step, rows.past_positions + rows.position,
      logits_lib.num_uniforms(logits.shape[-1]), attempt)
  token, logprob = logits_lib.sample(logits, uniforms(None), sampling, limits.roles.size, greedy,
                                     uniforms)
  found = confidence.statistics(logits, limits.roles.size) if sampling.statistics else None
  token = jnp.where(active, token, PAD_ID)
  value = None
  if isinstance(generator, JudgingGenerator):
    writing, value = generator.judge(writing, logits, token)
    value = jnp.where(active.reshape(active.shape + (1,) * (value.ndim - 1)), value, 0)
  position, rows = rows.position, advance(rows, token, active, limits)
  stopped = None
  if watch is not None:
    assert found is not None
    watch = watch.seen(found.confidence, position, active)
    stopped = active & watch.below(rows.position)
    rows = dataclasses.replace(rows, live=rows.live & ~stopped)
  writing = generator.extend(writing, token, active & rows.live)
  found = jax.tree.map(lambda x: jnp.where(active, x, 0.0), found)
  return Emitted(writing, rows, token, jnp.where(active, logprob, 0.0), found, value, watch,
                 stopped)
