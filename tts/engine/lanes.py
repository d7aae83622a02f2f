"""Where tokens are computed: a fixed number of lanes, each with one text at a time.

A program's shapes are those of its lanes, whatever the questions are and however many. A lane that
is done takes another text at once, so nobody waits for the longest neighbour; and what a lane
computes does not depend on the others, so the same text gives the same bytes in any of them.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from tts.engine import pages
from tts.protocols import Carry, Generator, JudgingGenerator, Texts, Writing
from tts.sampling import confidence, decode
from tts.sampling.confidence import Statistics, Watch
from tts.sampling.logits import SamplingConfig

ACTIVE, STEP_ENDED, FINISHED, LIVE, GREEDY, STOPPED = 1, 2, 4, 8, 16, 32  # bits of `Log.code`
FIELDS = 13  # of a row that comes into a lane; see `filled`


@flax.struct.dataclass
class Lanes:
  """L texts that a generator is writing."""

  texts: Any           # the generator's `Texts`, of L rows; None where they are handed on apart
  rows: decode.Rows    # [L]
  active: jax.Array    # [L] bool, it is to write on; who is not waits to be unloaded
  steps: jax.Array     # [L] int32, steps that it still writes; the `ahead` last ones greedily
  ahead: jax.Array     # [L] int32
  saved: Carry         # the texts' `carry` at the end of the last step that was not greedy
  watch: Watch | None = None  # where texts are ended that are too unsure


@flax.struct.dataclass
class Log:
  """What the lanes wrote in one call, a token each at a time."""

  token: jax.Array     # [m, L] int32
  logprob: jax.Array   # [m, L] float32, natural log at temperature 1
  code: jax.Array      # [m, L] int32, bits; 0 where the lane was not active
  active: jax.Array    # [L] bool, the lane is to write on
  statistics: Statistics | None = None  # [m, L], where they are asked for
  value: jax.Array | None = None  # [m, L, ...], of a generator that scores what it writes


def empty(generator: Generator, count: int, width: int, window: int = 0) -> Lanes:
  """Lanes with nothing in them, with room for texts of `width` tokens. window: of `Watch`, or 0."""
  texts = generator.empty(count, width)
  zeros, none = jnp.zeros(count, jnp.int32), jnp.zeros(count, bool)
  rows = decode.Rows(key=jnp.zeros((count, 2), jnp.uint32), step=zeros,
                     position=zeros, past_steps=zeros, past_positions=zeros, in_step=zeros,
                     live=none, finished=none, half=none, until=zeros, most=zeros)
  return Lanes(texts=texts, rows=rows, active=none, steps=zeros, ahead=zeros, saved=texts.carry,
               watch=confidence.watch(count, window))


def write(generator: Generator, lanes: Lanes, num: int, sampling: SamplingConfig,
          limits: decode.Limits) -> tuple[Lanes, Log]:
  """Up to `num` tokens in every active lane. num, sampling, limits: static."""
  count = lanes.active.shape[0]
  blank = jnp.zeros((num, count), jnp.int32)

  def going(carry):
    i, _, lanes, _ = carry
    return (i < num) & jnp.any(lanes.active)

  def body(carry):
    i, writing, lanes, log = carry
    active, greedy = lanes.active, lanes.steps <= lanes.ahead
    before = lanes.rows
    writing, rows, token, logprob, found, value, watch, stopped = decode.emit(
        generator, writing, before, active, greedy, sampling, limits, lanes.watch)
    ended = rows.step > before.step
    steps = lanes.steps - ended
    code = active * (ACTIVE + STEP_ENDED * ended + FINISHED * rows.finished + LIVE * rows.live
                     + GREEDY * greedy)
    if stopped is not None:
      code += STOPPED * stopped
    log = jax.tree.map(
        lambda old, new: jax.lax.dynamic_update_index_in_dim(old, new, i, 0),
        log, (token, logprob, code, found, value))
    over = lambda flag, x: flag.reshape(flag.shape + (1,) * (x.ndim - 1))
    saved = jax.tree.map(lambda new, old: jnp.where(over(active & ~greedy, new), new, old),
                         writing.texts.carry, lanes.saved)
    lanes = dataclasses.replace(lanes, rows=rows, active=active & rows.live & (steps > 0),
                                steps=steps, saved=saved, watch=watch)
    return i + 1, writing, lanes, log

  writing = generator.begin(lanes.texts, num)
  zeros = blank.astype(jnp.float32)
  nothing = Statistics(zeros, zeros, zeros) if sampling.statistics else None
  value = _no_values(generator, writing, num) if isinstance(generator, JudgingGenerator) else None
  first = (jnp.zeros((), jnp.int32), writing, dataclasses.replace(lanes, texts=None),
           (blank, zeros, blank, nothing, value))
  _, writing, lanes, (token, logprob, code, found, value) = jax.lax.while_loop(going, body, first)
  return (dataclasses.replace(lanes, texts=generator.end(writing)),
          Log(token, logprob, code, lanes.active, found, value))


def _no_values(generator: JudgingGenerator, writing: Writing, num: int) -> jax.Array:
  """Room for what a generator says of `num` tokens in each lane."""
  one = jax.eval_shape(lambda: generator.judge(
      writing, (logits := generator.logits(writing)), jnp.zeros(logits.shape[0], jnp.int32))[1])
  return jnp.zeros((num, *one.shape), one.dtype)


def resized(lanes: Lanes, order: jax.Array) -> Lanes:
  """Lanes of which number i has what number order[i] had; a negative one, nothing.

  order: int32 [L'], so many lanes as there are to be.
  """
  source = jnp.maximum(order, 0)
  rest = jax.tree.map(lambda x: x[source], dataclasses.replace(lanes, texts=None))
  return dataclasses.replace(
      rest, active=rest.active & (order >= 0), texts=pages.picked(lanes.texts, source))


def filled(lanes: Lanes, texts: Texts, fresh: jax.Array, fields: jax.Array) -> Lanes:
  """Lanes of which the fresh ones have another row.

  Args:
    lanes: without their texts.
    texts: with those of the fresh ones.
    fresh: bool [L].
    fields: int32 [FIELDS, L]: the key's two words, what `decode.Rows` calls `step`, `position`,
      `past_steps`, `past_positions`, `in_step`, `half`, `until` and `most`, `steps` and `ahead` of
      `Lanes`, and the bits of `least` of a `Watch`.
  """
  (*key, step, position, past_steps, past_positions, in_step, half, until, most, steps, ahead,
   least) = fields
  key = jax.lax.bitcast_convert_type(jnp.stack(key, axis=-1), jnp.uint32)
  none = jnp.zeros_like(fresh)
  rows = decode.Rows(key=key, step=step, position=position,
                     past_steps=past_steps, past_positions=past_positions,
                     in_step=in_step, live=fresh, finished=none, half=half > 0, until=until,
                     most=most)
  watch = lanes.watch and dataclasses.replace(
      lanes.watch, least=jax.lax.bitcast_convert_type(least, jnp.float32))
  new = Lanes(texts=None, rows=rows, active=fresh, steps=steps, ahead=ahead, saved=texts.carry,
              watch=watch)
  over = lambda x: fresh.reshape(fresh.shape + (1,) * (x.ndim - 1))
  return jax.tree.map(lambda new, old: jnp.where(over(new), new, old), new, lanes).replace(
      texts=texts)
