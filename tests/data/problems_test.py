"""Problems from files like GSM8K's and MATH's, and what is wrong with bad ones."""

import json

import pytest

from tts.data import arith
from tts.data import problems
from tts.types import InputError

GSM8K = {
    'question': 'A robe takes 2 bolts of blue fiber and half that white.  How many?',
    'answer': 'It takes 2/2=<<2/2=1>>1 bolt\nSo 2+1=<<2+1=3>>3 bolts\n#### 3',
}
MATH = {
    'problem': 'Convert the point $(0,3)$ to polar coordinates.',
    'level': 'Level 2',
    'solution': r'So $\boxed{\left( 3, \frac{\pi}{2} \right)}.$',
    'answer': r'\left( 3, \frac{\pi}{2} \right)',
    'subject': 'Precalculus',
}


def _write(path, *rows):
  path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
  return str(path)


def test_a_split_comes_from_its_file(tmp_path):
  path = _write(tmp_path / 'f.jsonl', GSM8K, MATH)
  data = problems.DataConfig(test=path)
  first, second = problems.load_split(data, 'test', tmp_path / 'unused')
  assert first.prompt == GSM8K['question'] + '\n'
  assert first.answer == '3' and first.solution == GSM8K['answer']
  assert first.level is None
  assert second.answer == MATH['answer'] and second.solution == MATH['solution']
  assert second.level == 2
  assert not (tmp_path / 'unused').exists()


def test_a_split_comes_from_its_family(tmp_path):
  config = arith.ArithConfig(sizes=(('lm', 30), ('test', 10)))
  data = problems.DataConfig(arith=config, lm=_write(tmp_path / 'f', GSM8K))
  assert problems.load_split(data, 'test', tmp_path) == list(arith.generate(config, 'test'))
  assert len(problems.load_split(data, 'lm', tmp_path)) == 1


@pytest.mark.parametrize('split', ['dev', 'tset', 'family', 'arith'])
def test_a_split_that_is_not_there_is_named(tmp_path, split):
  data = problems.DataConfig(arith=arith.ArithConfig(sizes=(('lm', 30),)))
  with pytest.raises(InputError, match=f'no split {split!r}'):
    problems.load_split(data, split, tmp_path)


def test_an_unknown_family_is_named():
  with pytest.raises(InputError, match="'arit'.*'arith'"):
    problems.DataConfig(family='arit')


def test_an_unknown_grader_is_named():
  with pytest.raises(InputError, match="'maths'.*'exact', 'math'"):
    problems.DataConfig(grader='maths')


def test_the_grader_is_no_split(tmp_path):
  with pytest.raises(InputError, match='no split'):
    problems.load_split(problems.DataConfig(), 'grader', tmp_path)


@pytest.mark.parametrize(
    'answer,gold',
    [('72', '72'), (72, '72'), (r'\boxed{\frac{1}{2}}', r'\frac{1}{2}'), ('6*12\n#### 72', '72')],
)
def test_gold_in_every_form(tmp_path, answer, gold):
  path = _write(tmp_path / 'f', {'problem': '6*12?\n', 'answer': answer})
  (problem,) = problems.load_jsonl(path)
  assert problem.answer == gold
  assert problem.solution == (answer if '####' in str(answer) else None)
  assert problem.prompt == '6*12?\n'


@pytest.mark.parametrize('level,expected', [(3, 3), ('3', 3), ('Level 5', 5), (None, None)])
def test_level_in_every_form(tmp_path, level, expected):
  path = _write(tmp_path / 'f', {'problem': 'p', 'answer': '1', 'level': level})
  assert problems.load_jsonl(path)[0].level == expected


def test_ids_do_not_depend_on_the_place(tmp_path):
  rows = [{'problem': f'{i}?', 'answer': '1'} for i in range(5)]
  ids = {p.prompt: p.id for p in problems.load_jsonl(_write(tmp_path / 'a', *rows))}
  shuffled = problems.load_jsonl(_write(tmp_path / 'b', *rows[::-1]))
  assert {p.prompt: p.id for p in shuffled} == ids
  assert len(set(ids.values())) == 5


