"""A run that is killed at any moment ends, started again, with the same records."""

import random
import shutil
import subprocess
import time

import pytest

from tests.launch.conftest import ROOT, SMOKE, command, record_hashes


def written(workdir):
  """When each block was."""
  return {p: p.stat().st_mtime_ns for p in (workdir / 'records').rglob('*.gz')}


def progress(workdir):
  """Blocks, checkpoints and models that are there."""
  checkpoints = (p for p in (workdir / 'train').glob('*/*') if p.name.isdigit())
  return {*written(workdir), *checkpoints, *(workdir / 'models').glob('[a-z]*')}


def kill_and_finish(launcher, module, workdir, reference, kills, seconds, seed):
  """Kills a command `kills` times, each within `seconds` of new progress, then lets it finish.

  Fewer times where it is faster than that: once at least.
  """
  rng, killed = random.Random(seed), 0
  for _ in range(kills):
    there, blocks = progress(workdir), written(workdir)
    process = launcher.start(module, SMOKE, f'--workdir={workdir}')
    while not progress(workdir) - there and process.poll() is None:
      time.sleep(0.05)
    time.sleep(rng.uniform(0, seconds))
    process.kill()
    killed += process.wait() != 0
    assert written(workdir).items() >= blocks.items()  # what is there is not computed again
  assert killed
  launcher.ok(module, SMOKE, f'--workdir={workdir}')
  assert record_hashes(workdir) == record_hashes(reference)


@pytest.mark.slow
def test_three_kills(launcher, smoke, tmp_path):
  """One of a training, two of a search."""
  workdir = shutil.copytree(smoke, tmp_path / 'w')
  shutil.rmtree(workdir / 'models' / 'mid')
  kill_and_finish(launcher, 'train_lm', workdir, smoke, kills=1, seconds=0.5, seed=0)
  assert (workdir / 'models' / 'mid' / 'model.json').exists()
  for folder in ('search/beam-m4-n4', 'search/sample-n4'):
    shutil.rmtree(workdir / 'records' / folder)
  kill_and_finish(launcher, 'search', workdir, smoke, kills=2, seconds=0.5, seed=0)


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
  assert record_hashes(workdir).items() <= record_hashes(smoke).items()


@pytest.mark.slow
def test_ten_kills(launcher, smoke, tmp_path):
  kill_and_finish(launcher, 'reproduce', tmp_path / 'w', smoke, kills=10, seconds=12, seed=1)
