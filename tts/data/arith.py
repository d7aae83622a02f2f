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
import hashlib
import random

from tts.data import family
from tts.types import InputError
from tts.types import Problem

# Cuts of `_cost`, equal fifths of the default configuration. They stay fixed, so
# that a level means the same under every configuration.
LEVEL_CUTS = (20, 32, 51, 85)
# A stratum is closed after this many draws in a row, counted in the expected
# draws of a split's own problem, that found nothing new (4% or less unseen).
_PATIENCE = 25


# The split to learn from: in it a stratum that has run dry is repeated, so that
# short chains, from which the facts are learnt, keep their share.
_REPEATING = 'lm'


@dataclasses.dataclass(frozen=True)
class ArithConfig:
  """What is drawn.

  Attributes:
    seed: of the whole benchmark; every split derives its own from it.
    max_ops: a problem has 1 to this many operations.
    ranges: operands of one problem are below one of these.
    max_value: no intermediate result is above it (or below 0).
    sizes: (split, number of problems) pairs. They also set the share of all
      possible problems that a split may draw from.
  """

  seed: int = 0
  max_ops: int = 6
  ranges: tuple[int, ...] = (5, 10, 20, 30)
  max_value: int = 999
  sizes: tuple[tuple[str, int], ...] = (
      ('lm', 40_000),
      ('verifier', 8_000),
      ('revision', 4_000),
      ('validation', 1_000),
      ('dev', 2_000),
      ('test', 4_000),
  )

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
    names = [name for name, _ in self.sizes]
    if len(set(names)) < len(names) or any(n < 1 for _, n in self.sizes):
      raise InputError(
          f'arith.sizes is {self.sizes}: give each split once, with 1 or more'
      )


def generate(config: ArithConfig, split: str) -> Iterator[Problem]:
  """Yields the problems of one split.

  A problem belongs to the split in whose region the hash of its canonical form
  falls, so splits share no problem, whatever their generators draw. The order is
  that of the hashes.

  Args:
    config: what to draw.
    split: a name in `config.sizes`.

  Raises:
    InputError: an unknown split, or one larger than its number of problems.
  """
  sizes = dict(config.sizes)
  if split not in sizes:
    raise InputError(f'arith has no split {split!r}: choose of {list(sizes)}')
  low, high = _region(config, split)
  patience = int(_PATIENCE * 2**64 / (high - low))
  rng = random.Random(f'arith/{config.seed}/{split}')
  strata = [
      (ops, below)
      for ops in range(1, config.max_ops + 1)
      for below in config.ranges
  ]
  problems, spent = {}, []
  drawn = {stratum: [] for stratum in strata}
  repeats = []
  while len(problems) + len(repeats) < sizes[split]:
    if spent and rng.random() * (len(strata) + len(spent)) < len(spent):
      again = drawn[spent[int(rng.random() * len(spent))]]
      repeats.append(again[int(rng.random() * len(again))])
      continue
    if not strata:
      raise InputError(
          f'arith.sizes asks for {sizes[split]} problems in {split!r} and only '
          f'{len(problems)} exist: lower it, or raise max_ops or ranges'
      )
    stratum = strata[int(rng.random() * len(strata))]
    for _ in range(patience):
      first, steps = _draw(rng, *stratum, config.max_value)
      digest = hashlib.sha256(_canonical(first, steps).encode()).digest()
      # The id holds a prefix of the digest: compared by it, ids are unique too.
      key = digest[:6]
      if low <= int.from_bytes(digest[:8]) < high and key not in problems:
        problems[key] = _problem(f'arith-{split}-{key.hex()}', first, steps)
        drawn[stratum].append(key)
        break
    else:
      strata.remove(stratum)
      if split == _REPEATING and drawn[stratum]:
        spent.append(stratum)
  # The small strata run dry early: in the order drawn, a split would grow harder.
  yield from (problems[key] for key in sorted(problems))
  for n, key in enumerate(sorted(repeats)):
    yield dataclasses.replace(problems[key], id=f'{problems[key].id}-again{n}')


def _region(config: ArithConfig, split: str) -> tuple[int, int]:
  """The 64-bit hashes [low, high) that belong to a split, by its size."""
  total = sum(n for _, n in config.sizes)
  start = 0
  for name, n in config.sizes:
    if name == split:
      break
    start += n
  return start * 2**64 // total, (start + n) * 2**64 // total


def _draw(rng: random.Random, ops: int, below: int, max_value: int):
  """Draws (first, [(op, operand), ...]); an impossible step is drawn again."""
  # `int(random() * n)` is several times faster than `randrange` and, unlike it,
  # documented to stay the same in every Python version.
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


def _problem(name: str, first: int, steps: list[tuple[str, int]]) -> Problem:
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
      level=1 + sum(cost >= cut for cut in LEVEL_CUTS),
      solution='\n'.join([*lines, f'#### {value}']),
  )


class Arith(family.Family):
  """Chained arithmetic, generated on this machine (`tts.data.arith`)."""

  generate = staticmethod(generate)
