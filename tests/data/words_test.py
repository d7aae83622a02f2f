"""The generated word problems: right by a reader of their English, split without overlap."""

import collections
import dataclasses
import itertools
import re

import pytest

from configs import words as words_config
from tts import answers
from tts import config as config_lib
from tts.data import problems as problems_lib
from tts.data import prompts as prompts_lib
from tts.data import stories
from tts.data import tokenizer as tokenizer_lib
from tts.data import words
from tts.data import worked_examples
from tts.types import InputError
from tts.types import Problem

KINDS = ('+', '-', '*', '/', '++', '+-', '*+', '*-', '-/')
CONFIG = words.WordsConfig(kinds=KINDS, sizes=(
    ('lm', 500), ('verifier', 3000), ('dev', 500), ('test', 1000)))
GOLDEN = Problem(
    id='words-test-cccd8800b936',
    prompt='For her birthday Clara gets 2 postcards. Then she finds another 6 postcards. She gives '
           '6 of them to Eric. How many postcards does Clara have now?\n',
    answer='2',
    level=2,
    solution='2 + 6 = 8\n8 - 6 = 2\nThe answer is 2.',
)
SOLVE = {'+': lambda a, b: a + b, '-': lambda a, b: a - b, '*': lambda a, b: a * b,
         '/': lambda a, b: a / b}
# What says which operation is meant, the first that is found; anything else adds.
OPENS = (('*', r'times as many|in (each|every)|into each|[Ff]or \d+ (days|weeks)|an hour|'
               r'dollars each|families of|groups of|rows of|boxes of|trays with|beds with|for each|chapters of|'
               r'packs of|\d+ \w+ each|\d+ times \d+|each time'),
         ('+', r'more than'),
         ('-', r'fewer|lost|belong|all but|too late|spent|of them to|have left|sold|did not grow|'
               r'has read'))
EVENTS = (('/', r'equally|same number|into every|bags of|dollars each|pages a day'),
          ('+', r'\bmore\b|another|brings|pays (him|her)|gets? on|come|finds|scores|bonus'),
          ('-', r'of them|sells|takes|leave|get off|spends|pays|lends|costs|go away|are sold|'
                r'of the|loses|reads|pages'))


@pytest.fixture(scope='module')
def splits():
  return {name: list(words.generate(CONFIG, name)) for name, _ in CONFIG.sizes}


def read(question):
  """A question's operations by its English alone: [(left, operation, right)] and its answer."""
  sentences = re.split(r'(?<=[.?]) ', question.strip())
  told = [s for s in sentences if re.search(r'\d', s)]
  kind = lambda text, table: next((op for op, words in table if re.search(words, text)), '+')
  numbers = [int(n) for n in re.findall(r'\d+', told[0])]
  if 'a week for' in told[0]:
    numbers.reverse()
  value, steps = numbers[0], []
  for op, number in itertools.chain(
      ((kind(told[0], OPENS), n) for n in numbers[1:]),
      ((kind(text, EVENTS), int(n)) for text in told[1:] for n in re.findall(r'\d+', text))):
    steps.append((value, op, number))
    value = SOLVE[op](value, number)
  return steps, value


def test_answers_are_right_by_a_reader_of_the_english(splits):
  for problem in itertools.chain(*splits.values()):
    steps, value = read(problem.prompt)
    assert problem.answer == str(int(value)) and value == int(value), problem
    *lines, last = problem.solution.split('\n')
    assert [line.rpartition(' = ')[0] for line in lines] == [
        f'{int(a)} {op} {b}' for a, op, b in steps], problem
    assert last == f'The answer is {problem.answer}.'


def test_equations_hold(splits):
  for problem in itertools.chain(*splits.values()):
    for line in problem.solution.split('\n')[:-1]:
      left, op, right, result = re.fullmatch(r'(\d+) ([-+*/]) (\d+) = (\d+)', line).groups()
      assert SOLVE[op](int(left), int(right)) == int(result)
      assert 2 <= int(result) <= CONFIG.max_value and int(right) >= 2


def test_the_graders_read_the_solutions(splits):
  for problem in splits['test']:
    assert answers.is_correct(problem.solution, problem.answer)
    assert not answers.is_correct(problem.solution, str(int(problem.answer) + 1))


def skeleton(problem):
  """The story without its people and things: sentences and numbers, the question apart."""
  text = problem.prompt
  names = [name for name, _ in stories.NAMES]
  things = {word for s in stories.SETTINGS.values() for fill in s.fills for word in fill if word}
  boxes = {word for pair in stories.BOXES for word in pair}
  for some in (names, things, boxes, stories.VEHICLES, ('he', 'she', 'him', 'her', 'his')):
    ordered = sorted(some, key=len, reverse=True)
    text = re.sub(rf'\b({"|".join(ordered)})\b', '_', text, flags=re.IGNORECASE)
  sentences = re.split(r'(?<=[.?]) ', text.strip())
  return ' '.join(s for s in sentences if re.search(r'\d|same number|equally', s))


def test_no_story_is_in_two_splits_or_twice_in_one(splits):
  seen = collections.Counter(skeleton(p) for p in itertools.chain(*splits.values()))
  assert len(seen) > 0.98 * sum(map(len, splits.values()))  # openings may share their sentence
  for one, other in itertools.combinations(splits.values(), 2):
    assert not {p.prompt for p in one} & {p.prompt for p in other}
    assert not {p.id for p in one} & {p.id for p in other}
    assert not {skeleton(p) for p in one} & {skeleton(p) for p in other}


