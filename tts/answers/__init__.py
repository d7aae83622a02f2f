"""Answers: found in a text, read as values, compared.

  find       where the answer stands in what a model wrote, and which rule says so
  clean      one way of writing for scripts, layout, Markdown
  reading    an answer's value: which kind, of what parts
  compare    whether two values are the same answer
  grading    verdicts on many predictions, by the graders `exact` and `math`
"""

from __future__ import annotations

from tts.answers.compare import same
from tts.answers.find import extract, find, Found, gold_answer, RULES
from tts.answers.reading import MAX_LENGTH, read

__all__ = ('MAX_LENGTH', 'RULES', 'Found', 'extract', 'find', 'gold_answer', 'is_correct',
           'normalize', 'read', 'same')


def normalize(answer: str) -> str:
  """The normal form of an answer: equal for two writings of the same one.

  Votes group by it, so it leaves out what the samples of one question share or drop at will: a unit
  or noun behind a number, `%`, a single name (`x = 5`).
  """
  return read(answer).form


def is_correct(prediction: str, gold: str) -> bool:
  """Whether the answer that a prediction gives is the gold one, as far as `exact` can say."""
  answer, gold = extract(prediction), gold_answer(gold)
  if answer is None or max(len(answer), len(gold)) > MAX_LENGTH:
    return False
  return same(read(answer), read(gold)) is True
