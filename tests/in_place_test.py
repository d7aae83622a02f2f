"""Parts of arrays are moved where they lie, in either dtype."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tts import in_place, parallel

DTYPES = (jnp.float32, jnp.bfloat16)


def _array(dtype, *shape):
  return jnp.asarray(np.random.default_rng(0).normal(size=shape), dtype)


@pytest.mark.parametrize('dtype', DTYPES)
def test_as_lax_does(dtype):
  array, part = _array(dtype, 5, 6, 4), _array(dtype, 2, 3, 4)
  mesh = parallel.make_mesh(1)

  def step(params, array, part, at):
    return (in_place.put(array, part, (at, 2, 0)), in_place.put_row(array, array[:, :1], at, 1),
            in_place.cut(array, (at, 1, 0), (2, 3, 4)), in_place.cut_row(array, at, 1))

  at = jnp.int32(3)
  found = parallel.pmapped(step, mesh)({}, *(x[None] for x in (array, part, at)))
  expected = (jax.lax.dynamic_update_slice(array, part, (at, 2, 0)),
              array.at[:, 3].set(array[:, 0]), array[3:5, 1:4], array[:, 3:4])
  for x, y in zip(found, expected):
    assert x.dtype == dtype
    np.testing.assert_array_equal(np.asarray(x[0], np.float32), np.asarray(y, np.float32))


def test_nothing_else_moves():
  """A loop that moves rows: bfloat16 is never written in float32, nor all of an array's bits."""
  def step(params, old, new):
    return jax.lax.fori_loop(0, 4, lambda i, old: in_place.put_row(
        old, in_place.cut_row(new, i, 1), 7 - i, 1), old)

  arrays = [_array(jnp.bfloat16, 1, 64, 8, 64)] * 2  # of one device
  compiled = parallel.pmapped(step, parallel.make_mesh(1)).lower({}, *arrays).compile()
  assert 'f32[' not in compiled.as_text()
  assert compiled.memory_analysis().temp_size_in_bytes < arrays[0].nbytes / 2
