"""`tts.sample`, `tts.score`, `tts.search`: without a folder, and in agreement with each other."""

import ast
import html
import socket
import subprocess
import sys

import pytest

import tts
from tests.launch.conftest import ROOT
from tts import methods

QUESTIONS = ['3;+4;*2', '7;*3;-5', '3;+4;*2']
LIMITS = tts.Limits(max_prompt_tokens=16, max_tokens=40, max_steps=6, max_step_tokens=16)


@pytest.fixture(scope='module')
def models(smoke):
  return (tts.load_generator(smoke / 'models' / 'base'),
          tts.load_verifier(smoke / 'models' / 'prm'))


def sampled(models, questions, n, **how):
  return list(tts.sample(models[0], questions, n, verifier=models[1], limits=LIMITS, **how))


def searched(models, questions, **how):
  return list(tts.search(*models, questions, limits=LIMITS, **how))


@pytest.fixture(scope='module')
def four(models):
  return sampled(models, QUESTIONS, 4)


def test_samples_do_not_depend_on_how_many_are_asked_for(models, four):
  assert [r.question for r in four] == QUESTIONS and [len(r.solutions) for r in four] == [4, 4, 4]
  assert [r.solutions[:2] for r in four] == [r.solutions for r in sampled(models, QUESTIONS, 2)]
  assert sampled(models, QUESTIONS[:1], 4) == four[:1]
  assert four[0] != four[2]  # asked twice, drawn twice
  assert four[0] != sampled(models, QUESTIONS[:1], 4, seed=1)[0]
  assert all(s.num_tokens <= 40 and 0 <= s.score <= 1 for r in four for s in r.solutions)
  assert all(r.tokens == sum(s.num_tokens for s in r.solutions) and r.flops > 0 for r in four)


def test_results_as_they_are_done_are_the_same(models, four):
  assert sorted(map(repr, sampled(models, QUESTIONS, 4, ordered=False))) == sorted(map(repr, four))


def test_votes(models, four):
  for selection in ('majority', 'best_of_n', 'best_of_n_weighted', 'logprob_weighted'):
    for result in sampled(models, QUESTIONS, 4, selection=selection):
      voting = [s for s in result.solutions if s.answer is not None]
      assert len(result.votes) <= len(voting) and (result.answer is None) == (not voting)
      if voting:
        assert result.votes[result.answer] == max(result.votes.values()) > 0
      if selection == 'majority':
        assert sum(result.votes.values()) == len(voting)
      if selection == 'best_of_n' and voting:
        assert result.votes[result.answer] == max(s.score for s in voting)


def test_given_texts_score_as_samples_do(models, four):
  whole = [[s for s in r.solutions if s.answer is not None] for r in four]
  assert any(whole)
  found = tts.score(models[1], QUESTIONS, [[s.text for s in x] for x in whole], limits=LIMITS)
  for mine, theirs in zip(found, whole, strict=True):
    for a, b in zip(mine, theirs, strict=True):
      assert (a.text, a.answer, a.num_tokens) == (b.text, b.answer, b.num_tokens)
      assert a.step_scores == pytest.approx(b.step_scores, abs=1e-5) and a.logprob is None


@pytest.mark.parametrize('method', [methods.beam(1), methods.dvts(1), methods.best_of_n()])
def test_a_child_each_is_sampling(models, four, method):
  for mine, theirs in zip(searched(models, QUESTIONS, method=method, budget=4), four):
    assert [s.text for s in mine.solutions] == [s.text for s in theirs.solutions]
    assert (mine.answer, mine.tokens) == (theirs.answer, theirs.tokens)
    assert mine.flops == pytest.approx(theirs.flops, rel=0.05)  # of verifiers, a text read twice


@pytest.mark.parametrize('method', [
    methods.beam(2), methods.lookahead(2, 1), methods.dvts(2), methods.rebase(),
    methods.particle_filter(), methods.particle_filter_entropic()])
def test_every_method_searches_and_draws_itself(models, method, tmp_path):
  results = searched(models, QUESTIONS, method=method, budget=8)
  for result in results:
    assert 0 < sum(s.weight for s in result.solutions) <= 8
    assert result.tokens > 0 and result.verifier_tokens > 0 and result.flops > 0
    assert ('<iframe' in result._repr_html_()
            and html.escape(result.question) in result.page())
    result.save(tmp_path / 'a.html')
    assert (tmp_path / 'a.html').read_text() == result.page()
  alone, = searched(models, QUESTIONS[1:2], method=method, budget=8)
  assert [s.text for s in alone.solutions] == [s.text for s in results[1].solutions]


