"""Launchers start from any folder once the project is installed."""

from concurrent import futures
import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests.launch.conftest import ROOT, command, environment

LAUNCHERS = sorted(p.stem for p in (ROOT / 'launch').glob('*.py')
                   if p.stem not in ('__init__', 'common', 'experiment'))


@pytest.fixture(scope='module', params=[
    'editable', pytest.param('wheel', marks=pytest.mark.slow)])
def start(request, shared, tmp_path_factory):
  """Runs a launcher in a folder: of `pip install -e .`, or of the packages that a wheel has."""
  env = {k: v for k, v in environment(shared / 'cache').items() if k != 'PYTHONPATH'}
  if request.param == 'wheel':
    pytest.importorskip('setuptools')
    built = tmp_path_factory.mktemp('built')
    subprocess.run([sys.executable, 'setup.py', '-q', 'build', f'--build-base={built}'], cwd=ROOT,
                   check=True, capture_output=True)
    env['PYTHONPATH'] = str(built / 'lib')
  run = lambda folder, *words: subprocess.run(words, cwd=folder, env=env, text=True,
                                              capture_output=True, timeout=300)
  found = run('/', sys.executable, '-c', 'import launch; print(launch.__file__)').stdout.strip()
  run.root = pathlib.Path(found).parents[1] if found else None
  if request.param == 'editable' and run.root != ROOT:
    pytest.skip('what is installed is not this checkout')
  return run


@pytest.mark.slow
def test_every_launcher(start, tmp_path):
  assert len(LAUNCHERS) > 15
  with futures.ThreadPoolExecutor(2) as pool:
    for name, done in zip(LAUNCHERS, pool.map(
        lambda name: start(tmp_path, *command(name, '--help')), LAUNCHERS)):
      assert done.returncode == 0 and 'Flags:\n' in done.stdout, (name, done.stderr[-2000:])


def test_a_config_is_found_where_the_launchers_lie(start, tmp_path):
  (tmp_path / 'configs').mkdir()  # of the user's own, and not in the way
  done = start(tmp_path, *command('reproduce', '--config=configs/smoke.py:revisions', '--describe'))
  assert done.returncode == 0 and '--config.name=' in done.stdout, done.stderr[-2000:]
  assert f'{start.root}/configs/smoke.py is taken' in done.stderr
  # One that reads another; and one of the user's comes first.
  assert start(tmp_path, *command('reproduce', '--config', 'configs/arithmetic.py', '--describe')
               ).returncode == 0
  (tmp_path / 'configs/smoke.py').write_text(
      'from configs import quickstart\n\ndef get_config():\n  made = quickstart.get_config()\n'
      '  made.name = "mine"\n  return made\n')
  done = start(tmp_path, *command('reproduce', '--config=configs/smoke.py', '--describe'))
  assert "--config.name='mine'" in done.stdout and 'is taken' not in done.stderr
  done = start(tmp_path, *command('evaluate', '--config=configs/none.py', '--describe'))
  said, = done.stderr.splitlines()
  assert done.returncode == 2 and said.startswith('error: --config=configs/none.py: there is no')
  assert os.fspath(tmp_path) in said and os.fspath(start.root) in said


def test_a_study(start, tmp_path):
  (tmp_path / 'f.jsonl').write_text(''.join(
      json.dumps({'problem': q, 'answer': '1', 'responses': ['#### 1', '#### 2'] * 2,
                  'scores': [0.9, 0.2, 0.8, 0.1]}) + '\n' for q in ('a?', 'b?', 'c?')))
  done = start(tmp_path, *command('study', '--samples=f.jsonl', '--workdir=w'))
  assert done.returncode == 0, done.stderr[-2000:]
  assert (tmp_path / 'w/report/index.html').exists()
