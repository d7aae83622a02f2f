"""Work in blocks: fixed shapes, every problem once, missing ones alone computed."""

import types

import numpy as np
import pytest

from configs import quickstart
from tts import config, parallel
from tts.data.prompts import PromptConfig, Prompts
from tts.data.tokenizer import Tokenizer
from tts.eval import records
from tts.stages import blocks as blocks_lib
from tts.stages import search
from tts.stages.workdir import Workdir
from tts.types import InputError, Problem

PROBLEMS = [Problem(f'p{i}', '1;+2' + ';+3' * (i % 4) + '\n', '3') for i in range(10)]
PROMPTS = Prompts(PromptConfig(), Tokenizer.train([p.prompt for p in PROBLEMS], 32))


def test_every_problem_is_in_one_block_with_its_own_prompt():
  blocks = blocks_lib.cut(PROBLEMS, PROMPTS, 24, 4)
  assert len(blocks) == 3
  found = {}
  for block in blocks:
    assert block.prefix.shape == (4, 24) and block.words.shape == (4, 2)
    assert block.valid.sum() == len(block.problems)
    for b, problem in enumerate(block.problems):
      prompt = block.prefix[b, :block.prefix_len[b]].tolist()
      assert PROMPTS.tokenizer.decode(prompt) == problem.prompt
      found[problem.id] = tuple(block.words[b])
  assert len(found) == 10 and len(set(found.values())) == 10


def test_a_prompt_longer_than_the_buffer_names_the_field():
  with pytest.raises(InputError, match='config.limits.max_prompt_tokens'):
    blocks_lib.cut(PROBLEMS, PROMPTS, 8, 4)


def test_only_missing_blocks_are_computed_and_the_files_are_the_same(tmp_path):
  workdir = Workdir(tmp_path / 'w')
  workdir.write_json('run.json', {})
  calls = []

  def compute(group):
    calls.append(list(group))
    return [[{'problem_id': f'p{i}', 'x': i}] for i in group]

  run = lambda groups, mark='m': blocks_lib.run(
      workdir, [blocks_lib.Work('search/x', mark, list(range(5)), compute, {'strategy': 'x'})],
      groups)
  files = lambda: {p.name: p.read_bytes() for p in (tmp_path / 'w/records/search/x').glob('*.gz')}
  assert run(2) == 0 and calls == [[0, 1], [2, 3], [4]]
  before = files()
  for name in ('block-00001', 'block-00004'):
    (tmp_path / f'w/records/search/x/{name}.jsonl.gz').unlink()
  calls.clear()
  assert run(3) == 3 and calls == [[1, 4]] and files() == before
  assert run(3, 'other') == 0
  assert [r['x'] for r in records.read(tmp_path / 'w', stage='search')] == list(range(5))


def test_all_programs_are_compiled_before_a_block_is_timed(tmp_path):
  workdir = Workdir(tmp_path / 'w')
  workdir.write_json('run.json', {})
  mesh, traced, blocks = parallel.make_mesh(1), [], blocks_lib.cut(PROBLEMS, PROMPTS, 24, 4)

  def work(name):
    def step(shared, prefix):
      traced.append(name)
      return {'sum': shared + prefix.sum(axis=1)}

    sums = blocks_lib.OnBlocks(blocks_lib.Program(step, mesh), np.int32(1), lambda b: (b.prefix,),
                               lambda result: result['sum'], 1)
    compute = lambda group: [[{'problem_id': p.id, 'x': int(x), 'traced': len(set(traced))}
                              for p, x in zip(b.problems, of_block)]
                             for b, of_block in zip(group, sums(group))]
    return blocks_lib.Work(f'search/{name}', 'm', blocks, compute, {'strategy': name}, sums)

  for _ in range(2):  # what is there is neither compiled nor computed
    blocks_lib.run(workdir, [work('a'), work('b')], 1)
    assert sorted(set(traced)) == ['a', 'b'] and len(traced) == 2
  rows = list(records.read(tmp_path / 'w', stage='search'))
  assert len(rows) == 2 * len(PROBLEMS) and {r['traced'] for r in rows} == {2}
  expected = {p.id: 1 + int(b.prefix[i].sum()) for b in blocks for i, p in enumerate(b.problems)}
  assert all(r['x'] == expected[r['problem_id']] for r in rows)


def test_groups_that_have_no_block_change_nothing():
  program = lambda shared, x: {'y': x * shared}
  inputs = [(np.full((2,), i),) for i in range(3)]
  results = blocks_lib.on_groups(program, 10, inputs, 4)
  assert [r['y'].tolist() for r in results] == [[0, 0], [10, 10], [20, 20]]


def test_a_setting_that_two_rules_share_is_run_once():
  names = [s.name for s in search.beam_strategies((1, 4, 16, 64), (4, 'sqrt'))]
  assert names == ['beam-m1-n1', 'beam-m4-n4', 'beam-m2-n4', 'beam-m4-n16', 'beam-m4-n64',
                   'beam-m8-n64']
  with pytest.raises(InputError, match='beam_widths'):
    search.beam_strategies((4,), (0,))


def test_the_ablation_is_searched_where_it_says_something(monkeypatch):
  """The quickstart: pools of three models, every beam by the PRM, few by the plain one."""
  made = []
  monkeypatch.setattr(search, 'questions', lambda run, block, count=None: ([], ''))
  monkeypatch.setattr(search, 'pool_work', lambda *args, model, **kwargs: made.append(model))
  monkeypatch.setattr(search, 'beam_work', lambda run, blocks, mark, strategy, *, verifier, trees: (
      made.append((verifier, strategy.name))))
  monkeypatch.setattr(blocks_lib, 'run', lambda *args: 0)
  run = types.SimpleNamespace(
      experiment=config.from_config_dict(quickstart.get_config()), groups=1,
      problems=lambda *args: [], workdir=types.SimpleNamespace(write_json=lambda *args: None),
      has_model=lambda name: True)
  search.run_search(run)
  of = lambda verifier: [m[1] for m in made if m[0] == verifier]
  assert of('prm') == ['beam-m1-n1', 'beam-m4-n4', 'beam-m2-n4', 'beam-m4-n16',
                       'lookahead-m2-k1-n16', 'lookahead-m2-k3-n16']
  assert of('prm_plain') == ['beam-m4-n4', 'beam-m4-n16']
  assert len(made) == 14  # as many programs are compiled
