"""`tts.load`: samples, scores and searches from Python agree with each other."""

import pytest

import tts
from tts.types import InputError

QUESTIONS = ['3;+4;*2', '7;*3;-5', '3;+4;*2']
SIZES = {'max_prompt_tokens': 16, 'max_tokens': 40, 'max_steps': 6, 'max_step_tokens': 16}


@pytest.fixture(scope='module')
def session(smoke):
  models = smoke / 'models'
  return tts.load(models / 'base', verifier=models / 'prm', **SIZES)


@pytest.fixture(scope='module')
def four(session):
  return session.sample(QUESTIONS, 4)


def test_samples_do_not_depend_on_how_many_are_asked_for(session, four):
  assert [len(x) for x in four] == [4, 4, 4]
  assert [x[:2] for x in four] == session.sample(QUESTIONS, 2)
  assert session.sample(QUESTIONS[:1], 4) == four[:1]
  assert four[0] != four[2]  # asked twice, drawn twice
  assert all(c.num_tokens <= 40 and 0 <= c.score <= 1 for x in four for c in x)


def test_given_texts_score_as_samples_do(session, four):
  whole = [[c for c in x if c.answer is not None] for x in four]
  assert any(whole)
  for mine, theirs in zip(session.score(QUESTIONS, [[c.text for c in x] for x in whole]), whole):
    for a, b in zip(mine, theirs):
      assert (a.text, a.answer, a.num_tokens) == (b.text, b.answer, b.num_tokens)
      assert a.step_scores == pytest.approx(b.step_scores, abs=1e-5) and a.logprob is None


def test_search_of_width_one_is_sampling(session, four):
  found = session.search(QUESTIONS, 4, beam_width=1)
  for mine, theirs in zip(found, four):
    assert [c.text for c in mine] == [c.text for c in theirs]
  assert len(session.search(QUESTIONS[:1], 8, beam_width=2, lookahead=1)[0]) <= 4


def test_mistakes(session, smoke, tmp_path):
  alone = tts.load(smoke / 'models' / 'base', **SIZES)
  assert alone.sample(QUESTIONS[:1], 1)[0][0].score is None
  for call in (lambda: alone.search(QUESTIONS, 4), lambda: alone.score(QUESTIONS, [[]] * 3),
               lambda: session.search(QUESTIONS, 1, lookahead=1), lambda: session.sample([], 4),
               lambda: session.score(['3;+4'], [['7\n' * 40]]), lambda: tts.load(tmp_path)):
    with pytest.raises(InputError) as error:
      call()
    assert '\n' not in str(error.value)
