"""Word problems in English that a small language model can do: a family for real models.

A problem is a story of one or two operations, told with one of many sentences for each part of it
(`tts.data.stories`), and its solution is an equation a step:

  prompt    `Tom has 14 stamps. Mia gives him 9 more. How many stamps does Tom have now?\\n`
  solution  `14 + 9 = 23\\nThe answer is 23.`

Every problem is drawn from a *stratum* (number of operations, range of its numbers). What names it,
and so its split, are its sentences and numbers: of one story about other people, or with
another of a setting's questions, no two splits have one each.
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import random
import re

from tts.data import family
from tts.data import stories
from tts.data import strata
from tts.types import InputError
from tts.types import Problem

# Three worked examples, none of which the family draws: it knows nobody called Mia, Paul or Lena.
EXAMPLES = (
    ('Mia has 12 pictures. Paul gives her 7 more. How many pictures does Mia have now?',
     '12 + 7 = 19\nThe answer is 19.'),
    ('Paul has 4 crates with 6 bottles in each crate. He sells 9 bottles. How many bottles does he '
     'have left?',
     '4 * 6 = 24\n24 - 9 = 15\nThe answer is 15.'),
    ('Lena had 23 dollars and spent 8 of them. How many dollars does Lena have now?',
     '23 - 8 = 15\nThe answer is 15.'),
)


@dataclasses.dataclass(frozen=True)
class WordsConfig:
  """What is drawn.

  Attributes:
    seed: of the whole benchmark; every split derives its own from it.
    ranges: numbers of a problem of one operation are below one of these.
    two_ranges: the same of two operations; () draws none.
    max_value: no result is above it.
    level_cuts: where the levels 2 to 5 begin, in the largest numbers of the steps, summed. The
      default are about equal fifths of the other defaults; it does not follow them.
    sizes: (split, number of problems) pairs. They also set the share of all possible problems that
      a split may draw from.
  """

  seed: int = 0
  ranges: tuple[int, ...] = (10, 20, 40)
  two_ranges: tuple[int, ...] = (6, 10)
  max_value: int = 99
  level_cuts: tuple[int, int, int, int] = (11, 16, 20, 32)
  sizes: tuple[tuple[str, int], ...] = (
      ('lm', 4_000), ('verifier', 6_000), ('revision', 2_000), ('validation', 500), ('dev', 1_000),
      ('test', 2_000))

  def __post_init__(self):
    for name, least in (('ranges', 1), ('two_ranges', 0)):
      value = getattr(self, name)
      if len(value) < least or any(below < 4 for below in value):
        raise InputError(f'words.{name} is {value}: give numbers from 4 on')
    if self.max_value < max(self.ranges + self.two_ranges):
      raise InputError(f'words.max_value is {self.max_value}: give at least the largest range, '
                       f'{max(self.ranges + self.two_ranges)}')
    if len(self.level_cuts) != 4 or list(self.level_cuts) != sorted(self.level_cuts):
      raise InputError(f'words.level_cuts is {self.level_cuts}: give four numbers that rise')
    strata.check_sizes('words', self.sizes)


_Steps = list[tuple[int, str, int, int]]  # left, operation, right, result


def generate(config: WordsConfig, split: str) -> Iterator[Problem]:
  """Yields the problems of one split of `config.sizes`, in the order of their hashes.

  Raises:
    InputError: an unknown split, or one larger than its number of problems.
  """
  counts = [(1, below) for below in config.ranges] + [(2, below) for below in config.two_ranges]

  def draw(rng: random.Random, stratum: tuple[int, int]) -> tuple[str, tuple[str, _Steps]]:
    while (found := _draw(rng, *stratum, config.max_value)) is None:
      pass
    return found

  drawn = strata.fill('words', config.seed, config.sizes, split, counts, draw,
                      'ranges or two_ranges')
  yield from (_problem(name, config.level_cuts, *parts) for name, parts in drawn)


# Kinds of sentences of a story, by its number of operations.
_SHAPES = {1: (('open',), ('given', 'event'), ('given', 'end')),
           2: (('open', 'event'), ('given', 'event', 'event'), ('open', 'end'),
               ('given', 'event', 'end'))}
_APPLY = {'+': lambda a, b: a + b, '-': lambda a, b: a - b, '*': lambda a, b: a * b,
          '/': lambda a, b: a // b}
_TRIES = 100


def _draw(rng: random.Random, ops: int, below: int,
          max_value: int) -> tuple[str, tuple[str, _Steps]] | None:
  """Draws (canonical form, (question, steps)); None where the sentences do not go together."""
  choose = lambda items: strata.choose(rng, items)
  setting_name = choose(list(stories.SETTINGS))
  setting = stories.SETTINGS[setting_name]
  texts, taken = [], []
  for kind in choose(_SHAPES[ops]):
    by_op = {'given': {'': setting.given}, 'open': setting.opens, 'event': setting.events,
             'end': setting.ends}[kind]
    if not by_op:
      return None
    op = choose(list(by_op))
    texts.append(choose(by_op[op]))
    taken += [op] if op else []
  if len(set(texts)) < len(texts):
    return None
  # Numbers are drawn again where they do not fit, sentences are not: all are told about as often.
  steps = next(filter(None, (_numbers(rng, taken, below, max_value) for _ in range(_TRIES))), None)
  if steps is None:
    return None
  form = '|'.join([setting_name, *texts, *(f'{left} {right}' for left, _, right, _ in steps)])
  if kind != 'end':
    texts.append(choose(setting.asks if kind == 'open' else setting.asks_after))
  return form, (_told(rng, _with_numbers(texts, steps), setting), steps)


def _numbers(rng: random.Random, ops: list[str], below: int, max_value: int) -> _Steps | None:
  """Steps that take operations; None where a result is none that can be told."""
  number = lambda below: 2 + int(rng.random() * (below - 2))  # not `randrange`: `strata.choose`
  value, steps = number(below), []
  for op in ops:
    other = number(min(below, 10) if op in '*/' else below)
    result = _APPLY[op](value, other)
    if not 2 <= result <= max_value or op == '/' and value % other:
      return None
    steps.append((value, op, other, result))
    value = result
  return steps


def _with_numbers(texts: list[str], steps: _Steps) -> str:
  """The sentences as one text, with their numbers in it."""
  text = ' '.join(texts).replace('{a}', str(steps[0][0]))
  others = iter(right for _, _, right, _ in steps)
  return re.sub(r'\{[bn]\}', lambda _: str(next(others)), text)


def _told(rng: random.Random, text: str, setting: stories.Setting) -> str:
  """The story about somebody and something."""
  choose = lambda items: strata.choose(rng, items)
  (name, gender), (friend, _) = choose(stories.NAMES), choose(stories.NAMES)
  while friend == name:
    friend, _ = choose(stories.NAMES)
  own = stories.PRONOUNS[gender]
  things, place = choose(setting.fills)
  box, boxes = choose(stories.BOXES)
  return text.format(name=name, friend=friend, things=things, place=place, box=box, boxes=boxes,
                     vehicle=choose(stories.VEHICLES), **own,
                     **{word.capitalize(): said.capitalize() for word, said in own.items()})


def _problem(name: str, level_cuts: tuple[int, ...], question: str, steps: _Steps) -> Problem:
  answer = steps[-1][-1]
  cost = sum(max(left, right, result) for left, _, right, result in steps)
  lines = [f'{left} {op} {right} = {result}' for left, op, right, result in steps]
  return Problem(
      id=name,
      prompt=question + '\n',
      answer=str(answer),
      level=1 + sum(cost >= cut for cut in level_cuts),
      solution='\n'.join([*lines, f'The answer is {answer}.']),
  )


class Words(family.Family):
  """Word problems in English, generated on this machine (`tts.data.words`)."""

  generate = staticmethod(generate)
