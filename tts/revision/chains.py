"""Chains of revisions: every answer is written with the last ones in context (paper, 6.1).

A context is the question, then for each of the last `MAX_CONTEXT` answers the answer and the
question again: whatever a chain's length, the question stands right before what is being written,
as in plain sampling. An answer that was cut off is closed by an end-of-sequence.

While a context only grows, its cache does too: the newest answer's last token and the question are
read. Once it drops an answer, all that follows the first question is read anew, since what was
kept has seen the answer that is gone. A chain is one slot, and goes on counting for its keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from tts.revision.trajectories import MAX_CONTEXT
from tts.roles import Roles
from tts.sampling import decode
from tts.sampling.logits import SamplingConfig
from tts.types import PAD_ID


def context(prompt: Sequence[int], answers: Sequence[Sequence[int]], roles: Roles) -> list[int]:
  """Tokens that precede the next answer of a chain.

  Args:
    prompt: of the question, its beginning of sequence included.
    answers: all that the chain has, oldest first.
    roles: say which of them were cut off, and what closes those.
  """
  tokens = list(prompt)
  for answer in answers[-MAX_CONTEXT:]:
    closed = [] if len(answer) and roles.finished(answer) else [roles.ends[0]]
    tokens += [*answer, *closed, *prompt]
  return tokens


@flax.struct.dataclass
class Answers:
  """One answer of every chain; a log has all of them, L in front. T tokens at most."""

  token: jax.Array          # [B, N, T] int32, PAD_ID after its end
  logprob: jax.Array        # [B, N, T] float32, 0 there
  attended: jax.Array       # [B, N, T] int32, 0 where the token was not fed
  length: jax.Array         # [B, N] int32, 0 in a chain that is not asked for
  finished: jax.Array       # [B, N] bool
  read: jax.Array           # [B, N] int32, tokens of its context that were read for it
  read_attended: jax.Array  # [B, N] int32, and what they attended to


@flax.struct.dataclass
class _Chains:
  """Where N chains of B questions stand."""

  state: Any          # the generator's
  rows: decode.Rows
  turns: jax.Array    # [B, N, MAX_CONTEXT, W] int32, the last answers, each with the question after
  lengths: jax.Array  # [B, N, MAX_CONTEXT] int32, 0 where there is none yet
  unread: jax.Array   # [B, N] int32, tokens at the newest turn's end that the cache lacks


def sample_chains(generator: Any, prompt: jax.Array, prompt_len: jax.Array, keys: jax.Array,
                  valid: jax.Array, *, length: int, sampling: SamplingConfig,
                  limits: decode.Limits) -> Answers:
  """Writes N chains of `length` answers for each question.

  The first answers do not depend on how many there are, and no chain on the others.

  Args:
    generator: see `tts.sampling.decode`, with `read` as in `tts.models.generator.Generator`.
    prompt: int32 [B, P].
    prompt_len: int32 [B].
    keys: keys [B, N], one per chain.
    valid: bool [B], False for rows that only fill the block.
    length: L, static.
    sampling: static.
    limits: of one answer, static.

  Returns:
    `Answers` with a leading axis L.
  """
  shape, num_prompt = keys.shape, prompt.shape[1]
  width = limits.max_tokens + 1 + num_prompt
  per_row = jnp.broadcast_to(prompt_len[:, None], shape)
  live = jnp.broadcast_to(valid[:, None], shape)
  past = MAX_CONTEXT * width if length > 1 else 0
  begun = _Chains(
      state=generator.start(prompt, per_row, past, limits.max_tokens),
      rows=decode.init_rows(keys, live, limits),
      turns=jnp.zeros((*shape, MAX_CONTEXT, width), jnp.int32),
      lengths=jnp.zeros((*shape, MAX_CONTEXT), jnp.int32), unread=jnp.zeros(shape, jnp.int32))

  def write(chains: _Chains, read: jax.Array, read_attended: jax.Array) -> tuple:
    state, rows, answer = _write(generator, chains.state, chains.rows, sampling, limits)
    turn, turn_len = _turn(answer, prompt, per_row, width, limits.roles.ends[0])
    push = lambda old, new: jnp.concatenate([old[:, :, 1:], new[:, :, None]], axis=2)
    chains = _Chains(state=state, rows=rows, turns=push(chains.turns, turn),
                     lengths=push(chains.lengths, jnp.where(live, turn_len, 0)),
                     unread=jnp.where(live, turn_len - answer.length + 1, 0))
    return chains, answer.replace(read=read, read_attended=read_attended)

  def grow(chains: _Chains, _) -> tuple:
    """The next answer, nothing dropped: the cache lacks the newest turn's end."""
    itself = jnp.broadcast_to(jnp.arange(shape[1], dtype=jnp.int32), shape)
    first = chains.lengths[..., -1] - chains.unread
    place = jnp.minimum(first[..., None] + jnp.arange(2 + num_prompt)[None, None],
                        width - 1)
    state, attended = generator.read(
        generator.gather(chains.state, itself),
        jnp.take_along_axis(chains.turns[:, :, -1], place, axis=2), chains.unread)
    rows = decode.next_rows(chains.rows, live, limits)
    return write(chains.replace(state=state, rows=rows), chains.unread, attended)

  def slide(chains: _Chains, _) -> tuple:
    """The next answer, the oldest one dropped: everything after the first question is read."""
    def read(carry, turn):
      state, attended = carry
      state, more = generator.read(state, *turn)
      return (state, attended + more), None

    restarted = generator.restart(chains.state, jnp.ones(shape, bool), per_row)
    turns = jnp.moveaxis(chains.turns, 2, 0), jnp.moveaxis(chains.lengths, 2, 0)
    (state, attended), _ = jax.lax.scan(read, (restarted, jnp.zeros(shape, jnp.int32)), turns)
    rows = decode.next_rows(chains.rows, live, limits)
    return write(chains.replace(state=state, rows=rows), jnp.sum(chains.lengths, axis=2), attended)

  growing = min(length - 1, MAX_CONTEXT)
  none = jnp.zeros(shape, jnp.int32)
  chains, answer = write(begun, none, none)
  logs = [jax.tree.map(lambda x: x[None], answer)]
  for body, count in ((grow, growing), (slide, length - 1 - growing)):
    if count:
      chains, log = jax.lax.scan(body, chains, None, length=count)
      logs.append(log)
  return jax.tree.map(lambda *xs: jnp.concatenate(xs), *logs)


