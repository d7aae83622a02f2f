"""Votes by the grader's equivalence: the grouping rule, its tables, and who reads them."""

import itertools
import json
import subprocess

import numpy as np
import pytest

from tests.eval import synthetic
from tts.answers import grading
from tts.eval.exchange import exchange_sides
from tts.eval.measures import answer_choice, chain_strategies, vote_groups
from tts.eval.report import report, results, votes_file
from tts.eval.storage import equal_answers, external_samples, find_equal_answers, records, runfiles
from tts.eval.storage import samples
from tts.eval.storage.samples import NO_ANSWER
from tts.types import InputError

X = NO_ANSWER


def plain_groups(answers, same):
  """The rule as one would write it, for one try: each answer as its group's first member."""
  first, out = [], []
  for answer in answers:
    leader = next((f for f in first if answer == f or frozenset((answer, f)) in same), answer)
    if answer != X and leader == answer and answer not in first:
      first.append(answer)
    out.append(leader)
  return out


PAIRS = list(itertools.combinations(range(4), 2))


@pytest.mark.parametrize('kept', [k for size in range(1, 7)
                                  for k in itertools.combinations(range(6), size)])
def test_every_try_of_four_slots_under_every_relation_of_four_answers(kept):
  pairs = [PAIRS[i] for i in kept]
  tries = np.array(list(itertools.product((X, 0, 1, 2, 3), repeat=4)))
  same = {frozenset(pair) for pair in pairs}
  expected = [plain_groups(row, same) for row in tries.tolist()]
  assert equal_answers.grouped(tries, pairs).tolist() == expected
  assert equal_answers.grouped(tries, [pair[::-1] for pair in pairs]).tolist() == expected


def test_a_chain_of_equals_goes_by_the_first_member():
  # 0 = 1 and 1 = 2, but 0 is not 2.
  pairs = [(0, 1), (1, 2)]
  tries = np.array([[0, 1, 2], [1, 0, 2], [2, 0, 1], [0, 2, 1]])
  assert equal_answers.grouped(tries, pairs).tolist() == [[0, 0, 2], [1, 1, 1], [2, 0, 2], [0, 2, 0]]


@pytest.mark.parametrize('seed', range(5))
def test_many_answers_with_gaps_between_their_numbers(seed):
  rng = np.random.default_rng(seed)
  names = rng.choice(1000, 12, replace=False)
  tries = rng.choice([X, *names], (200, 16))
  pairs = [tuple(rng.choice(names, 2, replace=False).tolist()) for _ in range(9)]
  same = {frozenset(pair) for pair in pairs}
  assert equal_answers.grouped(tries, pairs).tolist() == [
      plain_groups(row, same) for row in tries.tolist()]


SUM, TEN = r'\sum_{k=1}^{4} k', '10'  # the same by algebra alone
SAME = [(TEN, SUM)]
LIST = ['3', '3', TEN, SUM, SUM]


def forms(pairs):
  return [(samples.columns.form(a), samples.columns.form(b)) for a, b in pairs]


def test_the_vote_changes_where_two_writings_are_one_answer():
  number = lambda pairs: np.array([samples.numbered(LIST, forms(pairs))])
  assert answer_choice.majority(number([])).tolist() == [0]
  assert answer_choice.majority(number(SAME)).tolist() == [2]
  score = np.array([[0.5, 0.4, 0.2, 0.4, 0.35]])
  assert answer_choice.vote(number([]), score).tolist() == [0]   # 0.9 against 0.2 and 0.75
  assert answer_choice.vote(number(SAME), score).tolist() == [2]  # against 0.95
  rows = [{'slot': i, 'answer': a, 'truncated': False, 'answer_score': s}
          for i, (a, s) in enumerate(zip(LIST, score[0]))]
  assert answer_choice.best_of_n_weighted_answer(rows) == '3'
  assert answer_choice.best_of_n_weighted_answer(rows, forms(SAME)) == TEN
  assert samples.numbered([*LIST, None], forms(SAME)) == [0, 0, 1, 1, 1, X]
  # These have one normal form, so they are one candidate by either grader.
  assert samples.numbered([r'2\sqrt2', '3', r'\sqrt8', r'2\sqrt{2}']) == [0, 1, 0, 0]