def test_a_method_of_ones_own(models):
  class Longest(methods.Beam):
    def priority(self, rows):
      return rows.length

  assert searched(models, QUESTIONS[:1], method=Longest(2), budget=4)[0].solutions


def test_grades():
  assert tts.grade(['so \\boxed{7}', 'no idea'], ['#### 7', '7']) == [
      tts.Grade(True, '7', 'box'), tts.Grade(False, None, None)]


def test_mistakes_are_one_line_and_come_at_once(models, smoke, tmp_path):
  base, prm = models
  texts = tts.load_generator(smoke / 'models' / 'base')
  assert next(tts.sample(texts, QUESTIONS[:1], 1, limits=LIMITS)).solutions[0].score is None
  for call in (
      lambda: tts.search(base, None, QUESTIONS), lambda: tts.search(base, base, QUESTIONS),
      lambda: tts.score(base, QUESTIONS, [[]] * 3), lambda: tts.score(prm, QUESTIONS, [[]]),
      lambda: tts.search(base, prm, QUESTIONS, method=methods.lookahead(), budget=3),
      lambda: tts.sample(prm, QUESTIONS), lambda: tts.sample(base, []),
      lambda: tts.sample(base, '3;+4'), lambda: tts.sample(base, QUESTIONS, 0),
      lambda: tts.sample(base, QUESTIONS, top_p=0.0), lambda: tts.sample(base, ['3;+4' * 9], limits=LIMITS),
      lambda: next(tts.sample(base, QUESTIONS, 1, selection='best_of_n', limits=LIMITS)),
      lambda: next(tts.sample(base, QUESTIONS, 1, selection='none', limits=LIMITS)),
      lambda: tts.score(prm, ['3;+4'], [['7\n' * 40]], limits=LIMITS),
      lambda: tts.load_generator(tmp_path), lambda: tts.load_generator(smoke / 'models' / 'prm'),
      lambda: tts.load_verifier(smoke / 'models' / 'base'),
      lambda: tts.load_generator(smoke / 'models' / 'base', dtype='bfloat16'),
      lambda: tts.load_generator(smoke / 'models' / 'base', flavour='chat'),
      lambda: tts.grade('7', ['7'])):
    with pytest.raises(tts.InputError) as error:
      call()
    assert '\n' not in str(error.value)


def test_importing_takes_no_time_and_what_is_public_is_there():
  done = subprocess.run(
      [sys.executable, '-c', 'import sys, tts; assert "jax" not in sys.modules\n'
       'for name in tts.__all__: getattr(tts, name)\nassert "solve" in dir(tts)\n'
       'import tts.searching.search; assert callable(tts.search)'],
      cwd=ROOT, capture_output=True, text=True, timeout=120)
  assert done.returncode == 0, done.stderr[-2000:]


_PROCESS = """
import sys
import jax
port, process, folder = sys.argv[1:]
jax.distributed.initialize(f'localhost:{port}', 2, int(process))
import tts
limits = tts.Limits(max_prompt_tokens=16, max_tokens=40, max_steps=6, max_step_tokens=16)
base, prm = tts.load_generator(folder + '/base'), tts.load_verifier(folder + '/prm')
questions = ['3;+4;*2', '7;*3;-5', '3;+4;*2', '1;+1', '9;*9']
for result in tts.search(base, prm, questions, budget=4, limits=limits, progress=False):
  print(result)
"""


@pytest.mark.slow
def test_two_processes_part_the_questions_and_yield_all_results(models, smoke, launcher):
  with socket.socket() as free:
    free.bind(('localhost', 0))
    port = free.getsockname()[1]
  processes = [subprocess.Popen(
      [sys.executable, '-c', _PROCESS, str(port), str(i), str(smoke / 'models')], cwd=ROOT,
      env=launcher.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
               for i in range(2)]
  found = [p.communicate(timeout=300) for p in processes]
  questions = [*QUESTIONS, '1;+1', '9;*9']
  want = [str(r) for r in searched(models, questions, budget=4)]
  for out, error in found:
    assert [line for line in out.splitlines() if line.startswith('Result')] == want, error[-2000:]


def test_somebody_else_s_model(smoke, launcher):
  done = launcher.python.run('-m', 'examples.my_model',
                             f'--tokenizer={smoke / "models" / "base"}', timeout=300)
  assert done.returncode == 0, done.stderr[-2000:]
  lines = done.stdout.splitlines()
  assert len(lines) == 2 and all(len(ast.literal_eval(line.split(' ', 1)[1])) == 4
                                 for line in lines)
