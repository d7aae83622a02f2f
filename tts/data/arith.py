"""Chained arithmetic: an embedded task family whose mistakes are slips.

A problem is a calculator chain, applied left to right, and its solution is one
equation a step:

  prompt    `7;+12;-4;*3\\n`
  solution  `7+12=19\\n19-4=15\\n15*3=45\\n#### 45`

Every problem is drawn from a *stratum* (number of operations, operand range),
uniformly over the strata that still have unseen problems. The short chains are
few (about 1,000 of one operation below 30): a split takes nearly all that are
its own, and the longer ones fill it. The split `lm` repeats them instead.
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import random

from tts.data import family
from tts.data import strata
from tts.types import InputError
from tts.types import Problem


@dataclasses.dataclass(frozen=True)
class ArithConfig:
  """What is drawn.

  Attributes:
    seed: of the whole benchmark; every split derives its own from it.
    max_ops: a problem has 1 to this many operations.
    ranges: operands of one problem are below one of these.
    max_value: no intermediate result is above it (or below 0).
    level_cuts: where the levels 2 to 5 begin, in operations times the problem's
      largest number. The default are equal fifths of the other defaults; it does
      not follow them, so that a level means the same where they change a little.
    sizes: (split, number of problems) pairs. They also set the share of all
      possible problems that a split may draw from.
  """

  seed: int = 0
  max_ops: int = 6
  ranges: tuple[int, ...] = (5, 10, 20, 30)
  max_value: int = 999
  level_cuts: tuple[int, int, int, int] = (20, 32, 51, 85)
  sizes: tuple[tuple[str, int], ...] = strata.usual_sizes(verifier=8_000)

  def __post_init__(self):
    if self.max_ops < 1:
      raise InputError(f'arith.max_ops is {self.max_ops}: give 1 or more')
    if not self.ranges or min(self.ranges) < 3:
      raise InputError(f'arith.ranges is {self.ranges}: give numbers from 3 on')
    if self.max_value < max(self.ranges):
      raise InputError(
          f'arith.max_value is {self.max_value}: give at least the largest '
          f'range, {max(self.ranges)}'
      )
    if len(self.level_cuts) != 4 or list(self.level_cuts) != sorted(self.level_cuts):
      raise InputError(f'arith.level_cuts is {self.level_cuts}: give four numbers that rise')
    strata.check_sizes('arith', self.sizes)


def generate(config: ArithConfig, split: str) -> Iterator[Problem]:
  """Yields the problems of one split.

  The order is that of the problems' hashes.

  Args:
    config: what to draw.
    split: a name in `config.sizes`.

  Raises:
    InputError: an unknown split, or one larger than its number of problems.
  """
  lengths = [(ops, below) for ops in range(1, config.max_ops + 1) for below in config.ranges]

  def draw(rng: random.Random, stratum: tuple[int, int]) -> tuple[str, tuple[int, list]]:
    first, steps = _draw(rng, *stratum, config.max_value)
    return _canonical(first, steps), (first, steps)

  drawn = strata.fill('arith', config.seed, config.sizes, split, lengths, draw, 'max_ops or ranges')
  yield from (_problem(name, config.level_cuts, *parts) for name, parts in drawn)


def _draw(rng: random.Random, ops: int, below: int, max_value: int):
  """Draws (first, [(op, operand), ...]); an impossible step is drawn again."""
  # See `strata.choose`, of which these are instances, for why not `randrange`.
  uniform = rng.random
  first = value = 1 + int(uniform() * (below - 1))
  steps = []
  while len(steps) < ops:
    op = '+-*'[int(uniform() * 3)]
    if op == '*':
      operand = 2 + int(uniform() * (min(below, 10) - 2))
    else:
      operand = 1 + int(uniform() * (below - 1))
    result = _apply(op, value, operand)
    if 0 <= result <= max_value:
      steps.append((op, operand))
      value = result
  return first, steps


def _apply(op: str, left: int, right: int) -> int:
  if op == '+':
    return left + right
  return left - right if op == '-' else left * right


def _text(first: int, steps: list[tuple[str, int]]) -> str:
  return ';'.join([str(first), *(f'{op}{operand}' for op, operand in steps)])


def _canonical(first: int, steps: list[tuple[str, int]]) -> str:
  """The text of a problem and of its mirror image, `12;+7` for `7;+12`."""
  op, operand = steps[0]
  if op != '-' and operand < first:
    return _text(operand, [(op, first), *steps[1:]])
  return _text(first, steps)


def _cost(first: int, steps: list[tuple[str, int]]) -> int:
  """Operations times the largest number in the problem: work a slip can hit."""
  return len(steps) * max(first, *(operand for _, operand in steps))


def _problem(name: str, level_cuts: tuple[int, ...], first: int,
             steps: list[tuple[str, int]]) -> Problem:
  value = first
  lines = []
  for op, operand in steps:
    result = _apply(op, value, operand)
    lines.append(f'{value}{op}{operand}={result}')
    value = result
  cost = _cost(first, steps)
  return Problem(
      id=name,
      prompt=_text(first, steps) + '\n',
      answer=str(value),
      level=1 + sum(cost >= cut for cut in level_cuts),
      solution='\n'.join([*lines, f'#### {value}']),
  )


class Arith(family.Family):
  """Chained arithmetic, generated on this machine (`tts.data.arith`)."""

  generate = staticmethod(generate)