@pytest.fixture
def graded(monkeypatch):
  """A grader that is asked nothing twice, and knows three equalities and a hard pair."""
  known = {frozenset((TEN, SUM)): True, frozenset(('201', '202')): True,
           frozenset(('202', '203')): True, frozenset(('204', '205')): None}
  asked = []

  def are_equal(grader, pairs):
    assert grader == 'math' and len(pairs) == len(set(map(frozenset, pairs)))
    asked.extend(pairs)
    return [known.get(frozenset(pair), False) for pair in pairs]

  monkeypatch.setattr(grading, 'are_equal', are_equal)
  return asked


def test_each_pair_of_a_questions_forms_is_asked_once(graded):
  found = find_equal_answers.compare('math', {
      'a': ['201', '201.0', '202', '203'], 'b': ['203', '202'], 'c': ['204', '205', '206'],
      'd': ['7'] * 9, 'e': []})
  assert found == equal_answers.Verdicts('math', compared=3 + 1 + 3, exceeded=1, equal={
      'a': [('201', '202'), ('202', '203')], 'b': [('202', '203')]})
  assert len(graded) == 6  # (203, 202) is (202, 203), once asked
  assert found.of('b') == [('202', '203')] and found.of('c') == []


def test_a_form_is_compared_in_its_most_frequent_writing(graded):
  find_equal_answers.compare('math', {'a': ['7.0', '7', '8.00', '7', '8.0']})
  assert graded == [('7', '8.00')]


def test_rows_that_were_cut_off_are_not_compared(graded):
  row = {'problem_id': 'a', 'truncated': False}
  rows = [row | {'slot': 1, 'answer': SUM}, row | {'slot': 0, 'answer': TEN},
          row | {'slot': 2, 'answer': '3', 'truncated': True}, row | {'slot': 3, 'answer': None}]
  assert find_equal_answers.of_rows('math', rows) == equal_answers.Verdicts('math', 1, 0, {
      'a': [(TEN, SUM)]})
  assert find_equal_answers.of_rows('math', rows, {'a': '3', 'b': None}).compared == 3
  graded.clear()
  assert find_equal_answers.of_rows('exact', rows) == equal_answers.Verdicts('exact') and not graded


def test_of_very_many_forms_the_frequent_ones_are_compared(graded):
  most = find_equal_answers.MAX_FORMS
  written = [str(i) for i in range(1000, 1000 + most + 10)] + [SUM, TEN] * 2
  found = find_equal_answers.compare('math', {'a': written})
  forms_ = most + 12
  assert found.compared == forms_ * (forms_ - 1) // 2
  assert found.exceeded == found.compared - most * (most - 1) // 2 and len(graded) == most * (
      most - 1) // 2
  assert found.equal == {'a': SAME}


@pytest.fixture
def workdir(tmp_path, graded):
  """A run whose wrong answers are the same now and then, and the tables of its blocks."""
  folder = synthetic.write_run(tmp_path / 'run', questions=30, pool=16, beams=((2, 4), (4, 16)))
  synthetic.write_revisions(folder, questions=20)
  for stage in ('search', 'revise'):
    for block in records.blocks(folder, stage):
      rows = records.read_block(block)
      for row in rows:
        if row['answer'] is not None and not row['correct']:
          row['answer'] = str(201 + (row['slot'] * 7 + int(row['problem_id'][1:])) % 6)
      records.write_block(block, rows)
      equal_answers.write(folder, block, find_equal_answers.of_rows('math', rows))
  return folder


