"""Two runs side by side, on records that are made up."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from tests.eval import synthetic
from tests.launch.conftest import ROOT
from tts.eval.report import diff, results
from tts.eval.storage import records, runfiles


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
  """The same run twice, but for what one of its questions was answered and a field."""
  out = []
  for name in ('a', 'b'):
    folder = tmp_path_factory.mktemp(name)
    synthetic.write_run(folder)
    out.append(folder)
  path = next(p for p in records.blocks(out[1], 'search') if 'beam-m4-n16' in str(p)
              and 'plain' not in str(p))
  rows = records.read_block(path)
  first = rows[0]['problem_id']
  changed = [r | {'correct': not any(x['correct'] for x in rows if x['problem_id'] == first),
                  'answer': 'other'} if r['problem_id'] == first else r for r in rows]
  records.write_block(path, changed)
  run = records.read_json(out[1] / 'run.json')
  run['config']['search'] = (run['config'].get('search') or {}) | {'questions': 7}
  records.write_json(out[1] / 'run.json', run)
  return *out, first


def measured(folder):
  return results.measured(runfiles.load(folder))


def test_a_run_is_no_other_than_itself(folders):
  found = measured(folders[0])
  both = diff.pairs(found, found)
  assert len(both) > 10
  for name, x, y in both:
    made = diff.row(name, x, y)
    assert made['difference'] == made['better'] == made['worse'] == 0 and not diff.flipped(x, y)


def test_one_changed_question_is_the_only_one_that_flipped(folders):
  a, b, changed = folders
  differing = {name: diff.flipped(x, y) for name, x, y in diff.pairs(measured(a), measured(b))}
  (name, (flip,)), = ((n, f) for n, f in differing.items() if f)
  assert name == 'beam-m4-n16' and flip.problem_id == changed
  assert abs(flip.after - flip.before) == 1


def test_differences_are_paired_on_what_both_asked(folders):
  (name, x, _), *_ = (p for p in diff.pairs(*[measured(folders[0])] * 2) if p[0] == 'beam-m4-n16')
  half = dataclasses.replace(x, ids=x.ids[::2], accuracy=1 - x.accuracy[::2])
  made = diff.row(name, x, half)
  assert made['n'] == len(half.ids) and made['before'] == pytest.approx(x.accuracy[::2].mean())
  assert made['difference'] == pytest.approx((1 - 2 * x.accuracy[::2]).mean())
  assert made['better'] + made['worse'] == np.count_nonzero(x.accuracy[::2] != 0.5)


def test_configs_differ_leaf_by_leaf():
  a = {'x': {'y': 1, 'z': [1, 2]}, 'same': None}
  b = {'x': {'y': 2, 'z': [1, 2]}, 'same': None, 'new': 3}
  assert list(diff.config_differences(a, b)) == [
      ('config.new', diff.MISSING, 3), ('config.x.y', 1, 2)]


def command(*arguments):
  return subprocess.run([sys.executable, '-m', 'launch.diff', *map(str, arguments)], cwd=ROOT,
                        text=True, capture_output=True, timeout=300)


def test_the_command(folders):
  a, b, changed = folders
  shown = command(a, b, '--strategy=beam-m4-n16').stdout.splitlines()
  assert any(line.startswith('config.search') and '7' in line
             for line in shown)
  assert shown[-2].startswith('1 questions flipped by beam-m4-n16') and changed in shown[-1]
  missing = command(a)
  assert missing.returncode == 2 and 'error: W2 is missing: give W1 and W2' in missing.stderr
  assert 'unexpected argument' in command(a, b, 'c').stderr
