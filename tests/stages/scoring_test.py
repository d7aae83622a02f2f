"""Scores of finished samples: each text read once, and what that may not change."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import toy
from tts import config, parallel
from tts.engine import shape
from tts.engine.shape import Shape
from tts.models.transformer import Decoder
from tts.revision import chains
from tts.runs.blocks import Block
from tts.runs.models_at_work import PerQuestion, Workers
from tts.runs.run import Model
from tts.sampling.decode import Limits
from tts.stages import scoring
from tts.types import Problem

ARCH = dataclasses.replace(toy.ARCH, num_layers=2, surprise_layer=1, heads=('lm', 'value'))
PARAMS = toy.decoder_params(ARCH)
RNG = np.random.default_rng(0)
TEXTS = [RNG.integers(4, ARCH.vocab_size, n).tolist() for n in (3, 20, 9, 11, 16)]
PROMPTS = [RNG.integers(4, ARCH.vocab_size, n).tolist() for n in (4, 2)]


def make_block():
  problems = [Problem(f'p{i}', '') for i in range(2)]
  return Block(problems, PROMPTS, np.zeros((2, 2), np.uint32))


def make_table(samples):
  """Per question the rows of its samples, numbers in TEXTS."""
  return [[{'slot': n, 'tokens': TEXTS[s], 'step_ends': [len(TEXTS[s]) // 2 + 1, len(TEXTS[s])],
            'counts': {}, 'other_scores': {}} for n, s in enumerate(of_question)]
          for of_question in samples]


def score(*tables, groups=1, name='prm', history=False):
  """The tables, with the scores; a reader's lanes are fewer than a question's texts."""
  workers = make_workers(groups, name)
  add_scores(workers, tables, name, history)
  return tables


def add_scores(workers, tables, name='prm', history=False):
  scorer, blocks = scoring.Scorer(workers, name, history), [make_block() for _ in tables]
  of = {id(block): table for block, table in zip(blocks, tables)}
  workers.ask(PerQuestion(lambda block: lambda b, group: scorer.score(
      block, b, group, of[id(block)][b]), [scorer.reading], 5), blocks)


def make_workers(groups=1, name='prm'):
  model = Model(name, ARCH, PARAMS, '')
  return Workers(types.SimpleNamespace(
      mesh=parallel.make_mesh(groups, 1), limits=Limits(20, 5, 12, toy.ROLES), main='prm',
      prompts=types.SimpleNamespace(encode=lambda question: [1], tokenizer=None),
      model={name: model}.get, experiment=config.Experiment()))


@pytest.fixture(autouse=True)
def few_lanes(monkeypatch):
  # With an odd number of rows a CPU's last bits are another in the last row than in the first.
  monkeypatch.setattr(shape, 'of', lambda *_: Shape(lanes=4, write=2, readers=4, tile=4))


@jax.jit
def _values(tokens, prompt_len):
  positions = jnp.arange(tokens.shape[1])[None]
  hidden, _ = Decoder(ARCH).apply(PARAMS, tokens, positions,
                                  own=positions >= prompt_len)
  return jax.nn.sigmoid(Decoder(ARCH).apply(PARAMS, hidden.top, method='values'))[0]


def before(question, samples=()):
  """What a text is written after: the question, and after each answer the question again."""
  return chains.context(PROMPTS[question], [TEXTS[s] for s in samples], toy.ROLES)


def alone(question, text, samples=()):
  """Values at the text's step ends, from one pass over all before it and the text."""
  prompt, size = len(before(question, samples)), 24 if not samples else 128
  tokens = np.zeros((1, size), np.int32)
  tokens[0, :prompt] = before(question, samples)
  tokens[0, prompt:prompt + len(text)] = text
  values = _values(tokens, prompt)
  return [float(values[prompt + e - 1]) for e in (len(text) // 2 + 1, len(text))]


SAMPLES = [[0, 1, 0, 2, 3], [4, 4, 0, 1, 2]]


def test_every_row_has_its_own_text_s_scores():
  table, = score(make_table(SAMPLES))
  for question, rows in enumerate(table):
    for row, s in zip(rows, SAMPLES[question]):
      np.testing.assert_allclose(row['step_scores'], alone(question, TEXTS[s]), atol=1e-5)
      assert row['answer_score'] == row['step_scores'][-1]


def test_a_row_is_charged_as_if_it_were_alone():
  """Whether a text is there twice does not change what each of its rows costs."""
  table, = score(make_table(SAMPLES))
  for question, rows in enumerate(table):
    prompt = len(PROMPTS[question])
    for row in rows:
      own, counts = len(row['tokens']), row['counts']['prm']
      first = prompt if row['slot'] == 0 else 0
      assert counts['prompt'] == first and counts['kept'] == own
      assert counts['entered'] == own + first
      context = sum(prompt + i + 1 for i in range(own)) + first * (first + 1) // 2
      assert counts['attended'] == context


def test_a_history_is_read_and_charged():
  table = make_table(SAMPLES)
  for rows in table:
    for n, row in enumerate(rows):
      row['context'] = list(range(max(0, n - 4), n))
  table, = score(table, history=True)
  for question, rows in enumerate(table):
    for n, row in enumerate(rows):
      samples = [SAMPLES[question][i] for i in row['context']]
      np.testing.assert_allclose(
          row['step_scores'], alone(question, TEXTS[SAMPLES[question][n]], samples), atol=1e-5)
      own, counts = len(row['tokens']), row['counts']['prm']
      read = len(before(question, samples))
      assert counts['reencoded'] == (read if n else 0) and counts['kept'] == own
      assert counts['entered'] == read + own == sum(counts[c] for c in ('prompt', 'kept',
                                                                        'reencoded'))
      assert counts['attended'] == (read + own) * (read + own + 1) // 2


def test_a_question_and_each_text_are_read_once():
  workers = make_workers()
  add_scores(workers, [make_table(SAMPLES)])
  once = [len(prompt) + sum(len(TEXTS[s]) for s in set(of_question))
          for prompt, of_question in zip(PROMPTS, SAMPLES)]
  assert workers.computed()['prm', 'entered'] == sum(once)
  assert workers.computed()['prm', 'computed'] % (4 * 4) == 0  # a tile in each lane


def test_a_history_is_read_once_for_all_that_were_written_after_it():
  workers, table = make_workers(), make_table([[0, 1, 2], [4, 4, 3]])
  for rows in table:
    for n, row in enumerate(rows):
      row['context'] = [0] if n else []
  add_scores(workers, [table], history=True)
  read = 0
  for question, samples in enumerate(([0, 1, 2], [4, 4, 3])):
    texts = [samples[:1], sorted(set(samples[1:]))]
    read += sum(len(before(question, samples[:n])) + sum(len(TEXTS[s]) for s in texts[n])
                for n in range(2))
  assert workers.computed()['prm', 'entered'] == read


@pytest.mark.parametrize('groups', [2, 3])
def test_blocks_do_not_depend_on_who_is_beside_them(groups):
  other = [[1, 2, 3, 4, 0], [0, 1, 2, 3, 4]]
  lone, = score(make_table(SAMPLES))
  beside, _ = score(make_table(SAMPLES), make_table(other), groups=groups)
  assert lone == beside


def test_an_orm_has_its_last_value_alone():
  table, = score(make_table(SAMPLES), name='orm')
  for question, rows in enumerate(table):
    for row, s in zip(rows, SAMPLES[question]):
      np.testing.assert_allclose(row['other_scores']['orm'], alone(question, TEXTS[s])[-1:],
                                 atol=1e-5)
