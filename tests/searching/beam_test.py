"""Selection and dealing, against plain python on every small case."""

import functools
import itertools

import jax
import numpy as np
import pytest

from tests import reference
from tests.searching import allocate_test
from tts import methods
from tts.searching import beam

STATUSES = ('live', 'finished', 'truncated')
VALUES = (0.0, 0.25, 1.0)


def cases(num, seed=0, limit=2000):
  """(score float32 [X, N], status list): all of them for small N, else a seeded sample."""
  one = list(itertools.product(VALUES, STATUSES))
  if len(one) ** num <= limit:
    every = list(itertools.product(one, repeat=num))
  else:
    picks = np.random.default_rng(seed).integers(0, len(one), (limit, num))
    every = [[one[i] for i in row] for row in picks]
  score = np.array([[v for v, _ in row] for row in every], np.float32)
  return score, [[s for _, s in row] for row in every]


def masks(status):
  return tuple(np.array([[s == name for s in row] for row in status])
               for name in ('live', 'finished'))


@functools.partial(jax.jit, static_argnums=3)
def select(score, live, finished, num_kept):
  """(kept, stop, parent) of searches at once."""
  class Keeps(methods.Beam):
    def kept(self, num):
      return num_kept

  def one(score, live, finished):
    rows = allocate_test.rows(score, np.zeros(score.size)).replace(
        live=live, finished=finished, truncated=~live & ~finished)
    found = Keeps().allocate(jax.random.key(0), rows)
    return beam.best(score, rows, num_kept), found.stop, found.parent
  return jax.vmap(one)(score, live, finished)


@jax.jit
@jax.vmap
def deal(kept, live):
  return methods.in_order(beam.children(kept, live))


@pytest.mark.parametrize('num,num_kept', [(1, 1), (2, 1), (2, 2), (3, 2), (4, 1), (6, 3), (8, 2)])
def test_select(num, num_kept):
  score, status = cases(num)
  live, finished = masks(status)
  kept, stop, parent = (np.asarray(x) for x in select(score, live, finished, num_kept))
  assert parent.dtype == np.int32
  ties = stops = 0
  for x in range(len(score)):
    rows = [reference.Row([], 0, s, v) for v, s in zip(score[x], status[x])]
    want = reference.best(rows, score[x], num_kept)
    assert kept[x].tolist() == want and sum(want) == num_kept
    assert stop[x] == (not any(want & live[x]))
    assert parent[x].tolist() == (
        list(range(num)) if stop[x] else reference.deal(want, live[x].tolist()))
    ties += reference.tie_at_the_cut(score[x], status[x], num_kept)
    stops += stop[x]
  assert 0 < stops < len(score) and (ties > 0 or num_kept == num)


def test_select_by_hand():
  """Slots:  0 truncated at 1.0, 1 live at 0.5, 2 finished at 0.5, 3 live at 0.5, 4 live at 0.9."""
  score = np.array([[1.0, 0.5, 0.5, 0.5, 0.9]], np.float32)
  live = np.array([[False, True, False, True, True]])
  finished = np.array([[False, False, True, False, False]])
  for num_kept, kept, parent in (
      (1, [4], [4, 4, 4, 4, 4]), (2, [1, 4], [1, 1, 1, 4, 4]), (3, [1, 2, 4], [1, 1, 2, 4, 4]),
      (4, [1, 2, 3, 4], [1, 1, 2, 3, 4]), (5, [0, 1, 2, 3, 4], [0, 1, 2, 3, 4])):
    got, stop, dealt = select(score, live, finished, num_kept)
    assert np.flatnonzero(got[0]).tolist() == kept and dealt[0].tolist() == parent and not stop[0]


@pytest.mark.parametrize('num', [1, 2, 3, 4, 5, 6, 9])
def test_deal_properties(num):
  """Every (kept, live) with a live row kept; a sample of them for nine slots."""
  bits = np.array(list(itertools.product((False, True), repeat=2 * num))) if num < 7 else (
      np.random.default_rng(0).random((3000, 2 * num)) < 0.5)
  kept, live = bits[:, :num], bits[:, num:]
  some = (kept & live).any(axis=1)
  kept, live = kept[some], live[some]
  parents = np.asarray(deal(kept, live))
  assert parents.shape == kept.shape  # all slots are filled
  assert (np.diff(parents, axis=1) >= 0).all()  # slot order, children side by side
  assert np.take_along_axis(kept, parents, axis=1).all()
  children = (parents[:, :, None] == np.arange(num)).sum(axis=1)
  assert (children[kept & ~live] == 1).all()  # an answer is never copied nor lost
  for counts, k, x in zip(children, kept, live):
    shares = counts[k & x]
    assert shares.min() >= 1 and shares.max() - shares.min() <= 1
    assert (np.diff(shares) <= 0).all()  # the first ones take what does not divide
    assert counts.sum() == num
  whole = kept.all(axis=1)
  np.testing.assert_array_equal(
      parents[whole], np.broadcast_to(np.arange(num), parents[whole].shape))
  assert whole.any()


@pytest.mark.parametrize('num,width,kept', [
    (1, 1, 1), (1, 4, 1), (2, 4, 1), (4, 4, 1), (6, 4, 1), (8, 3, 2), (8, 4, 2), (16, 4, 4),
    (8, 1, 8)])
def test_num_kept(num, width, kept):
  assert methods.Beam(width).kept(num) == kept
