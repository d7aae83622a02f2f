"""Launchers as tests start them, and a smoke run of the real command that these tests share."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from tests.conftest import QUICK_TO_COMPILE
from tests.launch import forks

ROOT = pathlib.Path(__file__).parents[2]
SMOKE = '--config=configs/smoke.py:revisions'


def command(module: str, *flags: str) -> list[str]:
  return [sys.executable, '-m', f'launch.{module}', *flags]


def environment(cache: pathlib.Path) -> dict[str, str]:
  """The user's environment, but two devices and compiled programs kept between runs."""
  return os.environ | {
      'JAX_PLATFORMS': 'cpu',
      'XLA_FLAGS': f'--xla_force_host_platform_device_count=2 {QUICK_TO_COMPILE}',
      'JAX_COMPILATION_CACHE_DIR': str(cache), 'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0'}


def record_hashes(workdir: pathlib.Path) -> dict[str, str]:
  """SHA-256 of every record file, by its path in the workdir."""
  return {str(p.relative_to(workdir)): hashlib.sha256(p.read_bytes()).hexdigest()
          for p in sorted((workdir / 'records').rglob('*.jsonl.gz'))}


def copied_for_solving(workdir: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
  """A copy of what solving reads of a run."""
  for name in ('models', 'tokenizer'):
    shutil.copytree(workdir / name, folder / name)
  for name in ('run.json', 'policy.json', 'probe.json'):
    shutil.copy(workdir / name, folder / name)
  return folder


class Launcher:
  """Runs launchers from the repository's root, with one environment, in forks: see `forks.py`."""

  def __init__(self, env: dict[str, str]):
    self.env = env
    self.python = forks.Python(ROOT, env)

  def __call__(self, module: str, *flags: str, timeout: float = 900) -> subprocess.CompletedProcess:
    return self.python.run('-m', f'launch.{module}', *flags, timeout=timeout)

  def start(self, module: str, *flags: str) -> subprocess.Popen:
    return subprocess.Popen(command(module, *flags), cwd=ROOT, env=self.env,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

  def close(self) -> None:
    self.python.close()

  def ok(self, module: str, *flags: str) -> subprocess.CompletedProcess:
    done = self(module, *flags)
    assert done.returncode == 0, done.stderr[-3000:]
    return done

  def error(self, module: str, *flags: str) -> str:
    """The one line that a mistake prints; checks that it is one, and the exit status."""
    done = self(module, *flags)
    lines = [line for line in done.stderr.splitlines() if line.startswith('error: ')]
    assert done.returncode == 2, (done.returncode, done.stderr[-3000:])
    assert len(lines) == 1 and 'Traceback' not in done.stderr, done.stderr[-3000:]
    return lines[0]


@pytest.fixture(scope='session')
def shared(tmp_path_factory):
  """A folder that all processes of this test run see."""
  own = tmp_path_factory.getbasetemp()
  folder = (own.parent if 'PYTEST_XDIST_WORKER' in os.environ else own) / 'shared'
  folder.mkdir(exist_ok=True)
  return folder


@pytest.fixture(scope='session')
def launcher(shared):
  with contextlib.closing(Launcher(environment(shared / 'cache'))) as made:
    yield made


@pytest.fixture(scope='session')
def smoke(launcher, shared):
  """Workdir of a complete smoke run, made once. Tests read it and leave it as it is."""
  workdir = shared / 'smoke'
  with open(shared / 'lock', 'w') as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be at it
    if not (shared / 'smoke-done').exists():
      done = subprocess.run(command('reproduce', SMOKE, f'--workdir={workdir}'), cwd=ROOT,
                            env=launcher.env, text=True, capture_output=True, timeout=900)
      assert done.returncode == 0, done.stderr[-3000:]
      (shared / 'smoke-done').touch()
  return workdir
