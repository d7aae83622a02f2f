"""`tts.deepconf`: what it says of solutions that were ended, and what it asks for."""

import pytest

import tts
from tests.library.latent_test import generator, LIMITS, QUESTIONS  # noqa: F401, a fixture
from tts.sampling import deepconf


def test_solutions_are_beginnings_of_those_of_sample(generator):  # noqa: F811
  plain = list(tts.sample(generator, QUESTIONS, 12, limits=LIMITS, progress=False, statistics=True))
  found = list(tts.deepconf(generator, QUESTIONS, 12, window=2, keep=0.5, warm_up=4, consensus=2.0,
                            limits=LIMITS, progress=False))
  shorter = 0
  for whole, mine in zip(plain, found, strict=True):
    assert len(mine.solutions) == 12 and mine.verifier_tokens == 0
    assert mine.tokens == sum(s.num_tokens for s in mine.solutions) <= whole.tokens
    assert (mine.flops < whole.flops) == (mine.tokens < whole.tokens)
    for n, (full, cut) in enumerate(zip(whole.solutions, mine.solutions, strict=True)):
      assert full.text.startswith(cut.text) or not cut.finished
      assert n >= 4 or cut.num_tokens == full.num_tokens
      assert cut.statistics['confidence'] == full.statistics['confidence'][:cut.num_tokens]
      if cut.num_tokens < full.num_tokens:
        shorter += 1
        assert cut.answer is None and cut.score == -float('inf')
      elif n < 4:
        assert cut.score == pytest.approx(
            deepconf.lowest(full.statistics['confidence'], 2), rel=1e-3)
    assert set(mine.votes) == {s.answer for s in mine.solutions} - {None}
  assert shorter > 3


@pytest.mark.parametrize('given,why', [
    ({'window': 0, 'warm_up': 4}, 'window is 0: give 1 to 40'), ({'window': 2, 'warm_up': 9}, 'warm_up is 9'),
    ({'window': 2, 'warm_up': 4, 'keep': 1.5}, 'keep is 1.5'),
    ({'window': 2, 'warm_up': 4, 'temperature': 0.0}, 'temperature is 0')])
def test_what_it_cannot_do_is_said(generator, given, why):  # noqa: F811
  with pytest.raises(tts.InputError, match=why):
    next(tts.deepconf(generator, QUESTIONS, 8, limits=LIMITS, progress=False, **given))
