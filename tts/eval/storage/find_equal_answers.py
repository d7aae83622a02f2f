"""Compares the answers of each question with one another, where their records are made.

The report reads what is found here (`tts.eval.storage.equal_answers`) and starts no grader.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping, Sequence
import itertools
import math
from typing import Any

from tts.answers import grading, MAX_LENGTH
from tts.eval.storage import columns
from tts.eval.storage.equal_answers import Verdicts

# Normal forms of a question that are compared, the most frequent ones: of so many there are 2,016
# pairs. The others are different from all.
MAX_FORMS = 64


def of_rows(grader: str, rows: Iterable[Mapping[str, Any]],
            gold: Mapping[str, str | None] | None = None) -> Verdicts:
  """Which answers in records are the same; rows that were cut off have none.

  Args:
    grader: of `graders.GRADERS`. `exact` has nothing to add to normal forms, and starts no process.
    rows: of any number of questions, those of a question of one setting.
    gold: problem id -> an answer that these are compared with as well, or None.

  Raises:
    InputError: as `grading.check`.
  """
  if grader == 'exact':
    return Verdicts(grader)
  answers: dict[str, list[str]] = collections.defaultdict(list)
  for question, answer in (gold or {}).items():
    answers[question] += [] if answer is None else [answer]
  for row in sorted(rows, key=lambda row: row['slot']):
    if row['answer'] is not None and not row['truncated']:
      answers[row['problem_id']].append(row['answer'])
  return compare(grader, answers)


def compare(grader: str, answers: Mapping[str, Sequence[str]]) -> Verdicts:
  """Which answers of each question are the same, by a grader that is not exact.

  Args:
    grader: of `graders.GRADERS`.
    answers: problem id -> answers as written, in the order of their slots.

  Raises:
    InputError: as `grading.check`.
  """
  # Question -> pairs, each answer for its form; in one order, so that many questions share them.
  asked: dict[str, list[tuple[str, str]]] = {}
  beyond = 0
  for question, written in answers.items():
    counts = collections.Counter(map(columns.form, written))
    shown: dict[str, str] = {}  # form -> how it is written most often
    for answer, _ in collections.Counter(written).most_common():  # of equals the first
      shown.setdefault(columns.form(answer), answer)
    common = [shown[form] for form, _ in counts.most_common() if len(shown[form]) <= MAX_LENGTH]
    kept = common[:MAX_FORMS]
    beyond += math.comb(len(common), 2) - math.comb(len(kept), 2)
    asked[question] = list(itertools.combinations(sorted(kept), 2))
  pairs = list(dict.fromkeys(itertools.chain.from_iterable(asked.values())))
  same = dict(zip(pairs, grading.are_equal(grader, pairs)))
  equal = {question: [pair for pair in of if same[pair]] for question, of in asked.items()}
  return Verdicts(
      grader, sum(map(len, asked.values())) + beyond,
      sum(same[pair] is None for of in asked.values() for pair in of) + beyond,
      {question: of for question, of in equal.items() if of})
