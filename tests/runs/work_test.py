"""Work in blocks: missing ones alone are computed, each is written whole, by whoever it is due to."""

import json
import threading
import time

from absl import logging
import numpy as np
import pytest

from tests.runs.tasks import Model, Step
from tts import hosts, parallel
from tts.answers import grading
from tts.engine import program
from tts.eval.storage import records
from tts.runs import blocks as blocks_lib, work as work_lib
from tts.runs.blocks import Block
from tts.runs.models_at_work import Computed, PerQuestion
from tts.runs.work import Work
from tts.runs.workdir import Workdir
from tts.types import InputError, Problem


class Workers:
  """Stands in for a stage's: what its models have computed so far, by (model, kind)."""

  def __init__(self):
    self.so_far = Computed()

  def computed(self):
    return self.so_far.copy()


def block(i):
  return Block([Problem(f'p{i}', '')], [[1]], np.zeros((1, 2), np.uint32))


def number(block):
  return int(block.problems[0].id[1:])


def work_of(rows=lambda i: [{'problem_id': f'p{i}', 'x': i}], computed=lambda i: None, num=5,
            mark='m', workers=None, grader='exact', in_flight=1):
  """Blocks of a question each. computed: called with a block's number when its job is done."""
  model = Model(in_flight)

  def of(block):
    async def question(b, group):
      await Step(model.worker)
      computed(number(block))

    return question

  return Work('search/x', mark, [block(i) for i in range(num)], PerQuestion(of, [model], 1),
              lambda block, found: rows(number(block)), {'strategy': 'x'}, workers or Workers(),
              grader)


def counted(tmp_path):
  """(a workdir, numbers of blocks that were computed, what notes them)."""
  workdir, calls = Workdir(tmp_path / 'w'), []
  workdir.write_json('run.json', {})
  return workdir, calls, calls.append


def test_only_missing_blocks_are_computed_and_the_files_are_the_same(tmp_path):
  workdir, calls, note = counted(tmp_path)
  run = lambda in_flight, mark='m': work_lib.run(
      workdir, [work_of(computed=note, mark=mark, in_flight=in_flight)], parallel.make_mesh(1))
  files = lambda: {p.name: p.read_bytes() for p in (tmp_path / 'w/records/search/x').glob('*.gz')}
  assert run(2) == 0 and calls == [0, 1, 2, 3, 4]
  before = files()
  for name in ('block-00001', 'block-00004'):
    (tmp_path / f'w/records/search/x/{name}.jsonl.gz').unlink()
  calls.clear()
  assert run(3) == 3 and calls == [1, 4] and files() == before
  assert run(3, 'other') == 0
  assert [r['x'] for r in records.read(tmp_path / 'w', stage='search')] == list(range(5))


def test_nobody_waits_for_the_end_of_a_block(tmp_path):
  """The next block's first question begins where one is done, and a block is whole when all are."""
  model, events = Model(in_flight=2), []
  steps = {'p0': 1, 'p1': 4, 'p2': 1, 'p3': 1}

  def of(block):
    events.append(('block', block.problems[0].id))

    async def question(b, group):
      for _ in range(steps[block.problems[b].id]):
        await Step(model.worker)
      events.append(('done', block.problems[b].id))
      return block.problems[b].id

    return question

  blocks = [Block([Problem(f'p{i + j}', '') for j in range(2)], [[1]] * 2,
                  np.zeros((2, 2), np.uint32)) for i in (0, 2)]
  kept = []
  work = Work('search/x', 'm', blocks, PerQuestion(of, [model], 1),
              lambda block, found: kept.append(found) or [{'problem_id': found[0]}], {}, Workers())
  workdir, _, _ = counted(tmp_path)
  work_lib.run(workdir, [work], parallel.make_mesh(1))
  assert [e for e in events if e[0] == 'done'] == [
      ('done', name) for name in ('p0', 'p2', 'p3', 'p1')]
  assert events[:2] == [('block', 'p0'), ('done', 'p0')] and events[2] == ('block', 'p2')
  assert kept == [['p2', 'p3'], ['p0', 'p1']]  # in the order in which blocks are done


