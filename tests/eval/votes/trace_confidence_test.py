"""DeepConf's measures against plain loops over one solution's tokens, as published."""

import numpy as np
import pytest

from tts.data import sample_statistics
from tts.eval.storage import traces as traces_lib
from tts.eval.storage.traces import Traces
from tts.eval.votes import trace_confidence

WINDOW = 4


def made(seed=0, questions=5, samples=6):
  rng = np.random.default_rng(seed)
  length = rng.integers(1, 15, (questions, samples))
  length[1, 2] = length[4, 5] = length[0, 0] = 0
  return Traces(rng.gamma(5.0, size=int(length.sum())), length)


def solutions(traces):
  """(question, sample) -> its confidences."""
  ends = np.cumsum(traces.length)
  return {divmod(i, traces.length.shape[1]): traces.value[end - n:end]
          for i, (end, n) in enumerate(zip(ends, traces.length.ravel())) if n}


def by_hand(values):
  """Sliding means, one of all where there are fewer."""
  if len(values) < WINDOW:
    return np.array([values.mean()])
  return np.array([values[i:i + WINDOW].mean() for i in range(len(values) - WINDOW + 1)])


@pytest.mark.parametrize('name,how', [
    ('lowest', min), ('tail', lambda groups: groups[-1]),
    ('lowest_tenth', lambda groups: np.sort(groups)[:max(1, len(groups) // 10)].mean())])
def test_measures(name, how):
  traces = made()
  found = trace_confidence.MEASURES[name](traces, WINDOW)
  known = solutions(traces)
  for place, values in known.items():
    assert found[place] == pytest.approx(how(by_hand(values)))
  assert np.isnan(found).sum() == found.size - len(known)


def test_the_lowest_tenth_of_many_groups():
  values = np.random.default_rng(1).gamma(5.0, size=64)
  found = trace_confidence.lowest_tenth(Traces(values, np.array([[64]])), WINDOW)
  assert found[0, 0] == pytest.approx(np.sort(by_hand(values))[:6].mean())


def test_where_samples_are_stopped():
  traces = made(2)
  threshold = np.random.default_rng(3).uniform(2, 6, traces.length.shape)
  found = trace_confidence.stopped(traces, WINDOW, threshold)
  for place, values in solutions(traces).items():
    below = np.flatnonzero(by_hand(values) < threshold[place])
    first = min(WINDOW, len(values)) + below[0] if below.size else len(values)
    assert found[place] == first
  assert (found[traces.length == 0] == 0).all()


def test_rows_are_put_at_their_places():
  rows = [[1.0, 2.0], [], [3.0], [4.0, 5.0, 6.0]]
  found = traces_lib.spread(np.concatenate(rows), np.array([2, 0, 1, 3]), np.array([3, 1, 0, 5]),
                            (2, 3))
  assert found.value.tolist() == [3, 1, 2, 4, 5, 6]
  assert found.length.tolist() == [[1, 0, 0], [2, 0, 3]]
  assert found.of(np.array([1])).value.tolist() == [1, 2, 4, 5, 6]
  assert traces_lib.spread(np.zeros(0), np.array([0, 0]), np.array([0, 1]), (1, 2)) is None


@pytest.mark.parametrize('name', trace_confidence.MEASURES)
def test_equal_solutions_are_equally_confident_wherever_they_stand(name):
  """Or rounding would decide which of them a threshold keeps."""
  rng = np.random.default_rng(0)
  draw = lambda size: sample_statistics.rounded({'confidence': rng.gamma(5.0, size=size)})[
      'confidence']
  same = draw(12)
  solutions_ = [same if i % 2 else draw(int(rng.integers(3, 20))) for i in range(200)]
  found = trace_confidence.MEASURES[name](
      Traces(np.concatenate(solutions_), np.array([[len(s) for s in solutions_]])), WINDOW)
  assert len(set(found[0, 1::2])) == 1
