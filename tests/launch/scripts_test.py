"""The scripts that start launchers on clusters, with stand-ins for the clusters' own commands."""

import json
import os
import subprocess

import pytest

from tests.launch.conftest import ROOT

FLAGS = ['--config=configs/smoke.py', '--workdir=gs://b/w', '--config.search.budgets=(1, 4)',
         "--config.data.columns=(('problem', 'my \"question\"'),)"]
# Each notes what it was called with; what a host would run is run here.
STANDS_IN = '''#!/usr/bin/env python3
import json, os, subprocess, sys
name, args = os.path.basename(sys.argv[0]), sys.argv[1:]
with open(os.environ['NOTES'], 'a') as notes:
  notes.write(json.dumps([name, *args]) + '\\n')
if name == 'srun':
  sys.exit(subprocess.run(args[1:]).returncode)
for command in (a.partition('=')[2] for a in args if a.startswith('--command=')):
  sys.exit(subprocess.run(['bash', '-c', command], cwd=os.environ['HOST']).returncode)
'''


@pytest.fixture
def cluster(tmp_path):
  """Runs a script; its status, its standard error, and every call of a command, in order."""
  host, bin_, notes = tmp_path / 'host', tmp_path / 'bin', tmp_path / 'notes'
  for folder in (bin_, host / 'tts', host / 'uv-env' / 'bin', host / 'tts-env' / 'bin'):
    folder.mkdir(parents=True)
  for name in ('gcloud', 'srun', 'xpk', 'python', 'pip', 'uv', 'tar'):
    (bin_ / name).write_text(STANDS_IN)
    (bin_ / name).chmod(0o755)
  for env, name in (('uv', 'pip'), ('uv', 'uv'), ('tts', 'python')):
    (host / f'{env}-env' / 'bin' / name).symlink_to(bin_ / name)
  # `-m venv` on the host is not what is tested.
  (bin_ / 'python3').write_text('#!/bin/sh\n[ "$1 $2" = "-m venv" ] && exit 0\n'
                                f'exec {os.path.realpath(os.sys.executable)} "$@"\n')
  (bin_ / 'python3').chmod(0o755)

  def run(script, *args):
    done = subprocess.run([ROOT / 'launch' / script, *args], text=True, capture_output=True, env={
        **os.environ, 'PATH': f'{bin_}:{os.environ["PATH"]}', 'NOTES': str(notes),
        'HOST': str(host)})
    lines = notes.read_text().splitlines() if notes.exists() else []
    return done.returncode, done.stderr, [json.loads(line) for line in lines]

  return run


def launched(calls):
  """What python was called with in the end."""
  return [call[1:] for call in calls if call[0] == 'python'][-1]


def test_a_tpu_slice(cluster):
  status, said, calls = cluster('tpu_pod.sh', 'pod', 'zone', 'search', *FLAGS)
  assert status == 0, said
  assert launched(calls) == ['-m', 'launch.search', *FLAGS, '--distributed']
  slices = [call for call in calls if call[0] == 'gcloud']
  assert [call[1:7] for call in slices] == [
      ['compute', 'tpus', 'tpu-vm', what, '--zone=zone', '--worker=all']
      for what in ('scp', 'ssh', 'ssh')]
  assert slices[0][-1] == 'pod:tts.tgz' and not os.path.exists(slices[0][-2])
  *_, made, installed, _, _ = calls
  assert made[:2] == ['uv', 'venv'] and installed[:3] == ['uv', 'pip', 'install']
  assert made[-1] in installed  # the environment that it is run in


def test_slurm(cluster):
  status, said, calls = cluster('slurm.sh', 'search', *FLAGS)
  assert status == 0, said
  assert launched(calls) == ['-m', 'launch.search', *FLAGS, '--distributed']


def test_kubernetes(cluster):
  status, said, calls = cluster('xpk.sh', 'cluster', 'v5litepod-16', 'name', 'search', *FLAGS)
  assert status == 0, said
  assert launched(calls) == ['-m', 'launch.search', *FLAGS, '--distributed']
  (xpk,) = [call for call in calls if call[0] == 'xpk']
  assert xpk[1:6] == ['workload', 'create', '--cluster=cluster', '--workload=name',
                      '--tpu-type=v5litepod-16']


@pytest.mark.parametrize('script', ['tpu_pod.sh', 'slurm.sh', 'xpk.sh'])
def test_without_arguments_a_script_says_how_it_is_called(cluster, script):
  status, said, calls = cluster(script)
  assert status == 2 and f'launch/{script}' in said and not calls
