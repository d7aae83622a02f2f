"""A run's finished files taken along: whole, nothing that follows from them, gone on with."""

import os
import pathlib

import pytest

from tts.runs import packing
from tts.types import InputError

MADE = ('run.json', 'records/search/sample-n4/block-00000.jsonl.gz',
        'records/search/sample-n4/fingerprint.json', 'timings/search/sample-n4/block-00000.json',
        'stages/search.json', 'models/latent/model.json', 'claims.json',
        'seeds/1/run.json', 'seeds/1/records/labels/rollouts/block-00000.jsonl.gz')
FOLLOWS = ('report/results.json', 'cache/x', 'data/test.jsonl', 'stale/records/x', 'imported/y/z',
           'tmp/z', 'states/a/b.npy', 'train/latent/features.npy')


def write(root, names, text='1'):
  for name in names:
    path = pathlib.Path(root, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def names(root):
  return {p.relative_to(root).as_posix() for p in pathlib.Path(root).rglob('*') if p.is_file()}


def test_what_was_made_is_taken_along_and_nothing_else(tmp_path):
  source, target = tmp_path / 'w', tmp_path / 'f'
  write(source, MADE + FOLLOWS)
  size, left_out = packing.pack(source, target, 10**6)
  assert names(target) == set(MADE) and (size, left_out) == (len(MADE), [])


def test_a_second_time_takes_what_is_new_and_drops_what_is_gone(tmp_path):
  source, target = tmp_path / 'w', tmp_path / 'f'
  write(source, MADE)
  packing.pack(source, target, 10**6)
  kept = target / MADE[1]
  before = kept.stat().st_mtime_ns
  write(source, ['records/search/sample-n4/block-00001.jsonl.gz'])
  write(source, ['run.json'], text='another')
  os.unlink(source / 'claims.json')
  packing.pack(source, target, 10**6)
  assert names(target) == names(source)
  assert (target / 'run.json').read_text() == 'another' and kept.stat().st_mtime_ns == before


def test_large_models_are_named_and_left_out(tmp_path):
  source, target = tmp_path / 'w', tmp_path / 'f'
  write(source, MADE)
  write(source, ['models/prm/params'], text='x' * 1000)
  _, left_out = packing.pack(source, target, 999)
  assert left_out == ['models/prm'] and not (target / 'models' / 'prm').exists()
  assert (target / 'models' / 'latent').exists()


def test_a_folder_that_is_something_else_is_left_alone(tmp_path):
  write(tmp_path / 'w', MADE)
  write(tmp_path / 'mine', ['letter.txt'])
  with pytest.raises(InputError, match='no run.json: give an empty or a new folder'):
    packing.pack(tmp_path / 'w', tmp_path / 'mine', 10**6)
  with pytest.raises(InputError, match='it is not the folder of a run'):
    packing.pack(tmp_path / 'mine', tmp_path / 'f', 10**6)
