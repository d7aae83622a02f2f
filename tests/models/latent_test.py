"""States that leave loops of layers, shared models, what a head costs, and a TPU's compiler."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import toy
from tests.eval.measures.flops_test import products
from tts import parallel
from tts.engine import all_programs, lanes
from tts.engine.engine_models import EngineGenerator
from tts.engine.shape import Shape
from tts.eval.measures import flops
from tts.models import latent, stacks
from tts.models.functions import Functions
from tts.models.generator import Generator
from tts.models.transformer import Decoder
from tts.sampling import decode, pool
from tts.sampling.logits import SamplingConfig
from tts.types import InputError

ARCHS = {
    'plain': dataclasses.replace(toy.ARCH, num_layers=4),
    'periods': dataclasses.replace(toy.ARCH, num_layers=7, windows=(3, 3, 0, 3, 3, 0, 3)),
    'one left over': dataclasses.replace(toy.ARCH, num_layers=5)}
LIMITS = decode.Limits(max_tokens=12, max_steps=3, max_step_tokens=6, roles=toy.ROLES)


def head_params(head, width=toy.ARCH.width):
  gen = np.random.default_rng(5)
  return jax.tree.map(lambda x: gen.normal(0, 0.5, x.shape).astype(np.float32),
                      latent.zeros(head, width))


@pytest.mark.parametrize('name', ARCHS)
def test_states_leave_a_loop_as_they_leave_layers_that_are_written_out(name):
  arch, params = ARCHS[name], toy.decoder_params(ARCHS[name])
  assert stacks.loops(arch)
  tokens = np.random.default_rng(0).integers(5, 13, (3, 9))
  where = jnp.broadcast_to(jnp.arange(9), tokens.shape)
  every = tuple(range(1, arch.num_layers + 1))
  of = lambda params, chosen: Decoder(arch).apply(params, tokens, where, chosen=chosen)[0]
  want, looped = of(params, every), of(stacks.stacked(params, arch), every)
  assert want.states.shape == (arch.num_layers, 3, 9, arch.width)
  assert len({x.tobytes() for x in np.asarray(want.states)}) == arch.num_layers
  np.testing.assert_array_equal(want.states[-1], want.lm)
  np.testing.assert_allclose(looped.states, want.states, atol=1e-5)
  for some in ((2,), (1, 3), every[-1:], (2, arch.num_layers)):
    for found, all_states in ((of(params, some), want),
                              (of(stacks.stacked(params, arch), some), looped)):
      np.testing.assert_array_equal(found.states, all_states.states[np.array(some) - 1])
  assert of(params, ()).states is None


@pytest.mark.parametrize('groups, model, loops', [(1, 2, False), (2, 2, True), (1, 1, True)])
def test_devices_that_share_a_model_and_loops_give_the_scores_of_one(groups, model, loops):
  head, arch = latent.Head((1, 2), latent.BESIDE), toy.ARCH
  keys = np.asarray(jax.random.key_data(toy.slot_keys(3, 2)))

  def scores(groups, model, loops):
    params = toy.decoder_params(arch)
    params = (stacks.stacked(params, arch) if loops else params) | {latent.NAME: head_params(head)}
    makes = [Functions(kind, arch, head) for kind in (latent.Generator, latent.Verifier)]
    generator = EngineGenerator(parallel.make_mesh(groups, model), makes[0], params, toy.SHAPE,
                                SamplingConfig(), LIMITS, judge=makes[1])
    begin = lambda b: lambda group: pool.samples(generator, group, [1, 5, 6 + b], keys[b])
    return toy.run([begin(b) for b in range(3)], [generator])

  for mine, theirs in zip(scores(groups, model, loops), scores(1, 1, False), strict=True):
    for a, b in zip(mine, theirs, strict=True):
      np.testing.assert_array_equal(a.tokens, b.tokens)
      np.testing.assert_allclose(a.values, b.values, atol=1e-5)


@pytest.mark.parametrize('beside', [(), ('logprob',), latent.BESIDE])
def test_a_head_costs_what_the_formula_says(beside):
  """The products of one token in every lane, with a head and without, of the traced programs."""
  head, shape = latent.Head((1, 2), beside), Shape(lanes=8, write=1, readers=8, tile=4)
  params = toy.decoder_params() | {latent.NAME: latent.zeros(head, toy.ARCH.width)}

  def traced(make, params):
    step = lambda params, state: lanes.write(make(params), state, 1, SamplingConfig(), LIMITS)
    block = all_programs.writes(make, params, shape, 32)
    return products(jax.jit(step).trace(params, *block).jaxpr.jaxpr)

  plain = traced(Functions(Generator, toy.ARCH), toy.decoder_params())
  of = {'layers': head.layers, 'beside': head.beside, 'width': toy.ARCH.width}
  assert traced(Functions(latent.Generator, toy.ARCH, head), params) - plain == flops.latent(
      of, {'entered': 8, 'kept': 5, 'pruned': 2, 'simulated': 1})
  meta = {'kind': 'latent', 'head': of, 'params': 1}
  counts = {'entered': 10**19 + 1, 'kept': 1, 'pruned': 0, 'simulated': 0, 'attended': 9}
  assert flops.spent(meta, counts) == (10**19 + 1) * 4 * 2 * 16 + 4 * len(beside)


def test_of_open_models_a_head_costs_next_to_nothing():
  """Six layers of SmolLM2-135M, of what a token costs without context: at most 0.05 percent."""
  arch = {'vocab_size': 49152, 'num_layers': 30, 'width': 576, 'num_heads': 9, 'num_kv_heads': 3,
          'head_size': 64, 'mlp_width': 1536, 'gated': True}
  counts = {'kept': 1, 'pruned': 0, 'simulated': 0, 'entered': 1, 'attended': 1}
  head = {'layers': (6, 12, 18, 24, 27, 30), 'beside': latent.BESIDE, 'width': 576}
  assert 0 < flops.latent(head, counts) < 0.0001 * flops.counted(arch, 'lm', counts)


@pytest.mark.parametrize('fields, match', [
    (((),), 'ascend'), (((3, 1),), 'ascend'), (((0, 1),), 'ascend'), (((2, 2),), 'ascend'),
    (((1,), ('mood',)), 'mood')])
def test_what_a_head_may_read(fields, match):
  with pytest.raises(InputError, match=match):
    latent.Head(*fields)


def test_sums_of_no_token_say_nothing():
  sums = jnp.array([[0.0, 0.0], [0.5, 1.0]])
  np.testing.assert_array_equal(latent.logits_of(sums), [0.0, 2.0])


def test_a_tpu_s_compiler_takes_it():
  """Four chips a model, layers in a loop; in a process whose flags that compiler knows."""
  pytest.importorskip('libtpu')
  run = subprocess.run([sys.executable, '-m', 'tests.models.latent_on_tpu'], check=False,
                       text=True, capture_output=True, timeout=600, cwd=pathlib.Path(
                           __file__).parents[2], env=os.environ | {'XLA_FLAGS': '', 'ALLOW_MULTIPLE_LIBTPU_LOAD': '1'})
  assert run.returncode == 0, run.stderr[-3000:]
  found = json.loads(run.stdout.splitlines()[-1])
  talk = lambda name: sum(c['bytes'] for c in found[name]['collectives'])
  for name in ('write', 'read'):
    plain, head = f'plain {name}', f'head {name}'
    assert found[head]['loops'] and found[plain]['loops']
    # States are whole on every chip: a head sends nothing but what logits of given tokens send.
    assert talk(head) == pytest.approx(talk(plain), rel=0.002)
  assert found['head write']['bytes'] < 1.002 * found['plain write']['bytes']
