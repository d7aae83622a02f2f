"""Picks that add up: an embedded task family whose early mistakes are final.

A problem is a row of named pairs of digits and a total. Of each pair one digit is
to be picked, so that the picks add up to the total. A step names a pick and takes
it from what is left; the answer is the picks:

  prompt    `a15b14c35=10\\n`
  solution  `10-a1=9\\n9-b4=5\\n5-c5=0\\n#### a1b4c5`

Exactly one choice fits. To begin with `10-a5=5` is as right as arithmetic, yet no
later step repairs it: 5 is no sum of the other pairs' digits. So a prefix has a
value that only looking ahead tells. The prompt does not hold the answer, and a
solution's end shows whether it came out. The pair whose digits differ most comes
first: mostly what the other pairs give at least and at most tells the pick. With
the pairs in any order a model of 14 times the size learnt little more than a small
one in the demonstration's minutes.

Every problem is drawn from a *stratum* (number of pairs, range of the digits),
uniformly over the strata that still have unseen problems. Problems of few pairs
are few (2,424 of two): a split takes nearly all that are its own, and those of
more pairs fill it. The split `lm` repeats them instead.
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import random

from tts.data import family
from tts.data import strata
from tts.types import InputError
from tts.types import Problem

_NAMES = 'abcdef'
# Cuts of `_cost`, equal fifths of the default `dev` problems. They stay fixed, so
# that a level means the same under every configuration.
LEVEL_CUTS = (26, 31, 37, 48)

_Pairs = list[tuple[int, int]]


@dataclasses.dataclass(frozen=True)
class PlanConfig:
  """What is drawn.

  Attributes:
    seed: of the whole benchmark; every split derives its own from it.
    max_pairs: a problem has 2 to this many pairs, one step each.
    ranges: digits of one problem are below one of these.
    sizes: (split, number of problems) pairs. They also set the share of all
      possible problems that a split may draw from.
  """

  seed: int = 0
  max_pairs: int = 5
  ranges: tuple[int, ...] = (6, 8, 10)
  sizes: tuple[tuple[str, int], ...] = strata.usual_sizes()

  def __post_init__(self):
    if not 2 <= self.max_pairs <= len(_NAMES):
      raise InputError(f'plan.max_pairs is {self.max_pairs}: give 2 to {len(_NAMES)}')
    if not self.ranges or min(self.ranges) < 3 or max(self.ranges) > 10:
      raise InputError(f'plan.ranges is {self.ranges}: give numbers from 3 to 10')
    strata.check_sizes('plan', self.sizes)


def generate(config: PlanConfig, split: str) -> Iterator[Problem]:
  """Yields the problems of one split of `config.sizes`, in the order of their hashes.

  Raises:
    InputError: an unknown split, or one larger than its number of problems.
  """
  sizes = [(count, below) for count in range(2, config.max_pairs + 1) for below in config.ranges]

  def draw(rng: random.Random, stratum: tuple[int, int]) -> tuple[str, tuple[_Pairs, list[int]]]:
    pairs, picks = _draw(rng, *stratum)
    return _text(pairs, sum(picks)), (pairs, picks)

  drawn = strata.fill('plan', config.seed, config.sizes, split, sizes, draw, 'max_pairs or ranges')
  yield from (_problem(name, *parts) for name, parts in drawn)


def _draw(rng: random.Random, count: int, below: int) -> tuple[_Pairs, list[int]]:
  """Draws pairs and the picks that alone have their sum.

  It ends: the smaller digits of all pairs are such picks.
  """
  while True:
    pairs = []
    ways = 1  # byte s of it: how many choices have the sum s, 2**6 at most
    for _ in range(count):
      left = 1 + int(rng.random() * (below - 1))
      right = 1 + int(rng.random() * (below - 2))
      right += right >= left
      pairs.append((min(left, right), max(left, right)))
      ways = (ways << 8 * left) + (ways << 8 * right)
    # The order is part of the problem's form, so that each has one text alone.
    pairs.sort(key=lambda pair: (pair[0] - pair[1], pair))
    picks = [strata.choose(rng, pair) for pair in pairs]
    if ways >> 8 * sum(picks) & 255 == 1:
      return pairs, picks


def _text(pairs: _Pairs, total: int) -> str:
  named = zip(_NAMES, pairs)
  return ''.join(f'{name}{left}{right}' for name, (left, right) in named) + f'={total}'


def _cost(pairs: _Pairs, total: int) -> int:
  """Pairs, times the largest digit and how far the total is from its least or most."""
  least, most = sum(map(min, pairs)), sum(map(max, pairs))
  return len(pairs) * (max(map(max, pairs)) + min(total - least, most - total))


def _problem(name: str, pairs: _Pairs, picks: list[int]) -> Problem:
  rest = total = sum(picks)
  named = [f'{letter}{pick}' for letter, pick in zip(_NAMES, picks)]
  answer = ''.join(named)
  lines = []
  for pick, said in zip(picks, named):
    lines.append(f'{rest}-{said}={rest - pick}')
    rest -= pick
  cost = _cost(pairs, total)
  return Problem(
      id=name,
      prompt=_text(pairs, total) + '\n',
      answer=answer,
      level=1 + sum(cost >= cut for cut in LEVEL_CUTS),
      solution='\n'.join([*lines, f'#### {answer}']),
  )


class Plan(family.Family):
  """Picks that add up, generated on this machine (`tts.data.plan`)."""

  generate = staticmethod(generate)
