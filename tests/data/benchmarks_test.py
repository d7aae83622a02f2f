"""Benchmarks from files in their publishers' forms, and what is wrong with bad ones."""

import dataclasses
import itertools
import json
import multiprocessing
import random
import shutil

import pyarrow as pa
from pyarrow import parquet
import pytest
import tensorflow_datasets as tfds

from tts.data import benchmarks
from tts.data import problems
from tts.types import InputError

SPLITS = [name for name, _ in benchmarks.SHARES]


def _gsm8k(i):
  return {'question': f'Ann has {i} eggs and buys {i}.  How many?',
          'answer': f'She has {i}+{i}=<<{i}+{i}={2 * i}>>{2 * i}.\n#### {2 * i}'}


def _math(i, **more):
  return {'problem': f'Find $x$ if\n$x = {i}^2$.', 'level': f'Level {1 + i % 5}',
          'solution': rf'So $x = \boxed{{{i * i}}}$.', **more}


def _folder(path, split, problems_of):
  """MATH as it is published: subject --> {number: object}."""
  for subject, rows in problems_of.items():
    (path / split / subject).mkdir(parents=True)
    for number, row in rows.items():
      (path / split / subject / f'{number}.json').write_text(json.dumps(row, indent=4))


def _write(path, rows):
  path.parent.mkdir(exist_ok=True)
  path.write_text(''.join(json.dumps(row) + '\n' for row in rows))


def _data(family, path, **more):
  return problems.DataConfig(family=family, path=str(path), **more)


def _all(data, root):
  return {s: problems.load_split(data, s, root) for s in [*SPLITS, 'test']}


def test_gsm8k_is_dealt_to_disjoint_splits(tmp_path):
  train, test = [_gsm8k(i) for i in range(400)], [_gsm8k(i) for i in range(1000, 1050)]
  _write(tmp_path / 'a' / 'train.jsonl', train)
  _write(tmp_path / 'a' / 'test.jsonl', test)
  found = _all(_data('gsm8k', tmp_path / 'a'), tmp_path / 'root')
  assert [p.prompt for p in found['test']] == [row['question'] + '\n' for row in test]
  assert [(p.answer, p.solution, p.level) for p in found['test']] == [
      (str(2 * i), _gsm8k(i)['answer'], None) for i in range(1000, 1050)]
  ids = [p.id for split in found.values() for p in split]
  assert len(ids) == len(set(ids)) == 450
  for name, percent in benchmarks.SHARES:
    assert abs(len(found[name]) / 4 - percent) < 8
  # A problem's split and id depend on its text alone.
  random.Random(0).shuffle(train)
  _write(tmp_path / 'b' / 'train.jsonl', train)
  _write(tmp_path / 'b' / 'test.jsonl', test)
  again = _all(_data('gsm8k', tmp_path / 'b'), tmp_path / 'root')
  assert {s: {p.id for p in v} for s, v in again.items()} == {
      s: {p.id for p in v} for s, v in found.items()}


def test_a_training_problem_of_the_test_file_is_left_out(tmp_path):
  leaked = _gsm8k(7) | {'question': '  ' + _gsm8k(7)['question'].replace(' ', '\n')}
  _write(tmp_path / 'train.jsonl', [leaked, _gsm8k(1), _gsm8k(1), _gsm8k(2)])
  _write(tmp_path / 'test.jsonl', [_gsm8k(7)])
  found = benchmarks.parse('gsm8k', str(tmp_path))
  assert len(found['test']) == 1
  assert sum(len(v) for name, v in found.items() if name != 'test') == 2


@pytest.mark.parametrize('answer', [True, False])
def test_math_has_levels_and_its_answer_or_the_solutions_box(tmp_path, answer):
  rows = [_math(i, **({'answer': str(i * i)} if answer else {})) for i in range(6)]
  rows[5]['level'] = 'Level ?'
  _write(tmp_path / 'test.jsonl', rows)
  found = problems.load_split(_data('math500', tmp_path), 'test', tmp_path / 'root')
  assert [p.answer for p in found] == [str(i * i) for i in range(6)]
  assert [p.level for p in found] == [1, 2, 3, 4, 5, None]
  assert [p.solution for p in found] == [row['solution'] for row in rows]
  assert found[0].prompt == rows[0]['problem'] + '\n'


