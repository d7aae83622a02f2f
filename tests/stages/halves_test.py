"""bfloat16 weights on a CPU are never all there in float32: no memory is saved by them else."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import toy
from tts import parallel
from tts.models.transformer import Decoder, abstract
from tts.sampling.decode import Limits
from tts.sampling.logits import SamplingConfig
from tts.search.search import BeamConfig
from tts.stages import blocks, memory, programs

HALF = dataclasses.replace(toy.ARCH, vocab_size=2048, num_layers=6, width=256, mlp_width=1024,
                           head_size=64, heads=('lm',), dtype='bfloat16', param_dtype='bfloat16')
GUIDE = dataclasses.replace(HALF, heads=('value',))
LIMITS = Limits(max_tokens=8, max_steps=2, max_step_tokens=4, roles=toy.ROLES)
OF_A_RUN = dict(seed=0, stream='test', sampling=SamplingConfig(), limits=LIMITS)


def compiled(step, archs, *block):
  mesh = parallel.make_mesh(1)
  params = tuple(parallel.placed(abstract(a), mesh) for a in archs)
  return parallel.pmapped(step, mesh).lower(
      params if len(params) > 1 else params[0], *parallel.stacked(block, mesh)).compile(
          blocks.compiler_options(params))


def shapes(*sizes, dtype=jnp.int32):
  return jax.ShapeDtypeStruct(sizes, dtype)


@pytest.mark.parametrize('what', ['sample', 'score', 'search'])
def test_no_copy_in_float32(what):
  words, archs = shapes(1, 2, dtype=jnp.uint32), [HALF]
  if what == 'sample':
    step = programs.sample_step(HALF, num_slots=2, **OF_A_RUN)
    block = shapes(1, 4), shapes(1, 2), words, shapes(1, 2, 1), shapes(1)
  elif what == 'score':
    step, archs = programs.score_step(GUIDE), [GUIDE]
    block = shapes(1, 4), shapes(1), shapes(1, 2, 8), shapes(1, 2)
  else:
    step, archs = programs.search_step(HALF, GUIDE, config=BeamConfig(2, 2), **OF_A_RUN), [HALF, GUIDE]
    block = shapes(1, 4), shapes(1), words, shapes(1, 2), shapes(1, dtype=jnp.bool_)
  copies = 2 * sum(memory.weights(a, 1) for a in archs)  # of four bytes for two
  assert compiled(step, archs, *block).memory_analysis().temp_size_in_bytes < copies / 4


def test_nothing_else_changes():
  """The same numbers as without, and in float32 and for other devices the same program."""
  params = jax.tree.map(lambda x: x.astype(jnp.bfloat16), toy.decoder_params(toy.ARCH))
  half = dataclasses.replace(toy.ARCH, dtype='bfloat16', param_dtype='bfloat16')
  tokens, mesh = jnp.arange(12, dtype=jnp.int32).reshape(2, 6), parallel.make_mesh(1)

  def logits(arch, params, tokens):
    hidden, _ = Decoder(arch).apply(params, tokens, jnp.broadcast_to(jnp.arange(6), tokens.shape))
    return Decoder(arch).apply(params, hidden.lm, method='logits')

  step = lambda params, tokens: logits(half, params, tokens)
  lowered = parallel.pmapped(step, mesh).lower(params, tokens[None])
  assert 'optimization_barrier' in lowered.as_text()
  np.testing.assert_array_equal(lowered.compile(blocks.compiler_options(params))(
      params, tokens[None])[0], jax.jit(step)(params, tokens))
  assert 'optimization_barrier' not in jax.jit(step).lower(params, tokens).as_text()
  whole = toy.decoder_params(toy.ARCH)
  assert 'optimization_barrier' not in parallel.pmapped(
      lambda params, tokens: logits(toy.ARCH, params, tokens), mesh).lower(
          whole, tokens[None]).as_text()
  assert blocks.compiler_options(whole) == {}
