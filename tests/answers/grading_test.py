"""Verdicts of both graders: what is right stays right, what is hostile costs its limit alone."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.answers import answer_forms
from tts import answers
from tts.answers import graders, grading, workers as workers_lib
from tts.eval.storage import find_equal_answers
from tts.types import InputError

DATA = 'TTS_GRADING_DATA'
HOSTILE = (
    '9**9**9**9', '9^{9^{9^9}}', r'10^{10^{10}}', r'(10^9)!', r'\sum_{i=1}^{10^9} \sin i',
    r'\prod_{i=1}^{10^8} i', r'\binom{10^9}{10^8}', '(1+x)^{5000}', r'\frac{' * 60, '(' * 400,
    r'\frac{' * 60 + '1' + '}{2}' * 60, '(' * 190 + '1' + ')' * 190, '{' * 190 + '1' + '}' * 190,
    r'\sqrt[' + '9' * 300 + ']{7}', '2^{' * 60 + '2' + '}' * 60, '{' * 1_000_000, '}' * 1_000_000,
)
SECONDS = 0.3


@pytest.fixture(scope='module')
def library():
  pytest.importorskip('math_verify', reason='needs pip install tts[math]')


@pytest.fixture(name='workers')
def _workers(library):
  """Makes pools of workers, and ends them."""
  made = []

  def make(*args, **kwargs):
    made.append(workers_lib.WorkerPool(*args, **kwargs))
    return made[-1]

  yield make
  for pool in made:
    pool.close()


def numbers(count, rng):
  kinds = (lambda: str(rng.randint(-200, 5000)), lambda: f'{rng.uniform(-9, 99):.2f}',
           lambda: rf'\frac{{{rng.randint(1, 40)}}}{{{rng.randint(41, 99)}}}',
           lambda: rf'{rng.randint(2, 9)}\sqrt{{{rng.choice((2, 3, 5, 7))}}}',
           lambda: f'({rng.randint(-9, 9)},{rng.randint(10, 20)})')
  return [rng.choice(kinds)() for _ in range(count)]


def figures(golds, seed=0):
  """(pairs, those that `exact` gets wrong, those that `math` does) of right and wrong texts."""
  rng = random.Random(seed)
  sides = ([(text, gold) for gold in golds for text in answer_forms.right(gold)],
           [(text, gold) for gold in golds for text in answer_forms.wrong(gold, golds, rng)])
  return [(pairs, *([p for p, v in zip(pairs, grading.are_correct(grader, pairs)) if v != wanted]
                    for grader in grading.OWN)) for pairs, wanted in zip(sides, (True, False))]


def test_right_forms_are_right_and_near_misses_are_wrong(library):
  golds = [*answer_forms.KINDS, *numbers(25, random.Random(1))]
  (right, *misses), (wrong, *taken) = figures(golds)
  assert len(right) > 700 and len(wrong) > 400
  assert misses == [[], []] and taken == [[], []]


@pytest.mark.skipif(DATA not in os.environ, reason=f'{DATA} names no folder of JSONL files')
def test_answers_of_real_files(library):
  """Every gold answer in the folder, in other words and near misses: `pytest -s` prints figures."""
  files = sorted(pathlib.Path(os.environ[DATA]).rglob('*.jsonl'))
  for path in files:
    rows = map(json.loads, path.read_text(encoding='utf-8').splitlines())
    golds = [answers.gold_answer(row['answer']) for row in rows if 'answer' in row]
    for side, (pairs, *errors) in zip(('right', 'wrong'), figures(golds)):
      print(f'\n{path}: {len(golds)} gold answers, {len(pairs)} {side} texts', end='')
      for grader, found in zip(grading.OWN, errors):
        print(f'; {len(found)} errors of {grader}, e.g. {found[:3]}' if found else
              f'; no error of {grader}', end='')
        assert len(found) <= len(pairs) / 1000
  assert files


@pytest.mark.parametrize('gold,other', answer_forms.ALGEBRA)
def test_algebra_needs_no_library(gold, other, monkeypatch):
  monkeypatch.setattr(grading, '_pool', None)  # would raise
  pair = [(f'so it is \\boxed{{{other}}}.', f'\\boxed{{{gold}}}')]
  assert grading.are_correct('exact', pair) == [True]
  assert grading.are_correct('math', pair) == [True]


LIBRARY = ((r'\sum_{n=1}^{10} n', '55', True), (r'\sum_{n=1}^{10} n', '54', False),
           (r'\prod_{n=1}^{5} n', '120', True), (r'\lim_{n \to 3} n^2', '9', True),
           (r'\int_{0}^{1} 3x^2 \, dx', '1', True), (r'\sum_{n=1}^{3} 10^{-9n}', '0', False),
           (r'\sum_{n=1}^{3} n \text{ or so}', '6', False))


@pytest.mark.parametrize('gold,other,equal', LIBRARY)
def test_what_the_kinds_cannot_read_is_the_librarys(library, gold, other, equal):
  pair = [(f'so it is \\boxed{{{other}}}.', f'\\boxed{{{gold}}}')]
  assert grading.are_correct('exact', pair) == [False]
  assert grading.are_correct('math', pair) == [equal]
  assert grading.are_equal('math', [(gold, other), (other, gold)]) == [equal, equal]


def test_votes_are_symmetric_and_do_not_round():
  pairs = [('3.14', r'\pi'), (r'\pi', '3.14'), ('2/3', '0.67'), (r'2\sqrt2', r'\sqrt8'), ('x=5', '5'),
           ('50%', '0.5')]
  assert grading.are_equal('exact', pairs) == [False, False, False, True, True, False]
  assert grading.are_correct('exact', [(f'#### {a}', b) for a, b in pairs]) == [
      False, True, True, True, True, True]


@pytest.mark.parametrize('gold,other', answer_forms.TRAPS)
def test_what_the_library_could_take_for_right(library, gold, other):
  assert grading.are_correct('math', [(f'#### {other}', gold)]) == [False]


def test_hundredths_are_said_either_way():
  pairs = [(r'#### 50\%', '0.5'), ('#### 0.5', r'50\%'), ('#### 50', r'50\%'), (r'#### 50\%', '0.6')]
  assert grading.are_correct('exact', pairs) == [True, True, True, False]


def test_the_last_answer_counts(library):
  texts = [r'\boxed{\sqrt{8}} or \boxed{3}', r'\boxed{3} or \boxed{\sqrt{8}}', 'no answer', '']
  assert grading.are_correct('math', [(t, r'2\sqrt{2}') for t in texts]) == [
      False, True, False, False]


@pytest.mark.parametrize('text,one', [
    ('5', True), (r'\frac{1}{2}', True), (r'\{1,2\}', True), (r'\left\{ x \right\}', True),
    (r'1\\2', True), ('', False), ('5\\', False), (r'5} \boxed{7', False), ('}{', False),
    ('{5', False), ('5}', False), (r'\boxed{5}', False), (r'\fbox{5}', False), (r'\}{', False)])
def test_what_is_asked_about_is_one_box(text, one):
  assert grading._one_group(text) == one


def test_too_long_is_wrong_unread(library, monkeypatch):
  monkeypatch.setattr(grading, '_pool', None)  # would raise
  long = '1+' * answers.MAX_LENGTH + '1'
  assert grading.are_correct('math', [(f'#### {long}', '2'), ('#### 2', long)]) == [False, False]


def test_heavy_answers_are_not_even_asked_about(library, monkeypatch):
  monkeypatch.setattr(grading, '_pool', None)  # would raise
  pairs = [(text, '5') for text in HOSTILE if grading._HEAVY.search(text)]
  assert len(pairs) > 5
  assert not any(grading.are_equal('math', pairs))
  assert grading.are_equal('math', [(r'\sum_{i=1}^{10^9} \sin i \cdot 100000', r'\int 5 dx')]) == [None]


def test_hostile_answers_cost_their_limit_and_no_neighbour(workers, monkeypatch):
  near = [(rf'\boxed{{{n}}}', rf'\sum_{{i=1}}^{{{n}}} 1') for n in range(2, 2 + len(HOSTILE))]
  hostile = [(f'#### {text}', r'\sum_{i=1}^{5} i') for text in HOSTILE]
  mixed = [pair for two in zip(near, hostile) for pair in two]
  pool = workers(2, SECONDS)
  monkeypatch.setattr(grading, '_pool', lambda: pool)
  begun = time.monotonic()
  assert grading.are_correct('math', mixed) == [True, False] * len(HOSTILE)
  # A limit and a start each, two workers side by side; starts wait for a busy machine.
  assert time.monotonic() - begun < len(HOSTILE) * (SECONDS + 4)


def test_a_pair_at_its_limit_is_unknown_and_its_neighbours_are_not(workers):
  pool = workers(2, SECONDS)
  pairs = [pair for text in HOSTILE if len(text) < 400 for pair in (('5', text), ('2', '2.0'))]
  found = pool.equal(pairs)
  assert found[1::2] == [True] * (len(pairs) // 2)
  assert True not in found[::2] and None in found[::2]


def test_verdicts_do_not_depend_on_the_number_of_workers(workers):
  pairs = [*answer_forms.ALGEBRA, *answer_forms.TRAPS[:8]]
  few, many = workers(1).equal(pairs), workers(3).equal(pairs[::-1])[::-1]
  assert few == many and 10 < sum(map(bool, few)) < len(few)


def test_a_worker_at_its_limit_is_ended_by_the_kernel(workers):
  """And not by the parent, whose clock runs on when others use the processor."""
  pool = workers(1, 0.3)
  assert pool.equal([('1', '1.0')]) == [True]
  worker, = pool._workers
  assert pool.equal([('5', '9^{9^{9^9}}'), ('2', '2.0')]) == [None, True]
  assert worker._process.returncode == -signal.SIGPROF


def test_a_worker_that_waits_is_replaced(workers):
  """Stopped, it uses no processor time: the parent's deadline ends it."""
  pool = workers(1, 0.2)
  assert pool.equal([('1', '1.0')]) == [True]
  stopped, = pool._workers
  os.kill(stopped._process.pid, signal.SIGSTOP)
  begun = time.monotonic()
  assert pool.equal([('2', '2.0'), ('3', '3.0')]) == [None, True]
  assert time.monotonic() - begun < 30
  assert stopped._process.returncode == -signal.SIGKILL and len(pool._workers) == 1