def test_maths_own_folders(tmp_path):
  path = tmp_path / 'MATH'
  _folder(path, 'test', {'algebra': {10: _math(10), 9: _math(9)}, 'geometry': {9: _math(19)}})
  _folder(path, 'train', {'algebra': {i: _math(100 + i) for i in range(40)},
                          'geometry': {0: _math(9), 1: _math(101)}})  # of `test`; of algebra/1
  last = _math(40) | {'level': 'Level ?', 'solution': r'Not $\boxed{1}$ but $\boxed{\frac{3}{4}}$.'}
  (path / 'test/geometry/11.json').write_text(json.dumps(last))
  (path / 'test/geometry/12.json').write_text(json.dumps(_math(9) | {'solution': r'\fbox{81}'}))
  (path / 'test/geometry/._11.json').write_bytes(b'\0')  # as an archive of a Mac has it
  data = _data('math', path)
  found = _all(data, tmp_path / 'root')
  assert [(p.id, p.answer, p.level) for p in found['test']] == [
      ('test/algebra/9.json', '81', 5), ('test/algebra/10.json', '100', 1),
      ('test/geometry/9.json', '361', 5), ('test/geometry/11.json', r'\frac{3}{4}', None),
      ('test/geometry/12.json', '81', 5)]
  assert found['test'][0].solution == _math(9)['solution']
  assert sorted(p.id for s in SPLITS for p in found[s]) == sorted(
      f'train/algebra/{i}.json' for i in range(40))
  # The same problems as lines are the same problems, dealt alike; only an id is another.
  _write(tmp_path / 'lines/train.jsonl', [_math(100 + i) for i in range(40)])
  lines = benchmarks.parse('math', str(tmp_path / 'lines'))
  bare = lambda rows: {(p.prompt, p.answer, p.level, p.solution) for p in rows}
  assert all(bare(found[s]) == bare(lines.get(s, [])) for s in SPLITS)
  mark = problems.source(data)
  assert mark == problems.source(_data('math', shutil.copytree(path, tmp_path / 'copy')))
  (path / 'train/algebra/7.json').write_text(json.dumps(_math(7777)))
  assert problems.source(data) != mark
  assert any(p.answer == str(7777 ** 2) for p in itertools.chain(*_all(data, tmp_path).values()))


def test_what_data_test_has_is_not_trained_on(tmp_path):
  """Lightman et al.'s 500 are of MATH's test folder, and 4,500 more of it are trained on."""
  train = [_math(i) for i in range(200)]
  _write(tmp_path / 'a/train.jsonl', train)
  held = [dict(row, problem=row['problem'].replace(' ', '  ')) for row in train[::4]]
  _write(tmp_path / 'b/500.jsonl', [{'answer': '1', **row} for row in held])
  other = tmp_path / 'b/other.jsonl'
  _write(other, [{'problem': 'another', 'answer': '1'}])
  data = _data('math', tmp_path / 'a')
  with_500 = dataclasses.replace(data, test=str(tmp_path / 'b/500.jsonl'))
  ids = lambda d: {p.id for s in SPLITS for p in problems.load_split(d, s, tmp_path / 'root')}
  assert len(ids(data)) == 200 and len(ids(with_500)) == 150
  tested = {benchmarks.text_mark(row['problem']) for row in held}
  assert ids(data) - ids(with_500) == tested
  assert len(problems.load_split(with_500, 'test', tmp_path / 'root')) == 50
  # Only what was left out is part of what trained models depend on.
  without = problems.source(data)
  assert problems.source(dataclasses.replace(data, test=str(other))) == without
  assert problems.source(with_500) == without | {'left_out': sorted(tested)}


@pytest.mark.parametrize('content,message', [
    ('{"problem": ', '1.json: not JSON'), ('[]', '1.json: not a JSON object'),
    (b'{"problem": "\xff"}', '1.json: not UTF-8'),
    *((json.dumps({k: v for k, v in _math(1).items() if k != field}),
       f'1.json: no text in field "{field}": it is damaged')
      for field in ('problem', 'level', 'solution')),
    (json.dumps(_math(1) | {'level': 'Level 6'}), '1.json: level .Level 6. is not "Level 1"'),
    (json.dumps(_math(1) | {'solution': 'It is 4.'}), '1.json: no answer after'),
])
def test_a_damaged_problem_of_the_folders_is_named(tmp_path, content, message):
  _folder(tmp_path / 'a', 'train', {'algebra': {0: _math(0), 1: {}}})
  content = content if isinstance(content, bytes) else content.encode()
  (tmp_path / 'a/train/algebra/1.json').write_bytes(content)
  with pytest.raises(InputError, match=f'a/train/algebra/{message}') as error:
    problems.load_split(_data('math', tmp_path / 'a'), 'lm', tmp_path / 'root')
  assert '\n' not in str(error.value)
  assert not list((tmp_path / 'root').rglob('*record*'))
  (tmp_path / 'a/train/algebra/x.json').write_text('{}')
  with pytest.raises(InputError, match='x.json is not a problem of MATH'):
    problems.source(_data('math', tmp_path / 'a'))


def test_parquet_gives_the_problems_of_json_lines(tmp_path):
  rows = [{'id': i, 'problem': f'What is {i}+1?', 'answer': float(i + 1)} for i in range(5)]
  _write(tmp_path / 'a' / 'amc.jsonl', rows)
  folder = tmp_path / 'b' / 'data'
  folder.mkdir(parents=True)
  parquet.write_table(pa.Table.from_pylist(rows), folder / 'train-00000-of-00001.parquet')
  found = problems.load_split(_data('amc', tmp_path / 'b'), 'test', tmp_path / 'root')
  assert found == problems.load_split(_data('amc', tmp_path / 'a'), 'test', tmp_path / 'root')
  assert [p.answer for p in found] == ['1.0', '2.0', '3.0', '4.0', '5.0']
  assert found == list(problems.draw(_data('amc', tmp_path / 'a'), 'test'))


