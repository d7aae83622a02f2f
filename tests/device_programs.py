"""The device programs with small real decoders and their arguments."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from tests import toy
from tts import rng
from tts.sampling.decode import Limits
from tts.sampling.logits import SamplingConfig
from tts.search.search import BeamConfig
from tts.stages import programs

LIMITS = Limits(max_tokens=9, max_steps=4, max_step_tokens=4, roles=toy.ROLES)
B, N, J, P = 3, 4, 6, 5
JUDGE = dataclasses.replace(toy.ARCH, surprise_layer=1, heads=('lm', 'value'))


def steps() -> dict:
  """Name --> (per-device step, shared, its block's arguments)."""
  params, other = toy.decoder_params(), toy.decoder_params(JUDGE, seed=1)
  prefix, lengths = toy.prompts(0, B, P, toy.ARCH.vocab_size)
  words = rng.problem_words([f'p{i}' for i in range(B)])
  grid = lambda *shape: np.broadcast_to(np.arange(shape[-1], dtype=np.int32), shape)
  kwargs = dict(seed=0, stream='test', limits=LIMITS)
  drawn = SamplingConfig(temperature=0.8, top_k=5, top_p=0.9)
  jobs = np.repeat(lengths[:, None], J, 1), words, grid(B, J)[..., None], np.full(B, J, np.int32)
  return {
      'sample': (programs.sample_step(toy.ARCH, num_slots=N, sampling=drawn, **kwargs),
                 params, (prefix, *jobs)),
      'search': (programs.search_step(toy.ARCH, JUDGE, config=BeamConfig(N, 2),
                                      sampling=SamplingConfig(), **kwargs),
                 (params, other), (prefix, lengths, words, grid(B, N), np.ones(B, bool))),
      'lookahead': (programs.search_step(toy.ARCH, JUDGE, config=BeamConfig(N, 2, lookahead=3),
                                         sampling=SamplingConfig(), **kwargs),
                    (params, other), (prefix, lengths, words, grid(B, N), np.ones(B, bool))),
      # Long enough to drop an answer.
      'chain': (programs.chain_step(toy.ARCH, length=7, sampling=drawn, **kwargs), params,
                (prefix, lengths, words, grid(B, N), np.ones(B, bool))),
      'score': (programs.score_step(JUDGE), other,
                (prefix, lengths, grid(B, N, LIMITS.max_tokens), grid(B, N))),
      **_cut(kwargs, (params, other), (prefix, lengths, words, grid(B, N), np.ones(B, bool))),
      'forward': (programs.forward_step(toy.ARCH), params, (grid(B, P), grid(B))),
  }


def _cut(kwargs: dict, models: tuple, block: tuple) -> dict:
  """A round of a search that the host drives."""
  width = 6
  parts = programs.search_parts(toy.ARCH, JUDGE, config=BeamConfig(N, 2), width=width, past=14,
                                sampling=SamplingConfig(), **kwargs)
  state, parent = jax.eval_shape(parts['start'], models, *block, *block[:2])
  c = state.candidates
  ids = np.zeros((B, N, width), np.int32), np.ones((B, N), np.int32)
  *written, draft = jax.eval_shape(parts['write'], models, c.generator, c.rows)
  verifier, score, step = jax.eval_shape(parts['read'], models, c.verifier, c.score, draft, *ids)
  return {
      'write': (parts['write'], models, (c.generator, c.rows)),
      'read': (parts['read'], models, (c.verifier, c.score, draft, *ids)),
      'choose': (parts['choose'], models,
                 (written[0], verifier, written[1], score, state.open, step, score, parent))}