def brute(pool, size):
  """Per question and group, the answers by the plain rule, as forms' numbers."""
  same = {name: {frozenset(p) for p in pairs} for name, pairs in pool.equal.items()}
  return [plain_groups(row, same.get(name, ()))
          for name, answers in zip(pool.ids, pool.answer.tolist())
          for row in np.array(answers)[:len(answers) // size * size].reshape(-1, size).tolist()]


def test_every_subgroup_of_every_setting_goes_by_its_own_slots(workdir):
  run = runfiles.load(workdir)
  pools = list(run.search.values())
  pools += [chain_strategies.part(p, 2) for p in chain_strategies.pools(run)]
  pools += [samples.take(run.setting('base', 'sample'), np.array([3, 4, 11]))]
  pools += exchange_sides.halves(run.setting('base', 'sample'))
  moved = 0
  for pool in pools:
    assert pool.equal.keys() <= set(pool.ids)
    for size in (1, 2, 3, pool.answer.shape[1]):
      if size <= pool.answer.shape[1]:
        tries = vote_groups.tries(pool, size)
        assert tries.tolist() == brute(pool, size)
        moved += (tries != answer_choice.groups(pool.answer, size)).sum()
  assert moved > 100


@pytest.mark.slow
def test_a_report_reads_the_tables_and_says_so(workdir):
  made = report.write(workdir)
  found = made['verdicts']
  assert found['grader'] == 'math' and found['exceeded'] > 0
  assert found['compared'] > found['equal'] > found['questions'] > 0
  text = (workdir / 'report/index.html').read_text()
  assert f'{found["equal"]:,} are the same' in text and 'exceeded a limit of work' in text
  majority = {r['budget']: r['accuracy'] for r in made['curves']
              if r['strategy'] == 'majority' and r['bin'] is None}
  pool = runfiles.load(workdir).setting('base', 'sample')
  for size in (4, 16):
    slot = np.array([answer_choice.majority(np.array([row]))[0] for row in brute(pool, size)])
    right = answer_choice.groups(pool.correct & pool.votes, size)
    assert majority[size] == np.mean([right[i, s] if s >= 0 else False for i, s in enumerate(slot)])
  # Without tables answers are the same where their forms are.
  for path in (workdir / 'verdicts').rglob('*.json'):
    path.unlink()
  plain = results.assemble(runfiles.load(workdir))
  assert 'verdicts' not in plain
  assert [r['accuracy'] for r in plain['curves'] if r['strategy'] == 'majority'] != [
      r['accuracy'] for r in made['curves'] if r['strategy'] == 'majority']


@pytest.mark.parametrize('content', ['', '[]', '{"grader": 3}', '\xff', '{"grader"',
                                     '[' * 9999])
def test_a_damaged_table_is_named(workdir, content):
  block = records.blocks(workdir, 'search')[0]
  path = equal_answers.path(workdir, block)
  path.write_bytes(content.encode('latin-1'))
  with pytest.raises(InputError, match='no table of verdicts') as error:
    runfiles.load(workdir)
  assert str(path) in str(error.value) and str(block) in str(error.value)


def lines():
  """Ten questions of which two samples of four are right, the others wrong in different ways."""
  for q in range(10):
    for answer in ('3', '4', TEN, SUM, '3', '3'):
      yield {'id': f'q{q}', 'answer': SUM, 'response': f'\\boxed{{{answer}}}', 'score': 0.5}


def study(folder, **options):
  path = folder / 'f.jsonl'
  path.write_text(''.join(json.dumps(row) + '\n' for row in lines()))
  source = external_samples.Source(str(path), difficulty=2, **options)
  external_samples.write(source, folder / 'w')
  return source


def test_a_study_by_the_math_grader(tmp_path, monkeypatch):
  pytest.importorskip('math_verify', reason='needs pip install tts[math]')
  for name in ('exact', 'math'):
    (tmp_path / name).mkdir()
  exact, math = (tmp_path / name / 'w' for name in ('exact', 'math'))
  study(tmp_path / 'exact')
  source = study(tmp_path / 'math', grader='math')
  answers = lambda w: [line['majority'] for line in records.read_block(w / 'votes.jsonl')]
  assert answers(exact) == ['3'] * 10 and answers(math) == [TEN] * 10
  rows = lambda w: [{k: v for k, v in r.items() if k != 'correct'} for r in records.read(w)]
  assert rows(exact) == rows(math)
  right = [r['correct'] for r in records.read(math, 'search')]
  assert right == [False, False, True, True] * 10
  assert not (exact / 'verdicts').exists() and 'grader' not in (exact / 'run.json').read_text()
  # The report asks no grader: no process is started.
  for name in ('Popen', 'run'):
    monkeypatch.setattr(subprocess, name, None)
  monkeypatch.setattr(grading, 'are_correct', None)
  monkeypatch.setattr(grading, 'are_right', None)
  monkeypatch.setattr(find_equal_answers, 'compare', None)
  at = lambda w: {(r['strategy'], r['budget']): r['accuracy'] for r in report.write(w)['curves']
                  if r['bin'] is None}
  assert at(exact)['majority', 4] == 0 and at(math)['majority', 4] == 1
  votes_file.write(math)
  assert answers(math) == [TEN] * 10
  # The same study is there already, unless a table is missing.
  assert external_samples.open_workdir(source, math)
  next((math / 'verdicts').rglob('*.json')).unlink()
  assert not external_samples.open_workdir(source, math)