def test_a_killed_worker_is_replaced(workers):
  pool = workers(1)
  assert pool.equal([('1', '1.0')]) == [True]
  pool._workers[0]._process.kill()
  pool._workers[0]._process.wait()
  assert pool.equal([('2', '2.0')]) == [True]


def test_results_are_cached(workers):
  pool = workers(1)
  assert pool.equal([('1', '1.0'), ('1', '2'), ('1', '1.0')]) == [True, False, True]
  pool.close()
  assert pool.equal([('1', '2'), ('1', '1.0')]) == [False, True]
  assert not pool._workers


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='reads /proc')
def test_workers_have_a_limit_of_memory_and_end_with_their_parent(library):
  code = ('import os, signal\nfrom tts.answers import workers\n'
          'pool = workers.WorkerPool(1, memory_bytes=1 << 29)\npool.equal([("1", "1.0")])\n'
          'pid = pool._workers[0]._process.pid\n'
          'print(pid, *[l for l in open(f"/proc/{pid}/limits") if "address space" in l],'
          '"jax" in open(f"/proc/{pid}/maps").read(), flush=True)\n'
          'os.kill(os.getpid(), signal.SIGKILL)')
  run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=120,
                       check=False)
  pid, said = run.stdout.split(maxsplit=1)
  assert str(1 << 29) in said and said.split()[-1] == 'False', run.stderr
  for _ in range(100):
    if not pathlib.Path(f'/proc/{pid}').exists() or 'Z' in pathlib.Path(
        f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]:
      return
    time.sleep(0.1)
  raise AssertionError('the worker outlives its parent')


