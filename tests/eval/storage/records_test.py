"""Files are whole or absent, strict, and the same bytes for the same rows."""

import errno
import gzip
import os

import numpy as np
import pytest

from tts.data import files as files_lib
from tts.eval.storage import records
from tts.types import InputError

ROWS = [{'problem_id': 'a', 'slot': 0, 'answer_score': 0.1, 'answer': None},
        {'problem_id': 'a', 'slot': 1, 'answer_score': 1 / 3, 'answer': 'é'}]


@pytest.fixture
def workdir(tmp_path):
  records.write_json(tmp_path / 'run.json', {'config': {}})
  return tmp_path


def files(workdir):
  return sorted(str(p.relative_to(workdir)) for p in workdir.rglob('*') if p.is_file())


@pytest.mark.parametrize('name', ['block-00000.jsonl', 'block-00000.jsonl.gz'])
def test_rows_come_back_and_bytes_repeat(workdir, name):
  path = workdir / 'records/search/sample-n2' / name
  records.write_block(path, ROWS)
  first = path.read_bytes()
  records.write_block(path, ROWS)
  assert path.read_bytes() == first
  assert records.read_block(path) == ROWS
  assert files(workdir) == [f'records/search/sample-n2/{name}', 'run.json']


def test_gzip_header_holds_no_time_and_no_name(workdir):
  path = workdir / 'a.jsonl.gz'
  records.write_block(path, ROWS)
  assert path.read_bytes()[:8] == b'\x1f\x8b\x08\x00\x00\x00\x00\x00'


def test_numpy_values_are_written_as_plain_ones(workdir):
  path = workdir / 'a.jsonl'
  records.write_block(path, [{'a': np.int32(3), 'b': np.arange(2), 'c': np.float32(0.5)}])
  assert path.read_text() == '{"a":3,"b":[0,1],"c":0.5}\n'


@pytest.mark.parametrize('value', [float('nan'), float('inf'), np.float32('nan')])
def test_nan_is_an_error_and_writes_nothing(workdir, value):
  with pytest.raises(ValueError):
    records.write_block(workdir / 'a.jsonl.gz', [ROWS[0], {'answer_score': value}])
  with pytest.raises(ValueError):
    records.write_json(workdir / 'a.json', {'x': [value]})
  assert files(workdir) == ['run.json']


@pytest.mark.parametrize('call', ['write', 'fsync', 'replace'])
def test_full_disk_leaves_the_old_state(workdir, monkeypatch, call):
  path = workdir / 'records/search/sample-n2/block-00000.jsonl.gz'
  records.write_block(path, ROWS)
  before = path.read_bytes()

  def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, 'No space left on device')

  class FullFile:
    def __init__(self, name, mode):
      self.file = open(name, mode)
    def __enter__(self):
      return self
    def __exit__(self, *args):
      self.file.close()
    def write(self, data):
      self.file.write(data[:3])  # what a full disk leaves behind
      full()

  if call == 'write':
    monkeypatch.setattr(files_lib, 'open', FullFile, raising=False)
  else:
    monkeypatch.setattr(os, call, full)
  with pytest.raises(OSError, match='No space'):
    records.write_block(path, ROWS[:1])
  monkeypatch.undo()
  assert path.read_bytes() == before
  assert files(workdir) == ['records/search/sample-n2/block-00000.jsonl.gz', 'run.json']


def test_a_file_being_written_lies_in_the_workdirs_tmp(workdir, monkeypatch):
  seen = []
  replace = os.replace
  monkeypatch.setattr(os, 'replace', lambda a, b: (seen.append(a), replace(a, b)))
  records.write_block(workdir / 'records/search/sample-n2/block-00000.jsonl.gz', ROWS)
  assert seen[0].parent == workdir / 'tmp'
  outside = workdir.parent / 'elsewhere'
  records.write_json(outside / 'x.json', 1)
  assert seen[1].parent == outside and seen[1].name.startswith('.')


@pytest.mark.parametrize('cut', [1, 4, 8, 20])
def test_a_cut_gzip_is_named_with_its_fix(workdir, cut):
  path = workdir / 'a.jsonl.gz'
  records.write_block(path, ROWS)
  path.write_bytes(path.read_bytes()[:-cut])
  with pytest.raises(InputError, match=r'a\.jsonl\.gz: not a whole gzip.*delete it; the run rec'):
    records.read_block(path)


def test_a_flipped_byte_is_found(workdir):
  path = workdir / 'a.jsonl.gz'
  records.write_block(path, ROWS)
  data = bytearray(path.read_bytes())
  data[-6] ^= 1  # in the checksum
  path.write_bytes(bytes(data))
  with pytest.raises(InputError, match='delete it'):
    records.read_block(path)


@pytest.mark.parametrize('line', [
    '{"a":1', '{"a":NaN}', '[1]', '{"a":1}{"a":2}', '{"a":1},{"b":2}'])
def test_a_bad_line_is_named(workdir, line):
  path = workdir / 'a.jsonl.gz'
  path.write_bytes(gzip.compress(('{"ok":1}\n' + line + '\n').encode()))
  with pytest.raises(InputError, match=r'a\.jsonl\.gz: line 2 .*delete it'):
    records.read_block(path)


def test_bad_json_is_named(workdir):
  (workdir / 'run.json').write_text('{"a":')
  with pytest.raises(InputError, match=r'run\.json: not JSON'):
    records.read_json(workdir / 'run.json')
  with pytest.raises(InputError, match='no such file'):
    records.read_json(workdir / 'none.json')


def test_read_is_ordered_and_filtered(workdir):
  assert records.read(workdir) == []
  for stage, name, block in [('search', 'sample-n2', 1), ('search', 'beam-m2-n4', 0),
                             ('difficulty', 'sample-n2', 0), ('search', 'sample-n2', 0)]:
    records.write_block(workdir / f'records/{stage}/{name}/block-{block:05d}.jsonl.gz',
                        [{'at': f'{stage}/{name}/{block}'}])
  (workdir / 'records/search/sample-n2/notes.txt').write_text('not a record')
  at = lambda *args: [r['at'] for r in records.read(workdir, *args)]
  assert at() == ['difficulty/sample-n2/0', 'search/beam-m2-n4/0', 'search/sample-n2/0',
                  'search/sample-n2/1']
  assert at('search', 'sample-n2') == ['search/sample-n2/0', 'search/sample-n2/1']
