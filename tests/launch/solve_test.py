"""`launch.solve` on the smoke run's models, and the same from Python."""

import dataclasses
import json
import math
import shutil

import numpy as np
import pytest

import tts
from tests.launch.conftest import copied_for_solving
from tts.eval.policy import policy as policy_lib
from tts.eval.storage import columns, records
from tts.serving import solve as solve_lib
from tts.types import InputError, Problem, Strategy

QUESTIONS = ['3;+4', '5;-2;+1', '2;*3', '9;-9;+1', '1;+1;+1']


@pytest.fixture(scope='module')
def workdir(smoke, tmp_path_factory):
  return copied_for_solving(smoke, tmp_path_factory.mktemp('solve') / 'w')


def choose_always(folder, choice, estimator='first_2', charge=2.0, stay=2):
  """Overwrites the policy by one that makes the same choice at every difficulty."""
  fit = policy_lib.Fit((choice,) * 5, 0.5, (0.4, 0.6), 9)
  policy_lib.save(policy_lib.Policy(estimator, charge, stay, (0.8, 0.6, 0.4, 0.2), {8: fit},
                                    {8: fit}), folder / 'policy.json')


def copy(workdir, tmp_path):
  folder = tmp_path / 'w'
  shutil.copytree(workdir, folder)
  return folder


def test_a_file_is_answered_in_order(launcher, workdir, tmp_path):
  source, target = tmp_path / 'f.jsonl', tmp_path / 'g.jsonl'
  source.write_text(''.join(json.dumps({'problem': q, **({'answer': '7'} if i == 0 else {})}) + '\n'
                            for i, q in enumerate(QUESTIONS)))
  done = launcher.ok('solve', f'--workdir={workdir}', f'--input={source}', f'--output={target}',
                     '--budget=4')
  assert 'of 1 right' in done.stderr
  lines = [json.loads(line) for line in target.read_text().splitlines()]
  assert [line['problem'] for line in lines] == QUESTIONS
  assert ['correct' in line for line in lines] == [True] + [False] * 4
  for line in lines:
    assert 1 <= line['bin'] <= 5 and 1 <= line['generations'] <= 4 and line['tokens'] > 0
    assert line['flops'] > 0 and line['strategy']
  probe = records.read_json(workdir / 'probe.json')
  # Of 60 questions; one without any readable sample has no labels, on some CPUs.
  assert policy_lib.load(workdir / 'policy.json').estimator == 'probe'
  assert 50 < probe['questions'] <= 60


def test_one_question_is_shown_with_its_candidates(launcher, workdir):
  done = launcher.ok('solve', f'--workdir={workdir}', '--question=3;+4', '--budget=4')
  assert done.stdout.startswith('3;+4\nanswer ') and 'difficulty bin' in done.stdout
  assert len(done.stdout.splitlines()) > 3


@pytest.mark.parametrize('flags,words', [
    (['--question=3;+4', '--budget=0'], '--budget=0'),
    (['--question=3;+4', '--input=x'], '--question alone'),
    (['--question=3;+4', '--shared'], '--shared is for --input'),
    (['--input=x'], '--output'), (['--question= '], 'is empty'),
    (['--question=3;@4'], "'@'")])
def test_mistakes_are_one_line(launcher, workdir, flags, words):
  assert words in launcher.error('solve', f'--workdir={workdir}', *flags)


def test_samples_that_stay_are_candidates_and_paid_for_once(workdir, tmp_path):
  """The first two of six are the ones that difficulty was estimated from."""
  folder = copy(workdir, tmp_path)
  choose_always(folder, policy_lib.Choice(Strategy('sample', 6), 'best_of_n_weighted'))
  six = tts.solve(folder, QUESTIONS, 8)
  choose_always(folder, policy_lib.Choice(Strategy('sample', 2), 'best_of_n_weighted'))
  two = tts.solve(folder, QUESTIONS, 8)
  for a, b in zip(six, two):
    assert len(a.candidates) == a.generations == 6 and len(b.candidates) == b.generations == 2
    assert a.candidates[:2] == b.candidates and a.estimate == b.estimate
    assert a.estimate == pytest.approx(np.mean(
        [c['score'] if c['answer'] is not None else 0.0 for c in b.candidates]))
    # A sample's tokens are its text's, and the end.
    assert b.tokens < a.tokens <= b.tokens + 4 * 40


