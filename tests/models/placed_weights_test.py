"""Parameters as a TPU's programs have them, with a CPU's devices in their place."""

import jax
import numpy as np
import pytest

from tests import toy
from tests.models.stacks_test import ARCHS
from tts import parallel, placement
from tts.models import placed_weights, stacks
from tts.models.transformer import abstract


@pytest.mark.parametrize('name', ARCHS)
@pytest.mark.parametrize('tpu', [False, True])
def test_what_is_held_has_the_shapes_that_programs_are_lowered_for(name, tpu, monkeypatch):
  """On two devices that share a model; each layer's own array is gone where it is stacked."""
  arch, mesh = ARCHS[name], parallel.make_mesh(1, 2)
  placed_weights.shapes.cache_clear()
  monkeypatch.setattr(parallel, 'on_tpu', lambda mesh: tpu)
  # Copies: a replicated array may share its memory with the toy's own, which other tests use.
  params = jax.tree.map(np.array, toy.decoder_params(arch))
  placed = placement.place(params, abstract(arch), mesh)
  of_layer = placed['params']['attn_0']['q']['kernel']
  want = stacks.stacked(params, arch) if tpu else params
  found, shapes = placed_weights.hold(placed, arch, mesh), placed_weights.shapes(arch, mesh)

  def same(x, wanted, shape):
    np.testing.assert_array_equal(x, wanted)
    assert (x.shape, x.dtype, x.sharding) == (shape.shape, shape.dtype, shape.sharding)

  placed_weights.shapes.cache_clear()
  jax.tree.map(same, found, want, shapes)
  assert of_layer.is_deleted() == tpu
