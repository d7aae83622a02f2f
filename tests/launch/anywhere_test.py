"""Launchers start from any folder once the project is installed, in a checkout or as a wheel."""

from concurrent import futures
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from tests.launch.conftest import ROOT, command, environment
from tts.command import COMMAND, launchers

PLACE = 'from tts import presets; print(presets.ROOT)'


def installed_wheel(folder: pathlib.Path) -> pathlib.Path:
  """Builds the wheel and installs it where else only what this process imports is; its bin."""
  pytest.importorskip('setuptools', '70.1')  # older ones need another package to build a wheel
  source = folder / 'source'  # a copy: building leaves files where it builds
  for name in ('tts', 'launch', 'configs'):
    shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns('__pycache__'))
  for name in ('setup.py', 'pyproject.toml'):
    shutil.copy(ROOT / name, source)
  pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check']
  # A checkout on PYTHONPATH would count as installed.
  env = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
  for words in (
      [*pip, 'wheel', '-q', '--no-deps', '--no-build-isolation', f'--wheel-dir={folder}',
       str(source)],
      [sys.executable, '-m', 'venv', '--without-pip', str(folder / 'env')]):
    subprocess.run(words, check=True, capture_output=True, timeout=300, env=env)
  wheel, = folder.glob('*.whl')
  packages, = folder.glob('env/lib/python*/site-packages')
  # As lines of a file, so that an editable install among them is none there.
  (packages / 'others.pth').write_text(''.join(
      f'{path}\n' for path in sys.path if path.endswith('-packages')))
  python = folder / 'env/bin/python'
  subprocess.run([*pip, f'--python={python}', 'install', '-q', '--no-deps', '--no-index',
                  str(wheel)], check=True, capture_output=True, timeout=300, env=env)
  assert {p.name for p in packages.iterdir()} - {'__pycache__', 'others.pth'} == {
      'tts', wheel.name.removesuffix('-py3-none-any.whl') + '.dist-info'}
  return python.parent


@pytest.fixture(scope='module', params=[
    'editable', pytest.param('wheel', marks=pytest.mark.slow)])
def start(request, shared, tmp_path_factory):
  """Runs a launcher in a folder: of `pip install -e .`, or of a wheel."""
  env = {k: v for k, v in environment(shared / 'cache').items() if k != 'PYTHONPATH'}
  if request.param == 'wheel':
    binaries = installed_wheel(tmp_path_factory.mktemp('built'))
    python, started = binaries / 'python', lambda name: [binaries / COMMAND, name]
  else:
    python, started = sys.executable, command
  at = lambda folder, *words: subprocess.run(words, cwd=folder, env=env, text=True,
                                             capture_output=True, timeout=300)
  run = lambda folder, name, *flags: at(folder, *started(name), *flags)
  found = at('/', python, '-c', PLACE).stdout.strip()
  run.root = pathlib.Path(found) if found else None
  if request.param == 'editable' and run.root != ROOT:
    pytest.skip('what is installed is not this checkout')
  return run


@pytest.mark.slow
def test_every_launcher(start, tmp_path):
  assert len(launchers()) > 15
  with futures.ThreadPoolExecutor(2) as pool:
    for name, done in zip(launchers(), pool.map(
        lambda name: start(tmp_path, name, '--help'), launchers())):
      assert done.returncode == 0 and 'Flags:\n' in done.stdout, (name, done.stderr[-2000:])


def test_a_config_is_found_where_the_launchers_lie(start, tmp_path):
  (tmp_path / 'configs').mkdir()  # of the user's own, and not in the way
  (tmp_path / 'configs/__init__.py').touch()
  for given in ('smoke:revisions', 'configs/smoke.py:revisions'):
    done = start(tmp_path, 'reproduce', f'--config={given}', '--describe', 'revision')
    assert done.returncode == 0 and '--config.revision.enabled=True' in done.stdout, done.stderr
    assert f'{start.root}/configs/smoke.py is taken' in done.stderr
  # One that reads another; and one of the user's comes first.
  assert start(tmp_path, 'reproduce', '--config', 'methods', '--describe').returncode == 0
  (tmp_path / 'configs/smoke.py').write_text(
      'from tts import presets\n\ndef get_config():\n'
      '  made = presets.module("quickstart").get_config()\n  made.name = "mine"\n  return made\n')
  done = start(tmp_path, 'reproduce', '--config=configs/smoke.py', '--describe')
  assert "--config.name='mine'" in done.stdout and 'is taken' not in done.stderr
  done = start(tmp_path, 'evaluate', '--config=configs/none.py', '--describe')
  said, = done.stderr.splitlines()
  assert done.returncode == 2 and said.startswith('error: --config=configs/none.py: there is no')
  assert os.fspath(tmp_path) in said and 'one of arithmetic, ' in said


def test_a_study(start, tmp_path):
  (tmp_path / 'f.jsonl').write_text(''.join(
      json.dumps({'problem': q, 'answer': '1', 'responses': ['#### 1', '#### 2'] * 2,
                  'scores': [0.9, 0.2, 0.8, 0.1]}) + '\n' for q in ('a?', 'b?', 'c?')))
  done = start(tmp_path, 'study', '--samples=f.jsonl', '--workdir=w')
  assert done.returncode == 0, done.stderr[-2000:]
  assert (tmp_path / 'w/report/index.html').exists()
