"""The generated benchmark: right, level, reproducible, split without overlap."""

import collections
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tts.data import arith
from tts.types import InputError
from tts.types import Problem

CONFIG = arith.ArithConfig(
    sizes=(('lm', 1500), ('validation', 100), ('test', 400))
)

GOLDEN = Problem(
    id='arith-test-ccfe542da722',
    prompt='13;+4;-14;+14;*7\n',
    answer='119',
    level=4,
    solution='13+4=17\n17-14=3\n3+14=17\n17*7=119\n#### 119',
)


@pytest.fixture(scope='module')
def splits():
  return {name: list(arith.generate(CONFIG, name)) for name, _ in CONFIG.sizes}


def _parse(prompt):
  first, *steps = prompt.strip().split(';')
  return int(first), [(step[0], int(step[1:])) for step in steps]


def test_solutions_hold_by_independent_arithmetic(splits):
  for problem in splits['lm']:
    first, steps = _parse(problem.prompt)
    *lines, last = problem.solution.split('\n')
    value = first
    assert len(lines) == len(steps)
    for line, (op, operand) in zip(lines, steps):
      left, right = line.split('=')
      assert left == f'{value}{op}{operand}'
      value = {'+': value + operand, '-': value - operand, '*': value * operand}[op]
      assert int(right) == value and 0 <= value <= CONFIG.max_value
    assert last == f'#### {value}' and problem.answer == str(value)
    assert problem.prompt.endswith('\n') and not problem.solution.endswith('\n')


def test_operands_stay_in_range():
  config = arith.ArithConfig(ranges=(5,), max_ops=5, max_value=30, sizes=(('lm', 500),))
  seen = collections.Counter()
  for problem in arith.generate(config, 'lm'):
    first, steps = _parse(problem.prompt)
    assert 1 <= first < 5 and 1 <= len(steps) <= 5
    for op, operand in steps:
      assert (2 if op == '*' else 1) <= operand < 5
      seen[op] += 1
  assert set(seen) == set('+-*')


def test_a_problem_and_its_mirror_image_are_one(splits):
  def canonical(problem):
    first, ((op, operand), *rest) = _parse(problem.prompt)
    pair = (first, operand) if op == '-' else tuple(sorted((first, operand)))
    return pair, op, tuple(rest)

  repeats = [p for p in splits['lm'] if '-again' in p.id]
  problems = [p for split in splits.values() for p in split if p not in repeats]
  assert len({canonical(p) for p in problems}) == len(problems) == 2000 - len(repeats)
  originals = {canonical(p) for p in splits['lm'] if p not in repeats}
  assert repeats and {canonical(p) for p in repeats} <= originals
  assert len({p.id for p in problems}) == len(problems)


def test_mirror_images_hash_alike():
  assert arith._canonical(12, [('+', 7), ('-', 3)]) == arith._canonical(7, [('+', 12), ('-', 3)])
  assert arith._canonical(9, [('*', 3)]) == arith._canonical(3, [('*', 9)])
  assert arith._canonical(9, [('-', 3)]) != arith._canonical(3, [('-', 9)])


def test_generation_depends_on_the_seed_alone(splits):
  assert list(arith.generate(CONFIG, 'test')) == splits['test']
  other = dataclasses.replace(CONFIG, seed=1)
  assert list(arith.generate(other, 'test')) != splits['test']


def test_generated_problems_are_the_committed_ones(splits):
  # Another first problem means that every run under an old id is about another
  # question: raise `Family.VERSION` with it.
  assert splits['test'][0] == GOLDEN


def test_operation_counts_are_about_uniform(splits):
  count = collections.Counter(p.prompt.count(';') for p in splits['lm'])
  assert set(count) == {1, 2, 3, 4, 5, 6}
  for ops in (3, 4, 5, 6):
    assert 0.14 < count[ops] / 1500 < 0.25
  assert count[1] > 100  # nearly all that exist in this split


def test_a_prefix_of_a_split_is_a_fair_sample(splits):
  level = [p.level for p in splits['lm']]
  assert abs(sum(level[:500]) / 500 - sum(level[-500:]) / 500) < 0.3


