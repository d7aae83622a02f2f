"""Commands of benchmarks start, and say in one line what they lack."""

import subprocess
import sys

import pytest

from results.rebuild import pages


@pytest.mark.parametrize('name, lacks', [
    ('seeds', '--workdirs'), ('power', '--dev'), ('publish', '--workdir')])
def test_without_flags_one_line_says_what_is_missing(name, lacks):
  done = subprocess.run([sys.executable, '-m', f'benchmarks.{name}'], cwd=pages.ROOT,
                        capture_output=True, text=True, check=False)
  assert done.returncode == 2, done.stderr
  assert done.stderr.startswith(f'error: {lacks}') and done.stderr.count('\n') == 1
