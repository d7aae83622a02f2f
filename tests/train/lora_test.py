"""Adapters change the layers' projections alone, resume, and learn."""

import dataclasses

import jax
import numpy as np
import pytest

from tests.train import fit_test
from tts.models.transformer import Decoder
from tts.train import fit as fit_lib, lora, steps
from tts.types import InputError

ARCH = dataclasses.replace(fit_test.ARCH, heads=('lm',))
DATA, HELD_OUT = fit_test.DATA, fit_test.HELD_OUT
CONFIG = dataclasses.replace(fit_test.CONFIG, lora_rank=2, dropout=0.0)
BASE = jax.device_get(steps.init_params(Decoder(ARCH), 7))
kill_at = fit_test.kill_at


def paths(tree):
  return {jax.tree_util.keystr(path, simple=True, separator='/'): np.asarray(x)
          for path, x in jax.tree_util.tree_leaves_with_path(tree)}


def test_nothing_is_added_at_first():
  learnt = lora.start(BASE, BASE, 3, seed=0)
  assert fit_test.same(lora.merge(BASE, learnt), BASE)
  assert {name.rsplit('/', 1)[1] for name in paths(learnt)} == {'a', 'b'}
  assert fit_test.same(learnt, lora.start(BASE, BASE, 3, seed=0))
  assert not fit_test.same(learnt, lora.start(BASE, BASE, 3, seed=1))


def test_what_is_added_has_the_rank(rank=3):
  learnt = jax.tree.map(lambda x: np.random.default_rng(x.size).normal(size=x.shape),
                        lora.start(BASE, BASE, rank, seed=0))
  before, after = paths(BASE), paths(lora.merge(BASE, learnt))
  for name, x in after.items():
    if 'kernel' in name:
      added = (x - before[name]).reshape(x.shape[0], -1)
      assert np.linalg.matrix_rank(added, tol=1e-4) == min(rank, *added.shape)
    else:
      np.testing.assert_array_equal(x, before[name])
    assert x.dtype == before[name].dtype


def test_a_killed_training_ends_as_an_unbroken_one(tmp_path, kill_at):
  args = dict(init=BASE, validation=HELD_OUT)
  whole, metrics = fit_lib.fit(ARCH, CONFIG, DATA, workdir=tmp_path / 'whole', **args)
  for step in (23, None):
    kill_at(step)
    try:
      pieces, _ = fit_lib.fit(ARCH, CONFIG, DATA, workdir=tmp_path / 'cut', **args)
    except fit_test.Killed:
      assert step is not None
  assert fit_test.same(whole, pieces)
  before, after = paths(BASE), paths(whole)
  assert {name for name in after if not np.array_equal(after[name], before[name])} == {
      name for name in after if 'kernel' in name}
  look = fit_lib.make_evaluate(steps.make_loss(Decoder(ARCH), 'lm', CONFIG), HELD_OUT, 4)(BASE)
  assert metrics['val_loss'] < look['nll'] / look['tokens']


def test_a_verifiers_head_is_learnt_whole():
  arch = dataclasses.replace(ARCH, heads=('value',))
  params, _ = fit_lib.fit(arch, CONFIG, DATA, kind='value', init=BASE, validation=HELD_OUT)
  assert np.abs(params['params']['value']['kernel']).max() > 0
  np.testing.assert_array_equal(params['params']['embed'], BASE['params']['embed'])


def test_there_is_something_to_adapt():
  with pytest.raises(InputError, match='lora_rank=2 needs a model to start from'):
    fit_lib.fit(ARCH, CONFIG, DATA)


def test_layers_computed_again_give_the_same_gradient():
  batch = {k: x[:2] for k, x in DATA.arrays().items()}
  plain, again = (jax.jit(jax.grad(lambda p, d=Decoder(ARCH, remat): steps.lm_loss(d, p, batch)[0]))(
      BASE) for remat in (False, True))
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-7), plain, again)
  text = jax.jit(jax.grad(lambda p: steps.lm_loss(Decoder(ARCH, True), p, batch)[0])).lower(
      BASE).as_text()
  assert 'optimization_barrier' in text  # what keeps a compiler from undoing it
