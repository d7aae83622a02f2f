"""bfloat16 weights on a CPU are never all there in float32: no memory is saved by them else."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import toy
from tts import parallel, placement
from tts.engine import all_programs
from tts.engine.program import compiler_options
from tts.engine.shape import Shape
from tts.estimates import memory
from tts.models.functions import Functions
from tts.models.generator import Generator
from tts.models.transformer import abstract, Decoder
from tts.models.verifier import Verifier
from tts.sampling.decode import Limits
from tts.sampling.logits import SamplingConfig

HALF = dataclasses.replace(toy.ARCH, vocab_size=2048, num_layers=6, width=256, mlp_width=1024,
                           head_size=64, heads=('lm',), dtype='bfloat16', param_dtype='bfloat16')
GUIDE = dataclasses.replace(HALF, heads=('value',))
LIMITS = Limits(max_tokens=8, max_steps=2, max_step_tokens=4, roles=toy.ROLES)
SHAPE = Shape(lanes=2, write=4, readers=2, tile=4)


@pytest.mark.parametrize('what', ['write', 'read', 'values'])
def test_no_copy_in_float32(what):
  arch, mesh = GUIDE if what == 'values' else HALF, parallel.make_mesh(1)
  make = Functions(Verifier if what == 'values' else Generator, arch)
  params = placement.placed(abstract(arch), mesh)
  if what == 'write':
    program = all_programs.write(mesh, make, SHAPE.write, SamplingConfig(), LIMITS)
    block = all_programs.writes(make, params, SHAPE, 32)
  else:
    program = all_programs.read(mesh, make, what == 'values')
    block = all_programs.reads(make, params, SHAPE, 32, 2, 4)
  compiled = program.lower(params, *all_programs.stacked(block, mesh)).compile(compiler_options(params))
  copies = 2 * memory.weights(arch, 1)  # of four bytes for two
  assert compiled.memory_analysis().temp_size_in_bytes < copies / 4


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
  np.testing.assert_array_equal(lowered.compile(compiler_options(params))(
      params, tokens[None])[0], jax.jit(step)(params, tokens))
  assert 'optimization_barrier' not in jax.jit(step).lower(params, tokens).as_text()
  whole = toy.decoder_params(toy.ARCH)
  assert 'optimization_barrier' not in parallel.pmapped(
      lambda params, tokens: logits(toy.ARCH, params, tokens), mesh).lower(
          whole, tokens[None]).as_text()
  assert compiler_options(whole) == {}
