"""Labelled solutions: both formats, and what is said of lines that are neither."""

import json

import pytest

from tts.data import jsonl, labelled_steps
from tts.types import InputError

GOOD = {'problem': 'What is 1+1?', 'steps': ['1+1=3', 'So 3.'], 'label': 0}


def read(tmp_path, *rows, skip=False):
  path = tmp_path / 'f.jsonl'
  path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
  bad = jsonl.BadLines(skip)
  return [x for _, x in labelled_steps.read(path, bad)], bad


def test_processbench_s_fields(tmp_path):
  found, _ = read(tmp_path, GOOD, GOOD | {'label': -1, 'id': 'gsm8k-7', 'generator': 'x'},
                  GOOD | {'label': 1, 'final_answer_correct': True})
  assert [x.first_error for x in found] == [0, -1, 1]
  assert [x.correct for x in found] == [False, True, True]
  assert found[0].steps == ('1+1=3', 'So 3.')


def test_a_number_a_step(tmp_path):
  row = {k: v for k, v in GOOD.items() if k != 'label'}
  found, _ = read(tmp_path, row | {'labels': [0.5, 0.0]}, row | {'labels': [1, 0.25]})
  assert [(x.first_error, x.correct) for x in found] == [(1, False), (-1, True)]


@pytest.mark.parametrize('change,why', [
    ({'steps': []}, '"steps" is to be a list of texts'), ({'steps': ['a', ' ']}, 'none of them empty'),
    ({'steps': 'a'}, '"steps"'), ({'label': 2}, '"label" is 2: give -1 to 1'),
    ({'label': True}, '"label"'), ({'labels': [1, 1]}, 'give one of the fields'),
    ({'problem': None}, '"problem"'), ({'final_answer_correct': 1}, 'true or false')])
def test_a_bad_line_names_its_field(tmp_path, change, why):
  with pytest.raises(InputError, match='line 1: ') as error:
    read(tmp_path, GOOD | change)
  assert why in str(error.value)
  found, bad = read(tmp_path, GOOD | change, GOOD, skip=True)
  assert len(found) == 1 and bad.count == 1


@pytest.mark.parametrize('labels', [[1], [1, 2], [1, float('nan')], 'x', None, [1, True]])
def test_numbers_are_chances(tmp_path, labels):
  row = {k: v for k, v in GOOD.items() if k != 'label'}
  with pytest.raises(InputError):
    read(tmp_path, row | {'labels': labels})
