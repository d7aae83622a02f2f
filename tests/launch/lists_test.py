"""What is drawn for a question depends on it alone, whatever list it stands in: bit for bit."""

import dataclasses
import json
import random
import shutil

import pytest

import tts
from tests.launch.conftest import copied_for_solving
from tests.launch.solve_test import choose_always
from tts import methods
from tts.data import arith, problems as problems_lib
from tts.eval.policy import policy as policy_lib
from tts.types import Strategy

LIMITS = tts.Limits(max_prompt_tokens=16, max_tokens=40, max_steps=6, max_step_tokens=16)
TEXTS = [p.prompt.rstrip('\n') for p in arith.generate(
    arith.ArithConfig(max_ops=3), 'test')][:21]
QUESTIONS = [*TEXTS, TEXTS[0], TEXTS[4], TEXTS[0]]  # one is asked three times
SHUFFLED = random.Random(0).sample(QUESTIONS, len(QUESTIONS))
LISTS = {'reversed': QUESTIONS[::-1], 'shuffled': SHUFFLED,
         'most': QUESTIONS[:19], 'a few': SHUFFLED[:9], 'one': QUESTIONS[7:8]}


def by_identity(questions, found):
  """What was found for each question, by its text and how often that stood before it."""
  assert len(found) == len(questions)
  return {p.identity: x for p, x in zip(problems_lib.of_texts(questions), found)}


@pytest.fixture(scope='module')
def models(smoke):
  return (tts.load_generator(smoke / 'models' / 'base'),
          tts.load_verifier(smoke / 'models' / 'prm'))


def searched(method):
  return lambda models, questions: tts.search(*models, questions, method=method, budget=8,
                                              limits=LIMITS)


CALLS = {'sample': lambda models, questions: tts.sample(
             models[0], questions, 4, verifier=models[1], limits=LIMITS),
         'beam': searched(methods.beam(2)), 'lookahead': searched(methods.lookahead(2, 1)),
         'filter': searched(methods.particle_filter())}


@pytest.mark.parametrize('call', CALLS)
def test_samples_and_searches(models, call):
  run = lambda questions: by_identity(questions, [
      r.solutions for r in CALLS[call](models, questions)])
  whole = run(QUESTIONS)
  texts = lambda candidates: [c.text for c in candidates]
  assert len({tuple(texts(x)) for x in whole.values()}) > 12
  assert len(whole) == 24 and len({tuple(texts(whole[k])) for k in run([TEXTS[0]] * 3)}) > 1
  for name, questions in LISTS.items():
    for key, found in run(questions).items():
      assert found == whole[key], name


@pytest.fixture(scope='module')
def workdir(smoke, tmp_path_factory):
  return copied_for_solving(smoke, tmp_path_factory.mktemp('lists') / 'w')


def nameless(solution):
  """Without what it is called by, which is its place."""
  tree = solution.tree and {**solution.tree, 'problem_id': ''}
  return dataclasses.replace(solution, id='', tree=tree)


@pytest.mark.parametrize('strategy', [
    pytest.param(Strategy('sample', 6), id='sample', marks=pytest.mark.slow),
    pytest.param(Strategy.of('beam', 4, beam_width=2), id='beam', marks=pytest.mark.slow)])
def test_solutions(workdir, strategy):
  choose_always(workdir, policy_lib.Choice(strategy, 'best_of_n_weighted'))
  run = lambda questions: by_identity(questions, [
      nameless(s) for s in tts.solve(workdir, questions, 8)])
  whole = run(QUESTIONS)
  assert len(whole) == len(QUESTIONS) == 24
  for name, questions in LISTS.items():
    for key, found in run(questions).items():
      assert found == whole[key], name


def test_solutions_by_the_run_s_own_policy(workdir, smoke):
  """Whose choices hang on estimates from the prompt."""
  shutil.copy(smoke / 'policy.json', workdir)
  run = lambda questions: by_identity(questions, [
      nameless(s) for s in tts.solve(workdir, questions, 4)])
  assert run(QUESTIONS) == run(QUESTIONS[::-1]) == run(SHUFFLED)


@pytest.mark.slow
def test_a_file_s_ids_are_names_alone(launcher, workdir, tmp_path):
  """The same questions by place, by other ids, without ids, and from Python."""
  choose_always(workdir, policy_lib.Choice(Strategy('sample', 2), 'majority'))
  found = [[c.text for c in tts.solve(workdir, QUESTIONS[:6], 8)]]
  for name in ('a', 'b', None):
    lines = [{'problem': q} | ({'id': f'{name}{i}'} if name else {})
             for i, q in enumerate(QUESTIONS[:6])]
    (tmp_path / 'f.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    launcher.ok('solve', f'--workdir={workdir}', f'--input={tmp_path / "f.jsonl"}',
                f'--output={tmp_path / "g.jsonl"}', '--budget=8')
    rows = [json.loads(x) for x in (tmp_path / 'g.jsonl').read_text().splitlines()]
    found.append([row['solution'] for row in rows])
    assert [row['id'] for row in rows] == [
        line.get('id', problems_lib.id_of(line['problem'])) for line in lines]
  assert found[0] == found[1] == found[2] == found[3]
