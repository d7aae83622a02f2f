"""A checkpoint is what is in its files: whatever they are called, wherever and when they were made."""

import json
import os
import shutil

import numpy as np
import pytest

from configs import open as open_config_file
from tests.open import tiny
from tts import config
from tts.data import content, hub
from tts.eval.storage import records
from tts.models import open_config, open_weights
from tts.runs.run import Run
from tts.runs.workdir import Workdir
from tts.serving import open_checkpoint
from tts.stages import reproduce

pytest.importorskip('tokenizers', reason='extra `open`')
safetensors = pytest.importorskip('safetensors.numpy', reason='extra `open`')

FIELDS = {'model_type': 'llama', 'architectures': ['LlamaForCausalLM'], 'vocab_size': 490,
          'hidden_size': 32, 'intermediate_size': 48, 'num_hidden_layers': 2,
          'num_attention_heads': 4, 'num_key_value_heads': 2, 'max_position_embeddings': 256,
          'rms_norm_eps': 1e-5, 'rope_theta': 1e4, 'hidden_act': 'silu', 'dtype': 'float32',
          'tie_word_embeddings': False}


def evaluate(experiment, workdir):
  """What `launch.evaluate` does."""
  given, stages = reproduce.evaluated(experiment)
  reproduce.run_stages([reproduce.open_run(given, workdir)], stages, reports=True)


def write_weights(folder, seed, shards=1):
  """Random tensors, in so many files."""
  rng = np.random.default_rng(seed)
  arch = open_config.to_arch(folder, FIELDS)
  tensors = {t.name: rng.normal(0, 0.3, t.stored).astype(np.float32)
             for t in open_weights.layout(arch)}
  for i in range(shards):
    safetensors.save_file(dict(list(tensors.items())[i::shards]),
                          folder / f'model-{i}-of-{shards}.safetensors')


@pytest.fixture
def folder(tmp_path):
  found = tmp_path / 'checkpoint'
  found.mkdir()
  tiny.save_tokenizer(found, 'A system.')
  (found / 'config.json').write_text(json.dumps(FIELDS))
  write_weights(found, 0, shards=3)
  return found


def test_names_times_and_files_that_are_not_read_do_not_count(folder, tmp_path):
  before = open_checkpoint.identity(folder, True)
  other = shutil.copytree(folder, tmp_path / 'elsewhere', copy_function=shutil.copy)
  for i, file in enumerate(sorted(other.glob('*.safetensors'))):
    file.rename(other / f'part-{9 - i}.safetensors')
  (other / 'README.md').write_text('of no use here')
  assert open_checkpoint.identity(other, True) == before
  assert open_checkpoint.identity(folder, False) != before


@pytest.mark.parametrize('change', [
    lambda folder: write_weights(folder, 1, shards=3),
    lambda folder: (folder / 'config.json').write_text(json.dumps(FIELDS | {'rope_theta': 2e4})),
    lambda folder: (folder / 'tokenizer_config.json').write_text('{"eos_token": "<|im_start|>"}'),
    lambda folder: (folder / 'generation_config.json').write_text('{"eos_token_id": 7}'),
], ids=['weights', 'config', 'special tokens', 'ends'])
def test_whatever_is_read_counts(folder, change):
  names = {p.name: p.stat().st_size for p in folder.glob('*.safetensors')}
  before = open_checkpoint.identity(folder, True)
  change(folder)
  assert {p.name: p.stat().st_size for p in folder.glob('*.safetensors')} == names
  assert open_checkpoint.identity(folder, True) != before


def test_a_second_start_reads_no_weights(folder, tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  monkeypatch.setattr(content, '_SETTLED_NS', -1)
  found = open_checkpoint.imported(str(folder), str(tmp_path / 'w'), True)
  monkeypatch.setattr(content, '_hashed', lambda *_: pytest.fail('it was read'))
  monkeypatch.setattr(open_checkpoint, 'import_model', lambda *_: pytest.fail('it was imported'))
  assert open_checkpoint.imported(str(folder), str(tmp_path / 'w'), True) == found


def experiment(checkpoint, tmp_path):
  file = tmp_path / 'test.jsonl'
  file.write_text(''.join(json.dumps({'problem': q, 'answer': a}) + '\n'
                          for q, a, _ in tiny.PROBLEMS[:3]))
  made = open_config_file.get_config('chat')
  made.data.test, made.data.grader = str(file), 'exact'
  made.models.base.checkpoint = str(checkpoint)
  made.limits.update(max_prompt_tokens=120, max_tokens=8, max_steps=2, max_step_tokens=8)
  made.search.update(questions=3, pool=2, budgets=(1,), block=3, max_rows=6, deep_questions=0,
                     lookahead_questions=0)
  made.difficulty.update(samples=2, block=3)
  return config.from_config_dict(made)


def test_a_model_imported_twice_is_one(folder, tmp_path):
  """On two machines, or in two workdirs: Orbax writes the time of a save into its files."""
  marks = [Run(experiment(folder, tmp_path), Workdir(str(tmp_path / name)), 0).model('base').mark
           for name in ('one', 'two')]
  assert marks[0] == marks[1]


def texts(workdir):
  return {(r['problem_id'], r['slot']): r['tokens'] for r in records.read(workdir, 'search')}


@pytest.mark.slow
@pytest.mark.parametrize('moved', [False, True], ids=['in place', 'a revision that moved'])
def test_new_weights_are_a_new_model(folder, tmp_path, monkeypatch, moved):
  workdir, other = tmp_path / 'w', tmp_path / 'other'
  asked = experiment('hf://org/name' if moved else folder, tmp_path)
  if moved:
    other = shutil.copytree(folder, other)
    monkeypatch.setattr(hub, 'local', lambda path, kind='model': (
        str(now) if str(path).startswith('hf://') else str(path)))
  now = folder
  evaluate(asked, str(workdir))
  before = texts(workdir)
  now, times = (other, None) if moved else (folder, {
      p.name: p.stat() for p in folder.iterdir()})
  write_weights(now, 1, shards=3)
  for name, was in (times or {}).items():
    os.utime(now / name, ns=(was.st_atime_ns, was.st_mtime_ns))
  evaluate(asked, str(workdir))
  after = texts(workdir)
  assert before.keys() == after.keys() and all(before[k] != after[k] for k in before)
  assert len([*(workdir / 'imported').iterdir()]) == 2
  stale = list((workdir / 'stale').rglob('block-*.jsonl.gz'))
  assert {p.parent.name.partition('-20')[0] for p in stale} >= {'greedy-n1', 'sample-n2'}