def test_a_search_pays_for_the_estimate_on_top(workdir, tmp_path):
  folder = copy(workdir, tmp_path)
  choose_always(folder, policy_lib.Choice(Strategy.of('beam', 4, beam_width=2), 'best_of_n_weighted'))
  searched = tts.solve(folder, QUESTIONS, 8)
  choose_always(folder, policy_lib.Choice(Strategy('sample', 2), 'majority'))
  sampled = tts.solve(folder, QUESTIONS, 8)
  for a, b in zip(searched, sampled):
    assert a.generations == 6 and a.tree is not None and b.tree is None
    nodes = sum(node['tokens'] for node in a.tree['nodes'])
    assert a.tokens == b.tokens + nodes and a.flops > b.flops
    assert a.estimate == b.estimate


def test_a_shared_budget_gives_each_bin_its_own(workdir, tmp_path):
  """Estimates are above, between and below the cuts; each question gets its bin's samples."""
  folder = copy(workdir, tmp_path)
  choose_always(folder, policy_lib.Choice(Strategy('sample', 2), 'majority'))
  estimates = [s.estimate for s in tts.solve(folder, QUESTIONS, 8, shared=True)]
  middle = sorted(estimates)[2]
  few, many = (policy_lib.Choice(Strategy('sample', n), 'majority') for n in (2, 14))
  fit = policy_lib.Fit((few, many, many, many, many), 0.5, None, 9)
  written = policy_lib.load(folder / 'policy.json')
  policy_lib.save(dataclasses.replace(written, cuts=(middle,) * 4, shared={8: fit}),
                  folder / 'policy.json')
  spent = [s.generations for s in tts.solve(folder, QUESTIONS, 8, shared=True)]
  assert spent == [2 if e >= middle else 14 for e in estimates] and set(spent) == {2, 14}
  assert {s.generations for s in tts.solve(folder, QUESTIONS, 8)} == {2}


def test_answers_do_not_depend_on_company(workdir, tmp_path):
  folder = copy(workdir, tmp_path)
  choose_always(folder, policy_lib.Choice(Strategy('sample', 6), 'majority'))
  problems = [Problem(f'p{i}', q + '\n') for i, q in enumerate(QUESTIONS)]
  solver = solve_lib.Solver(folder)
  together = list(solver.solve(problems, 8))
  alone = [next(solver.solve([p], 8)) for p in problems]
  for a, b in zip(together, alone):
    assert [c['text'] for c in a.candidates] == [c['text'] for c in b.candidates]
    assert a.answer == b.answer and a.tokens == b.tokens and a.flops == b.flops


def test_a_budget_below_the_policy_s_is_said_before_any_work(workdir, tmp_path):
  folder = copy(workdir, tmp_path)
  choose_always(folder, policy_lib.Choice(Strategy('sample', 2), 'majority'))
  with pytest.raises(InputError, match='--budget=3'):
    tts.solve(folder, QUESTIONS, 3)


def test_a_question_that_it_cannot_read_is_named_before_any_work(workdir, monkeypatch):
  monkeypatch.setattr(solve_lib.Solver, '_chunk', lambda *_: pytest.fail('it began'))
  problems = [Problem('good', '3;+4\n', None), Problem('bad', 'three\n', None)]
  with pytest.raises(InputError, match='problem bad: .* has no id for'):
    next(solve_lib.Solver(str(workdir)).solve(problems, 4))


def test_a_folder_that_is_no_run(tmp_path):
  with pytest.raises(InputError, match='run.json'):
    tts.solve(tmp_path, QUESTIONS, 4)


def test_chosen_needs_an_answer():
  row = {'answer': None, 'truncated': True, 'answer_score': 0.5, 'logprob': -1.0}
  assert solve_lib.chosen([row], 'best_of_n_weighted') is None
  better = {'answer': '7', 'truncated': False, 'answer_score': 0.1, 'logprob': -2.0}
  assert solve_lib.chosen([row, better], 'best_of_n_weighted') is better


def test_chosen_groups_by_the_grader():
  rows = [{'answer': a, 'truncated': False, 'answer_score': s, 'logprob': math.log(s)}
          for a, s in (('3', 0.5), ('10', 0.3), (None, 0.9), (r'\sum_{k=1}^{4} k', 0.4))]
  same = [('10', columns.form(r'\sum_{k=1}^{4} k'))]
  for selection in ('best_of_n_weighted', 'logprob_weighted', 'majority'):
    assert solve_lib.chosen(rows, selection) is rows[0]
    assert solve_lib.chosen(rows, selection, same) is rows[1]
  assert solve_lib.chosen(rows, 'best_of_n', same) is rows[0]
