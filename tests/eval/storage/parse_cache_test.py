"""The cache of parsed blocks: equal to reading, and never taken where it might not be."""

import dataclasses
import json
import os
import pathlib

import numpy as np
import pytest

from tests.eval import synthetic
from tts.eval.report import results
from tts.eval.storage import parse_cache, records, runfiles, samples
from tts.types import InputError


@pytest.fixture
def workdir(tmp_path):
  return synthetic.write_run(tmp_path, questions=12)


def made(workdir):
  """All that is read of a run, as text; what a report says follows from it."""
  run = runfiles.load(workdir)
  return plainly(vars(run) | {'ledger': vars(run.ledger)})


def plainly(x):
  """Arrays and dataclasses, too, with all that is in them."""
  if isinstance(x, np.ndarray):
    return f'{x.dtype}{plainly(x.tolist())}'
  if dataclasses.is_dataclass(x):
    return plainly({f.name: getattr(x, f.name) for f in dataclasses.fields(x)})
  if isinstance(x, dict):
    return plainly([*x.items()])
  if isinstance(x, set):
    return plainly(sorted(x))
  return f'({", ".join(map(plainly, x))})' if isinstance(x, (list, tuple)) else repr(x)


@pytest.fixture
def parses(monkeypatch):
  """Files that are parsed, in their order."""
  seen = []
  inner = records.read_typed
  monkeypatch.setattr(records, 'read_typed',
                      lambda path, decoder: seen.append(pathlib.Path(path)) or inner(path, decoder))
  return seen


def test_second_report_parses_nothing_and_says_the_same(workdir, parses):
  said = lambda: json.dumps(results.assemble(runfiles.load(workdir)), allow_nan=False)
  first = said()
  assert sorted(parses) == sorted(records.blocks(workdir))
  parses.clear()
  assert said() == first and not parses


def test_block_that_changed_is_read_anew(workdir, parses):
  made(workdir)
  path = records.blocks(workdir, 'search')[0]
  rows = records.read_block(path)
  records.write_block(path, [row | {'correct': not row['correct']} for row in rows])
  parses.clear()
  after = made(workdir)
  assert parses == [path]
  for file in (workdir / 'cache').rglob('*.gz'):
    file.unlink()
  assert made(workdir) == after


@pytest.mark.parametrize('damage', [
    lambda data: b'', lambda data: data[:len(data) // 2], lambda data: b'\0' + data[1:],
    lambda data: data[:-9] + bytes(9)])
def test_damaged_cache_is_read_past_and_mended(workdir, parses, damage):
  first = made(workdir)
  for file in (workdir / 'cache').rglob('*.jsonl*'):
    file.write_bytes(damage(file.read_bytes()))
  parses.clear()
  assert made(workdir) == first and len(parses) == len(records.blocks(workdir))
  parses.clear()
  assert made(workdir) == first and not parses


def test_another_program_reads_for_itself(workdir, parses, monkeypatch):
  made(workdir)
  parses.clear()
  monkeypatch.setattr(parse_cache, '_program', lambda: 'another')
  made(workdir)
  assert len(parses) == len(records.blocks(workdir))


def test_damaged_block_is_named_though_the_cache_has_it(workdir):
  made(workdir)
  path = records.blocks(workdir, 'search')[0]
  path.write_bytes(path.read_bytes()[:-20])
  with pytest.raises(InputError, match=path.name):
    runfiles.load(workdir)


def test_run_that_may_only_be_read(workdir, monkeypatch):
  def refuse(path, data):
    raise PermissionError(13, 'read-only', str(path))

  monkeypatch.setattr(records, 'write_bytes', refuse)
  assert samples.load(workdir, 'search')
  assert not os.path.exists(workdir / 'cache')
