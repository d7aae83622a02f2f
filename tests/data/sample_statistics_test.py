"""Statistics of a sample's tokens in a file: half precision there and back, mistakes named."""

import json
import warnings

import numpy as np
import pytest

from tts.data import sample_statistics, samples_file
from tts.types import InputError

GIVEN = {'entropy': [0.5, 1.25], 'confidence': [9.0, 12.5], 'logprob': [-0.125, -3.0],
         'self_certainty': 7.5}


def test_every_half_comes_back_from_its_decimal():
  """All 65,536, by JSON; and none has more digits than it takes."""
  every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
  every = every[np.isfinite(every)]
  kept = sample_statistics.rounded({'entropy': every})['entropy']
  back = np.array(json.loads(json.dumps(kept)), np.float16)
  np.testing.assert_array_equal(back.view(np.uint16), every.view(np.uint16))
  assert max(len(repr(x).lstrip('-').replace('.', '').strip('0')) for x in kept
             if 1e-4 <= abs(x) < 1e4) == 5


def test_numbers_are_the_nearest_halves():
  values = np.random.default_rng(0).normal(0.0, 5.0, 1000).astype(np.float32)
  kept = sample_statistics.rounded({'confidence': values, 'self_certainty': np.float64(0.1)})
  np.testing.assert_array_equal(np.array(kept['confidence'], np.float16),
                                values.astype(np.float16))
  assert kept['self_certainty'] == 0.1 and isinstance(kept['self_certainty'], float)
  with warnings.catch_warnings():
    warnings.simplefilter('error')
    kept = sample_statistics.rounded({'confidence': np.array([1e9, np.inf, -1e9, 70000.0])})
  # The shortest decimal that is the largest half, 65,504.
  assert kept['confidence'] == [65500.0, 65500.0, -65500.0, 65500.0]


def read(tmp_path, *rows):
  path = tmp_path / 'f.jsonl'
  path.write_text(''.join(json.dumps({'id': 'a', 'answer': '7', **r}) + '\n' for r in rows))
  found, = samples_file.read(path).settings.values()
  return [s.statistics for s in found['a']]


ONE = {'text': '#### 7', 'statistics': GIVEN}
TWO = {'text': '#### 8', 'statistics': {
    'entropy': [0.0001, 3.0, 1.0], 'confidence': [1.0, 2.0, 3.0], 'logprob': [-1.0, -2.0, 0],
    'self_certainty': 3}}


def test_a_line_of_several_samples_has_them_in_either_form(tmp_path):
  want = read(tmp_path, ONE, TWO)
  assert want[0] == GIVEN and want[1]['entropy'] == [float(str(np.float16(0.0001))), 3.0, 1.0]
  both = [ONE['statistics'], TWO['statistics']]
  texts = {'texts': ['#### 7', '#### 8']}
  assert read(tmp_path, texts | {'statistics': both}) == want
  assert read(tmp_path, texts | {
      'statistics': {name: [of[name] for of in both] for name in GIVEN}}) == want
  assert read(tmp_path, {'choices': [ONE, TWO]}) == want
  assert read(tmp_path, {'text': '#### 7'}, {'text': '', 'statistics': None}) == [None, None]


def test_any_of_them_may_be_there(tmp_path):
  for name, value in GIVEN.items():
    assert read(tmp_path, ONE | {'statistics': {name: value}}) == [{name: value}]
  assert read(tmp_path, ONE | {'num_tokens': 2}, ONE | {'token_ids': [5, 6], 'num_tokens': 2}) == [
      GIVEN, GIVEN]


@pytest.mark.parametrize('statistics,expected', [
    ([0.5, 0.25], 'object of some of entropy, confidence'), ({}, 'object of some'), (3, 'object'),
    (GIVEN | {'perplexity': 1.0}, 'object of some'),
    (GIVEN | {'entropy': []}, 'statistics.entropy.*a list'),
    (GIVEN | {'entropy': 0.5}, 'statistics.entropy.*a list'),
    (GIVEN | {'logprob': [0.5, None]}, 'statistics.logprob.*no finite number'),
    (GIVEN | {'self_certainty': [1.0]}, 'statistics.self_certainty.*no finite number'),
    (GIVEN | {'confidence': [1.0, 2.0, 3.0]}, 'statistics.confidence.*3 numbers for 2 tokens'),
    (GIVEN | {'self_certainty': True}, 'no finite number')])
def test_a_mistake_names_its_line(tmp_path, statistics, expected):
  with pytest.raises(InputError, match=f'line 2: .*{expected}'):
    read(tmp_path, ONE, ONE | {'statistics': statistics})


def test_their_number_is_that_of_the_tokens(tmp_path):
  with pytest.raises(InputError, match='statistics.entropy.*2 numbers for 3 tokens'):
    read(tmp_path, ONE | {'num_tokens': 3})


def test_samples_that_vote_have_the_same_ones(tmp_path):
  """As a vote by them would compare what is there with what is not."""
  for lacks in ({'text': '#### 8'}, TWO | {'statistics': {'entropy': [1.0]}}):
    with pytest.raises(InputError, match='line 2: no statistics.*which line 1 has'):
      read(tmp_path, ONE, lacks)
  assert read(tmp_path, ONE, {'text': 'no answer'}) == [GIVEN, None]
