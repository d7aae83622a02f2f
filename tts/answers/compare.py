"""Whether two answers are the same, by the kinds of value that they are.

| kinds | the same where |
|---|---|
| numbers | equal exactly; a gold decimal of two places and more also what rounds to it (1/3 and 0.3333 are 0.33); hundredths as such or as a share; sizes in one unit, nouns that do not contradict |
| functions | equal at all points; an equation `name = function` as its equation |
| lists, sets | one to one, in any order; a set of one as its element; a list as a set |
| tuples, ratios, matrices, named values | part by part; a matrix of one column as a tuple |
| intervals, unions, inequalities | equal ends, open or closed alike; a pair as an open interval |
| options | the letter; or its content |
| times, numbers to a base, text, all else | the same writing |

Where the exact comparison knows both kinds its word is final. Only of writings that it cannot read
it says None, and a library may decide (`tts.answers.grading`).
"""

from __future__ import annotations

from collections.abc import Sequence
import re

from tts.answers import numbers
from tts.answers import units
from tts.answers.numbers import Fraction
from tts.answers.values import Value

_SYMBOL = re.compile(r"\\?[A-Za-z](?:[a-z]+)?(?:_\w+)?(?:\([A-Za-z0-9-]+\))?'*")
_COMMAND = re.compile(r'\\[A-Za-z]{2,}')
# Relations and boxes that a library drops.
_NO_LIBRARY = re.compile(r'\\(?:ne|neq|not|neg|fbox|boxed|text)(?![A-Za-z])')
# A gold decimal of so many places has been rounded.
_ROUNDED_PLACES = 2
# A decimal that has not been rounded yet has so many more.
_MORE_PLACES = 1


def same(answer: Value, gold: Value) -> bool | None:
  """Whether an answer is the gold one; None where it takes a library to say."""
  if not answer.form or not gold.form or _names_differ(answer, gold):
    return False
  if 'number' == answer.kind == gold.kind:
    return _same_number(answer, gold)
  if answer.form == gold.form and not answer.parts:
    return True
  if 'option' in (answer.kind, gold.kind):
    return _same_option(answer, gold)
  if 'unread' in (answer.kind, gold.kind):
    return answer.form == gold.form or (
        None if _is_mathematics(answer) and _is_mathematics(gold) else False)
  if answer.kind == gold.kind:
    return _same_parts(answer, gold)
  return _across_kinds(answer, gold)


def _names_differ(a: Value, b: Value) -> bool:
  """`x = 5` is 5 and is not `y = 5`; `y = 2x` and `f(x) = 2x` are the same."""
  names = [v.name for v in (a, b)]
  if 'named' in (a.kind, b.kind) or not all(map(_SYMBOL.fullmatch, names)) or names[0] == names[1]:
    return False
  if a.relation and b.relation:
    return a.relation != b.relation
  return not (a.kind == b.kind == 'function' and 'y' in names and any('(' in n for n in names))


def _is_mathematics(value: Value) -> bool:
  """Whether a library may know more: of LaTeX commands, not of words or of a broken writing."""
  if value.kind == 'unread':
    return bool(_COMMAND.search(value.form)) and not _NO_LIBRARY.search(value.form)
  return value.kind not in ('text', 'time', 'based', 'option')


def _same_number(a: Value, gold: Value) -> bool:
  if units.conflict(a.unit, gold.unit) or a.percent != gold.percent and (
      units.says_what(a.unit) or units.says_what(gold.unit)):
    return False
  if a.number is None or gold.number is None:
    return a.form == gold.form
  if a.unit and gold.unit and a.unit.dimensions and gold.unit.dimensions and (
      a.unit.size != gold.unit.size):
    scale = a.unit.size / gold.unit.size
    return numbers.form(numbers.multiply(a.number, scale)) == gold.form
  if a.form == gold.form:
    return True
  if a.percent != gold.percent:
    share, whole = (a, gold) if gold.percent else (gold, a)
    return numbers.form(numbers.multiply(share.number, Fraction(100))) == whole.form
  if gold.places is None or gold.places < _ROUNDED_PLACES or not numbers.is_real(a.number):
    return False
  if a.places is not None and a.places < gold.places + _MORE_PLACES:
    return False
  return numbers.rounds_to(a.number, gold.number, gold.places)


def _same_option(a: Value, gold: Value) -> bool:
  """By the letter where both have one, else by what the letter stands for."""
  if a.kind == gold.kind:
    return a.form == gold.form
  option, other = (a, gold) if a.kind == 'option' else (gold, a)
  return bool(option.parts) and same(other, option.parts[0]) is True


def _all(verdicts: Sequence[bool | None]) -> bool | None:
  return False if False in verdicts else (None if None in verdicts else True)


