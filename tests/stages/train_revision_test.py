"""The stage that trains the revision model: what it learns from, and that it goes on."""

import types

import pytest

from tts import config
from tts.data.prompts import PromptConfig, Prompts
from tts.data.tokenizer import Tokenizer
from tts.eval.storage import records
from tts.stages import train_revision
from tts.types import InputError, Problem

PROBLEMS = [Problem(f'p{i}', f'{i}+{i}\n', str(2 * i)) for i in range(20)]
TEXTS = ['1\n#### {}', '22\n#### {}', '3\n#### 8{}']  # answers: right, right, wrong


@pytest.fixture(scope='module')
def tokenizer():
  return Tokenizer.train((t.format('0123456789+') for t in TEXTS), 40)


def pool_run(tokenizer, root):
  """A run of which the pools are there: two right samples, two wrong ones, one without answer."""
  rows = []
  for p in PROBLEMS:
    texts = [*(t.format(p.answer) for t in TEXTS), '4\n#### 8' + p.answer, '5']
    for slot in (4, 1, 0, 3, 2):  # as rows may lie in a block
      rows.append({'problem_id': p.id, 'slot': slot,
                   'tokens': tokenizer.encode_solution(texts[slot]),
                   'answer': None if slot == 4 else texts[slot].split()[-1],
                   'correct': slot < 2})
  records.write_block(root / 'records/revision/sample-n5/block-00000.jsonl.gz', rows)
  experiment = config.Experiment(
      revision=config.RevisionConfig(questions=20, samples=5, targets=9))
  return types.SimpleNamespace(
      experiment=experiment, seed=0, tokenizer=tokenizer,
      prompts=Prompts(PromptConfig(), tokenizer),
      limits=types.SimpleNamespace(roles=tokenizer.roles()),
      problems=lambda split, count, field: PROBLEMS,
      workdir=types.SimpleNamespace(root=str(root), path=lambda *parts: '/'.join(parts)))


def test_examples_end_in_right_answers_after_wrong_ones(tokenizer, tmp_path):
  run = pool_run(tokenizer, tmp_path)
  contexts = []
  for items, problems in zip(train_revision._examples(run, True), (PROBLEMS[:18], PROBLEMS[18:])):
    assert len(items) == 2 * len(problems)
    for problem, item in zip((p for p in problems for _ in range(2)), items):
      prompt = tokenizer.encode_prompt(problem.prompt)
      right = [tokenizer.encode_solution(t.format(problem.answer)) for t in TEXTS[:2]]
      wrong = [tokenizer.encode_solution(t.format(problem.answer))
               for t in (TEXTS[2], '4\n#### 8{}')]
      assert item.tokens in right and problem.id in item.name
      assert item.prompt in [
          [*prompt, *(t for answer in before for t in [*answer, *prompt])]
          for before in ([], [wrong[0]], [wrong[1], wrong[0]])]
      contexts.append((len(item.prompt) - len(prompt)) // (len(wrong[0]) + len(prompt)))
  assert set(contexts) == {0, 1, 2}


def test_the_control_learns_the_same_answers_without_context(tokenizer, tmp_path):
  run = pool_run(tokenizer, tmp_path)
  for with_, without in zip(train_revision._examples(run, True), train_revision._examples(run, False)):
    assert [i.tokens for i in with_] == [i.tokens for i in without]
    prompts = {tuple(tokenizer.encode_prompt(p.prompt)) for p in PROBLEMS}
    assert {tuple(i.prompt) for i in without} <= prompts


def test_a_pool_without_right_answers_is_named(tokenizer, tmp_path):
  run = pool_run(tokenizer, tmp_path)
  block = tmp_path / 'records/revision/sample-n5/block-00000.jsonl.gz'
  rows = [row | {'correct': False} for row in records.read_block(block)]
  records.write_block(block, rows)
  with pytest.raises(InputError, match='too few right answers'):
    train_revision._examples(run, True)
