"""Work in blocks: fixed shapes, every problem once, missing ones alone computed."""

import dataclasses
import functools
import json
import threading
import time
import types

from absl import logging
import numpy as np
import pytest

from configs import quickstart
from tts import config, hosts, parallel
from tts.answers import grading
from tts.config import SearchConfig
from tts.data.prompts import PromptConfig, Prompts
from tts.data.tokenizer import Tokenizer
from tts.engine import program
from tts.eval.storage import records
from tts.runs import blocks as blocks_lib
from tts.runs.models_at_work import Computed
from tts.runs.workdir import Workdir
from tts.stages import search, strategies
from tts.types import InputError, Problem

PROBLEMS = [Problem(f'p{i}', '1;+2' + ';+3' * (i % 4) + '\n', '3') for i in range(10)]
PROMPTS = Prompts(PromptConfig(), Tokenizer.train([p.prompt for p in PROBLEMS], 32))


def test_every_problem_is_in_one_block_with_its_own_prompt():
  blocks = blocks_lib.cut(PROBLEMS, PROMPTS, 24, 4)
  assert len(blocks) == 3
  found = {}
  for block in blocks:
    assert len(block.prompts) == len(block.words) == len(block.problems) <= 4
    for b, problem in enumerate(block.problems):
      assert PROMPTS.tokenizer.decode(block.prompts[b]) == problem.prompt
      found[problem.id] = tuple(block.words[b])
  assert len(found) == 10 and len(set(found.values())) == 10


def test_a_list_in_another_order_gives_the_same_blocks():
  """Of problems that are called by their places, and known by their keys."""
  keyed = [dataclasses.replace(p, key=f'k{7 * i % 10}') for i, p in enumerate(PROBLEMS)]
  named = lambda problems: [dataclasses.replace(p, id=f'place {i}') for i, p in enumerate(problems)]
  one, other = (blocks_lib.cut(named(x), PROMPTS, 24, 4) for x in (keyed, keyed[3:] + keyed[2::-1]))
  for a, b in zip(one, other, strict=True):
    assert [p.key for p in a.problems] == [p.key for p in b.problems]
    assert a.prompts == b.prompts
    np.testing.assert_array_equal(a.words, b.words)
  assert blocks_lib.cut([], PROMPTS, 24, 4) == []


def test_a_prompt_longer_than_the_buffer_names_the_field():
  with pytest.raises(InputError, match='config.limits.max_prompt_tokens'):
    blocks_lib.cut(PROBLEMS, PROMPTS, 8, 4)


def counted(tmp_path):
  """(a workdir, the groups that were computed, what computes a row a block)."""
  workdir, calls = Workdir(tmp_path / 'w'), []
  workdir.write_json('run.json', {})

  def compute(group):
    calls.append(list(group))
    return [lambda i=i: [{'problem_id': f'p{i}', 'x': i}] for i in group]

  return workdir, calls, compute


def test_only_missing_blocks_are_computed_and_the_files_are_the_same(tmp_path):
  workdir, calls, compute = counted(tmp_path)
  run = lambda groups, mark='m': blocks_lib.run(
      workdir, [work_of(compute, mark=mark)], parallel.make_mesh(groups))
  files = lambda: {p.name: p.read_bytes() for p in (tmp_path / 'w/records/search/x').glob('*.gz')}
  assert run(2) == 0 and calls == [[0, 1], [2, 3], [4]]
  before = files()
  for name in ('block-00001', 'block-00004'):
    (tmp_path / f'w/records/search/x/{name}.jsonl.gz').unlink()
  calls.clear()
  assert run(3) == 3 and calls == [[1, 4]] and files() == before
  assert run(3, 'other') == 0
  assert [r['x'] for r in records.read(tmp_path / 'w', stage='search')] == list(range(5))


class Workers:
  """Stands in for a stage's: what its models have computed so far, by (model, kind)."""

  def __init__(self):
    self.so_far = Computed()

  def computed(self):
    return self.so_far.copy()


def work_of(compute, num=5, mark='m', workers=None):
  return blocks_lib.Work('search/x', mark, list(range(num)), compute, {'strategy': 'x'},
                         workers or Workers())


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
  workdir, calls, compute = counted(tmp_path)
  blocks_lib.run(workdir, [work_of(compute)], parallel.make_mesh(2))
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
  assert blocks_lib.run(workdir, [work_of(compute)], parallel.make_mesh(2)) == 3
  assert calls == [[1, 3]]
  assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
  assert json.loads(timing.read_text())['strategy'] == 'x'
  assert all(str(path) in caplog.text for path in (block, timing, both))
  kept = [p for p in (tmp_path / 'w/stale/records/search/x').iterdir() if '00001' in p.name]
  assert [p.read_bytes() for p in kept] == [damage(before[block.name])]


