"""Rows of several texts, with what is known of each token."""

import dataclasses

import numpy as np
import pytest

from tts.data.prompts import PromptConfig, Prompts
from tts.data.tokenizer import Tokenizer
from tts.train import packed
from tts.types import InputError, Problem

PROBLEMS = [Problem(id=f'p{i}', prompt=f'{i};+{i}\n', answer=str(2 * i), level=1,
                    solution=f'{i}+{i}={2 * i}\n#{2 * i}') for i in range(40)]
ITEMS = [packed.Labelled(f's{i}', [1, 5 + i], [6, 7 + i % 3, 8, 9, 2][i % 2:],
                         [2, 4 + (i + 1) % 2], [i / 20, 1.0]) for i in range(20)]


@pytest.fixture(scope='module')
def tokenizer():
  return Tokenizer.train((p.prompt + p.solution for p in PROBLEMS), 40)


def plain(tokenizer):
  return Prompts(PromptConfig(), tokenizer)


def texts(data):
  """Each text of the rows as a dict of its fields."""
  for r in range(data.num_rows):
    for segment in range(1, data.segments[r].max() + 1):
      here = data.segments[r] == segment
      yield {k: v[r, here].tolist() for k, v in data.arrays().items()}


def test_every_problem_is_there_once_with_the_loss_on_its_solution(tokenizer):
  data = packed.pack_lm(PROBLEMS, plain(tokenizer), 64, seed=0)
  found = list(texts(data))
  wanted = {tuple(tokenizer.encode_prompt(p.prompt) + tokenizer.encode_solution(p.solution)): p
            for p in PROBLEMS}
  assert sorted(tuple(t['tokens']) for t in found) == sorted(wanted)
  for text in found:
    problem = wanted[tuple(text['tokens'])]
    prompt = len(tokenizer.encode_prompt(problem.prompt))
    assert text['loss_mask'] == [i >= prompt for i in range(len(text['tokens']))]
    assert text['positions'] == list(range(len(text['tokens'])))
  padding = data.segments == 0
  assert padding.any() and not data.tokens[padding].any() and not data.loss_mask[padding].any()
  assert data.num_examples == 40 and data.row_tokens.sum() == (~padding).sum()


@pytest.mark.parametrize('last_only', [False, True])
def test_labels_stand_on_the_ends_of_steps(last_only):
  data = packed.pack_labels(ITEMS, 17, seed=3, last_only=last_only)
  wanted = {(*i.prompt, *i.tokens): i for i in ITEMS}
  found = list(texts(data))
  assert len(found) == 20 == len(wanted)
  for text in found:
    item = wanted[tuple(text['tokens'])]
    ends = dict(zip(item.step_ends, item.labels))
    if last_only:
      ends = {max(ends): ends[max(ends)]}
    own = range(1 - 2, len(item.tokens) + 1)  # exclusive end of each place, prompt first
    assert text['label_mask'] == [end in ends for end in own]
    np.testing.assert_array_equal(text['label'], [np.float32(ends.get(e, 0)) for e in own])
  assert not data.label_mask[data.segments == 0].any()
  assert not data.label[data.segments == 0].any()


@pytest.mark.parametrize('labels, last_only, learnt', [
    ([0.5, 0.0, 1.0], False, 5), ([0.25, 0.5, 0.0], False, 4), ([0.0, 0.0, 0.0], False, 0),
    ([0.25, 0.5, 0.0], True, 0), ([0.0, 0.0, 1.0], True, 5)])
def test_proven_steps_alone_are_learnt(labels, last_only, learnt):
  """Up to the last step that led to a right answer; an ORM knows of the last step alone."""
  item = packed.Labelled('s', [1, 3], [6, 7, 8, 9, 2], [2, 4, 5], labels)
  text, = texts(packed.pack_labels([item], 9, 0, last_only=last_only))
  assert text['loss_mask'] == [2 <= i < 2 + learnt for i in range(7)]
  assert text['own_mask'] == [i >= 2 for i in range(7)]


def test_seed_moves_texts_between_rows():
  a, b, c = (packed.pack_labels(ITEMS, 17, seed=s).tokens for s in (0, 0, 1))
  assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_problems_of_the_data_are_named(tokenizer):
  with pytest.raises(InputError, match='problem p39 is .* row has 8'):
    packed.pack_lm(PROBLEMS[:3] + PROBLEMS[39:], plain(tokenizer), 8, 0)
  with pytest.raises(InputError, match='p0 has no solution'):
    packed.pack_lm([dataclasses.replace(PROBLEMS[0], solution=None)], plain(tokenizer), 64, 0)
  with pytest.raises(InputError, match='empty'):
    packed.pack_lm([], plain(tokenizer), 64, 0)


@pytest.mark.parametrize('fields, message', [
    (dict(labels=[0.5]), '2 steps and 1 labels'), (dict(labels=[0.5, float('nan')]), 'outside'),
    (dict(labels=[0.5, 1.5]), 'outside'), (dict(step_ends=[2, 9]), 'step ends'),
    (dict(step_ends=[], labels=[]), '0 steps')])
def test_wrong_labels_are_named(fields, message):
  with pytest.raises(InputError, match=f'sample s0 .*{message}|sample s0 has {message}'):
    packed.pack_labels([dataclasses.replace(ITEMS[0], **fields)], 17, 0)