def test_every_sentence_is_told(splits):
  texts = [p.prompt for p in itertools.chain(*splits.values())]
  for name, setting in stories.SETTINGS.items():
    tables = (*setting.opens.values(), *setting.events.values(), *setting.ends.values())
    told = [*setting.given, *itertools.chain(*tables), *setting.asks, *setting.asks_after]
    for sentence in told:
      form = re.compile(re.sub(r'\\\{\w+\\\}', r'[\\w -]+', re.escape(sentence)))
      assert any(form.search(text) for text in texts), (name, sentence)
    for things, place in setting.fills:
      assert any(things in text and place in text for text in texts), (name, things)
  for word in (*(name for name, _ in stories.NAMES), *stories.VEHICLES,
               *(box for pair in stories.BOXES for box in pair)):
    assert any(word in text for text in texts), word


def test_texts_are_filled_in(splits):
  for problem in itertools.chain(*splits.values()):
    assert re.fullmatch(r"[A-Za-z0-9 ,.?']+\?\n", problem.prompt), problem
    assert not re.search(r'  |\b(\w+) \1\b', problem.prompt), problem


def test_generation_depends_on_the_seed_alone(splits):
  assert list(words.generate(CONFIG, 'test')) == splits['test']
  other = dataclasses.replace(CONFIG, seed=1)
  assert list(words.generate(other, 'test')) != splits['test']


def test_generated_problems_are_the_committed_ones(splits):
  # Another first problem means that every run under an old id is about another
  # question: raise `Family.VERSION` with it.
  assert splits['test'][0] == GOLDEN


def test_a_prefix_of_a_split_is_a_fair_sample(splits):
  twice = [p.solution.count('\n') == 2 for p in splits['test']]
  assert abs(sum(twice[:500]) - sum(twice[500:])) < 60
  shares = {name: sum(p.solution.count('\n') == 2 for p in found) / len(found)
            for name, found in splits.items() if name != 'lm'}
  assert max(shares.values()) - min(shares.values()) < 0.06


def test_levels_are_about_fifths():
  count = collections.Counter(p.level for p in words.generate(words.WordsConfig(), 'test'))
  assert set(count) == {1, 2, 3, 4, 5}
  assert all(0.14 < n / 2000 < 0.26 for n in count.values()), count


def test_the_worked_examples_are_of_the_family_and_not_in_it(splits):
  assert worked_examples.SETS['words'] is words.EXAMPLES
  for question, solution in words.EXAMPLES:
    steps, value = read(question)
    assert answers.extract(solution) == str(value)
    assert len(steps) == solution.count('\n')
    names = set(re.findall(r'\b(?:Mia|Paul)\b', question))
    assert names and not names & {name for name, _ in stories.NAMES}


def test_a_prompt_is_the_examples_and_the_question(splits):
  examples = [e for pair in words.EXAMPLES for e in pair]
  tokenizer = tokenizer_lib.Tokenizer.train(
      examples + [p.prompt + p.solution for p in splits['test']], 400, byte_fallback=True)
  few = prompts_lib.Prompts(
      prompts_lib.PromptConfig('few_shot', examples='words', layout='question'), tokenizer)
  for problem in splits['test'][:20]:
    text = tokenizer.decode(few.encode(problem.prompt))
    assert text.endswith(f'\n\nQuestion: {problem.prompt.strip()}\nAnswer:')
    assert text.count('The answer is') == len(words.EXAMPLES)
    assert few.roles.finished(tokenizer.encode(problem.solution + '\n\n'))


@pytest.mark.parametrize('change,word', [
    ({'kinds': ()}, 'kinds'), ({'kinds': ('+', '+')}, 'kinds'), ({'kinds': ('+*',)}, 'kinds'),
    ({'kinds': ('/-',)}, 'kinds'), ({'kinds': ('+-+',)}, 'kinds'), ({'ranges': ()}, 'ranges'),
    ({'ranges': (4,)}, 'ranges'), ({'max_value': 15}, 'max_value'),
    ({'level_cuts': (4, 3, 5, 6)}, 'level_cuts'), ({'sizes': (('lm', 0),)}, 'sizes')])
def test_a_bad_configuration_is_named(change, word):
  with pytest.raises(InputError, match=f'words.{word}'):
    words.WordsConfig(**change)


@pytest.mark.parametrize('kind', [*KINDS, '+/', '-+', '--', '*/'])
def test_every_kind_is_drawn_as_it_is_called(kind):
  config = words.WordsConfig(kinds=(kind,), ranges=(12,), sizes=(('test', 60),))
  for problem in words.generate(config, 'test'):
    assert ''.join(op for _, op, _ in read(problem.prompt)[0]) == kind


def test_too_few_problems_and_numbers_that_are_too_small():
  config = words.WordsConfig(kinds=('+',), ranges=(5,), sizes=(('test', 30_000),))
  with pytest.raises(InputError, match='words.sizes asks for 30000 .* raise ranges'):
    list(words.generate(config, 'test'))
  with pytest.raises(InputError, match="words has no split 'dev'"):
    list(words.generate(config, 'dev'))
  config = words.WordsConfig(kinds=('-/',), ranges=(5,), sizes=(('test', 10),))
  with pytest.raises(InputError, match="words.kinds has '-/', .* below 5: raise words.ranges"):
    list(words.generate(config, 'test'))


def test_the_family_is_prepared_and_read_as_generated(splits, tmp_path):
  data = problems_lib.DataConfig(family='words', words=CONFIG)
  for name in ('dev', 'test'):
    assert problems_lib.load_split(data, name, tmp_path) == splits[name]


@pytest.mark.parametrize('size', words_config.SIZES)
def test_the_study_has_questions_enough(size):
  study = config_lib.from_config_dict(words_config.get_config(size))
  sizes = dict(study.data.words.sizes)
  assert study.labels.questions <= sizes['verifier']
  assert study.search.questions <= sizes[study.search.split]
  assert (study.search.split == 'test') == (size == 'full')
