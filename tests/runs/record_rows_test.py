"""Rows: which verifier's scores lie where, and who is charged."""

import types

import numpy as np
import pytest

from tts.config import SearchConfig
from tts.runs import record_rows
from tts.stages import search
from tts.types import Problem


def scored(name, values, step_ends=(2, 5), main=False, stepwise=True):
  row = {'tokens': [5] * step_ends[-1], 'step_ends': list(step_ends), 'step_scores': None,
         'answer_score': None, 'other_scores': {}, 'counts': {}}
  record_rows.put_scores(row, name, np.float32(values), main, stepwise)
  record_rows.count_read(row, name, 17, 3, first=True)
  return row


def test_the_main_verifier_has_fields_of_its_own():
  row = scored('prm', [0, 0.25, 0, 0, 0.5, 9], main=True)
  assert (row['step_scores'], row['answer_score']) == ([0.25, 0.5], 0.5)
  assert row['other_scores'] == {} and set(row['counts']) == {'prm'}


@pytest.mark.parametrize('name,stepwise,expected', [
    ('prm_plain', True, [0.25, 0.5]), ('orm', False, [0.5]), ('orm_more', False, [0.5])])
def test_the_others_are_under_their_names(name, stepwise, expected):
  row = scored(name, [0, 0.25, 0, 0, 0.5, 9], stepwise=stepwise)
  assert row['other_scores'] == {name: expected}
  assert row['step_scores'] is None and row['answer_score'] is None
  assert row['counts'][name]['entered'] == 3 + 5 and row['counts'][name]['attended'] == 6 + 17


def test_nan_is_an_error_that_names_the_verifier():
  with pytest.raises(FloatingPointError, match='prm_plain'):
    scored('prm_plain', [0, np.nan, 0, 0, 0.5])


@pytest.mark.parametrize('block,budget,size', [
    (50, 1, 50), (50, 64, 50), (200, 16, 200), (200, 64, 50), (50, 256, 12), (50, 10_000, 1)])
def test_a_wide_block_has_fewer_questions(block, budget, size):
  config = SearchConfig(block=block, max_rows=3200)
  assert search.block_size(config, budget) == size
  assert size * budget <= 3200 or size == 1


def test_blocks_of_every_size_hold_the_questions_in_the_same_order():
  from tests.runs.blocks_test import PROBLEMS, PROMPTS
  from tts.runs import blocks
  order = lambda size: [p.id for b in blocks.cut(PROBLEMS, PROMPTS, 24, size)
                        for p in b.problems]
  assert order(1) == order(4) == order(10)
  run = types.SimpleNamespace(experiment=types.SimpleNamespace(
      search=types.SimpleNamespace(trees=3)))
  shown = lambda size: [p.id for p in search._shown(run, blocks.cut(PROBLEMS, PROMPTS, 24, size))]
  assert shown(2) == shown(7)  # every setting keeps the trees of the same questions


@pytest.mark.parametrize('grader', ['exact', 'math'])
def test_rows_are_judged_by_the_grader_of_the_config(grader):
  if grader == 'math':
    pytest.importorskip('math_verify', reason='needs pip install tts[math]')
  problem = Problem('q', 'p\n', '10')
  asked = [(r'#### \sum_{k=1}^4 k', True, problem), ('#### 10', True, problem),
           (r'#### \sum_{k=1}^4 k', False, problem), ('#### 3', True, problem), ('', True, problem),
           (r'#### \sum_{k=1}^4 k', True, Problem('r', 'p\n', None))]
  by_library = grader == 'math'
  assert record_rows.RowMaker(None, None, grader, 0).judge(asked) == [
      {'answer': answer, 'truncated': truncated, 'correct': correct}
      for answer, truncated, correct in (
          (r'\sum_{k=1}^4 k', False, by_library), ('10', False, True), (None, True, False),
          ('3', False, False), (None, False, False), (r'\sum_{k=1}^4 k', False, None))]
