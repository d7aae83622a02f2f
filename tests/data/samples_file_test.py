"""Files of samples: every form that is understood reads alike; a mistake names its line."""

import json
import math

import pytest

from tts.data import problems, samples_file
from tts.types import InputError, Strategy

ONE = {'problem_id': 'a', 'problem': 'What is 3+4?', 'answer': '7', 'prediction': '#### 7',
       'step_scores': [0.5, 0.75], 'logprob': -2.5, 'tokens': 4, 'finish_reason': 'stop'}
TWO = {**ONE, 'prediction': 'no end', 'step_scores': [0.25, 0.0], 'logprob': -3, 'tokens': 9,
       'finish_reason': 'length'}
SAMPLE = Strategy('sample', 0)


def read(tmp_path, *rows, **options):
  path = tmp_path / 'f.jsonl'
  path.write_text(''.join((r if isinstance(r, str) else json.dumps(r)) + '\n' for r in rows))
  return samples_file.read(path, **options)


def samples(found, id_='a', model='base', strategy=SAMPLE):
  return found.settings[model, strategy][id_]


def without_lines(found):
  out = []
  for s in samples(found):
    s.line = 0
    out.append(s)
  return out


def test_a_sample_a_line(tmp_path):
  found = read(tmp_path, ONE, TWO)
  assert found.questions == {'a': samples_file.Question('What is 3+4?', '7', None)}
  first, second = samples(found)
  assert (first.answer, first.correct, first.truncated) == ('7', True, False)
  assert (second.answer, second.correct, second.truncated) == (None, False, True)
  assert first.scores == {'prm': ([0.5, 0.75], 0.75)} and found.verifiers == ('prm',)
  assert (first.logprob, first.tokens, second.tokens, second.line) == (-2.5, 4, 9, 2)


SHARED = {k: ONE[k] for k in ('problem_id', 'problem', 'answer')}
PAIRS = {k: [ONE[k], TWO[k]] for k in ('step_scores', 'logprob', 'tokens', 'finish_reason')}
OWN = [{k: row[k] for k in ('step_scores', 'logprob', 'finish_reason')} for row in (ONE, TWO)]


@pytest.mark.parametrize('row', [
    {**SHARED, **PAIRS, 'prediction': [ONE['prediction'], TWO['prediction']]},
    {**SHARED, **PAIRS, 'responses': [ONE['prediction'], TWO['prediction']]},
    {**SHARED, 'completions': [ONE['prediction'], TWO['prediction']],
     'scores': PAIRS['step_scores'], 'cumulative_logprob': PAIRS['logprob'],
     'token_ids': [[5] * 4, [5] * 9], 'truncated': [False, True]},
    {**SHARED, 'responses': [ONE['prediction'], TWO['prediction']],
     'scores': {'prm': PAIRS['step_scores']},
     **{k: v for k, v in PAIRS.items() if k != 'step_scores'}},
    {**SHARED, 'outputs': [{**own, 'text': row['prediction'], 'token_ids': [5] * row['tokens']}
                           for own, row in zip(OWN, (ONE, TWO))]},
    {**SHARED, 'tokens': PAIRS['tokens'],
     'choices': [{**own, 'message': {'role': 'assistant', 'content': row['prediction']}}
                 for own, row in zip(OWN, (ONE, TWO))]},
    {'question': ONE['problem'], 'question_id': 'a', 'ground_truth': '7.0', **PAIRS,
     'texts': [ONE['prediction'], TWO['prediction']]},
])
def test_a_question_a_line_reads_as_its_samples_alone_do(tmp_path, row):
  assert without_lines(read(tmp_path, row)) == without_lines(read(tmp_path, ONE, TWO))


def test_fields_by_other_names(tmp_path):
  row = {'qid': 3, 'out': '#### 7', 'answer': 'what the model said', 'ref': '7', 'score': 1}
  fields = samples_file.parse_fields('id=qid, prediction=out,answer=ref')
  found = read(tmp_path, row, fields=fields)
  sample, = samples(found, '3')
  assert sample.correct and sample.scores == {'prm': ([1.0], 1.0)}
  for wrong in ('gold=x', 'answer', 'answer='):
    with pytest.raises(InputError, match='--fields'):
      samples_file.parse_fields(wrong)


def test_a_question_without_an_id_is_named_as_a_benchmarks_is(tmp_path):
  row = {k: v for k, v in ONE.items() if k != 'problem_id'}
  name, = read(tmp_path, row, row).questions
  (tmp_path / 'p.jsonl').write_text(json.dumps({'problem': ONE['problem'], 'answer': '7'}))
  assert problems.load_jsonl(tmp_path / 'p.jsonl')[0].id == name


def test_scores(tmp_path):
  def of(**fields):
    row = {k: v for k, v in ONE.items() if k != 'step_scores'} | fields
    found = read(tmp_path, row, logits=fields.pop('logits', ()))
    return found.verifiers, samples(found)[0].scores

  assert of(score=0.5, step_scores=[0.25, 0.75]) == (('prm',), {'prm': ([0.25, 0.75], 0.5)})
  assert of(scores={'rm': 0.5, 'steps': [0.25, 1]}) == (
      ('rm', 'steps'), {'rm': ([0.5], 0.5), 'steps': ([0.25, 1.0], 1.0)})
  assert of(scores={'rm': 0.5, 'prm': 0.25})[0] == ('prm', 'rm')
  assert of(score=0.5, scores={'rm': 0.25})[0] == ('prm', 'rm')
  assert of(score=None) == of(step_scores=[]) == ((), {})


