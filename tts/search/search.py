"""Step-level search against a process reward model, one compiled loop of rounds (paper section 5).

A round: decode every live row to its step's end, let the verifier read the new tokens, look ahead
where that is asked for, select, branch. The unit is `search_round`; `run` iterates it on the
device. Where the host has to write a step anew for the verifier, it calls a round's parts itself:
`step.write`, `step.read`, `choose` (`tts.stages.driven`).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from tts.sampling import decode
from tts.sampling.logits import SamplingConfig
from tts.search import beam, lookahead, methods, step as step_lib
from tts.search.step import Candidates, Step


@dataclasses.dataclass(frozen=True)
class BeamConfig:
  """N candidates of which K = max(1, N // M) are kept and share N children.

  They are selected by the verifier's value `lookahead` steps later; 0 is plain beam search.
  """

  num_candidates: int
  beam_width: int
  lookahead: int = 0

  @property
  def num_kept(self) -> int:
    return max(1, self.num_candidates // self.beam_width)


@flax.struct.dataclass
class SearchState:
  """A search between two rounds."""

  candidates: Candidates
  open: jax.Array  # [B] bool, the problem's search goes on


@flax.struct.dataclass
class Round:
  """What a round did: a node of the search tree per row that was live in it."""

  parent: jax.Array    # [B, N] int32, row of the round before that the slot went on from
  token: jax.Array     # [B, N, C] int32, PAD_ID after `length`
  length: jax.Array    # [B, N] int32, 0 where the row was not live
  logprob: jax.Array   # [B, N] float32, summed over the step
  score: jax.Array     # [B, N] float32, verifier's value at the step's end
  live: jax.Array      # [B, N] bool, after the step
  finished: jax.Array  # [B, N] bool, after the step
  kept: jax.Array      # [B, N] bool, by the selection that followed
  entered: jax.Array   # [B, 2] int32, tokens that entered the generator, the verifier
  attended: jax.Array  # [B, 2] int32, and what those attended to; simulations are apart
  simulation: lookahead.Simulation | None  # None in plain beam search


def search_round(generator: Any, verifier: Any, state: SearchState, parent: jax.Array,
                 config: BeamConfig, sampling: SamplingConfig, limits: decode.Limits,
                 priority: methods.Priority = methods.by_score) -> tuple:
  """One round for every open problem.

  Args:
    generator: see `tts.sampling.decode`.
    verifier: `start`, `extend`, `gather` as in `tts.models.verifier.Verifier`.
    state: what `init` or a round returned.
    parent: int32 [B, N], how the slots of `state` were dealt; recorded in the result.
    config: static.
    sampling: static.
    limits: static.
    priority: static, ranks one question's rows.

  Returns:
    (the state after branching, the next `parent`, the `Round`).
  """
  ahead, step = step_lib.take(generator, verifier, state.candidates, sampling, limits)
  simulation = None
  if config.lookahead:
    simulation = lookahead.simulate(generator, verifier, ahead, config.lookahead, limits)
  judged = ahead.score if simulation is None else simulation.score
  state, parent, result = choose(generator, verifier, state.replace(candidates=ahead), step, judged,
                                 parent, config, priority)
  return state, parent, result.replace(simulation=simulation)


def choose(generator: Any, verifier: Any, state: SearchState, step: Step, judged: jax.Array,
           parent: jax.Array, config: BeamConfig, priority: methods.Priority) -> tuple:
  """The end of a round: what is kept, and what goes on from it.

  Args:
    generator: see `search_round`.
    verifier: see there.
    state: with its candidates after the step.
    step: theirs.
    judged: float32 [B, N], what they are selected by.
    parent: see there.
    config: static.
    priority: static.

  Returns:
    As `search_round`; the `Round` has no simulation.
  """
  ahead = state.candidates
  rows = ahead.rows
  rank = jax.vmap(priority)(methods.Rows(
      score=judged, logprob=step.logprob, token=step.token, length=step.length, parent=parent,
      live=rows.live, finished=rows.finished))
  kept, stop, next_parent = jax.vmap(beam.select, in_axes=(0, 0, 0, None))(
      rank, rows.live, rows.finished, config.num_kept)
  result = Round(
      parent=parent, token=step.token, length=step.length, logprob=step.logprob, score=ahead.score,
      live=rows.live, finished=rows.finished, kept=kept, entered=step.entered,
      attended=step.attended, simulation=None)

  still_open = state.open & ~stop
  after = step_lib.gather(generator, verifier, ahead, next_parent)
  rows = after.rows.replace(live=after.rows.live & still_open[:, None])
  return SearchState(candidates=after.replace(rows=rows), open=still_open), next_parent, result


def init(generator: Any, verifier: Any, prefix: jax.Array, prefix_len: jax.Array,
         keys: jax.Array, valid: jax.Array, limits: decode.Limits,
         question: tuple[jax.Array, jax.Array] | None = None) -> SearchState:
  """A search that has emitted nothing.

  Args:
    generator: see `search_round`.
    verifier: see `search_round`.
    prefix: int32 [B, P] prompts.
    prefix_len: int32 [B].
    keys: keys [B, N], one per slot.
    valid: bool [B], False for rows that only fill the block.
    limits: static.
    question: what the verifier reads, int32 [B, P'] and its lengths [B], where the prefix holds
      more: a revision model's earlier answers. None for the prefix.
  """
  shape = keys.shape
  per_row = lambda lengths: jnp.broadcast_to(lengths[:, None], shape)
  read, read_len = (prefix, prefix_len) if question is None else question
  sizes = (limits.max_tokens, limits.max_step_tokens)
  live = jnp.broadcast_to(valid[:, None], shape)
  candidates = Candidates(
      generator=generator.start(prefix, per_row(prefix_len), *sizes),
      verifier=verifier.start(read, per_row(read_len), *sizes),
      rows=decode.init_rows(keys, live, limits), score=jnp.zeros(shape, jnp.float32))
  return SearchState(candidates=candidates, open=valid)


def run(generator: Any, verifier: Any, state: SearchState, config: BeamConfig,
        sampling: SamplingConfig, limits: decode.Limits,
        priority: methods.Priority = methods.by_score) -> tuple[Round, jax.Array]:
  """Rounds until every problem has stopped, on the device. Arguments as in `search_round`.

  Returns:
    (`Round` with a leading axis S, where a stopped problem's rounds have length 0; the number of
    rounds int32 []).
  """
  num_problems, num_slots = state.candidates.score.shape
  parent = jnp.broadcast_to(jnp.arange(num_slots, dtype=jnp.int32), (num_problems, num_slots))
  one_round = lambda state, parent: search_round(
      generator, verifier, state, parent, config, sampling, limits, priority)
  shape = jax.eval_shape(one_round, state, parent)[-1]
  history = jax.tree.map(
      lambda x: jnp.zeros((limits.max_steps, *x.shape), x.dtype), shape)

  def going(carry):
    i, state, *_ = carry
    return (i < limits.max_steps) & jnp.any(state.open)

  def body(carry):
    i, state, parent, history = carry
    state, parent, result = one_round(state, parent)
    history = jax.tree.map(
        lambda old, new: jax.lax.dynamic_update_index_in_dim(old, new, i, 0), history, result)
    return i + 1, state, parent, history

  rounds, _, _, history = jax.lax.while_loop(
      going, body, (jnp.zeros((), jnp.int32), state, parent, history))
  return history, rounds
