"""A training that is shared by a mesh learns what one device does, and holds a piece on each."""

import dataclasses

import jax
import numpy as np
import pytest

from tests.train import fit_test
from tts import parallel, placement
from tts.models.transformer import abstract, Decoder
from tts.train import fit as fit_lib, steps

ARCH, DATA, HELD_OUT = fit_test.ARCH, fit_test.DATA, fit_test.HELD_OUT
CONFIG = dataclasses.replace(fit_test.CONFIG, steps=6, dropout=0.0, batch_size=8,
                             lm_loss_weight=0.1)


def train(mesh, **changes):
  config = dataclasses.replace(CONFIG, **changes)
  init = jax.device_get(steps.init_params(Decoder(ARCH), 3)) if config.lora_rank else None
  return fit_lib.fit(ARCH, config, DATA, kind='value', validation=HELD_OUT, mesh=mesh, init=init)


@pytest.fixture(scope='module')
def alone():
  return train(None)


@pytest.mark.parametrize('groups, width', [(8, 1), (4, 2), (2, 4)])
def test_a_mesh_learns_what_one_device_does(alone, groups, width):
  params, metrics = train(parallel.make_mesh(groups, width))
  close = lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-3, atol=2e-5)
  jax.tree.map(close, jax.device_get(params), jax.device_get(alone[0]))
  assert metrics['val_bce'] == pytest.approx(alone[1]['val_bce'], rel=1e-4)


def test_adapters_on_a_mesh():
  one, many = (jax.device_get(train(mesh, lora_rank=2)[0])
               for mesh in (None, parallel.make_mesh(4, 2)))
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-3, atol=2e-5), one, many)


def test_fresh_parameters_are_never_whole_on_a_device():
  mesh, boxed = parallel.make_mesh(4, 2), abstract(ARCH)
  whole = steps.init_params(Decoder(ARCH), 3)
  pieces = steps.init_params(Decoder(ARCH), 3, lambda tree: placement.spread(tree, boxed, mesh))
  jax.tree.map(np.testing.assert_array_equal, whole, pieces)
  grafted = steps.graft(pieces, jax.device_get(whole), 'm')
  for tree in (pieces, grafted):
    assert jax.tree.map(lambda x: x.sharding, tree) == placement.spread(whole, boxed, mesh)


def test_each_device_holds_a_piece():
  mesh, boxed = parallel.make_mesh(4, 2), abstract(ARCH)
  params = steps.init_params(Decoder(ARCH), 0)
  state = steps.TrainState(step=jax.numpy.int32(0), params=params,
                           opt_state=steps.make_optimizer(CONFIG).init(params))
  state = jax.device_put(state, placement.spread(state, boxed, mesh))
  held = lambda tree: sum(x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(tree))
  whole = lambda tree: sum(x.nbytes for x in jax.tree.leaves(tree))
  assert held(state) < whole(state) / 8 * 1.4  # norms and two toy heads do not divide
  kernel = state.params['params']['mlp_0']['up']['kernel']
  moment = state.opt_state[1][0].mu['params']['mlp_0']['up']['kernel']
  assert kernel.sharding == moment.sharding
  assert kernel.sharding.spec == jax.sharding.PartitionSpec('data', 'model')