def test_random_keys_come_from_the_text_whatever_the_id(tmp_path):
  lines = [{'id': 'a', 'problem': 'x?', 'answer': '1'}, {'problem': 'y?', 'answer': '2'},
           {'id': 'b', 'problem': 'x?', 'answer': '3'}, {'problem': 'x?', 'answer': '4'}]
  found = problems.load_jsonl(_write(tmp_path / 'f', *lines))
  x, y = problems.id_of('x?'), problems.id_of('y?')
  assert [p.identity for p in found] == [x, y, f'{x}-2', f'{x}-3']
  assert [p.id for p in found] == ['a', y, 'b', f'{x}-3']
  asked = problems.of_texts(['x?', 'y?\n', 'x?'])
  assert [(p.id, p.prompt, p.identity) for p in asked] == [
      ('question-0', 'x?\n', x), ('question-1', 'y?\n', y), ('question-2', 'x?\n', f'{x}-2')]
  assert problems.Problem('a', 'x?\n').identity == 'a'


def test_given_ids_are_kept_and_copies_get_their_own(tmp_path):
  row = {'problem': 'p', 'answer': '1'}
  path = _write(tmp_path / 'f', row, row, row | {'id': 'q7'}, row | {'id': 8})
  ids = [p.id for p in problems.load_jsonl(path)]
  assert ids[2:] == ['q7', '8'] and ids[1] == f'{ids[0]}-2'


def test_blank_lines_bom_and_crlf_are_fine(tmp_path):
  path = tmp_path / 'f'
  line = json.dumps(GSM8K).encode()
  path.write_bytes(b'\xef\xbb\xbf' + line + b'\r\n\r\n' + json.dumps(MATH).encode() + b'\n\n')
  assert len(problems.load_jsonl(path)) == 2


GOOD = b'{"problem": "p", "answer": "1", "id": "a"}\n'


@pytest.mark.parametrize(
    'content,message',
    [
        (b'', 'is empty'),
        (b'\n\n', 'is empty'),
        (GOOD + b'{"problem": "p"\n', 'line 2: not JSON'),
        (GOOD + b'\n{"problem": NaN, "answer": "1"}\n', 'line 3: not JSON: NaN'),
        (b'[' * 100_000, 'line 1: not JSON: nested too deeply'),
        (b'{"problem": ' + b'9' * 5000 + b'}', 'line 1: not JSON'),
        (b'["p", "1"]\n', 'line 1: not a JSON object'),
        (b'{"problem": "\xff"}\n', 'line 1: not UTF-8'),
        (GOOD + b'{"answer": "1"}\n', 'line 2: no field "problem" or "question"'),
        (GOOD + b'{"question": "p"}\n', 'line 2: no field "answer"'),
        (b'{"question": "p", "answer": null}\n', 'line 1: field "answer" is neither text nor'),
        (b'{"question": ["p"], "answer": "1"}\n', 'line 1: field "question" is neither text nor'),
        (b'{"question": "p", "answer": 1e999}\n', 'line 1: field "answer" is neither'),
        (b'{"question": "p", "answer": "\\ud800"}\n', 'line 1: it has half of a surrogate'),
        (b'{"question": "p", "answer": "' + b'7' * 401 + b'"}\n', 'an answer of 401 characters'),
        (b'{"question": " ", "answer": "1"}\n', 'line 1: field "question" is empty'),
        (b'{"question": "p", "answer": ""}\n', 'line 1: field "answer" is empty'),
        (GOOD + GOOD, "line 2: id 'a' is also that of line 1"),
        (b'{"problem": "p", "answer": "1", "level": 6}', "line 1: level '6' is not 1 to 5"),
        (b'{"problem": "p", "answer": "1", "level": "?"}', "line 1: level '\\?' is not"),
    ],
)
def test_mistakes_are_one_line_that_says_where(tmp_path, content, message):
  path = tmp_path / 'f.jsonl'
  path.write_bytes(content)
  with pytest.raises(InputError, match=message) as error:
    problems.load_jsonl(path)
  assert str(path) in str(error.value) and '\n' not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
  with pytest.raises(InputError, match='cannot read .*none.jsonl: No such file'):
    problems.load_split(problems.DataConfig(test=str(tmp_path / 'none.jsonl')), 'test', tmp_path)
