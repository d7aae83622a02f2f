"""Blocks of Python in README and docs: compiled, and run where they need nothing that is not there.

Those that read a run (`/tmp/tts-quickstart`) run on the smoke study's: tests/launch/pages_test.py.
"""

import json
import subprocess
import sys

import pytest

from tests.pages import pages

BLOCKS = pages.blocks('python')


@pytest.mark.parametrize('block', BLOCKS, ids=lambda b: b.where)
def test_it_compiles_and_imports_what_it_uses(block):
  compile(block.text, block.where, 'exec')
  assert max(map(len, block.text.splitlines())) <= 110, block.where


@pytest.mark.parametrize('block', [b for b in BLOCKS if pages.runs_alone(b)], ids=lambda b: b.where)
def test_it_runs(block, tmp_path):
  # In a process of its own: what a plugin registers stays registered.
  done = subprocess.run([sys.executable, '-c', block.text], cwd=tmp_path, text=True,
                        capture_output=True, env=pages.environment())
  assert done.returncode == 0, done.stderr


def test_blocks_are_of_all_three_kinds():
  alone, on_a_run = (sum(map(kind, BLOCKS)) for kind in (pages.runs_alone, pages.runs_on_a_run))
  assert alone >= 5 and on_a_run >= 3 and len(BLOCKS) > alone + on_a_run


@pytest.mark.parametrize('block', pages.blocks('json'), ids=lambda b: b.where)
def test_lines_of_json_are_objects(block):
  assert all(isinstance(json.loads(line), dict) for line in block.text.splitlines())
