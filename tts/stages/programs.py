"""The device programs: each a pure function of one block, mapped over the mesh.

`params` is shared by all groups; everything else belongs to a block.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from tts import rng
from tts.models import blockwise
from tts.models.generator import Generator
from tts.models.retokenised import Retokenised
from tts.models.transformer import Arch, Decoder
from tts.models.verifier import Verifier
from tts.revision import chains
from tts.sampling import decode
from tts.sampling.logits import SamplingConfig
from tts.search import lookahead, methods, search, step as step_lib


def sample_step(arch: Arch, *, seed: int, stream: str, num_slots: int, sampling: SamplingConfig,
                limits: decode.Limits):
  """Program: sample every job of a block's problems; see `decode.sample_queue`."""

  def step(params, prefix, job_prefix_len, words, identity, num_jobs):
    """prefix int32 [B, P], lengths [B, J], words uint32 [B, 2], identity int32 [B, J, I]."""
    keys = rng.identity_keys(rng.problem_keys(rng.stream_key(seed, stream), words), identity)
    return decode.sample_queue(
        Generator(Decoder(arch), params), prefix, job_prefix_len, keys, num_jobs,
        num_slots=num_slots, sampling=sampling, limits=limits)

  return step


def chain_step(arch: Arch, *, seed: int, stream: str, length: int, sampling: SamplingConfig,
               limits: decode.Limits):
  """Program: chains of revisions of a block's problems; see `chains.sample_chains`."""

  def step(params, prefix, prefix_len, words, slots, valid):
    """prefix int32 [B, P], its length [B], words uint32 [B, 2], slots int32 [B, N], valid [B]."""
    keys = rng.identity_keys(
        rng.problem_keys(rng.stream_key(seed, stream), words), slots[..., None])
    return chains.sample_chains(
        Generator(Decoder(arch), params), prefix, prefix_len, keys, valid, length=length,
        sampling=sampling, limits=limits)

  return step


def score_step(arch: Arch, make: Callable[..., Any] = Verifier):
  """Program: a verifier's value at every token of finished samples. `make` it as it is read."""

  def step(params, prefix, prefix_len, tokens, lengths):
    """prefix int32 [B, P], its length [B], tokens int32 [B, N, T], lengths int32 [B, N].

    Returns:
      (values float32 [B, N, T], tokens attended to int32 [B, N]).
    """
    verifier = make(Decoder(arch), params)
    per_row = jnp.broadcast_to(prefix_len[:, None], lengths.shape)
    state = verifier.start(prefix, per_row, 0, tokens.shape[-1])

    def extended():
      values, _, read = verifier.extend(state, tokens, lengths)
      return values, read[..., 1]

    nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(extended))
    return jax.lax.cond(jnp.any(lengths > 0), extended, lambda: nothing)

  return step


def search_step(arch: Arch, verifier_arch: Arch, *, seed: int, stream: str,
                config: search.BeamConfig, sampling: SamplingConfig, limits: decode.Limits,
                make: Callable[..., Any] = Verifier,
                priority: methods.Priority = methods.by_score):
  """Program: a whole search, generator and verifier in one loop of rounds."""

  def step(params, *block):
    """`block` is as `_begun` takes it."""
    models = Generator(Decoder(arch), params[0]), make(Decoder(verifier_arch), params[1])
    state = _begun(models, seed, stream, limits, *block)
    history, _ = search.run(*models, state, config, sampling, limits, priority)
    return history

  return step


def _begun(models: tuple[Any, Any], seed: int, stream: str, limits: decode.Limits,
           prefix: jax.Array, prefix_len: jax.Array, words: jax.Array, slots: jax.Array,
           valid: jax.Array, *question: jax.Array) -> search.SearchState:
  """A search that has emitted nothing.

  prefix int32 [B, P], its length [B], words uint32 [B, 2], slots int32 [B, N], valid [B]. question
  int32 [B, P'] and its length [B] where the prefix holds earlier answers too, or where the verifier
  has other ids.
  """
  keys = rng.identity_keys(
      rng.problem_keys(rng.stream_key(seed, stream), words), slots[..., None])
  return search.init(*models, prefix, prefix_len, keys, valid, limits, question or None)


