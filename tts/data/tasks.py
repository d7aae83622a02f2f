"""Task families by name: each draws problems, and prepares its splits once.

A new one is a function that draws a problem:

  @tasks.register('sums', strata=(10, 100, 1000))
  def sums(rng, below):
    a, b = int(rng.random() * below), int(rng.random() * below)
    return tasks.problem(f'{a}+{b}', [f'{a}+{b}={a + b}'], a + b)
"""

from __future__ import annotations

import dataclasses
import os
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tts.data import family, strata as strata_lib
from tts.plugins import Registry
from tts.types import InputError, Problem


@dataclasses.dataclass(frozen=True)
class TaskConfig:
  """What is drawn of a plugin's family.

  Attributes:
    seed: of the whole benchmark; every split derives its own from it.
    sizes: (split, number of problems) pairs.
  """

  seed: int = 0
  sizes: tuple[tuple[str, int], ...] = strata_lib.usual_sizes()

  def __post_init__(self):
    strata_lib.check_sizes('data.task', self.sizes)


@dataclasses.dataclass(frozen=True)
class Task:
  """A family.

  Attributes:
    builder: prepares its splits on disk.
    options: a `problems.DataConfig` --> the builder's options, which have `sizes`.
  """

  builder: type[family.Family]
  options: Callable[[Any], Any]

  def load(self, data: Any, split: str, root: str | os.PathLike[str]) -> list[Problem]:
    return self.builder.load(self.options(data), split, os.fspath(root))

  def generate(self, data: Any, split: str) -> Iterator[Problem]:
    return self.builder.generate(self.options(data), split)


TASKS = Registry('task family')


@dataclasses.dataclass(frozen=True)
class _Options(TaskConfig):
  """Of a plugin's builder: what its problems, and so the folder of its files, depend on."""

  code: tuple[str, ...] = ()


Draw = Callable[[random.Random, Any], Problem]


def register(name: str, strata: Sequence[Any]) -> Callable[[Draw], Draw]:
  """A decorator that adds a function, (random numbers, stratum) --> `problem(...)`, as a family.

  Problems are drawn evenly of all strata, e.g. lengths. Those of one text are one problem: it is in
  one split, once. (`lm` repeats those of a stratum that has run dry.)

  Args:
    name: of the family.
    strata: what the function is called with; of one stratum problems should be about as likely.

  Raises:
    InputError: the name is taken, or is none.
  """
  def add(draw: Draw) -> Draw:
    def one(rng: random.Random, stratum: Any) -> tuple[str, Problem]:
      found = draw(rng, stratum)
      if not isinstance(found, Problem):
        raise InputError(f'data.family={name}: {draw.__module__}.{draw.__name__} gave '
                         f'{type(found).__name__}: return tasks.problem(...)')
      return found.prompt, found

    def generate(options: _Options, split: str) -> Iterator[Problem]:
      drawn = strata_lib.fill(name, options.seed, options.sizes, split, list(strata), one,
                              'what its strata hold')
      return (dataclasses.replace(problem, id=i) for i, problem in drawn)

    builder = type(''.join(part.capitalize() for part in name.split('_')), (family.Family,),
                   {'__doc__': draw.__doc__, 'generate': staticmethod(generate)},
                   skip_registration=True)  # TFDS has names of its own
    TASKS.add(name, draw, Task(builder, lambda data: _Options(
        data.task.seed, data.task.sizes, TASKS.mark(name))))
    return draw

  return add


def problem(question: str, steps: Sequence[str], answer: Any, level: int | None = None) -> Problem:
  """A problem, its solution in the format that the models are to write: steps, then the answer.

  Args:
    question: a line.
    steps: a line each.
    answer: as it is written; it is compared by normal form.
    level: external difficulty, 1 (easiest) to 5, or None.
  """
  lines = [question, *steps, str(answer)]
  if not all(line.strip() and '\n' not in line for line in lines):
    raise InputError(f'a problem has an empty line or several in one: {lines}')
  return Problem(id='', prompt=question + '\n', answer=str(answer), level=level,
                 solution='\n'.join([*steps, f'#### {answer}']))