def test_other_columns_are_mapped(tmp_path):
  path = tmp_path / 'f.jsonl'
  _write(path, [{'q': '1+1?', 'final': 2, 'hard': 3}])
  columns = (('problem', 'q'), ('answer', 'final'), ('level', 'hard'))
  (found,) = problems.load_split(_data('aime', path, columns=columns), 'test', tmp_path / 'root')
  assert (found.prompt, found.answer, found.level) == ('1+1?\n', '2', 3)
  with pytest.raises(InputError, match='data.columns has .*final.*problem, answer, solution'):
    _data('aime', path, columns=(('final', 'answer'),))


def test_prepared_data_are_found_again_until_a_file_changes(tmp_path, monkeypatch):
  path, root = tmp_path / 'f.jsonl', tmp_path / 'root'
  _write(path, [_math(1)])
  data = _data('math500', path)
  first = problems.load_split(data, 'test', root)
  mark = problems.source(data)
  with monkeypatch.context() as patch:
    patch.setattr(benchmarks, 'parse', lambda *_: pytest.fail('prepared a second time'))
    assert problems.load_split(data, 'test', root) == first
  _write(path, [_math(2)])
  assert problems.load_split(data, 'test', root) != first
  assert problems.source(data) != mark


def _load(path, root, barrier, queue):
  barrier.wait()
  queue.put([p.id for p in problems.load_split(_data('gsm8k', path), 'test', root)])


def test_two_processes_at_once(tmp_path):
  _write(tmp_path / 'a' / 'test.jsonl', [_gsm8k(i) for i in range(300)])
  context = multiprocessing.get_context('spawn')
  barrier, queue = context.Barrier(2), context.Queue()
  workers = [context.Process(target=_load, args=(tmp_path / 'a', tmp_path / 'r', barrier, queue))
             for _ in range(2)]
  for worker in workers:
    worker.start()
  first, second = queue.get(timeout=60), queue.get(timeout=60)
  for worker in workers:
    worker.join()
  assert first == second and len(first) == 300


def test_the_builder_alone_takes_a_manual_dir(tmp_path):
  _write(tmp_path / 'raw' / 'test.jsonl', [_math(i) for i in range(3)])
  builder = benchmarks.WordProblems(config='math500', data_dir=str(tmp_path / 'prepared'))
  builder.download_and_prepare(
      download_config=tfds.download.DownloadConfig(manual_dir=tmp_path / 'raw'))
  assert len(builder.as_data_source(split='test')) == 3


GOOD = _gsm8k(1)


@pytest.mark.parametrize('content,message', [
    (None, 'holds no file for gsm8k .*download hf://openai/gsm8k'),
    ('', 'test.jsonl is empty: download'),
    ('{"q": "p", "answer": "1"}', "line 1: no column 'question'; it has .*'q'.*data.columns"),
    ('{"question": "p"}', "line 1: no column 'answer'"),
    ('{"question": " ", "answer": "1"}', "line 1: column 'question' is empty"),
    ('{"question": "p", "answer": ""}', "line 1: column 'answer' is empty"),
    ('{"question": "p", "answer": "so\\nit is"}', 'line 1: no answer after ####'),
    (f'{json.dumps(GOOD)}\n{json.dumps(GOOD)}', 'line 2: the problem of .*line 1 again'),
    ('{"question": ', 'line 1: not JSON'),
])
def test_mistakes_are_one_line_and_leave_nothing(tmp_path, content, message):
  (tmp_path / 'a').mkdir()
  if content is not None:
    (tmp_path / 'a' / 'test.jsonl').write_text(content)
  with pytest.raises(InputError, match=message) as error:
    problems.load_split(_data('gsm8k', tmp_path / 'a'), 'test', tmp_path / 'root')
  assert '\n' not in str(error.value)
  assert not list((tmp_path / 'root').rglob('*record*'))


def test_what_is_missing_is_said(tmp_path):
  with pytest.raises(InputError, match='needs --config.data.path: .*test.jsonl.*prm800k'):
    problems.load_split(problems.DataConfig(family='math'), 'test', tmp_path)
  with pytest.raises(InputError, match='there is no .*none: download hf://'):
    problems.load_split(_data('math500', tmp_path / 'none'), 'test', tmp_path)
  _write(tmp_path / 'a' / 'test.jsonl', [_math(1)])
  for load in (lambda d: problems.load_split(d, 'lm', tmp_path / 'root'),
               lambda d: problems.draw(d, 'lm')):
    with pytest.raises(InputError, match="data.family=math500 has no split 'lm'"):
      load(_data('math500', tmp_path / 'a'))
  (tmp_path / 'bad.parquet').write_bytes(b'PAR1 not really')
  with pytest.raises(InputError, match='bad.parquet: not a Parquet file'):
    problems.load_split(_data('aime', tmp_path / 'bad.parquet'), 'test', tmp_path)
