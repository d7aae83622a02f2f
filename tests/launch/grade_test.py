"""The grading command, as a user runs it."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
ROWS = [
    {'prediction': '7+12=19\n#### 19', 'answer': '19', 'n': [1, 2.5], 'name': 'é\ud800'},
    {'prediction': r'\boxed{2}, no: \boxed{\frac{1}{2}}', 'answer': 'so\n#### 0.5'},
    {'answer': r'\boxed{3}', 'prediction': 'I do not know'},
    {'prediction': 'The answer is 4.', 'answer': 5, 'extracted': 'old'},
]


def _grade(*arguments):
  return subprocess.run(
      [sys.executable, '-m', 'launch.grade', *arguments],
      cwd=ROOT, capture_output=True, text=True, timeout=60,
  )  # pyformat: disable


def test_same_lines_same_order_with_verdicts(tmp_path):
  source, target = tmp_path / 'f.jsonl', tmp_path / 'g.jsonl'
  source.write_text('\n'.join(json.dumps(row) for row in ROWS))
  target.write_text('what an earlier run left')
  result = _grade(f'--input={source}', f'--output={target}')
  assert result.returncode == 0, result.stderr
  assert '2 of 4 correct, 1 without an answer' in result.stdout
  assert result.stderr == ''
  graded = [json.loads(line) for line in target.read_text().splitlines()]
  verdicts = [('19', 'marker', True), (r'\frac{1}{2}', 'box', True), (None, None, False),
              ('4', 'sentence', False)]
  assert graded == [
      row | {'extracted': extracted, 'found_by': rule, 'correct': correct}
      for row, (extracted, rule, correct) in zip(ROWS, verdicts, strict=True)
  ]
  assert sorted(p.name for p in tmp_path.iterdir()) == ['f.jsonl', 'g.jsonl']


@pytest.mark.parametrize(
    'line,message',
    [
        ('{"prediction": 3', 'line 2: not JSON'),
        ('{"prediction": "3"}', 'line 2: no field "answer"'),
        ('{"answer": "3"}', 'line 2: no field "prediction"'),
        ('{"answer": "3", "prediction": {}}', 'line 2: field "prediction"'),
        ('{"answer": "3", "resps": [[[["-1.5", "False"]]]]}', 'line 2: field "prediction"'),
        (f'{{"answer": "{"3" * 401}", "prediction": ""}}', 'line 2: field "answer" has an answer'),
        ('{"answer": "3", "prediction": "", "x": 1e999}', 'line 2: a number is too large'),
    ],
)
def test_a_bad_line_leaves_no_output(tmp_path, line, message):
  source = tmp_path / 'f.jsonl'
  source.write_text(json.dumps(ROWS[0]) + '\n' + line + '\n')
  result = _grade(f'--input={source}', f'--output={tmp_path / "g.jsonl"}')
  assert result.returncode == 2
  assert message in result.stderr and result.stderr.count('\n') == 1
  assert [p.name for p in tmp_path.iterdir()] == ['f.jsonl']


def test_bad_lines_are_left_out_where_asked(tmp_path):
  source, target = tmp_path / 'f.jsonl', tmp_path / 'g.jsonl'
  bad = ['{"prediction": 3', '[7]', '{"prediction": "7"}', '{"answer": "7"}',
         '{"answer": "3", "prediction": "", "x": 1e999}', '{"answer": "7", "prediction": true}',
         f'{{"answer": "{"3" * 401}", "prediction": ""}}']
  good = [json.dumps(row) for row in ROWS]
  source.write_text('\n'.join(line for pair in zip(good + good, bad + ['']) for line in pair))
  result = _grade(f'--input={source}', f'--output={target}', '--skip_bad')
  assert result.returncode == 0, result.stderr
  counted, said = result.stdout.splitlines()
  assert counted == '4 of 8 correct, 2 without an answer'
  assert said.startswith('left out 7 bad lines: ') and said.endswith('; and 2 more')
  assert [f'line {n}: ' in said for n in (2, 4, 6, 8, 10, 12, 14)].count(True) == 5
  graded = [json.loads(line) for line in target.read_text().splitlines()]
  assert [row['answer'] for row in graded] == [row['answer'] for row in ROWS + ROWS]


FOREIGN = [  # a line, what is extracted, whether that is right
    ({'prediction': None, 'answer': '7'}, None, False),
    ({'answer': '7', 'finish_reason': 'length'}, None, False),
    ({'answer': '7', 'truncated': True, 'prediction': None}, None, False),
    ({'target': 'so\n#### 7', 'resps': [['#### 7', '#### 8', None]], 'doc': {'question': 'q'},
      'filtered_resps': ['7']}, ['7', '8', None], [True, False, False]),
    ({'gold': '7', 'choices': [
        {'message': {'role': 'assistant', 'content': None}, 'finish_reason': 'length'},
        {'message': {'content': '#### 7'}}]}, [None, '7'], [False, True]),
    ({'ground_truth': '7', 'outputs': [{'text': '#### 7', 'token_ids': [1], 'logprobs': None}]},
     ['7'], [True]),
    ({'answer': '7', 'response': '#### 7', 'finish_reason': ['length']}, '7', True),
]


def test_lines_of_others(tmp_path):
  source, target = tmp_path / 'f.jsonl', tmp_path / 'g.jsonl'
  source.write_text('\n'.join(json.dumps(row) for row, *_ in FOREIGN))
  result = _grade(f'--input={source}', f'--output={target}')
  assert result.returncode == 0, result.stderr
  assert result.stdout == '4 of 10 correct, 5 without an answer, 5 of them without a text\n'
  graded = [json.loads(line) for line in target.read_text().splitlines()]
  for line, (row, extracted, correct) in zip(graded, FOREIGN, strict=True):
    rules = line.pop('found_by')
    assert line == row | {'extracted': extracted, 'correct': correct}
    assert [r == 'marker' for r in rules] == [a is not None for a in extracted] if isinstance(
        extracted, list) else (rules == 'marker') == (extracted is not None)


@pytest.mark.parametrize(
    'arguments,message',
    [
        (['--input=none.jsonl', '--output={tmp}/g'], 'cannot read none.jsonl'),
        (['--input={tmp}/f', '--output={tmp}/none/g'], 'create the folder'),
        (['--input={tmp}/f', '--output={tmp}'], 'is a folder'),
        (['--input={tmp}/f'], '--output is missing'),
        (['--output={tmp}/g'], '--input is missing'),
        (['--inputs={tmp}/f'], 'inputs'),
        (['--input={tmp}/f', '--output={tmp}/g', '--grader=mat'], '<exact|math>'),
    ],
)
def test_a_bad_command_is_one_line_and_status_2(tmp_path, arguments, message):
  (tmp_path / 'f').write_text(json.dumps(ROWS[0]))
  result = _grade(*(a.format(tmp=tmp_path) for a in arguments))
  assert result.returncode == 2
  assert message in result.stderr and result.stderr.count('\n') == 1
  assert [p.name for p in tmp_path.iterdir()] == ['f']


def test_the_math_grader_keeps_order_and_survives_hostile_lines(tmp_path):
  pytest.importorskip('math_verify', reason='needs pip install tts[math]')
  source = tmp_path / 'f.jsonl'
  lines = [(r'\boxed{3\sqrt{2}}', r'\sqrt{18}', True), ('#### 7', '8', False),
           ('#### 9**9**9**9', '5', False), ('#### (10^9)!', '5', False), ('#### 19', '19', True),
           (r'\boxed{(x+1)^2}', 'x^2+2x+1', True), ('none', '4', False)] * 50
  source.write_text(''.join(json.dumps({'prediction': p, 'answer': a, 'n': n}) + '\n'
                            for n, (p, a, _) in enumerate(lines)))
  result = _grade(f'--input={source}', f'--output={tmp_path / "g"}', '--grader=math')
  assert result.returncode == 0, result.stderr
  assert result.stdout == '150 of 350 correct, 50 without an answer\n'
  graded = [json.loads(line) for line in (tmp_path / 'g').read_text().splitlines()]
  assert [(row['n'], row['correct']) for row in graded] == [
      (n, right) for n, (*_, right) in enumerate(lines)]
