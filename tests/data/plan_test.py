"""The generated picks: the only ones that fit, reproducible, split without overlap."""

import collections
import dataclasses
import itertools
import re

import pytest

from tts import answers
from tts.data import plan
from tts.data import problems as problems_lib
from tts.data import tokenizer as tokenizer_lib
from tts.types import InputError
from tts.types import Problem

CONFIG = plan.PlanConfig(sizes=(('lm', 1500), ('validation', 100), ('test', 400)))

GOLDEN = Problem(
    id='plan-test-ccf1bf7b94e8',
    prompt='a28b16c27d48=15\n',
    answer='a8b1c2d4',
    level=5,
    solution='15-a8=7\n7-b1=6\n6-c2=4\n4-d4=0\n#### a8b1c2d4',
)


@pytest.fixture(scope='module')
def splits():
  return {name: list(plan.generate(CONFIG, name)) for name, _ in CONFIG.sizes}


def _parse(prompt):
  """`a35b41=6\\n` --> ([(3, 5), (4, 1)], 6)."""
  row, total = re.fullmatch(r'((?:[a-f]\d\d)+)=(\d+)\n', prompt).groups()
  assert row[::3] == 'abcdef'[: len(row) // 3]
  return list(zip(map(int, row[1::3]), map(int, row[2::3]))), int(total)


def _fitting(pairs, total):
  """Every choice of picks that adds up, by trying all."""
  return [picks for picks in itertools.product(*pairs) if sum(picks) == total]


def _named(picks):
  return ''.join(f'{name}{pick}' for name, pick in zip('abcdef', picks))


def test_the_answer_is_the_only_choice_that_fits(splits):
  for problem in splits['lm'] + splits['test']:
    pairs, total = _parse(problem.prompt)
    assert [_named(picks) for picks in _fitting(pairs, total)] == [problem.answer]


def test_a_solution_takes_a_pick_a_line_and_ends_at_nothing_left(splits):
  for problem in splits['lm'] + splits['test']:
    _, rest = _parse(problem.prompt)
    *lines, last = problem.solution.split('\n')
    assert last == f'#### {problem.answer}'
    for line, pick in zip(lines, re.findall(r'[a-f]\d', problem.answer), strict=True):
      assert line == f'{rest}-{pick}={rest - int(pick[1])}'
      rest -= int(pick[1])
    assert rest == 0 and not problem.solution.endswith('\n')


def test_a_wrong_pick_is_final_and_mostly_leaves_something(splits):
  valid = 0
  for problem in splits['test']:
    pairs, rest = _parse(problem.prompt)
    for place, (pair, right) in enumerate(zip(pairs, problem.answer[1::2])):
      left = rest - (sum(pair) - int(right))
      assert left not in map(sum, itertools.product(*pairs[place + 1 :]))
      # Seen without the other pairs, the first step is as good as the right one.
      valid += place == 0 and left > 0
      rest -= int(right)
  assert valid / len(splits['test']) > 0.8


def test_the_grader_tells_every_choice_from_every_other(splits):
  for problem in splits['test'][:50]:
    pairs, _ = _parse(problem.prompt)
    texts = [f'1-a1=0\n#### {_named(picks)}' for picks in itertools.product(*pairs)]
    assert [text for text in texts if answers.is_correct(text, problem.answer)] == [
        f'1-a1=0\n#### {problem.answer}'
    ]
    assert answers.is_correct(problem.solution, problem.answer)
    assert not answers.is_correct(problem.prompt, problem.answer)


def test_texts_are_short_and_of_few_characters():
  config = plan.PlanConfig(sizes=(('lm', 2000),))
  problems = list(plan.generate(config, 'lm'))
  tokenizer = tokenizer_lib.Tokenizer.train([p.prompt + p.solution for p in problems], 32)
  longest = lambda texts: max(map(len, texts))
  assert len(set(''.join(p.prompt + p.solution for p in problems))) == 20
  assert longest(tokenizer.encode_prompt(p.prompt) for p in problems) <= 20
  assert longest(tokenizer.encode_solution(p.solution) for p in problems) <= 55
  lines = [line for p in problems for line in p.solution.split('\n')]
  assert longest(tokenizer.encode(line + '\n') for line in lines) <= 12
  assert max(p.solution.count('\n') for p in problems) == 5


def test_no_problem_is_there_twice_in_whatever_order(splits):
  def canonical(problem):
    pairs, total = _parse(problem.prompt)
    return tuple(sorted(tuple(sorted(pair)) for pair in pairs)), total

  repeats = [p for p in splits['lm'] if '-again' in p.id]
  problems = [p for split in splits.values() for p in split if '-again' not in p.id]
  assert len({canonical(p) for p in problems}) == len(problems) == 2000 - len(repeats)
  originals = {p.prompt for p in splits['lm'] if '-again' not in p.id}
  assert repeats and {p.prompt for p in repeats} <= originals
  assert len({p.id for split in splits.values() for p in split}) == 2000


def test_the_widest_pair_comes_first(splits):
  for problem in splits['test']:
    pairs, _ = _parse(problem.prompt)
    assert all(small < large for small, large in pairs)
    gaps = [large - small for small, large in pairs]
    assert gaps == sorted(gaps, reverse=True)


def test_generation_depends_on_the_seed_alone(splits):
  assert list(plan.generate(CONFIG, 'test')) == splits['test']
  other = dataclasses.replace(CONFIG, seed=1)
  assert list(plan.generate(other, 'test')) != splits['test']


def test_generated_problems_are_the_committed_ones(splits):
  # Another first problem means that every run under an old id is about another
  # question: raise `Family.VERSION` with it.
  assert splits['test'][0] == GOLDEN


def test_digits_and_pairs_stay_in_range():
  config = plan.PlanConfig(max_pairs=3, ranges=(4,), sizes=(('lm', 300),))
  parsed = [_parse(p.prompt)[0] for p in plan.generate(config, 'lm')]
  assert {len(pairs) for pairs in parsed} == {2, 3}
  assert {d for pairs in parsed for pair in pairs for d in pair} == {1, 2, 3}


def test_pair_counts_are_uniform_where_they_are_learnt(splits):
  count = collections.Counter(len(_parse(p.prompt)[0]) for p in splits['lm'])
  assert set(count) == set(range(2, CONFIG.max_pairs + 1))
  assert all(abs(n / 1500 * len(count) - 1) < 0.2 for n in count.values())


def test_levels_are_about_fifths():
  count = collections.Counter(p.level for p in plan.generate(plan.PlanConfig(), 'test'))
  assert set(count) == {1, 2, 3, 4, 5}
  assert all(0.14 < n / 4000 < 0.26 for n in count.values())


@pytest.mark.parametrize(
    'change,word',
    [
        ({'max_pairs': 1}, 'max_pairs'),
        ({'max_pairs': 7}, 'max_pairs'),
        ({'ranges': ()}, 'ranges'),
        ({'ranges': (2, 5)}, 'ranges'),
        ({'ranges': (11,)}, 'ranges'),
        ({'sizes': (('lm', 0),)}, 'sizes'),
        ({'sizes': (('lm', 5), ('lm', 6))}, 'sizes'),
    ],
)
def test_a_bad_configuration_is_named(change, word):
  with pytest.raises(InputError, match=f'plan.{word}'):
    plan.PlanConfig(**change)


def test_too_few_problems_is_an_error_that_comes_when_nearly_all_are_found():
  config = plan.PlanConfig(max_pairs=2, ranges=(6,), sizes=(('test', 1000),))
  exist = 0
  pairs = list(itertools.combinations(range(1, 6), 2))
  for row in itertools.combinations_with_replacement(pairs, 2):
    totals = collections.Counter(map(sum, itertools.product(*row)))
    exist += sum(n == 1 for n in totals.values())
  with pytest.raises(InputError, match=r'only \d+ exist') as error:
    list(plan.generate(config, 'test'))
  found = int(re.search(r'only (\d+) exist', str(error.value))[1])
  assert 0.8 * exist <= found <= exist


def test_an_unknown_split_is_named():
  with pytest.raises(InputError, match="plan has no split 'dev'"):
    list(plan.generate(CONFIG, 'dev'))


def test_the_family_is_prepared_and_read_as_generated(splits, tmp_path):
  data = problems_lib.DataConfig(family='plan', plan=CONFIG)
  for name, _ in CONFIG.sizes:
    assert problems_lib.load_split(data, name, tmp_path) == splits[name]