def _write(generator: Any, state: Any, rows: decode.Rows, sampling: SamplingConfig,
           limits: decode.Limits) -> tuple:
  """One answer of every live row: (state, rows, `Answers` without what was read for it)."""
  blank = jnp.zeros((*rows.live.shape, limits.max_tokens), jnp.int32)
  log = blank + PAD_ID, blank.astype(jnp.float32), blank

  def going(carry):
    column, _, rows, _ = carry
    return (column < limits.max_tokens) & jnp.any(rows.live)

  def body(carry):
    column, state, rows, log = carry
    state, rows, *entry = decode.emit(generator, state, rows, rows.live, sampling, limits)
    log = tuple(jax.lax.dynamic_update_index_in_dim(old, new, column, 2)
                for old, new in zip(log, entry))
    return column + 1, state, rows, log

  _, state, rows, log = jax.lax.while_loop(
      going, body, (jnp.zeros((), jnp.int32), state, rows, log))
  none = jnp.zeros_like(rows.position)
  return state, rows, Answers(*log, length=rows.position, finished=rows.finished, read=none,
                              read_attended=none)


def _turn(answer: Answers, prompt: jax.Array, prompt_len: jax.Array, width: int,
          end_id: int) -> tuple:
  """The answer, closed, and the question after it: (int32 [B, N, W], lengths int32 [B, N])."""
  column = jnp.arange(width)[None, None]
  closed = answer.length + ~answer.finished
  pad = lambda x: jnp.pad(x, ((0, 0), (0, 0), (0, width - x.shape[2])))
  after = jnp.clip(column - closed[..., None], 0, prompt.shape[1] - 1)
  question = jnp.take_along_axis(
      jnp.broadcast_to(prompt[:, None], (*closed.shape, prompt.shape[1])), after, axis=2)
  turn = jnp.where(column < answer.length[..., None], pad(answer.token),
                   jnp.where(column < closed[..., None], end_id, question))
  return turn, closed + prompt_len