def test_logits_are_mapped(tmp_path):
  rows = [{**ONE, 'step_scores': None, 'scores': {'rm': x, 'p': 0.5}}
          for x in (-1e6, -2, 0, 3, 1e6)]
  found = [s.scores for s in samples(read(tmp_path, *rows, logits=['rm']))]
  values = [s['rm'][1] for s in found]
  assert values == pytest.approx([0, 1 / (1 + math.e**2), 0.5, 1 / (1 + math.e**-3), 1], abs=1e-12)
  assert {s['p'][1] for s in found} == {0.5} and 0 <= min(values) and max(values) <= 1
  with pytest.raises(InputError, match='rn.*scores nothing'):
    read(tmp_path, *rows, logits=['rm', 'rn'])


def test_models_and_strategies(tmp_path):
  beam = {'strategy': 'beam', 'budget': 4, 'beam_width': 2}
  found = read(tmp_path, ONE, {**ONE, 'model': 'large', 'strategy': 'greedy'}, {**ONE, **beam},
               {**ONE, 'strategy': 'lookahead', 'budget': 8, 'beam_width': 2, 'lookahead': 1})
  assert set(found.settings) == {
      ('base', SAMPLE), ('large', Strategy('greedy', 1)), ('base', Strategy('beam', 4, 2)),
      ('base', Strategy('lookahead', 8, 2, 1))}
  assert set(read(tmp_path, {**ONE, 'model': 'org/its-own-name'}).settings) == {('base', SAMPLE)}


def test_without_gold_nothing_is_right_or_wrong(tmp_path):
  row = {k: v for k, v in ONE.items() if k != 'answer'}
  sample, = samples(read(tmp_path, row))
  assert sample.answer == '7' and sample.correct is None
  # One line of a question is enough, wherever it stands.
  assert [s.correct for s in samples(read(tmp_path, row, ONE))] == [True, True]


@pytest.mark.parametrize('row,expected', [
    ('{"problem_id": "a", ', 'not JSON'), ('[1]', 'not a JSON object'),
    ('{"problem_id": "a", "prediction": "7", "score": NaN}', 'NaN'),
    ({'prediction': '7'}, '"problem_id"'), ({'problem_id': 'a'}, '--fields=prediction'),
    ({**ONE, 'prediction': None}, '--fields=prediction'), ({**ONE, 'prediction': {}}, 'neither text nor'),
    ({**ONE, 'answer': '8'}, "'8'.*'7'"), ({**ONE, 'answer': ' '}, 'empty'),
    ({**ONE, 'problem': 'What is 4+3?'}, 'another prompt'),
    ({**ONE, 'level': 7}, '1 to 5'),
    ({**ONE, 'step_scores': [0.5, 1.5]}, '1.5.*--logits=prm'),
    ({**ONE, 'step_scores': None, 'scores': {'rm': -1}}, '-1.*--logits=rm'),
    ({**ONE, 'step_scores': None, 'score': 'high'}, 'no finite number'),
    ({**ONE, 'step_scores': None, 'score': True}, 'no finite number'),
    ('{"problem_id": "a", "prediction": "7", "score": 1e999}', 'no finite number'),
    ({**ONE, 'scores': {'prm': 0.5}}, "two scores by 'prm'"),
    ({**ONE, 'step_scores': None}, "no score by 'prm', which line 1 has"),
    ({**ONE, 'tokens': None}, 'no tokens, which line 1 has'),
    ({**ONE, 'logprob': None}, 'no logprob, which line 1 has'),
    ({**ONE, 'tokens': -1}, '"tokens"'), ({**ONE, 'tokens': 10**30}, '"tokens"'),
    ({**ONE, 'truncated': 'no'}, '"truncated"'), ({**ONE, 'logprob': 10**400}, 'no finite number'),
    ({**ONE, 'strategy': 'tree'}, "'tree'"), ({**ONE, 'strategy': ['beam']}, 'unknown'),
    ({**ONE, 'strategy': 'beam', 'budget': 4}, 'beam_width'),
    ({**ONE, 'strategy': 'lookahead', 'budget': 1, 'beam_width': 1, 'lookahead': 1},
     'no candidate'),
    ({**ONE, 'model': 'org/other'}, 'one of several'),
    ({**ONE, 'prediction': ['#### 7', '#### 8']}, 'list of 2'),
    ({**ONE, 'prediction': []}, 'empty'),
    ({**ONE, 'prediction': [['#### 7']] * 2}, 'not text|list'),
])
def test_mistakes_name_file_line_and_field(tmp_path, row, expected):
  with pytest.raises(InputError, match=expected) as raised:
    read(tmp_path, ONE, row)
  assert f'{tmp_path / "f.jsonl"}, line 2' in str(raised.value)
  assert '\n' not in str(raised.value)


def test_what_has_no_vote_needs_no_score_and_no_logprob(tmp_path):
  cut = {**TWO, 'step_scores': None, 'logprob': None}
  assert samples(read(tmp_path, ONE, cut))[1].scores == {}


def test_an_empty_file(tmp_path):
  with pytest.raises(InputError, match='empty'):
    read(tmp_path, '')