def search_parts(arch: Arch, verifier_arch: Arch, *, seed: int, stream: str,
                 config: search.BeamConfig, sampling: SamplingConfig, limits: decode.Limits,
                 width: int, past: int, make: Callable[..., Any] = Verifier,
                 priority: methods.Priority = methods.by_score) -> dict[str, Callable[..., Any]]:
  """Programs: `search_step` cut where the host has to write a step in the verifier's ids.

  `tts.stages.driven` calls them. All have both models' parameters before the arguments that stand
  here; `width` and `past` are those of a `step_format.Reader`.
  """

  def models(params, *step):
    judge = Retokenised(make(Decoder(verifier_arch), params[1]), width, past, *step)
    return Generator(Decoder(arch), params[0]), judge

  def itself(like):
    return jnp.broadcast_to(jnp.arange(like.shape[1], dtype=jnp.int32), like.shape)

  def start(params, *block):
    """A block --> (state, how its slots were dealt)."""
    state = _begun(models(params), seed, stream, limits, *block)
    return state, itself(state.candidates.score)

  def writer(sampling):
    """The generator's state and the rows --> both after a step of each, and its `Draft`."""
    return lambda params, state, rows: step_lib.write(
        models(params)[0], state, rows, sampling, limits)

  def read(params, state, score, draft, ids, count):
    """The verifier's state, the rows' scores, a draft and its ids --> both, and the `Step`."""
    return step_lib.read(models(params, ids, count)[1], state, score, draft)

  def choose(params, generator, verifier, rows, score, open_, step, judged, parent):
    """Candidates after a step, and what of them counts --> as `search.choose`."""
    ahead = step_lib.Candidates(generator=generator, verifier=verifier, rows=rows, score=score)
    return search.choose(*models(params), search.SearchState(candidates=ahead, open=open_), step,
                         judged, parent, config, priority)

  def settle(params, candidates):
    """Candidates after a step --> the same, ready for the next one."""
    return step_lib.gather(*models(params), candidates, itself(candidates.score))

  return {'start': start, 'write': writer(sampling), 'read': read, 'choose': choose,
          **({'settle': settle, 'imagine': writer(lookahead.GREEDY)} if config.lookahead else {})}


def forward_step(arch: Arch):
  """Program: logits and values of whole texts, for `launch.logprobs`."""

  def step(params, tokens, prompt_len):
    """tokens int32 [B, T], the first prompt_len int32 [B] of them given --> {head: float32}."""
    decoder = Decoder(arch)
    position = jnp.broadcast_to(jnp.arange(tokens.shape[1], dtype=jnp.int32), tokens.shape)
    own = position >= prompt_len[:, None]
    hidden, _ = decoder.apply(params, tokens, position, own=own)
    result = {}
    if 'lm' in arch.heads:
      def log_prob(hidden, following):
        log_probs = jax.nn.log_softmax(decoder.apply(params, hidden, method='logits'), axis=-1)
        return jnp.take_along_axis(log_probs, following[..., None], axis=-1)[..., 0]

      following = jnp.pad(tokens[:, 1:], ((0, 0), (0, 1)))
      result['logprobs'] = blockwise.over(
          log_prob, (hidden.lm, following), 1, arch.vocab_size)[:, :-1]
    if 'value' in arch.heads:
      result['values'] = jax.nn.sigmoid(decoder.apply(params, hidden.top, method='values'))
    return result

  return step


def prompt_step(arch: Arch):
  """Program: a language model's hidden state at the end of each prompt."""

  def step(params, prefix, prefix_len):
    """prefix int32 [B, P], its length [B] --> float32 [B, D]."""
    position = jnp.broadcast_to(jnp.arange(prefix.shape[1], dtype=jnp.int32), prefix.shape)
    hidden, _ = Decoder(arch).apply(params, prefix, position)
    last = jnp.take_along_axis(hidden.top, (prefix_len - 1)[:, None, None], axis=1)
    return last[:, 0].astype(jnp.float32)

  return step
