"""A run that is killed at any moment ends, started again, with the same records."""

import random
import shutil
import subprocess
import time

import pytest

from tests.launch.conftest import ROOT, SMOKE, command, record_hashes


def kill_and_finish(launcher, workdir, reference, kills, seconds, seed):
  """Kills the run `kills` times at random moments of its `seconds`, then lets it finish."""
  rng = random.Random(seed)
  for _ in range(kills):
    process = launcher.start('reproduce', SMOKE, f'--workdir={workdir}')
    time.sleep(rng.uniform(1, seconds))
    process.kill()
    process.wait()
  launcher.ok('reproduce', SMOKE, f'--workdir={workdir}')
  assert record_hashes(workdir) == record_hashes(reference)


def test_three_kills(launcher, smoke, tmp_path):
  kill_and_finish(launcher, tmp_path / 'w', smoke, kills=3, seconds=12, seed=0)


def test_sigterm_ends_it_in_seconds_with_status_143(launcher, smoke, tmp_path):
  """Whatever the main thread is in: here it waits for a compiler, or for a block."""
  workdir = shutil.copytree(smoke, tmp_path / 'w')
  shutil.rmtree(workdir / 'records' / 'search' / 'beam-m4-n4')
  process = subprocess.Popen(command('search', SMOKE, f'--workdir={workdir}'), cwd=ROOT,
                             env=launcher.env, text=True, stderr=subprocess.PIPE)
  assert next(line for line in process.stderr if 'search' in line)
  process.terminate()
  begun = time.monotonic()
  _, said = process.communicate(timeout=60)
  assert process.returncode == 143 and time.monotonic() - begun < 30
  assert 'Traceback' not in said
  launcher.ok('search', SMOKE, f'--workdir={workdir}')
  assert record_hashes(workdir) == record_hashes(smoke)


@pytest.mark.slow
def test_ten_kills(launcher, smoke, tmp_path):
  kill_and_finish(launcher, tmp_path / 'w', smoke, kills=10, seconds=25, seed=1)
