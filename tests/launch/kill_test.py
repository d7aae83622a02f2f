"""A run that is killed at any moment ends, started again, with the same records."""

import random
import time

import pytest

from tests.launch.conftest import SMOKE, record_hashes


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


@pytest.mark.slow
def test_ten_kills(launcher, smoke, tmp_path):
  kill_and_finish(launcher, tmp_path / 'w', smoke, kills=10, seconds=25, seed=1)
