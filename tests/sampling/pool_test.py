"""The sampler's log sorted into samples, by hand."""

import types

import numpy as np

from tts.sampling import pool
from tts.types import EOS_ID

D = 4


def test_collect():
  """Two problems, two slots; slot 0 of problem 0 serves jobs 0 and 2, then idles."""
  log = types.SimpleNamespace(
      job=np.array([[[0, 1], [-1, 0]], [[2, 1], [-1, 0]], [[2, 1], [-1, -1]], [[-1, 1], [-1, -1]]]),
      token=np.array([[[EOS_ID, 5], [9, 7]], [[6, 0], [9, 8]], [[D, 6], [9, 9]], [[9, 2], [9, 9]]]),
      attended=np.array([[[0, 3], [0, 5]], [[4, 4], [0, 0]], [[0, 5], [0, 0]], [[0, 0], [0, 0]]]),
      logprob=-np.arange(16.0).reshape(4, 2, 2))
  first, second = pool.collect(log)
  assert sorted(first) == [0, 1, 2] and sorted(second) == [0]
  assert [first[j].tokens.tolist() for j in range(3)] == [[EOS_ID], [5, 0, 6, EOS_ID], [6, D]]
  assert [first[j].logprob.tolist() for j in range(3)] == [[0], [-1, -5, -9, -13], [-4, -8]]
  assert [(first[j].entered, first[j].attended) for j in range(3)] == [(0, 0), (3, 12), (1, 4)]
  assert second[0].tokens.tolist() == [7, 8] and second[0].logprob.tolist() == [-3, -7]
