"""Solutions whose steps are labelled: what a verifier is asked about by `launch.verify`.

A JSON object a line, of ProcessBench's fields (arXiv 2412.06559) or with a number a step:

  {"problem": "...", "steps": ["...", "..."], "label": 1, "final_answer_correct": false}
  {"problem": "...", "steps": ["...", "..."], "labels": [0.8, 0.0]}

`label` is the place of the first wrong step, from 0, and -1 where there is none. `labels` are the
chances that a solution with these first steps comes to a right answer, as rollouts estimate them: a
step is wrong from the first one on that has 0.
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import math
import os
from typing import Any

from tts.data import jsonl
from tts.types import InputError

NONE = -1  # no step is wrong


@dataclasses.dataclass(frozen=True)
class Labelled:
  """A solution.

  Attributes:
    problem: the question.
    steps: texts.
    first_error: place of the first wrong step, or NONE.
    correct: whether the final answer is right; without that field, whether no step is wrong.
  """

  problem: str
  steps: tuple[str, ...]
  first_error: int
  correct: bool


def read(path: str | os.PathLike[str], bad: jsonl.BadLines) -> Iterator[tuple[str, Labelled]]:
  """Yields (where, solution) of each line that can be used.

  Raises:
    InputError: no such file, or a line that `bad` does not leave out.
  """
  for where, row in jsonl.read(path, bad):
    found = None
    with bad.left_out():
      found = parsed(row, where)
    if found is not None:
      yield where, found


def parsed(row: dict[str, Any], where: str) -> Labelled:
  """One line's solution; InputError names the field that is not as it is to be."""
  jsonl.check_characters(row, where)
  problem, steps = jsonl.text_field(row, 'problem', where), row.get('steps')
  if not isinstance(steps, list) or not steps or not all(
      isinstance(step, str) and step.strip() for step in steps):
    raise InputError(f'{where}: field "steps" is to be a list of texts, none of them empty')
  if ('label' in row) == ('labels' in row):
    raise InputError(f'{where}: give one of the fields "label", the place of the first wrong step '
                     '(-1 for none), and "labels", a number a step')
  first = _first_error(row, len(steps), where)
  correct = row.get('final_answer_correct', first == NONE)
  if not isinstance(correct, bool):
    raise InputError(f'{where}: field "final_answer_correct" is to be true or false')
  return Labelled(problem, tuple(steps), first, correct)


def _first_error(row: dict[str, Any], size: int, where: str) -> int:
  if 'label' in row:
    label = row['label']
    if type(label) is not int or not NONE <= label < size:
      raise InputError(f'{where}: field "label" is {label!r}: give -1 to {size - 1}, of {size} '
                       'steps')
    return label
  labels = row['labels']
  number = lambda x: type(x) in (int, float) and math.isfinite(x) and 0 <= x <= 1
  if not isinstance(labels, list) or len(labels) != size or not all(map(number, labels)):
    raise InputError(f'{where}: field "labels" is to be {size} numbers from 0 to 1, one a step')
  return next((i for i, value in enumerate(labels) if value == 0), NONE)
