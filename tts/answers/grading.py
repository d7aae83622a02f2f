"""Grades predictions: by kinds of value, and what these cannot read by math-verify.

The first stage is `answers.same`, exact and fast; on every kind that it reads its word is final
(the table in `tts.answers.compare`). The second knows more of LaTeX (sums, integrals, limits), but
drops text, rounds, and computes whatever it is given: `9^{9^9}` never ends. So it is asked about
what is left alone, and runs in worker processes of its own, each with limits of time and memory. A
pair that exceeds them costs its worker, which is replaced; it is different, and counted.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterable, Sequence
import functools
import itertools
import importlib.util
import re

from tts import answers
from tts.answers import workers
from tts.answers.graders import GRADERS
from tts.types import InputError

OWN = ('exact', 'math')

_DOLLARS = re.compile(r'\\?\$|(?<!\\)\\[()\[\]]')
# What costs a library more than the answer to any question: sums, products and factorials over
# large numbers, towers of powers, numbers that fill lines.
_LARGE = r'(?:\d{5,}|\d\s*(?:\^|\*\*)\s*\{?\s*\d)'
_HEAVY = re.compile(
    rf'\d{{60}}|(?:\^|\*\*)\s*\{{?\s*[^{{}}^]{{0,20}}{_LARGE}|{_LARGE}\d*\s*[)}}]*\s*!'
    rf'|\\(?:sum|prod|binom)(?=.*{_LARGE})', re.DOTALL)


def check(grader: str) -> None:
  """Raises InputError where there is no such grader, or its library is not installed."""
  if grader not in GRADERS:
    raise InputError(f'grader {grader!r}: choose of {", ".join(GRADERS.names())}')
  if grader == 'math' and importlib.util.find_spec('math_verify') is None:
    raise InputError('grader "math" needs math-verify: pip install -e ".[math]"')


def are_correct(grader: str, pairs: Iterable[tuple[str, str]],
                questions: Iterable[str] | None = None) -> list[bool]:
  """Whether the answers that predictions give are the gold ones.

  Args:
    grader: of `graders.GRADERS`. `exact` starts no process.
    pairs: (prediction, gold), texts; see `answers.find`. Many at once are shared out among the
      workers.
    questions: text of each one's problem, which graders of others may read.

  Raises:
    InputError: as `check`.
  """
  return are_right(grader, [(answers.extract(prediction), gold) for prediction, gold in pairs],
                   questions)


def are_right(grader: str, pairs: Iterable[tuple[str | None, str]],
              questions: Iterable[str] | None = None) -> list[bool]:
  """As `are_correct`, of answers that have been found; None is no answer, and wrong."""
  check(grader)
  if grader not in OWN:
    asked = itertools.repeat('') if questions is None else questions
    return [answer is not None and GRADERS[grader].right(question, answer, gold)
            for (answer, gold), question in zip(pairs, asked)]
  found = [(answer, answers.gold_answer(gold)) for answer, gold in pairs]
  return [v is True for v in _verdicts(grader, found, answers.same)]


def are_equal(grader: str, pairs: Iterable[tuple[str, str]]) -> list[bool | None]:
  """Whether two answers, as written, are one: in votes, where neither is the gold one.

  Symmetric: what only rounds to the other is another answer. None where a limit was exceeded.

  Raises:
    InputError: as `check`.
  """
  check(grader)
  if grader not in OWN:
    return [GRADERS[grader].equal(*sorted(pair)) for pair in pairs]
  return _verdicts(grader, [tuple(sorted(pair)) for pair in pairs], _same_both_ways)


def _same_both_ways(a: answers.Value, b: answers.Value) -> bool | None:
  if a.percent != b.percent and a.form != b.form:
    return False  # 50% votes as 50, which its form is: it cannot vote as 0.5 too
  verdicts = answers.same(a, b), answers.same(b, a)
  return False if False in verdicts else (None if None in verdicts else True)


def _verdicts(grader: str, pairs: Sequence[tuple[str | None, str]], same) -> list[bool | None]:
  """Of (answer or None, the other): what `same` says, and where it cannot say the library."""
  out: list[bool | None] = [
      answer is not None and max(len(answer), len(other)) <= answers.MAX_LENGTH and
      same(answers.read(answer), answers.read(other)) for answer, other in pairs]
  asked = {i: _question(*pairs[i]) for i, verdict in enumerate(out) if verdict is None}
  if grader == 'exact':
    return [verdict is True for verdict in out]
  for i in asked:
    out[i] = False
  heavy = [i for i, question in asked.items() if question and any(map(_HEAVY.search, question))]
  todo = {i: question for i, question in asked.items() if question and i not in heavy}
  found = _pool().equal(list(todo.values())) if todo else []
  for i, verdict in [*zip(todo, found), *((i, None) for i in heavy)]:
    out[i] = verdict
  return out


def _question(answer: str, gold: str) -> tuple[str, str] | None:
  """(gold answer, answer) as the workers take them; None where one is not a single group."""
  pair = _DOLLARS.sub('', gold).strip(), _DOLLARS.sub('', answer).strip()
  return pair if all(map(_one_group, pair)) else None


def _one_group(text: str) -> bool:
  """Whether `\\boxed{text}` is one box. Of several any would count."""
  depth = 0
  for token in re.findall(r'\\.?|[{}]', text, re.DOTALL):
    depth += (token == '{') - (token == '}')
    if depth < 0 or token == '\\':
      return False
  return depth == 0 and text != '' and '\\boxed' not in text and '\\fbox' not in text


@functools.cache
def _pool() -> workers.WorkerPool:
  """This process's own, made when it is first needed."""
  pool = workers.WorkerPool()
  atexit.register(pool.close)
  return pool
