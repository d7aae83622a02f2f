"""Packing keeps every token once; blocks keep every item once."""

import numpy as np
import pytest

from tts.data import batching
from tts.types import InputError


def _sequences(n, low, high, seed=0):
  """Sequences of tokens that differ everywhere, with a mask to tell by."""
  rng = np.random.default_rng(seed)
  lengths = rng.integers(low, high, n)
  starts = np.cumsum(lengths) - lengths + 1
  tokens = [list(range(a, a + k)) for a, k in zip(starts.tolist(), lengths.tolist())]
  return [(t, [x % 3 == 0 for x in t]) for t in tokens]


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('window', [7, 64, 4096])
def test_every_token_appears_once_and_in_order(seed, window):
  sequences = _sequences(301, 0, 32, seed)
  packed = batching.pack(sequences, 31, seed=seed, window=window)
  found = []
  for tokens, mask, segments, positions in zip(
      packed.tokens, packed.loss_mask, packed.segments, packed.positions
  ):
    assert set(segments[segments > 0]) == set(range(1, segments.max() + 1))
    for segment in range(1, segments.max() + 1):
      (where,) = np.nonzero(segments == segment)
      assert (np.diff(where) == 1).all()
      assert positions[where].tolist() == list(range(len(where)))
      found.append((tokens[where].tolist(), mask[where].tolist()))
    empty = segments == 0
    assert not tokens[empty].any() and not mask[empty].any() and not positions[empty].any()
  assert sorted(found) == sorted(s for s in sequences if s[0])


def test_shapes_and_types():
  packed = batching.pack(_sequences(50, 1, 9), 13)
  for array in (packed.tokens, packed.loss_mask, packed.segments, packed.positions):
    assert array.dtype == np.int32 and array.shape == packed.tokens.shape
  assert packed.tokens.shape[1] == 13


def test_padding_is_small():
  packed = batching.pack(_sequences(3000, 20, 90), 128)
  assert (packed.segments == 0).mean() < 0.05


def test_rows_are_a_fair_sample():
  packed = batching.pack(_sequences(3000, 5, 90), 128)
  per_row = packed.segments.max(1)
  assert abs(per_row[:300].mean() - per_row[-300:].mean()) < 0.4


def test_the_seed_decides():
  sequences = _sequences(200, 1, 20)
  first, again, other = (batching.pack(sequences, 32, seed=s).tokens for s in (1, 1, 2))
  np.testing.assert_array_equal(first, again)
  assert first.shape != other.shape or (first != other).any()


def test_one_exact_fit():
  packed = batching.pack([([5, 6, 7], [0, 1, 1]), ([8, 9], [1, 1])], 5)
  assert packed.tokens.tolist() == [[5, 6, 7, 8, 9]]
  assert packed.loss_mask.tolist() == [[0, 1, 1, 1, 1]]
  assert packed.segments.tolist() == [[1, 1, 1, 2, 2]]
  assert packed.positions.tolist() == [[0, 1, 2, 0, 1]]


def test_nothing_to_pack():
  assert batching.pack([], 8).tokens.shape == (0, 8)
  assert batching.pack([([], [])], 8).tokens.shape == (0, 8)


def test_too_long_a_sequence_is_named():
  with pytest.raises(InputError, match='sequence 1 has 9 tokens and a row 8'):
    batching.pack([([1], [1]), ([1] * 9, [1] * 9)], 8)


def test_masks_must_match():
  with pytest.raises(ValueError, match='mask'):
    batching.pack([([1, 2], [1])], 8)


def test_blocks_hold_each_item_once_by_length():
  lengths = np.random.default_rng(0).integers(1, 9, 103)
  blocks = batching.length_sorted_blocks(lengths, 10)
  assert [len(b) for b in blocks] == [10] * 10 + [3]
  order = np.concatenate(blocks)
  assert sorted(order) == list(range(103))
  keys = [(lengths[i], i) for i in order]
  assert keys == sorted(keys)
  assert batching.length_sorted_blocks([], 4) == []