def test_levels_are_about_fifths():
  config = arith.ArithConfig(sizes=(('lm', 40_000), ('test', 4000)))
  count = collections.Counter(p.level for p in arith.generate(config, 'test'))
  assert set(count) == {1, 2, 3, 4, 5}
  assert all(0.14 < n / 4000 < 0.26 for n in count.values())


@pytest.mark.parametrize(
    'change,word',
    [
        ({'max_ops': 0}, 'max_ops'),
        ({'ranges': ()}, 'ranges'),
        ({'ranges': (2, 5)}, 'ranges'),
        ({'max_value': 10}, 'max_value'),
        ({'sizes': (('lm', 0),)}, 'sizes'),
        ({'sizes': (('lm', 5), ('lm', 6))}, 'sizes'),
    ],
)
def test_a_bad_configuration_is_named(change, word):
  with pytest.raises(InputError, match=f'arith.{word}'):
    arith.ArithConfig(**change)


def test_too_few_problems_is_an_error_that_ends():
  config = arith.ArithConfig(max_ops=1, ranges=(5,), sizes=(('test', 1000),))
  with pytest.raises(InputError, match='only 2[0-9] exist'):
    list(arith.generate(config, 'test'))


def test_prepared_problems_are_the_generated_ones(splits, tmp_path, capfd):
  assert arith.Arith.load(CONFIG, 'test', str(tmp_path)) == splits['test']
  written = {p: p.stat().st_mtime_ns for p in tmp_path.rglob('*array_record*')}
  assert len(written) == 3
  assert arith.Arith.load(CONFIG, 'lm', str(tmp_path)) == splits['lm']
  assert written == {p: p.stat().st_mtime_ns for p in tmp_path.rglob('*array_record*')}
  other = dataclasses.replace(CONFIG, seed=1)
  assert arith.Arith.load(other, 'test', str(tmp_path)) != splits['test']
  assert capfd.readouterr() == ('', '')


def test_a_preparation_that_loses_the_race_reads_the_other(splits, tmp_path, monkeypatch):
  def beaten(self, **kwargs):
    prepare(self, **kwargs)
    raise OSError('Directory not empty')

  prepare = arith.Arith.download_and_prepare
  monkeypatch.setattr(arith.Arith, 'download_and_prepare', beaten)
  assert arith.Arith.load(CONFIG, 'test', str(tmp_path)) == splits['test']


def test_a_killed_preparation_leaves_nothing_that_is_read(splits, tmp_path):
  code = (
      'import sys, time\n'
      'from tts.data import arith\n'
      'generate = arith.generate\n'
      'def slow(config, split):\n'
      '  yield from generate(config, split)\n'
      '  if split == "validation": time.sleep(60)\n'
      'arith.Arith.generate = staticmethod(slow)\n'
      'arith.Arith.load(arith.ArithConfig(sizes=(("lm", 1500), ("validation", 100),'
      ' ("test", 400))), "test", sys.argv[1])\n'
  )
  root = pathlib.Path(__file__).parents[2]
  process = subprocess.Popen([sys.executable, '-c', code, tmp_path], cwd=root)
  try:
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob('*lm.array_record*')):
      assert process.poll() is None and time.monotonic() < deadline
      time.sleep(0.05)
  finally:
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
  assert list(tmp_path.rglob('incomplete*'))
  assert arith.Arith.load(CONFIG, 'test', str(tmp_path)) == splits['test']


@pytest.mark.parametrize('file', ['arith-test.array_record*', 'dataset_info.json'])
def test_damaged_files_are_named(tmp_path, file):
  config = arith.ArithConfig(sizes=(('lm', 20), ('test', 20)))
  arith.Arith.load(config, 'test', str(tmp_path))
  path, = tmp_path.rglob(file)
  path.write_bytes(path.read_bytes()[:len(path.read_bytes()) // 2])
  with pytest.raises(InputError, match=f'{tmp_path} are damaged .* remove that folder'):
    arith.Arith.load(config, 'test', str(tmp_path))