def test_exact_starts_nothing(monkeypatch):
  monkeypatch.setattr(subprocess, 'Popen', None)  # would raise
  pairs = [(text, gold) for gold, other in answer_forms.ALGEBRA for text in
           (f'#### {gold}', f'#### {other}', other)]
  assert grading.are_correct('exact', pairs) == [answers.is_correct(*p) for p in pairs]


def test_a_missing_library_and_a_wrong_name_are_input_errors(monkeypatch):
  monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
  grading.check('exact')
  with pytest.raises(InputError, match=r'pip install -e "\.\[math\]"'):
    grading.are_correct('math', [])
  with pytest.raises(InputError, match='exact, math'):
    grading.check('maths')


def test_a_worker_that_cannot_start_is_an_error(workers, monkeypatch, tmp_path):
  (tmp_path / 'worker.py').write_text('')
  monkeypatch.setattr(workers_lib, '_WORKER', tmp_path / 'worker.py')
  with pytest.raises(RuntimeError, match='before it was ready'):
    workers(2).equal([('1', '1.0')])


def test_a_grader_of_ones_own_reads_the_question():
  class Anagram(graders.Grader):
    def right(self, question, answer, gold):
      return sorted(question.strip()) == sorted(answer)

    def equal(self, answer, other):
      return sorted(answer) == sorted(other)

  graders.GRADERS.add('anagram_of_a_test', Anagram, Anagram())
  pairs = [('#### dab', 'abd'), ('#### abc', 'abd'), ('nothing', 'abd')]
  assert grading.are_correct('anagram_of_a_test', pairs, ['bad\n'] * 3)[:2] == [True, False]
  assert grading.are_right('anagram_of_a_test', [(None, 'abd')], ['bad']) == [False]
  assert grading.are_equal('anagram_of_a_test', [('ab', 'ba'), ('ab', 'ac')]) == [True, False]
  found = find_equal_answers.of_rows('anagram_of_a_test', [
      {'problem_id': 'q', 'slot': i, 'answer': a, 'truncated': False}
      for i, a in enumerate(('listen', 'silent', 'listens'))])
  assert [set(pair) for pair in found.of('q')] == [{'listen', 'silent'}]
