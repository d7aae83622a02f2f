"""Randomness belongs to an identity, never to a place in a batch."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from tests import toy
from tts import rng

IDS = ['p0', 'p1', 'p2']
STEPS, POSITIONS = 3, 7


def draws(ids=IDS, slots=(0, 1, 2, 3), stream='test', seed=0):
  """float32 [B, N, STEPS, POSITIONS]."""
  identity = jnp.broadcast_to(jnp.asarray(slots)[:, None], (len(ids), len(slots), 1))
  keys = rng.identity_keys(
      rng.problem_keys(rng.stream_key(seed, stream), rng.problem_words(ids)), identity)
  return toy.uniforms(keys, STEPS, POSITIONS)


def test_words_are_the_first_eight_bytes_of_sha256():
  # From FIPS 180-4's examples: SHA-256('abc') = ba7816bf 8f01cfea ...; '' = e3b0c442 98fc1c14 ...
  words = rng.problem_words(['abc', ''])
  assert words.dtype == np.uint32
  np.testing.assert_array_equal(words, [[0xba7816bf, 0x8f01cfea], [0xe3b0c442, 0x98fc1c14]])


def test_draws_depend_on_identity_alone():
  whole = draws()
  np.testing.assert_array_equal(draws(ids=['p2', 'p0', 'p1'], slots=(3, 1, 0, 2)),
                                whole[[2, 0, 1]][:, [3, 1, 0, 2]])
  # A subset, and the first two of any N.
  np.testing.assert_array_equal(draws(ids=['p2'], slots=(0, 1)), whole[2:, :2])


def test_every_part_of_the_identity_counts():
  tables = [draws(), draws(stream='difficulty'), draws(seed=1), draws(ids=['q0', 'q1', 'q2'])]
  values = np.concatenate([t.ravel() for t in tables])
  assert values.size == 4 * 3 * 4 * STEPS * POSITIONS
  # 1008 draws of 23 bits: 0.06 equal pairs are expected, and these seeds have none.
  assert np.unique(values).size == values.size


def test_rollout_identity_is_ordered():
  """(sample, step, rollout) = (1, 2, 3) is not (3, 2, 1), nor slot 1."""
  key = rng.problem_keys(rng.stream_key(0, 'rollout'), rng.problem_words(['p0']))
  names = jnp.array([[[1, 2, 3], [3, 2, 1], [1, 2, 4], [1, 3, 3], [2, 2, 3]]])
  keys = jnp.concatenate([rng.identity_keys(key, names),
                          rng.identity_keys(key, jnp.array([[[1]]]))], axis=1)
  assert np.unique(toy.uniforms(keys, 1, 1)).size == 6


def test_step_and_position_may_not_be_swapped():
  table = draws()
  square = table[..., :STEPS]
  same = square == np.swapaxes(square, -1, -2)
  assert same[..., np.eye(STEPS, dtype=bool)].all()
  assert not same[..., ~np.eye(STEPS, dtype=bool)].any()


def test_uniform_over_the_half_open_interval():
  values = toy.uniforms(toy.slot_keys(3, 40), 10, 20).ravel()
  assert values.dtype == np.float32 and values.min() >= 0.0 and values.max() < 1.0
  grid = values.astype(np.float64) * 2**23
  np.testing.assert_array_equal(grid, np.round(grid))
  bins = np.bincount((values * 32).astype(int), minlength=32)
  assert stats.chisquare(bins).pvalue > 1e-3
  # Neighbours in position are independent.
  pairs = (values.reshape(-1, 2) * 4).astype(int)
  assert stats.chisquare(np.bincount(pairs[:, 0] * 4 + pairs[:, 1], minlength=16)).pvalue > 1e-3


def test_all_ones_still_give_less_than_one(monkeypatch):
  ones = lambda key, count: (jnp.full(1, 2**32 - 1, jnp.uint32), jnp.zeros(1, jnp.uint32))
  monkeypatch.setattr(rng, '_threefry', ones)
  largest = rng.token_uniforms(jnp.zeros((1, 2), jnp.uint32), jnp.zeros(1, int), jnp.zeros(1, int))
  assert float(largest[0, 0]) == 1.0 - 2.0**-23


def test_draws_are_bits_of_keys_that_jax_folds():
  keys, fold = toy.slot_keys(2, 3).ravel(), jax.vmap(jax.random.fold_in)
  step, position = jnp.arange(6), jnp.array([0, 1, 7, 300, 2**20, 2**31 - 1])
  key = fold(fold(keys, step), position)
  again = fold(key, jnp.full(6, 64 + 3))
  bits = lambda key: np.asarray(jax.vmap(lambda k: jax.random.bits(k, dtype=jnp.uint32))(key)) >> 9
  for attempt, first in ((None, key), (jnp.int32(3), again)):
    found = rng.token_uniforms(jax.random.key_data(keys), step, position, 3, attempt)
    expected = [bits(first), *(bits(fold(first, jnp.full(6, i))) for i in (1, 2))]
    np.testing.assert_array_equal(found * 2**23, np.stack(expected))


def test_the_first_draw_does_not_depend_on_how_many_a_token_takes():
  keys, place = jax.random.key_data(toy.slot_keys(2, 3).ravel()), jnp.arange(6)
  many = np.asarray(rng.token_uniforms(keys, place, place, 3))
  assert many.shape == (3, 6) and np.unique(many).size == many.size
  np.testing.assert_array_equal(many[:1], rng.token_uniforms(keys, place, place))


def test_golden_draws():
  """If these change, every record made before differs from the same run today."""
  grid = draws()[1, 2, 1, :4].astype(np.float64) * 2**23
  np.testing.assert_array_equal(grid, [7025319, 3107692, 2250709, 475073])
