"""Processes that share a model, or a training, do what one process with all their devices does."""

import json
import shutil
import time

import numpy as np
import pytest

import jax
from tests.launch.conftest import SMOKE, record_hashes
from tests.launch.hosts_test import finish, start
from tts.train import checkpoint

MODEL, TRAIN = '--config.mesh.model=2', '--config.mesh.train=-1'


def params(workdir, name):
  return checkpoint.load_model(workdir / 'models' / name)[1]


def same_models(one, two, names):
  for name in names:
    jax.tree.map(np.testing.assert_array_equal, params(one, name), params(two, name))


def finished(processes, timeout=900):
  for status, _, said in finish(processes, timeout):
    assert status == 0, said[-2000:]


def steps(workdir):
  """That the trainings of `mid` have said."""
  lines = (workdir / 'metrics' / 'mid.jsonl').read_text().splitlines()
  return [json.loads(line)['step'] for line in lines]


@pytest.fixture
def copies(smoke, tmp_path):
  return [shutil.copytree(smoke, tmp_path / name) for name in ('one', 'two')]


@pytest.mark.slow
def test_two_processes_with_a_device_each_share_models(launcher, copies):
  """They agree on what is missing: a block that is gone, and one that is damaged."""
  one, two = copies
  folder = 'records/search/beam-m4-n4'
  shutil.rmtree(one / folder)
  launcher.ok('search', SMOKE, f'--workdir={one}', MODEL)
  shutil.rmtree(two / folder)
  shutil.copytree(one / folder, two / folder)
  first, second, third = sorted((two / folder).glob('*.gz'))
  first.unlink()
  second.write_bytes(second.read_bytes()[:-9])
  kept = third.stat().st_mtime_ns
  finished(start(launcher, 'search', 2, f'--workdir={two}', MODEL, devices=1))
  assert record_hashes(two) == record_hashes(one) and third.stat().st_mtime_ns == kept
  stale, = (two / 'stale' / folder).iterdir()
  assert stale.name.startswith(second.name) and not list((two / 'tmp').iterdir())


@pytest.mark.slow
def test_two_processes_share_a_training_that_is_killed_and_goes_on(launcher, copies):
  one, two = copies
  for workdir in copies:
    shutil.rmtree(workdir / 'models' / 'mid')
  before = steps(two)
  launcher.ok('train_lm', SMOKE, f'--workdir={one}', TRAIN)
  again = lambda: start(launcher, 'train_lm', 2, f'--workdir={two}', TRAIN, devices=1)
  processes = again()
  while not [p for p in (two / 'train').glob('*/*') if p.name.isdigit()]:
    assert processes[0].poll() is None
    time.sleep(0.05)
  processes[1].kill()
  (status, *_), _ = finish(processes, timeout=120)
  assert status not in (0, 2) and not (two / 'models' / 'mid').exists()
  finished(again())
  same_models(one, two, ['mid'])
  mine = steps(two)[len(before):]
  assert mine.count(mine[0]) == 1  # it did not start over
  assert not list((two / 'train').iterdir())


@pytest.mark.slow
@pytest.mark.parametrize('num', [2, 4])
def test_a_whole_run_of_processes_that_share_everything(launcher, tmp_path, num):
  """Of a device each: one team that shares models, or two."""
  one, many = tmp_path / 'one', tmp_path / 'many'
  for workdir, processes, devices in ((one, 1, num), (many, num, 1)):
    finished(start(launcher, 'reproduce', processes, f'--workdir={workdir}', MODEL, TRAIN,
                   devices=devices), timeout=3000)
  same_models(one, many, [p.name for p in (one / 'models').iterdir()])
  assert record_hashes(one) == record_hashes(many)
  assert (many / 'report' / 'results.json').exists()
