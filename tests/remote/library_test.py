"""`tts.connect_generator`: the results of the model in hand, and what is refused in one line."""

import copy
import sys

import pytest

import tts
from tests.remote.server import MODEL
from tts.data.tokenizer import Tokenizer
from tts.library.served import described
from tts.remote.probe import Engine

QUESTIONS = ['3;+4;*2', '5;-2;+4']
HOW = {'limits': tts.Limits(max_prompt_tokens=32, max_tokens=24, max_steps=4, max_step_tokens=8),
       'progress': False}


@pytest.fixture(scope='module')
def judge(folders):
  return tts.load_verifier(folders.prm, mesh=tts.make_mesh(1, 1))


def test_searches_and_samples_are_those_of_the_model_in_hand(folders, judge):
  mesh = tts.make_mesh(1, 1)
  inside = tts.load_generator(folders.base, mesh=mesh)
  with folders.served() as server:
    outside = tts.connect_generator(server.url, folders.base, mesh=mesh, requests=8)
    calls = [lambda model: tts.search(model, judge, QUESTIONS, method=tts.methods.rebase(),
                                      budget=4, **HOW),
             lambda model: tts.sample(model, QUESTIONS, 3, verifier=judge, **HOW),
             lambda model: tts.sample(model, QUESTIONS, 1, temperature=0, **HOW)]
    for call in calls:
      for ours, theirs in zip(call(outside), call(inside), strict=True):
        assert ours.votes == theirs.votes and ours.verifier_tokens == theirs.verifier_tokens
        assert ours.tokens >= theirs.tokens and ours.flops > 0
        for a, b in zip(ours.solutions, theirs.solutions, strict=True):
          assert (a.text, a.answer, a.finished, a.step_scores, a.weight) == (
              b.text, b.answer, b.finished, b.step_scores, b.weight)
          assert a.logprob == pytest.approx(b.logprob, abs=1e-4)
    outside.close()
  assert outside.engine.model == MODEL and server.written > 0


def test_what_a_server_cannot_give_is_refused(folders, judge):
  with folders.served() as server:
    model = tts.connect_generator(server.url, folders.base)
    asked = len(server.bodies)
    with pytest.raises(tts.InputError, match='sampling.statistics'):
      tts.sample(model, QUESTIONS, 2, statistics=True, **HOW)
    with pytest.raises(tts.InputError, match='sampling.top_n_sigma'):
      tts.sample(model, QUESTIONS, 2, top_n_sigma=1.0, **HOW)
    with pytest.raises(tts.InputError, match='ServedModel'):
      tts.logprob_verifier(model)
    latent = tts.logprob_verifier(tts.load_generator(folders.base))
    with pytest.raises(tts.InputError, match='hidden states, which a server does not give'):
      tts.search(model, latent, QUESTIONS, **HOW)
    with pytest.raises(tts.InputError, match='max_prompt_tokens'):
      tts.search(model, judge, ['3' * 200], **HOW)
    assert len(server.bodies) == asked
    model.close()


def changed(**fields):
  """Replies whose choice, or usage, has other fields."""
  def change(reply):
    reply = copy.deepcopy(reply)
    for name, value in fields.items():
      where = reply['usage'] if name in reply['usage'] else reply['choices'][0]
      where[name] = value(where.get(name)) if callable(value) else value
      if where[name] is None:
        del where[name]
    return reply
  return change


BAD = {
    'no token ids': changed(token_ids=None),
    'no ids of prompts': changed(prompt_token_ids=None),
    'other ids than': changed(prompt_token_ids=lambda ids: ids[:3] + [ids[3] ^ 1] + ids[4:]),
    'writes .* for ids that are': changed(text='something else'),
    'the id 999': changed(token_ids=lambda ids: [999, *ids[1:]]),
    'the id -1': changed(token_ids=lambda ids: [-1, *ids[1:]]),
    '9 tokens, 1 to 8': changed(token_ids=lambda ids: [*ids, 5][:9]),
    'log-probabilities of': changed(logprobs=None),
    'a log-probability that is none': changed(
        logprobs=lambda found: {'token_logprobs': [0.5] * len(found['token_logprobs'])}),
    'finish_reason': changed(finish_reason='abort'),
    'usage says': changed(completion_tokens=99),
    'no completion': changed(token_ids='12'),
    '0 completions': lambda reply: reply | {'choices': []},
    'more than': lambda reply: reply | {'more': 'x' * (1 << 21)},
}


@pytest.mark.parametrize('said', BAD)
def test_a_server_whose_replies_are_no_good_is_refused(said, folders):
  with folders.served(change=BAD[said]) as server:
    with pytest.raises(tts.InputError, match=said) as error:
      tts.connect_generator(server.url, folders.base)
  assert '\n' not in str(error.value)


def test_another_tokenizer_is_refused(folders, tmp_path):
  Tokenizer.train(['3;+4;*2\n3+4=7\n#### 14\n'], 20).save(tmp_path)
  with folders.served() as server:
    with pytest.raises(tts.InputError, match='other ids than|the id'):
      tts.connect_generator(server.url, tmp_path)
    with pytest.raises(tts.InputError, match=f'has the models {MODEL}'):
      tts.connect_generator(server.url, folders.base, model='other')
    with pytest.raises(tts.InputError, match='not there'):
      tts.connect_generator(server.url, tmp_path / 'none')


def test_a_tokenizer_alone_will_do_and_flops_are_not_known(folders, judge, tmp_path):
  folders.tokenizer.save(tmp_path)
  assert described(tmp_path)[1] is None and described(folders.base)[1] == folders.arch
  with folders.served() as server:
    model = tts.connect_generator(server.url, tmp_path, mesh=tts.make_mesh(1, 1))
    result, = tts.sample(model, QUESTIONS[:1], 2, **HOW)
    model.close()
  assert result.flops is None and result.tokens > 0


def test_records_have_no_path():
  called = lambda model: Engine('vllm', None, model).as_record()['model']
  assert [called(m) for m in ('/data/qwen/', './qwen', 'Qwen/Qwen2.5')] == [
      'qwen', 'qwen', 'Qwen/Qwen2.5']


def test_where_there_is_no_server(folders, monkeypatch):
  with pytest.raises(tts.InputError, match='does not answer, for 0.2 s .*start it again') as error:
    tts.connect_generator('http://127.0.0.1:9/v1', folders.base, patience=0.2)
  assert '\n' not in str(error.value)
  with pytest.raises(tts.InputError, match='give http://'):
    tts.connect_generator('localhost:8000', folders.base)
  monkeypatch.setitem(sys.modules, 'httpx', None)
  with pytest.raises(tts.InputError, match=r'pip install -e "\.\[engine\]"'):
    tts.connect_generator('http://127.0.0.1:9/v1', folders.base)
