"""Files of samples: every form that is understood reads alike; a mistake names its line."""

import json
import math
import random

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
      ('base', SAMPLE), ('large', Strategy('greedy', 1)),
      ('base', Strategy.of('beam', 4, beam_width=2)),
      ('base', Strategy.of('lookahead', 8, beam_width=2, lookahead=1))}
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
    ({**ONE, 'prediction': {}}, 'neither text nor'),
    ({**ONE, 'prediction': True}, 'neither text nor'),
    ({**SHARED, 'choices': [{'finish_reason': 'stop'}]}, 'sample 1 of the list has no text'),
    ({**SHARED, 'resps': [[['-1.25', 'False']], [['-0.5', 'True']]]}, 'neither text nor'),
    ({**SHARED, 'scores': {'a\nb': 'x'}, 'prediction': ''}, 'no finite number'),
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


# What servers and harnesses write of a sample that was cut off before it had an answer.
SILENT = [
    {**SHARED, 'prediction': None}, {**SHARED, 'response': None, 'finish_reason': 'length'},
    {**SHARED, 'finish_reason': 'length'}, {**SHARED, 'truncated': True, 'output': None},
    {**SHARED, 'responses': [None]}, {**SHARED, 'resps': [[None]], 'doc_id': 0},
    {**SHARED, 'choices': [{'index': 0, 'message': {'role': 'assistant', 'content': None,
                                                    'reasoning_content': 'Wait, is it 7?'},
                            'finish_reason': 'length'}]},
    {**SHARED, 'choices': [{'message': {'role': 'assistant'}, 'finish_reason': 'tool_calls'}]},
    {**SHARED, 'choices': [{'text': None, 'finish_reason': 'content_filter'}]},
    {**SHARED, 'outputs': [{'index': 0, 'cumulative_logprob': None, 'finish_reason': 'length'}]},
]


@pytest.mark.parametrize('row', SILENT)
def test_a_sample_without_a_text_has_no_answer_and_is_counted(tmp_path, row):
  found = read(tmp_path, {k: v for k, v in ONE.items() if k != 'tokens'}, row)
  _, silent = samples(found)
  assert (silent.text, silent.answer, silent.correct) == (None, None, False)
  assert found.said == ('1 of 2 samples have no text, so no answer',)


def test_a_chats_text_may_be_in_parts(tmp_path):
  parts = [{'type': 'text', 'text': '#### '}, {'type': 'image'}, {'type': 'text', 'text': '7'}]
  row = {**SHARED, 'choices': [{'message': {'content': parts}}, {'message': {'content': []}}]}
  assert [s.answer for s in samples(read(tmp_path, row))] == ['7', None]


def logged(filter_, answers, doc_id=0, **more):
  """A line of lm-evaluation-harness's samples_gsm8k_*.jsonl, of two repeats and one request."""
  return {'doc_id': doc_id, 'doc': {'question': 'What is 3+4?', 'answer': '3+4=7\n#### 7',
                                    'level': 'Level 2'},
          'target': '3+4=7\n#### 7', 'arguments': {'gen_args_0': {'arg_0': 'Q: ...', 'arg_1': {}}},
          'resps': [['3+4=7\n#### 7', '3+4=8\n#### 8']], 'filtered_resps': answers,
          'filter': filter_, 'metrics': ['exact_match'], 'doc_hash': 'd', 'exact_match': 1.0,
          **more}


def test_lm_evaluation_harness(tmp_path):
  rows = [logged('strict-match', ['7']), logged('flexible-extract', ['8']),
          logged('strict-match', ['7'], doc_id=1), logged('flexible-extract', ['8'], doc_id=1)]
  found = read(tmp_path, *rows)
  assert found.questions == {
      i: samples_file.Question('What is 3+4?', '7', 2) for i in ('0', '1')}
  assert [s.correct for s in samples(found, '1')] == [True, False]
  assert found.said[0].startswith('2 lines have samples of lines before once more')
  # Without the filter nobody can tell: two lines are four samples.
  again = [{k: v for k, v in row.items() if k != 'filter'} for row in rows[:2]]
  assert len(samples(read(tmp_path, *again), '0')) == 4
  other = logged('strict-match', [], doc={'question': 'q', 'level': 'hard', 'answer': ['7']})
  assert read(tmp_path, other).questions['0'] == samples_file.Question('q', '7', None)
  requests = logged('none', [], resps=[['#### 7'], ['#### 8']], scores=[[0.5], [0.25]])
  assert [s.scores['prm'][1] for s in samples(read(tmp_path, requests), '0')] == [0.5, 0.25]
  # Other fields may be nested as the texts are, or one list.
  for values in ([[0.5, 0.25]], [0.5, 0.25], [[[0.1, 0.5], [0.25]]]):
    row = logged('none', [], scores={'rm': values})
    assert [s.scores['rm'][1] for s in samples(read(tmp_path, row), '0')] == [0.5, 0.25]


