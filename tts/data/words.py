"""Word problems in English that a small language model can do: a family for real models.

A problem is a story of one or two operations, told with one of many sentences for each part of it
(`tts.data.stories`), and its solution is an equation a step:

  prompt    `Tom has 14 stamps. Mia gives him 9 more. How many stamps does Tom have now?\\n`
  solution  `14 + 9 = 23\\nThe answer is 23.`

Every problem is drawn from a *stratum* (its operations, range of its numbers). What names it are
its sentences and numbers: no two splits share a story, not even about other people or with another
of a setting's questions.
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

# Three worked examples, none of which the family draws: it knows nobody called Mia or Paul. A small
# model takes the operations that it has just seen: without the second it subtracted next to never.
EXAMPLES = (
    ('Mia has 12 pictures. Paul gives her 7 more. How many pictures does Mia have now?',
     '12 + 7 = 19\nThe answer is 19.'),
    ('Paul has 14 bottles. He loses 6 of them. How many bottles does Paul have now?',
     '14 - 6 = 8\nThe answer is 8.'),
    ('Paul has 9 bottles. He buys 8 more bottles. Then he sells 5 of them. How many bottles does '
     'Paul have now?',
     '9 + 8 = 17\n17 - 5 = 12\nThe answer is 12.'),
)


@dataclasses.dataclass(frozen=True)
class WordsConfig:
  """What is drawn.

  Attributes:
    seed: of the whole benchmark; every split derives its own from it.
    kinds: operations of a problem, one or two in their order, e.g. `+` or `*-`. Each kind is drawn
      as often as any other.
    ranges: numbers of a problem are below one of these; second factors and divisors below 10, too.
    max_value: no result is above it.
    level_cuts: where the levels 2 to 5 begin, in the largest numbers of the steps, summed. The
      default are about equal fifths of the other defaults; it does not follow them.
    sizes: (split, number of problems) pairs. They also set the share of all possible problems that
      a split may draw from.
  """

  seed: int = 0
  kinds: tuple[str, ...] = ('+', '-', '*', '+-')
  ranges: tuple[int, ...] = (10, 16, 24)
  max_value: int = 99
  level_cuts: tuple[int, int, int, int] = (11, 17, 25, 43)
  sizes: tuple[tuple[str, int], ...] = (
      ('lm', 1_000), ('verifier', 6_000), ('revision', 1_000), ('validation', 500), ('dev', 1_000),
      ('test', 2_000))

  def __post_init__(self):
    odd = [kind for kind in self.kinds if not re.fullmatch(r'[-+*/]|[-+*][-+/]', kind)]
    if odd or not self.kinds or len(set(self.kinds)) < len(self.kinds):
      raise InputError(f'words.kinds is {self.kinds}: give different ones of one or two operations '
                       'of + - * /, * being the first and / the last, e.g. ("+", "*-")')
    if not self.ranges or min(self.ranges) < 5:
      raise InputError(f'words.ranges is {self.ranges}: give numbers from 5 on')
    if self.max_value < max(self.ranges):
      raise InputError(f'words.max_value is {self.max_value}: give at least the largest range, '
                       f'{max(self.ranges)}')
    if len(self.level_cuts) != 4 or list(self.level_cuts) != sorted(self.level_cuts):
      raise InputError(f'words.level_cuts is {self.level_cuts}: give four numbers that rise')
    strata.check_sizes('words', self.sizes)


_Steps = list[tuple[int, str, int, int]]  # left, operation, right, result


def generate(config: WordsConfig, split: str) -> Iterator[Problem]:
  """Yields the problems of one split of `config.sizes`, in the order of their hashes.

  Raises:
    InputError: an unknown split, or one larger than its number of problems.
  """
  kinds = [(kind, below) for kind in config.kinds for below in config.ranges]

  def draw(rng: random.Random, stratum: tuple[str, int]) -> tuple[str, tuple[str, _Steps]]:
    for _ in range(_MISSES):
      if (found := _draw(rng, *stratum, config.max_value)) is not None:
        return found
    raise InputError(f'words.kinds has {stratum[0]!r}, which takes larger numbers than below '
                     f'{stratum[1]}: raise words.ranges or words.max_value')

  drawn = strata.fill('words', config.seed, config.sizes, split, kinds, draw,
                      'ranges or kinds')
  yield from (_problem(name, config.level_cuts, *parts) for name, parts in drawn)


_APPLY = {'+': lambda a, b: a + b, '-': lambda a, b: a - b, '*': lambda a, b: a * b,
          '/': lambda a, b: a // b}
# Operation that an opening takes, '' for none --> (setting, opening).
_OPENINGS = {op: [(name, text) for name, setting in stories.SETTINGS.items()
                  for text in (setting.opens.get(op, ()) if op else setting.given)]
             for op in ('', '+', '-', '*')}
_TRIES, _MISSES = 100, 1000


def _draw(rng: random.Random, kind: str, below: int,
          max_value: int) -> tuple[str, tuple[str, _Steps]] | None:
  """Draws (canonical form, (question, steps)); None where a setting or numbers do not fit."""
  choose = lambda items: strata.choose(rng, items)
  at_once = kind[0] == '*' or kind[0] in _OPENINGS and rng.random() < 0.5
  setting_name, opening = choose(_OPENINGS[kind[0] if at_once else ''])
  setting, texts, later = stories.SETTINGS[setting_name], [opening], kind[1:] if at_once else kind
  for op in later:
    events = (setting.ends if op == '/' else setting.events).get(op)
    if not events:
      return None
    texts.append(choose(events))
  if len(set(texts)) < len(texts):
    return None
  # Numbers are drawn again where they do not fit, sentences are not: all are told about as often.
  steps = next(filter(None, (_numbers(rng, kind, below, max_value) for _ in range(_TRIES))), None)
  if steps is None:
    return None
  form = '|'.join([setting_name, *texts, *(f'{left} {right}' for left, _, right, _ in steps)])
  if kind[-1] != '/':
    texts.append(choose(setting.asks_after if later else setting.asks))
  return form, (_told(rng, _with_numbers(texts, steps), setting), steps)


def _numbers(rng: random.Random, kind: str, below: int, max_value: int) -> _Steps | None:
  """Steps that take operations; None where a result is none that can be told."""
  number = lambda below: 2 + int(rng.random() * (below - 2))  # not `randrange`: `strata.choose`
  value, steps = number(below), []
  for op in kind:
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
