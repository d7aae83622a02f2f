"""DeepConf online against its replay: plain samples, cut where a group is too unsure."""

import jax
import numpy as np
import pytest

from tests import toy
from tts.sampling import decode, deepconf, pool
from tts.sampling.deepconf import DeepConf
from tts.sampling.logits import SamplingConfig

B, N, P = 6, 16, 4
LIMITS = decode.Limits(24, 8, 12, toy.ROLES)
ON = SamplingConfig(statistics=True)


def answer(sample):
  """The last token but one of a sample that ended by itself."""
  return int(sample.tokens[-2]) if len(sample.tokens) > 1 and LIMITS.roles.finished(
      sample.tokens) else None


def run(window, begin, **kwargs):
  """Results of every question's coroutine: (generator, group, prompt, keys)."""
  table = toy.random_tables(3, B)
  tokens, lengths = toy.prompts(1, B, P)
  keys = np.asarray(jax.random.key_data(toy.slot_keys(B, N)))
  generator = toy.generator(toy.TableGenerator, table, LIMITS, sampling=ON, window=window, **kwargs)
  return toy.run([lambda group, b=b: begin(generator, group, tokens[b, :lengths[b]].tolist(), keys[b])
                  for b in range(B)], [generator])


def by_hand(plain, how):
  """(tokens of each sample that is begun, who is ended, who votes) of whole samples."""
  length, ended, votes, ballots, least = [], [], [], {}, -np.inf
  for first in range(0, len(plain), how.warm_up):
    wave = plain[first:first + how.warm_up]
    for sample in wave:
      sure, stop = sample.statistics.confidence.astype(float), None
      for t in range(how.window, len(sure) + 1):
        if sure[t - how.window:t].mean() < least:
          stop = t
          break
      length.append(stop or len(sure))
      ended.append(stop is not None)
    if first == 0:
      least = np.percentile([deepconf.lowest(s.statistics.confidence, how.window) for s in wave],
                            100 * (1 - how.keep))
    for sample, over in zip(wave, ended[first:]):
      lowest = deepconf.lowest(sample.statistics.confidence, how.window)
      votes.append(not over and lowest >= least)
      if votes[-1] and answer(sample) is not None:
        ballots[answer(sample)] = ballots.get(answer(sample), 0) + lowest
    if ballots and max(ballots.values()) >= how.consensus * sum(ballots.values()):
      break
  return length, ended, votes


@pytest.mark.parametrize('keep,window,consensus', [(0.9, 3, 2.0), (0.5, 2, 2.0), (0.25, 5, 0.9),
                                                   (0.5, 1, 0.8)])
def test_it_is_what_whole_samples_would_have_said(keep, window, consensus):
  how = DeepConf(4, keep, window, consensus)
  plain = run(0, pool.samples)
  found = run(window, lambda *args: deepconf.samples(*args, how, answer))
  ended = 0
  for whole, mine in zip(plain, found, strict=True):
    length, stopped, votes = by_hand(whole, how)
    assert [len(s.tokens) for s in mine.samples] == length
    for sample, full in zip(mine.samples, whole):
      assert sample.tokens.tolist() == full.tokens[:len(sample.tokens)].tolist()
      assert sample.entered == len(sample.tokens) - 1
    assert [s.stopped for s in mine.samples] == stopped
    assert mine.votes.tolist() == votes
    ended += sum(stopped)
  assert ended > 5
  sizes = {len(mine.samples) for mine in found}
  assert sizes == {N} if consensus > 1 else min(sizes) < N


def test_what_nobody_watches_is_not_ended():
  how = DeepConf(N, 0.9, 2, 2.0)  # all of them are the warm-up
  plain = run(0, pool.samples)
  for whole, mine in zip(plain, run(2, lambda *args: deepconf.samples(*args, how, answer))):
    assert [s.tokens.tolist() for s in mine.samples] == [s.tokens.tolist() for s in whole]
    assert not any(s.stopped for s in mine.samples)


def test_the_least_confident_group():
  values = np.random.default_rng(0).gamma(3.0, size=20).astype(np.float32)
  groups = [values[i:i + 6].mean() for i in range(15)]
  assert deepconf.lowest(values, 6) == pytest.approx(min(groups))
  assert deepconf.lowest(values[:4], 6) == pytest.approx(values[:4].mean())


def test_agreement():
  assert deepconf.agreed(['a', 'b', 'a'], [2.0, 1.0, 2.0], 0.8)
  assert not deepconf.agreed(['a', 'b', 'a'], [2.0, 1.0, 2.0], 0.81)
  assert not deepconf.agreed([None, None], [1.0, 1.0], 0.5)
