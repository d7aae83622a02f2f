"""Several real processes of one run, joined by `jax.distributed`, end with one process's files."""

import contextlib
import pathlib
import re
import shutil
import socket
import subprocess
import time

import numpy as np
import pytest

import jax
from launch import common
from tests import bucket_server
from tests.launch.conftest import ROOT, SMOKE, Launcher, command, record_hashes
from tts.data import buckets, gcs
from tts.train import checkpoint
from tts.types import InputError


def start(launcher, module, num, *flags, config=SMOKE, devices=2, env=lambda process: {}):
  """Starts all processes of a command; their standard errors are text."""
  with socket.socket() as free:
    free.bind(('localhost', 0))
    port = free.getsockname()[1]
  xla = re.sub('count=[0-9]+', f'count={devices}', launcher.env['XLA_FLAGS'])
  return [subprocess.Popen(
      command(module, config, f'--coordinator=localhost:{port}', f'--num_processes={num}',
              f'--process_id={i}', '--heartbeat_seconds=10', *flags),
      cwd=ROOT, env=launcher.env | {'XLA_FLAGS': xla} | env(i), text=True,
      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
          for i in range(num)]


def finish(processes, timeout=900):
  """(status, standard output, standard error) of each."""
  try:
    texts = [p.communicate(timeout=timeout) for p in processes]
  finally:
    for p in processes:
      p.kill()
  return [(p.returncode, *t) for p, t in zip(processes, texts)]


def wait_for(process, text):
  """Reads a process's standard error up to a line with `text`."""
  for line in process.stderr:
    if text in line:
      return
  raise AssertionError(f'{text!r} was not said')


@pytest.fixture
def copy(smoke, tmp_path):
  return shutil.copytree(smoke, tmp_path / 'w')


def test_two_processes_write_what_one_writes_and_the_first_alone_speaks(launcher, smoke, copy):
  """A pool of chains, of which each process has a block, and a verifier that the first trains."""
  chains, = (copy / 'records' / 'revision_orms').glob('revision-*')
  shutil.rmtree(chains)
  shutil.rmtree(copy / 'models' / 'revision_orm_alone')
  first, second = finish(start(launcher, 'train_revision', 2, f'--workdir={copy}'))
  assert first[0] == second[0] == 0, (first[2][-2000:], second[2][-2000:])
  assert 'revision_orms' in first[2] and second[1:] == ('', '')
  assert record_hashes(copy) == record_hashes(smoke)
  trained, before = (checkpoint.load_model(w / 'models' / 'revision_orm_alone')[1]
                     for w in (copy, smoke))
  jax.tree.map(np.testing.assert_array_equal, trained, before)
  assert not (copy / 'stale').exists() and not list((copy / 'tmp').iterdir())


@pytest.mark.slow
def test_hosts_that_share_nothing_but_a_bucket(launcher, smoke, copy, tmp_path, monkeypatch):
  """Each has its own copy; what was made with two goes on with one, on a third machine."""
  pytest.importorskip('google.cloud.storage')
  pytest.importorskip('gcp_storage_emulator')
  shutil.rmtree(copy / 'records' / 'search' / 'beam-m4-n4')
  workdir = '--workdir=gs://bucket/runs/w'
  with bucket_server.running() as at:
    machine = lambda name: at | {'XDG_CACHE_HOME': str(tmp_path / f'machine-{name}')}
    for name, value in machine('mine').items():
      monkeypatch.setenv(name, value)
    gcs.client.cache_clear()
    with buckets.opened('gs://bucket/runs/w') as here:
      shutil.copytree(copy, here, dirs_exist_ok=True)
    for ended in finish(start(launcher, 'search', 2, workdir, env=machine)):
      assert ended[0] == 0, ended[2][-2000:]
    with contextlib.closing(Launcher(launcher.env | machine('third'))) as third:
      third.ok('report', workdir)
      third.ok('diff', 'gs://bucket/runs/w', str(smoke))
      assert 'no run.json' in third.error('report', '--workdir=gs://bucket/runs')
    found = pathlib.Path(buckets.local('gs://bucket/runs/w'))
    assert record_hashes(found) == record_hashes(smoke)
    assert (found / 'report' / 'index.html').exists() and not (found / 'tmp').exists()
    assert not (found / 'stale').exists()
  gcs.client.cache_clear()


@pytest.mark.slow
def test_all_stop_when_one_dies_and_another_number_goes_on(launcher, smoke, copy):
  shutil.rmtree(copy / 'records' / 'search' / 'beam-m4-n4')
  first, second = start(launcher, 'search', 2, f'--workdir={copy}')
  wait_for(first, 'search')
  second.kill()
  killed = time.monotonic()
  (status, _, said), _ = finish([first, second], timeout=120)
  assert status not in (0, 2) and time.monotonic() - killed < 60
  # Ours, or the runtime's own where it was faster.
  assert re.search(r'process 1 of 2 is gone|unhealthy \(stopped sending heartbeats\):\s+1\b', said)
  assert set(record_hashes(copy).items()) < set(record_hashes(smoke).items())
  launcher.ok('search', SMOKE, f'--workdir={copy}')
  assert record_hashes(copy) == record_hashes(smoke)


def test_a_place_among_processes_is_told_whole_or_not_at_all(launcher, tmp_path):
  flags = SMOKE, f'--workdir={tmp_path / "w"}'
  assert '--coordinator and --process_id' in launcher.error('search', *flags, '--num_processes=2')
  assert 'process_id' in launcher.error('search', *flags, '--coordinator=localhost:1',
                                        '--num_processes=2', '--process_id=2')
  assert not (tmp_path / 'w').exists()


def test_a_machine_that_does_not_know_its_own_name(monkeypatch):
  def initialize(*_, **__):
    raise RuntimeError('[enforce fail at external/gloo/transport/tcp/device.cc:99] rv == 0. -2 vs 0')

  monkeypatch.setattr(jax.distributed, 'initialize', initialize)
  with pytest.raises(InputError, match='cannot look up its own name.*/etc/hosts'):
    common.join_processes('localhost:1', 2, 0, 10)


@pytest.mark.slow
@pytest.mark.parametrize('num, devices', [(2, 1), (4, 2)])
def test_a_whole_run_is_the_same_on_any_number_of_processes(launcher, smoke, tmp_path, num,
                                                            devices):
  ended = finish(start(launcher, 'reproduce', num, f'--workdir={tmp_path / "w"}',
                       devices=devices), timeout=3000)
  assert [status for status, *_ in ended] == [0] * num, ended[0][2][-2000:]
  assert record_hashes(tmp_path / 'w') == record_hashes(smoke)
  assert (tmp_path / 'w' / 'report' / 'results.json').exists()
