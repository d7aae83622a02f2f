"""Blocks of Python in README and docs that read a run, on the smoke study's."""

import pytest

from tests.pages import pages


@pytest.mark.parametrize('block', [b for b in pages.blocks('python') if pages.runs_on_a_run(b)],
                         ids=lambda b: b.where)
def test_it_runs_on_a_run(block, smoke, launcher):
  text = block.text.replace(pages.RUN, str(smoke))
  done = launcher.python.run('-c', text, timeout=900)
  assert done.returncode == 0, done.stderr[-3000:]
  assert done.stdout.strip()