def _same_parts(a: Value, gold: Value) -> bool | None:
  if a.kind in ('function', 'relation'):
    return a.form == gold.form or _same_equation(a, gold)
  if not gold.parts or len(a.parts) != len(gold.parts):
    return a.form == gold.form
  if a.kind in ('list', 'set'):
    return _matched(a.parts, gold.parts)
  if a.kind == 'named':
    return a.name == gold.name and _all([same(x, y) for x, y in zip(a.parts, gold.parts)])
  if a.kind == 'ratio' and a.form != gold.form:
    return _proportional(a, gold)
  if a.kind in ('tuple', 'ratio'):
    if a.form[0] + a.form[-1] != gold.form[0] + gold.form[-1] and a.kind == 'tuple':
      return False
    return _all([same(x, y) for x, y in zip(a.parts, gold.parts)])
  if a.kind == 'matrix':
    return False if a.form[:4].partition('[')[0] != gold.form[:4].partition('[')[0] else _all(
        [len(x.parts) == len(y.parts) and _all([same(p, q) for p, q in zip(x.parts, y.parts)])
         for x, y in zip(a.parts, gold.parts)])
  return a.form == gold.form


def _proportional(a: Value, gold: Value) -> bool:
  """Whether 6:8 is 3:4; what may be a time, like 2:30, is no ratio."""
  if any(len(v.parts) == 2 and len(v.parts[1].form) == 2 for v in (a, gold)):
    return False
  first, second = ([p.number for p in v.parts] for v in (a, gold))
  if not all(isinstance(n, Fraction) and n for n in (*first, *second)):
    return False
  return len({x / y for x, y in zip(first, second)}) == 1


def _matched(parts: Sequence[Value], golds: Sequence[Value]) -> bool | None:
  """Whether each part is another one of the gold parts."""
  left, unsure = list(golds), False
  for part in parts:
    verdicts = [same(part, gold) if (part.kind == 'set') == (gold.kind == 'set') else False
                for gold in left]
    if True in verdicts:
      del left[verdicts.index(True)]
    elif None in verdicts:
      unsure = True
    else:
      return False
  return None if unsure else not left


def _same_equation(a: Value, b: Value) -> bool:
  forms = [v.form if v.kind == 'relation' else v.relation for v in (a, b)]
  return bool(forms[0]) and forms[0] == forms[1]


def _across_kinds(a: Value, gold: Value) -> bool | None:
  kinds = {a.kind, gold.kind}
  of = {v.kind: v for v in (a, gold)}
  if kinds == {'list', 'set'}:
    return len(a.parts) == len(gold.parts) and _matched(a.parts, gold.parts)
  if 'set' in kinds and len(of['set'].parts) == 1:
    (element,), other = of['set'].parts, gold if a.kind == 'set' else a
    return same(element, other) if a.kind == 'set' else same(other, element)
  if kinds in ({'relation', 'function'}, {'relation', 'number'}):
    relation, other = of['relation'], gold if a.kind == 'relation' else a
    if _same_equation(a, gold):
      return True
    return relation is a and not other.name and relation.number is not None and (
        numbers.form(relation.number) == other.form)
  if kinds == {'interval', 'tuple'}:
    return a.form == gold.form
  if kinds == {'matrix', 'tuple'}:
    rows = of['matrix'].parts
    cells = rows[0].parts if len(rows) == 1 else [row.parts[0] for row in rows]
    if len(rows) > 1 and any(len(row.parts) > 1 for row in rows) or (
        len(cells) != len(of['tuple'].parts) or of['tuple'].form[0] != '('):
      return False
    return _all([same(x, y) if a.kind == 'matrix' else same(y, x)
                 for x, y in zip(cells, of['tuple'].parts)])
  if kinds == {'named', 'tuple'}:
    named = of['named']
    return (named.name == ','.join(sorted(named.name.split(','))) and
            len(named.parts) == len(of['tuple'].parts) and
            _all([same(x, y) for x, y in zip(a.parts, gold.parts)]))
  if kinds == {'named', 'list'}:
    return len(a.parts) == len(gold.parts) and _all(
        [same(x, y) for x, y in zip(a.parts, gold.parts)])
  if kinds == {'ratio', 'time'}:
    return _in_24_hours(of['ratio'].form) == of['time'].form
  if a.kind == 'list' and gold.places is not None and len(a.parts) == 2:
    return _decimal_comma(a, gold)
  return False


def _decimal_comma(a: Value, gold: Value) -> bool:
  """`3,14` where the gold answer is 3.14; `1,2` is as likely a list."""
  whole, part = (p.form for p in a.parts)
  if gold.places < 2 and whole not in ('0', '-0') or not whole.lstrip('-').isdigit():
    return False
  return part.isdigit() and Fraction(f'{whole}.{part}') == gold.number


def _in_24_hours(clock: str) -> str:
  """19:30 as 7:30 pm."""
  hour, _, minute = clock.partition(':')
  return f'{int(hour) - 12}:{minute.zfill(2)} pm' if hour.isdigit() and 12 < int(hour) < 24 else ''
