"""Mistakes: one line that says what, where and the fix; exit status 2; nothing lost."""

import json
import pathlib
import shlex
import shutil
import signal
import subprocess

import numpy as np
import pytest

from tests.launch.conftest import ROOT, SMOKE, command, record_hashes


def test_unknown_field_names_the_nearest(launcher, tmp_path):
  message = launcher.error('reproduce', SMOKE, f'--workdir={tmp_path / "w"}',
                           '--config.search.budget=(1,)')
  assert 'config.search.budget' in message and 'did you mean --config.search.budgets' in message
  assert not (tmp_path / 'w').exists()


@pytest.mark.parametrize('flag,expected', [
    ('--config.search.questions=many', 'config.search.questions'),
    ("--config.search.beam_widths='(0,)'", 'config.search.beam_widths'),
    ('--config.search.questions=100000', 'set --config.search.questions=40 or less'),
    ('--config.revision.enabled=Flase', 'enabled=Flase: it takes True or False'),
    ('--config.mesh.data=99', 'config.mesh'),
    ('--config.data.family=sudoku', 'sudoku'),
])
def test_bad_value_names_the_field(launcher, tmp_path, flag, expected):
  assert expected in launcher.error('reproduce', SMOKE, f'--workdir={tmp_path / "w"}', flag)


def test_missing_flags_and_files(launcher, tmp_path):
  assert '--config' in launcher.error('reproduce', f'--workdir={tmp_path / "w"}')
  assert '--workdir' in launcher.error('reproduce', SMOKE)
  missing = launcher.error('reproduce', '--config=configs/none.py', f'--workdir={tmp_path / "w"}')
  assert 'configs/none.py' in missing
  odd = launcher.error('reproduce', '--config=configs/smoke.py:foo', f'--workdir={tmp_path / "w"}')
  assert odd == 'error: --config=configs/smoke.py:foo: nothing or `revisions` stands there'


def test_what_is_refused_leaves_the_run_as_it_was(launcher, smoke, tmp_path):
  shutil.copy(smoke / 'run.json', tmp_path / 'run.json')
  message = launcher.error('reproduce', SMOKE, f'--workdir={tmp_path}',
                           '--config.data.family=gsm8k')
  assert 'needs --config.data.path' in message
  assert (tmp_path / 'run.json').read_bytes() == (smoke / 'run.json').read_bytes()


def test_a_folder_that_is_no_workdir_is_left_alone(launcher, tmp_path):
  (tmp_path / 'thesis.txt').write_text('mine')
  assert 'run.json' in launcher.error('reproduce', SMOKE, f'--workdir={tmp_path}')
  assert [p.name for p in tmp_path.iterdir()] == ['thesis.txt']


def evaluate_error(launcher, smoke, tmp_path, base=None, *flags):
  return launcher.error('evaluate', SMOKE, f'--workdir={tmp_path / "w"}',
                        f'--config.models.base.checkpoint={base or smoke / "models/base"}', *flags)


@pytest.mark.parametrize('line,expected', [
    ('{"problem": "1;+1"', 'line 2'),
    ('{"problem": "1;+1", "answer": ""}', 'field "answer" is empty'),
    ('{"problem": "' + '1;+1' * 50 + '", "answer": "2"}', 'config.limits.max_prompt_tokens'),
    ('{"problem": "\u00e9;+1", "answer": "2"}', '\u00e9'),
])
def test_bad_line_of_a_benchmark(launcher, smoke, tmp_path, line, expected):
  path = tmp_path / 'f.jsonl'
  path.write_text('{"problem": "1;+1", "answer": "2"}\n' + line + '\n')
  assert expected in evaluate_error(
      launcher, smoke, tmp_path, None, f'--config.data.test={path}',
      '--config.search.questions=2')


def damaged(smoke, tmp_path, change):
  folder = tmp_path / 'model'
  shutil.copytree(smoke / 'models' / 'base', folder)
  change(folder)
  return folder


def truncate_largest(folder: pathlib.Path):
  path = max((p for p in folder.rglob('*') if p.is_file() and p.name not in (
      'model.json', 'tokenizer.model')), key=lambda p: p.stat().st_size)
  path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])


def widen(folder: pathlib.Path):
  meta = json.loads((folder / 'model.json').read_text())
  meta['arch']['width'] *= 2
  (folder / 'model.json').write_text(json.dumps(meta))


@pytest.mark.parametrize('change,expected', [
    (truncate_largest, 'params'), (widen, 'attn_0/'),
    (lambda f: (f / 'model.json').unlink(), 'model.json')])
def test_damaged_checkpoint(launcher, smoke, tmp_path, change, expected):
  message = evaluate_error(launcher, smoke, tmp_path, damaged(smoke, tmp_path, change))
  assert expected in message and str(tmp_path / 'model') in message


def test_nan_in_weights(launcher, smoke, tmp_path):
  from tts.train import checkpoint
  arch, params, meta, tokenizer = checkpoint.load_model(smoke / 'models' / 'base')
  params['params']['final_norm']['scale'] = np.full(arch.width, np.nan, np.float32)
  checkpoint.save_model(tmp_path / 'model', arch, params, meta, tokenizer)
  assert 'final_norm' in evaluate_error(launcher, smoke, tmp_path, tmp_path / 'model')


def test_a_reader_that_has_read_enough(launcher, tmp_path):
  process = subprocess.Popen(
      command('search', SMOKE, f'--workdir={tmp_path}', '--describe'), cwd=ROOT, env=launcher.env,
      text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
  process.stdout.close()
  assert process.stderr.read() == '' and process.wait() == 128 + signal.SIGPIPE


def test_a_torn_record_is_named_and_the_rest_kept(launcher, smoke, tmp_path):
  shutil.copytree(smoke, tmp_path / 'w')
  torn = sorted((tmp_path / 'w/records/search/sample-n4').glob('*.gz'))[0]
  torn.write_bytes(torn.read_bytes()[:100])
  assert torn.name in launcher.error('report', f'--workdir={tmp_path / "w"}')
  torn.unlink()
  launcher.ok('search', SMOKE, f'--workdir={tmp_path / "w"}')
  assert record_hashes(tmp_path / 'w') == record_hashes(smoke)


def test_a_full_disk_is_one_line_and_the_run_goes_on_afterwards(launcher, smoke, tmp_path):
  """A limit on file sizes stands for the disk: the same failing write, without root."""
  workdir = tmp_path / 'w'
  shutil.copytree(smoke, workdir)
  for folder in ('greedy-n1', 'beam-m4-n4'):
    shutil.rmtree(workdir / 'records' / 'search' / folder)
  shutil.rmtree(workdir / 'report')
  limited = subprocess.run(
      ['bash', '-c', f'ulimit -f 1; exec {shlex.join(command("search", SMOKE))} '
       f'--workdir={workdir}'], cwd=ROOT, env=launcher.env | {'JAX_COMPILATION_CACHE_DIR': ''},
      text=True, capture_output=True, timeout=300)
  lines = [line for line in limited.stderr.splitlines() if line.startswith('error: ')]
  assert limited.returncode == 2 and len(lines) == 1, limited.stderr[-3000:]
  assert 'Traceback' not in limited.stderr
  assert not list((workdir / 'tmp').iterdir())
  launcher.ok('search', SMOKE, f'--workdir={workdir}')
  assert record_hashes(workdir) == record_hashes(smoke)
