"""Layers that a loop computes equal layers that are written out: values, gradients, costs."""

import dataclasses
import functools
import json
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from tests import toy
from tts.models import stacks
from tts.models.stacks import Stack
from tts.models.transformer import Decoder
from tts.train import steps

ARCHS = {
    'plain': dataclasses.replace(toy.ARCH, num_layers=4),
    'periods': dataclasses.replace(toy.ARCH, num_layers=7, windows=(3, 3, 0, 3, 3, 0, 3)),
    'post norms': dataclasses.replace(toy.ARCH, num_layers=3, post_norms=True, qk_norm=True,
                                      qkv_bias=True),
    'surprise': dataclasses.replace(toy.JUDGE, num_layers=6, surprise_layer=3)}


@pytest.mark.parametrize('layers, surprise, windows, want', [
    (1, None, (), [(0, 1, 1)]),
    (5, None, (), [(0, 1, 4), (4, 1, 1)]),
    (5, 2, (), [(0, 1, 2), (2, 1, 2), (4, 1, 1)]),
    (4, None, (3, 0, 3, 0), [(0, 2, 2)]),
    (5, None, (3, 0, 3, 0, 3), [(0, 2, 2), (4, 1, 1)]),
    (8, None, (4, 4, 4, 0, 4, 4, 4, 0), [(0, 4, 2)]),
    (3, None, (1, 2, 3), [(0, 3, 1)]),
    (6, 3, (2, 2, 2, 0, 5, 0), [(0, 1, 2), (2, 1, 1), (3, 2, 1), (5, 1, 1)])])
def test_stacks_by_hand(layers, surprise, windows, want):
  arch = dataclasses.replace(toy.ARCH, num_layers=layers, surprise_layer=surprise, windows=windows)
  found = stacks.alike(arch)
  assert found == tuple(Stack(*each) for each in want)
  assert sum(stack.period * stack.repeats for stack in found) == layers
  assert len(stacks.places(found)) == sum(period for _, period, _ in want)


@pytest.mark.parametrize('name', ARCHS)
def test_parameters_say_how_layers_are_computed(name):
  arch, params = ARCHS[name], toy.decoder_params(ARCHS[name])
  together = stacks.stacked(params, arch)
  size = lambda tree: sum(x.size for x in jax.tree.leaves(tree))
  assert size(together) == size(params) and len(together['params']) < len(params['params'])
  decoder = Decoder(arch)
  assert decoder.stacks_of({}) == decoder.stacks_of(params) == stacks.alone(arch)
  assert decoder.stacks_of(together) == stacks.alike(arch)


@pytest.mark.slow
@pytest.mark.parametrize('name, remat', [*((name, False) for name in ARCHS), ('periods', True)])
def test_losses_and_gradients_are_the_same(name, remat):
  arch, params = ARCHS[name], toy.decoder_params(ARCHS[name])
  gen = np.random.default_rng(0)
  shape = (3, 12)
  batch = {'tokens': gen.integers(5, arch.vocab_size, shape).astype(np.int32),
           'positions': np.tile(np.arange(shape[1], dtype=np.int32), (shape[0], 1)),
           'segments': np.ones(shape, np.int32), 'loss_mask': np.ones(shape, bool),
           'label': gen.random(shape).astype(np.float32), 'label_mask': gen.random(shape) < 0.5,
           'own_mask': gen.random(shape) < 0.5}
  config = steps.TrainConfig(1e-3, steps=1, lm_loss_weight=0.5 * ('lm' in arch.heads))
  kind = 'value' if 'value' in arch.heads else 'lm'

  def found(in_loops):
    loss = steps.make_loss(Decoder(arch, remat), kind, config, in_loops)
    dropout = lambda: steps.make_dropout(0.3, jax.random.key(1))
    of = jax.jit(jax.value_and_grad(lambda params: loss(params, batch, dropout())[0]))
    loops.append(of.lower(params).as_text().count('stablehlo.while'))
    return of(params)

  loops = []
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5),
               found(False), found(True))
  assert loops[1] > loops[0]


@pytest.mark.parametrize('layers', [6, 7])
def test_a_loop_counts_as_the_layers_that_are_written_out(layers):
  """FLOPs and bytes by the TPU's compiler; in a process whose flags that compiler knows."""
  pytest.importorskip('libtpu')
  run = subprocess.run([sys.executable, '-m', 'tests.models.looped', str(layers)], check=False,
                       text=True, capture_output=True, timeout=600, cwd=pathlib.Path(
                           __file__).parents[2], env=os.environ | {'XLA_FLAGS': '', 'ALLOW_MULTIPLE_LIBTPU_LOAD': '1'})
  assert run.returncode == 0, run.stderr[-3000:]
  once, found, want = json.loads(run.stdout.splitlines()[-1])
  assert once['loops'] and once['flops'] < want['flops'] / 3
  assert found['flops'] == pytest.approx(want['flops'], rel=0.01)
  assert found['bytes'] == pytest.approx(want['bytes'], rel=0.01)
  talk = lambda facts, what: sum(c[what] for c in facts['collectives'])
  assert talk(found, 'count') == talk(want, 'count') > layers
  assert talk(found, 'bytes') == pytest.approx(talk(want, 'bytes'), rel=0.01)