def test_verdicts_on_answers_lie_beside_their_block(tmp_path, monkeypatch, caplog):
  monkeypatch.setattr(grading, 'are_equal', lambda grader, pairs: [True for _ in pairs])
  workdir, calls, _ = counted(tmp_path)

  def compute(group):
    calls.append(list(group))
    return [lambda i=i: [{'problem_id': f'p{i}', 'slot': j, 'truncated': False, 'answer': str(j)}
                         for j in range(2 + i % 2)] for i in group]

  work = lambda grader: dataclasses.replace(work_of(compute, mark=grader), grader=grader)
  run = lambda grader: blocks_lib.run(workdir, [work(grader)], parallel.make_mesh(2))
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
  assert run('math') == 4 and calls == [[1]]
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

    def compute(group):
      done.extend(group)
      return [lambda i=i: [{'problem_id': f'p{i}', 'x': i}] for i in group]

    monkeypatch.setattr(hosts, 'count', lambda num=num: num)
    monkeypatch.setattr(hosts, 'wait', lambda: None)
    for index in range(num):
      monkeypatch.setattr(hosts, 'index', lambda index=index: index)
      blocks_lib.run(workdir, [work_of(compute)], parallel.make_mesh(2))
    assert sorted(done) == list(range(5))
    files[num] = {p.name: p.read_bytes() for p in (tmp_path / str(num)).rglob('*.gz')}
  assert len(files[1]) == 5 and all(found == files[1] for found in files.values())


def test_a_block_s_file_says_what_it_took(tmp_path):
  """Its share of its round's seconds, without those of compilers, and of what was computed."""
  workdir, workers = Workdir(tmp_path / 'w'), Workers()
  workdir.write_json('run.json', {})

  def compute(group):
    with program.waiting():
      time.sleep(0.4)
    for i in group:
      workers.so_far['base', 'computed'] += 10 * (i + 1)
      workers.so_far['base', 'entered'] += i
      workers.so_far['prm', 'computed'] += 7
    return [lambda i=i: [{'problem_id': f'p{i}', 'x': i}] for i in group]

  blocks_lib.run(workdir, [work_of(compute, workers=workers)], parallel.make_mesh(2))
  found = [json.loads((tmp_path / f'w/timings/search/x/block-{i:05d}.json').read_text())
           for i in range(5)]
  assert [f['computed'] for f in found] == [
      {'base': 15, 'prm': 7}, {'base': 15, 'prm': 7}, {'base': 35, 'prm': 7},
      {'base': 35, 'prm': 7}, {'base': 50, 'prm': 7}]
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

  def compute(group):
    if group == [1]:
      begun.set()
      assert made.wait(60)
    return [functools.partial(rows, i) for i in group]

  with pytest.raises(InputError, match='no grader'):
    blocks_lib.run(workdir, [work_of(compute)], parallel.make_mesh(1))
  assert sorted(p.name for p in (tmp_path / 'w/records/search/x').glob('*.gz')) == [
      f'block-{i:05d}.jsonl.gz' for i in range(3)]


def test_a_program_takes_blocks_of_other_shapes():
  """Two sessions of one process may have other buffers; each shape is compiled once."""
  traced = []
  compiled = program.Program(lambda w, x: traced.append(x.shape) or w + x, parallel.make_mesh(1))
  for width in (3, 5, 3):
    assert compiled(np.float32(1), np.zeros((1, width), np.float32)).tolist() == [[1.0] * width]
  assert traced == [(3,), (5,)]


def test_a_setting_that_two_rules_share_is_run_once():
  names = [s.name for s in strategies.of_method(SearchConfig(), 'beam', {}, (1, 4, 16, 64))]
  assert names == ['beam-m1-n1', 'beam-m4-n4', 'beam-m2-n4', 'beam-m4-n16', 'beam-m4-n64',
                   'beam-m8-n64']
  with pytest.raises(InputError, match='beam_widths'):
    strategies.of_method(SearchConfig(beam_widths=(0,)), 'beam', {}, (4,))


def test_the_ablation_is_searched_where_it_says_something(monkeypatch):
  """The quickstart: pools of three models, every beam by the PRM, few by the plain one."""
  made = []
  monkeypatch.setattr(search, 'questions', lambda run, block, count=None: ([], ''))
  monkeypatch.setattr(search, 'pool_work', lambda *args, model, **kwargs: made.append(model))
  monkeypatch.setattr(search, 'search_work', lambda workers, blocks, mark, strategy, *, verifier, trees: (
      made.append((verifier, strategy.name))))
  monkeypatch.setattr(blocks_lib, 'run', lambda *args: 0)
  monkeypatch.setattr(search, '_forget_trees', lambda *args: None)
  run = types.SimpleNamespace(
      experiment=config.from_config_dict(quickstart.get_config()), mesh=parallel.make_mesh(1),
      problems=lambda *args: [], workdir=types.SimpleNamespace(write_json=lambda *args: None),
      has_model=lambda name: True, main='prm')
  search.run_search(run)
  of = lambda verifier: [m[1] for m in made if m[0] == verifier]
  assert of('prm') == ['beam-m1-n1', 'beam-m4-n4', 'beam-m2-n4', 'beam-m4-n16',
                       'lookahead-m2-k1-n16', 'lookahead-m2-k3-n16']
  assert of('prm_plain') == ['beam-m4-n4', 'beam-m4-n16']
  assert len(made) == 14
