"""How confident a generator was in its solutions: DeepConf's measures (arXiv 2508.15260, 3).

A group is `window` tokens in a row, and its confidence the mean of theirs. One ends at each token
from the window-th on; a solution of fewer tokens is one group, which ends with it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tts.eval.storage.traces import Traces

LOWEST_SHARE = 0.1
# Confidences are decimals of at most so many places (`data.sample_statistics`). Summed as whole
# numbers, groups of equal tokens are equal wherever they stand, and so are those of equal sums.
_UNITS = 10**8


def groups(traces: Traces, window: int) -> np.ndarray:
  """Confidence of the group that ends at each token, float64 [T]; NaN where none does."""
  start, length = _places(traces)
  units = np.rint(traces.value * _UNITS).astype(np.int64)
  total = np.concatenate([[0], np.cumsum(units)])
  place = np.arange(len(traces.value)) - np.repeat(start, length)  # of a token in its sample
  size = np.repeat(np.minimum(window, length), length)
  end = np.arange(1, len(traces.value) + 1)
  summed = total[end] - total[np.maximum(end - size, 0)]
  return np.where(place + 1 >= size, summed / (_UNITS * size), np.nan)


def lowest(traces: Traces, window: int) -> np.ndarray:
  """Confidence of each sample's least confident group, float64 [Q, N]; NaN of one not known."""
  found = groups(traces, window)
  return _each(traces, np.minimum, np.where(np.isnan(found), np.inf, found))


def lowest_tenth(traces: Traces, window: int) -> np.ndarray:
  """Mean of the tenth of each sample's groups that are least confident, at least one of them."""
  found = groups(traces, window)
  start, length = _places(traces)
  sample = np.repeat(np.arange(len(start)), length)
  order = np.lexsort((found, sample))  # NaN comes last
  rank = np.arange(len(found)) - np.repeat(start, length)  # of a group in its sample, then
  count = length - np.minimum(window, length) + 1
  kept = np.repeat(np.maximum((count * LOWEST_SHARE).astype(int), 1), length)
  among = rank < kept
  total = _each(traces, np.add, np.where(among, found[order], 0.0))
  return total / _each(traces, np.add, among.astype(float))


def tail(traces: Traces, window: int) -> np.ndarray:
  """Confidence of each sample's last group, float64 [Q, N]."""
  found, end = groups(traces, window), traces.start + traces.length - 1
  return np.where(traces.length > 0, found[np.maximum(end, 0)], np.nan)


MEASURES: dict[str, Callable[[Traces, int], np.ndarray]] = {
    'lowest': lowest, 'lowest_tenth': lowest_tenth, 'tail': tail}


def stopped(traces: Traces, window: int, threshold: np.ndarray) -> np.ndarray:
  """Tokens of each sample up to the first group below its threshold; all where there is none.

  Args:
    traces: of Q x N samples.
    window: tokens of a group.
    threshold: float64 [Q, N].

  Returns:
    int64 [Q, N].
  """
  start, length = _places(traces)
  below = groups(traces, window) < np.repeat(threshold.ravel(), length)
  place = np.arange(len(below)) - np.repeat(start, length)
  first = _each(traces, np.minimum, np.where(below, place + 1.0, np.inf))
  return np.minimum(np.where(np.isnan(first), 0, first), traces.length).astype(np.int64)


def _places(traces: Traces) -> tuple[np.ndarray, np.ndarray]:
  return traces.start.ravel(), traces.length.ravel()


def _each(traces: Traces, how: np.ufunc, value: np.ndarray) -> np.ndarray:
  """Of each sample's numbers, float64 [Q, N]; NaN of one without any."""
  start, length = _places(traces)
  known = length > 0
  out = np.full(len(start), np.nan)
  out[known] = how.reduceat(value, start[known]) if known.any() else ()
  return out.reshape(traces.length.shape)