def test_tokens_that_are_not_all_counted_are_no_cost(tmp_path):
  found = read(tmp_path, ONE, TWO, {**SHARED, 'prediction': None})
  assert [s.tokens for s in samples(found)] == [None] * 3
  assert found.said[0] == ('1 of 3 samples have no number of tokens: costs are in generations '
                           'alone')


BAD = ['{"problem_id": "a", ', '[1]', '\xff', {'prediction': '7'}, {'problem_id': 'a'},
       {**ONE, 'prediction': {}}, {**ONE, 'answer': '8'}, {**ONE, 'problem': 'What is 4+3?'},
       {**ONE, 'step_scores': [0.5, 1.5]}, {**ONE, 'prediction': ['#### 7', 7]},
       {**ONE, 'step_scores': None}, {**ONE, 'tokens': None}, {**ONE, 'logprob': None},
       {**ONE, 'strategy': 'tree'}, {**ONE, 'level': 'hard'},
       {**ONE, 'problem_id': 'b', 'answer': '8', 'tokens': -1}]


def bad_file(tmp_path, rows):
  path = tmp_path / 'f.jsonl'
  path.write_bytes(b''.join(
      (b'\xff' if r == '\xff' else (r if isinstance(r, str) else json.dumps(r)).encode()) + b'\n'
      for r in rows))
  return path


@pytest.mark.parametrize('bad', BAD)
def test_a_bad_line_does_not_stop_the_rest_where_asked(tmp_path, bad):
  path = bad_file(tmp_path, [ONE, bad, ONE, TWO])
  with pytest.raises(InputError, match='line 2'):
    samples_file.read(path)
  found = samples_file.read(path, skip_bad=True)
  assert [s.line for s in samples(found)] == [1, 3, 4] and list(found.questions) == ['a']
  said, = found.said
  assert said.startswith(f'left out 1 bad line: {path}, line 2: ')
  assert without_lines(found) == without_lines(read(tmp_path, ONE, ONE, TWO))


def test_of_many_bad_lines_a_few_are_named(tmp_path):
  said, = samples_file.read(bad_file(tmp_path, [ONE] * 3 + BAD), skip_bad=True).said
  assert f'left out {len(BAD)} bad lines: ' in said and said.count(', line ') == 5
  assert said.endswith(f'; and {len(BAD) - 5} more')
  with pytest.raises(InputError, match='left out 3 bad lines'):
    samples_file.read(bad_file(tmp_path, BAD[:3]), skip_bad=True)


def test_what_most_lines_lack_is_a_mistake_even_then(tmp_path):
  lacking = {**ONE, 'logprob': None}
  with pytest.raises(InputError, match='line 2: no logprob, which line 1 has'):
    samples_file.read(bad_file(tmp_path, [ONE, lacking, lacking]), skip_bad=True)


def made_up(rng, depth=0):
  """Some JSON value; now and then a large or a deep one."""
  kinds = [lambda: rng.choice([None, True, False, 0, 1, -1, 0.5, 1e308, 10**400, 2**31]),
           lambda: rng.choice(['', '7', '#### 7', 'é\ud800', '\\boxed{7}', 'length', 'beam',
                               'a\nb', '7' * 500]),
           lambda: [made_up(rng, depth + 1) for _ in range(rng.randrange(4))],
           lambda: {rng.choice([*FIELDS, 'message', 'content', 'doc', 'filter', 'a\nb']):
                    made_up(rng, depth + 1) for _ in range(rng.randrange(5))}]
  return rng.choice(kinds[:2] if depth > 3 else kinds)()


FIELDS = [name for names in samples_file.NAMES.values() for name in names]


@pytest.mark.parametrize('seed', range(8))
def test_whatever_the_line_there_are_samples_or_one_line_that_names_it(tmp_path, seed):
  rng, path = random.Random(seed), tmp_path / 'f.jsonl'
  understood = 0
  for _ in range(400):
    row = dict(rng.choice([ONE, SHARED, logged('x', ['7']), *SILENT]))
    for _ in range(rng.randrange(4)):
      row[rng.choice([*FIELDS, 'doc', 'filter'])] = made_up(rng)
    line = json.dumps(row)
    if rng.random() < 0.1:
      line = line[:rng.randrange(len(line))] or '{'
    if rng.random() < 0.02:
      line = '{"prediction":' * 100_000
    path.write_text('\n' + line + '\n')
    try:
      found = samples_file.read(path)
    except InputError as error:
      assert f'{path}, line 2: ' in str(error) and '\n' not in str(error), line
    else:
      assert all(s.line == 2 for by_question in found.settings.values()
                 for of in by_question.values() for s in of)
      understood += 1
  assert 100 < understood < 390