def flipped(data: bytes, bit: int) -> bytes:
  data = bytearray(data)
  data[bit // 8] ^= 1 << bit % 8
  return bytes(data)


def test_every_cut_and_every_flipped_bit_of_a_block_is_found(tmp_path):
  """But for the bits that fill a deflate stream's last byte: they change nothing that is read."""
  path = tmp_path / 'b.jsonl.gz'
  rows = [{'problem_id': f'p{i}', 'x': i * 0.37} for i in range(5)]
  records.write_block(path, rows)
  whole, missed = path.read_bytes(), []
  records.check(path)
  damaged = [whole[:n] for n in range(len(whole))]
  damaged += [flipped(whole, bit) for bit in range(8 * len(whole))]
  for data in damaged:
    path.write_bytes(data)
    try:
      records.check(path)
      assert records.read_block(path) == rows
      missed.append(data)
    except InputError as error:
      assert str(path) in str(error)
  assert len(missed) < 8


@pytest.mark.parametrize('damage', [
    lambda data: data[:-1], lambda data: data[:10], lambda data: b'',
    lambda data: flipped(data, 33), lambda data: flipped(data, 8 * len(data) - 40)])
def test_damaged_blocks_are_named_moved_away_and_computed_anew(tmp_path, damage, caplog):
  workdir, calls, note = counted(tmp_path)
  work_lib.run(workdir, [work_of(computed=note)], parallel.make_mesh(1))
  folder = tmp_path / 'w/records/search/x'
  before = {p.name: p.read_bytes() for p in folder.iterdir()}
  block, timing = folder / 'block-00001.jsonl.gz', tmp_path / 'w/timings/search/x/block-00003.json'
  block.write_bytes(damage(before[block.name]))
  timing.write_bytes(timing.read_bytes()[:9])
  both = tmp_path / 'w/timings/search/x/block-00001.json'
  both.write_bytes(b'{}')
  calls.clear()
  logging.get_absl_logger().propagate = True
  blocks_lib.mend(workdir)
  assert work_lib.run(workdir, [work_of(computed=note)], parallel.make_mesh(1)) == 3
  assert calls == [1, 3]
  assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
  assert json.loads(timing.read_text())['strategy'] == 'x'
  assert all(str(path) in caplog.text for path in (block, timing, both))
  kept = [p for p in (tmp_path / 'w/stale/records/search/x').iterdir() if '00001' in p.name]
  assert [p.read_bytes() for p in kept] == [damage(before[block.name])]


def test_verdicts_on_answers_lie_beside_their_block(tmp_path, monkeypatch, caplog):
  monkeypatch.setattr(grading, 'are_equal', lambda grader, pairs: [True for _ in pairs])
  workdir, calls, note = counted(tmp_path)
  rows = lambda i: [{'problem_id': f'p{i}', 'slot': j, 'truncated': False, 'answer': str(j)}
                    for j in range(2 + i % 2)]
  run = lambda grader: work_lib.run(
      workdir, [work_of(rows, note, mark=grader, grader=grader)], parallel.make_mesh(1))
  table = lambda i: tmp_path / f'w/verdicts/search/x/block-{i:05d}.json'
  run('math')
  assert json.loads(table(3).read_text()) == {
      'grader': 'math', 'compared': 3, 'exceeded': 0,
      'equal': {'p3': [['0', '1'], ['0', '2'], ['1', '2']]}}
  # A damaged one is made anew with its block; a missing one, as of an older run, is none.
  before = table(1).read_bytes()
  table(1).write_bytes(before[:20])
  table(2).unlink()
  calls.clear()
  blocks_lib.mend(workdir)
  assert run('math') == 4 and calls == [1]
  assert table(1).read_bytes() == before and not table(2).exists()
  # Records of the exact grader have none, whatever lay there before.
  run('exact')
  assert not list((tmp_path / 'w/verdicts').rglob('*.json'))


def test_processes_share_the_blocks_out_whatever_their_number(tmp_path, monkeypatch):
  """Every block once, and the same files; one process after the other, so without barriers."""
  files = {}
  for num in (1, 2, 3, 7):
    workdir, done = Workdir(tmp_path / str(num)), []
    workdir.write_json('run.json', {})
    monkeypatch.setattr(hosts, 'count', lambda num=num: num)
    monkeypatch.setattr(hosts, 'wait', lambda: None)
    for index in range(num):
      monkeypatch.setattr(hosts, 'index', lambda index=index: index)
      work_lib.run(workdir, [work_of(computed=done.append)], parallel.make_mesh(1))
    assert sorted(done) == list(range(5))
    files[num] = {p.name: p.read_bytes() for p in (tmp_path / str(num)).rglob('*.gz')}
  assert len(files[1]) == 5 and all(found == files[1] for found in files.values())


def test_a_block_s_file_says_what_it_took(tmp_path):
  """Seconds since the block before, without those of compilers, and what was computed in them."""
  workdir, workers = Workdir(tmp_path / 'w'), Workers()
  workdir.write_json('run.json', {})

  def computed(i):
    with program.waiting():
      time.sleep(0.3)
    workers.so_far['base', 'computed'] += 10 * (i + 1)
    workers.so_far['base', 'entered'] += i
    workers.so_far['prm', 'computed'] += 7

  work_lib.run(workdir, [work_of(computed=computed, workers=workers)], parallel.make_mesh(1))
  found = [json.loads((tmp_path / f'w/timings/search/x/block-{i:05d}.json').read_text())
           for i in range(5)]
  assert [f['computed'] for f in found] == [{'base': 10 * (i + 1), 'prm': 7} for i in range(5)]
  assert all(0 <= f['seconds'] < 0.2 and f['questions'] == 1 for f in found)


def test_rows_are_made_while_the_next_blocks_are_computed(tmp_path):
  """Each waits for the other; what cannot be made ends the run, and blocks before are written."""
  workdir, made, begun = Workdir(tmp_path / 'w'), threading.Event(), threading.Event()
  workdir.write_json('run.json', {})

  def rows(i):
    if i == 0:
      assert begun.wait(60)
      made.set()
    if i == 3:
      raise InputError('no grader')
    return [{'problem_id': f'p{i}', 'x': i}]

  def computed(i):
    if i == 1:
      begun.set()
      assert made.wait(60)

  with pytest.raises(InputError, match='no grader'):
    work_lib.run(workdir, [work_of(rows, computed)], parallel.make_mesh(1))
  assert sorted(p.name for p in (tmp_path / 'w/records/search/x').glob('*.gz')) == [
      f'block-{i:05d}.jsonl.gz' for i in range(3)]
