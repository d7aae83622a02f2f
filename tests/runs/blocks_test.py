"""Work in blocks: fixed shapes, every problem once, missing ones alone computed."""

import dataclasses
import types

import numpy as np
import pytest

from configs import quickstart
from tts import config, parallel
from tts.config import SearchConfig
from tts.data.prompts import PromptConfig, Prompts
from tts.data.tokenizer import Tokenizer
from tts.engine import program
from tts.runs import blocks as blocks_lib
from tts.stages import sample_pool, search, strategies
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
  """The quickstart: all six methods by the main verifier, some beams by each of the others."""
  made = []
  monkeypatch.setattr(search, 'questions', lambda run, block, count=None: ([], ''))
  monkeypatch.setattr(sample_pool, 'work', lambda *args, model, **kwargs: made.append(model))
  monkeypatch.setattr(
      search, 'search_work', lambda workers, blocks, mark, strategy, *, verifier, trees: made.append(
          (verifier, strategy.name)))
  monkeypatch.setattr(search, '_forget_trees', lambda *args: None)
  run = types.SimpleNamespace(
      experiment=config.from_config_dict(quickstart.get_config()), mesh=parallel.make_mesh(1),
      problems=lambda *args: [], workdir=types.SimpleNamespace(write_json=lambda *args: None),
      has_model=lambda name: name not in ('mid', 'revision'), main='latent')
  list(search.works(run))
  of = lambda verifier: [m[1] for m in made if m[0] == verifier]
  assert of('latent')[:6] == ['beam-m1-n1', 'beam-m4-n4', 'beam-m2-n4', 'beam-m4-n16',
                              'lookahead-m2-k1-n16', 'lookahead-m2-k3-n16']
  others = [name.split('-') for name in of('latent')[6:]]
  assert len(others) == 12 and {(name, end) for name, *_, end in others} == {
      (name, f'n{n}') for n in (1, 4, 16)
      for name in ('dvts', 'rebase', 'particle_filter', 'particle_filter_entropic')}
  for name in ('prm', 'prm_plain', 'logprob'):
    assert of(name) == ['beam-m4-n4', 'beam-m4-n16']
  # A pool and a greedy answer each of the base and the large model.
  assert len(made) == 18 + 3 * 2 + 4
