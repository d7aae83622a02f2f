"""Names, equations, inequalities and the sets of numbers that they say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses
import re

from tts.answers import expression
from tts.answers import numbers
from tts.answers import values
from tts.answers.clean import WORD
from tts.answers.numbers import Fraction, Unreadable
from tts.answers.split import depths, split
from tts.answers.values import Value

_OPERATOR = re.compile(r'\\(?:le|ge|ne|in|notin|equiv|to|sim|parallel|perp|subset|subseteq)'
                       r'(?![A-Za-z])|[=<>]')
_LETTER = r'(?:[A-Za-z]|\\[A-Za-z]+)'
_INDEX = r"(?:\s?_\s?(?:\{[^{}]*\}|[A-Za-z0-9]))?'*"
_NAME = re.compile(
    rf'{WORD}?{_LETTER}{_INDEX}(?:\s?\^\s?\{{?-1\}}?)?'
    rf'(?:\s?\(\s?{_LETTER}{_INDEX}(?:\s?,\s?{_LETTER}{_INDEX})*\s?\)'
    r'|\s?\(\s?-?\d{1,6}\s?\))?|\\det ?[A-Z]'
    r'|(?:m\s?)?\\(?:angle|triangle|overline|overrightarrow|vec|hat)\s?\{?[A-Za-z]{1,4}\}?'
    r'|\|?[A-Z]{2,4}\|?|\[[A-Z]{3,6}\]|[A-Z]\s?\([^()]{1,20}\)'
    rf"|(?:{WORD}?[A-Za-z][A-Za-z'-]+ ?)+(?:\s?_\s?(?:\{{[^{{}}]*\}}|[A-Za-z0-9]))?")
_NO_NAMES = frozenset(['e', 'i', r'\pi', r'\infty', r'\emptyset', r'\frac', r'\sqrt'])
_INFINITE = re.compile(rf'([+-]?)\s*(?:\\infty|{WORD}?[Ii]nfinity|inf|oo)')
_TUPLE_NAME = re.compile(rf'\(\s?{_LETTER}{_INDEX}(?:\s?,\s?{_LETTER}{_INDEX})+\s?\)')


def read(text: str, inner: Callable[[str], Value]) -> Value | None:
  """A named value, an equation or an inequality; None where there is no such sign outside brackets.

  Raises:
    Unreadable: there is, and it is not understood.
  """
  found = list(_OPERATOR.finditer(text))
  if not found:
    return None
  depth = depths(text)
  found = [m for m in found if not depth[m.start()]]
  if not found:
    return None
  operators = [m[0] for m in found]
  cuts = [0, *(p for m in found for p in (m.start(), m.end())), len(text)]
  sides = [text[a:b].strip() for a, b in zip(cuts[::2], cuts[1::2])]
  if set(operators) == {'='}:
    return _equation(sides, inner)
  if operators == [r'\in'] and _name(sides[0]):
    return _with_name(inner(sides[1]), _name(sides[0]))
  if not all(sides):
    raise Unreadable('a side is missing')
  if set(operators) <= {'<', r'\le'}:
    return _inequality(sides, operators)
  if set(operators) <= {'>', r'\ge'}:
    turned = {'>': '<', r'\ge': r'\le'}
    return _inequality(sides[::-1], [turned[o] for o in operators[::-1]])
  if operators == [r'\ne'] and _name(sides[0]):
    taken = inner(sides[1])
    return _with_name(all_but(taken.parts if taken.kind == 'list' else [taken]), _name(sides[0]))
  raise Unreadable(operators[0])


def _name(text: str) -> str:
  """The name that a side of an equation is, '' if it is none."""
  if text in _NO_NAMES or not (_NAME.fullmatch(text) or _TUPLE_NAME.fullmatch(text)):
    return ''
  return re.sub(rf'[\s{{}}{WORD}]', '', text)


def _with_name(value: Value, name: str) -> Value:
  if value.kind == 'named' or value.kind == 'list' and value.name:
    return value
  relation = ''
  if value.number is not None and len(name) == 1:
    left = numbers.variable(name)
    relation = 'eq' + numbers.scaled_form(numbers.add(left, numbers.negative(value.number)), False)
  return dataclasses.replace(value, name=name, relation=relation)


def _equation(sides: list[str], inner: Callable[[str], Value]) -> Value:
  if not all(sides[1:]):
    raise Unreadable('a side is missing')
  if not sides[0]:
    return inner(sides[-1])  # `= 5`
  name = _name(sides[0])
  if name and (len(sides) > 2 or not re.search(rf'(?<![\\A-Za-z{WORD}]){re.escape(sides[0])}'
                                               r'(?![A-Za-z])', sides[1])):
    value = inner(sides[-1])
    names = re.sub(r'[()]', '', name).split(',')
    if _TUPLE_NAME.fullmatch(sides[0]) and value.kind == 'tuple' and (
        len(names) == len(value.parts)):
      return values.named_values([_with_name(v, n) for v, n in zip(value.parts, names)])
    return _with_name(value, name)
  if len(sides) == 2 and (name := _name(sides[1])):
    value = inner(sides[0])
    if value.kind == 'number':
      return _with_name(value, name)
  read_sides = [expression.read(side) for side in (sides[0], sides[-1])]
  (left, variables), (right, more) = read_sides
  if not variables | more:
    return inner(sides[-1])  # a calculation: what it comes to
  if not variables and (value := inner(sides[-1])).unit is not None and value.number == left:
    return value  # the same with a unit: `50 / 2 = 25 cm`
  if len(sides) > 2:
    raise Unreadable('several equations')
  difference = numbers.add(left, numbers.negative(right))
  constant = right if not more and right != Fraction(0) else None
  return Value('relation', 'eq' + numbers.scaled_form(difference, False), number=constant)


def _inequality(sides: list[str], operators: list[str]) -> Value:
  """Sides from the smallest to the largest."""
  if len(sides) == 2 and (found := _absolute(sides, operators[0])) is not None:
    return found
  names = ['' if infinity(side) else _name(side) for side in sides]
  if len(sides) == 2 and sum(map(bool, names)) == 1 and (
      end := _end(sides[0 if names[1] else 1])) is not None:
    at = 0 if names[0] else 1
    ends = [values.MINUS_INFINITY, end] if at == 0 else [end, values.INFINITY]
    closed = operators[0] == r'\le'
    left, right = ('(', ']' if closed else ')') if at == 0 else ('[' if closed else '(', ')')
    return _with_name(values.interval(ends, left, right), names[at])
  if len(sides) == 3 and names[1] and not names[0] and not names[2]:
    left, right = ('[' if operators[0] == r'\le' else '('), (
        ']' if operators[1] == r'\le' else ')')
    ends = [_end(sides[0]), _end(sides[2])]
    if None not in ends:
      return _with_name(values.interval(ends, left, right), names[1])
  if len(sides) != 2:
    raise Unreadable('a chain of inequalities')
  (less, some), (more, others) = (expression.read(side) for side in sides)
  if not some | others:
    raise Unreadable('nothing is compared')
  difference = numbers.add(more, numbers.negative(less))
  sign = 'le' if operators[0] == r'\le' else 'lt'
  return Value('relation', sign + numbers.scaled_form(difference, True))


def _absolute(sides: list[str], operator: str) -> Value | None:
  """`|x| < 2` and `|x| > 2`; None for all else."""
  for at in (0, 1):
    match = re.fullmatch(r'\|\s?([A-Za-z])\s?\|', sides[at])
    end = match and _end(sides[1 - at])
    if end and end.number is not None and numbers.ordinal(end.number) > 0:
      left = values.number(numbers.negative(end.number))
      closed = operator == r'\le'
      if at == 0:
        return _with_name(values.interval([left, end], *('[]' if closed else '()')), match[1])
      return _with_name(values.union([
          values.interval([values.MINUS_INFINITY, left], '(', ']' if closed else ')'),
          values.interval([end, values.INFINITY], '[' if closed else '(', ')')]), match[1])
  return None


def _end(text: str) -> Value | None:
  """An end of an interval, a real number or an infinity; None where it is a formula."""
  if (infinite := infinity(text)) is not None:
    return infinite
  value, _ = expression.read(text.strip())
  value = numbers.exactly(value)
  real = not numbers.is_function(value) and numbers.is_real(value)
  return values.number(value) if real else None


def infinity(text: str) -> Value | None:
  """Plus or minus infinity, None for all else."""
  match = _INFINITE.fullmatch(text.strip())
  return match and (values.MINUS_INFINITY if match[1] == '-' else values.INFINITY)


def all_but(points: Sequence[Value]) -> Value:
  """The real line without some points."""
  if any(p.kind != 'number' or p.number is None or not numbers.is_real(p.number) for p in points):
    raise Unreadable('points')
  ordered = sorted(points, key=lambda p: numbers.ordinal(p.number))
  ends = [values.MINUS_INFINITY, *ordered, values.INFINITY]
  return values.union([values.interval(pair) for pair in zip(ends, ends[1:])])


def union(text: str, inner: Callable[[str], Value]) -> Value:
  """`A \\cup B`, and the reals without some points."""
  cut = re.split(r'\\(?:setminus|backslash)(?![A-Za-z])', text)
  if len(cut) == 2:
    if inner(cut[0].strip()).form != values.REALS.form:
      raise Unreadable('a difference of sets')
    taken = inner(cut[1].strip())
    return all_but(taken.parts if taken.kind == 'set' else [taken])
  parts = []
  for part in re.split(r'\\cup(?![A-Za-z])', text):
    value = as_interval(part.strip(), inner)
    parts += value.parts if value.kind == 'union' else (
        map(values.point, value.parts) if value.kind == 'set' else [value])
  if any(p.kind != 'interval' for p in parts):
    raise Unreadable('a union of something else')
  return values.union(parts)


def as_interval(text: str, inner: Callable[[str], Value]) -> Value:
  """As `inner`, and (a,b) is an open interval."""
  if text[:1] in '([' and text[-1:] in ')]':
    ends = split(text[1:-1], ',')
    if ends and len(ends) == 2 and None not in (found := [_end(end) for end in ends]):
      return values.interval(found, text[0], text[-1])
  return inner(text)


def joined(parts: Sequence[Value], connective: str) -> Value:
  """Conditions on one variable: `and`, `or`, or a comma, which is whichever makes sense.

  `x > 1, x < 3` is (1,3), and `x < 1, x > 3` two rays.
  """
  name = parts[0].name
  parts = [p for p in parts if p.form != values.REALS.form] or parts[:1]
  points = [_hole(p) for p in parts]
  if connective != 'or' and None not in points:
    return _with_name(all_but(points), name)
  if len(parts) == 2 and all(p.kind == 'interval' for p in parts):
    first, second = sorted(parts, key=lambda p: p.parts[0].form != values.MINUS_INFINITY.form)
    if (first.parts[0].form == values.MINUS_INFINITY.form and
        second.parts[1].form == values.INFINITY.form):
      overlap = values.before(second.parts[0], first.parts[1])
      if connective == 'or' and overlap:
        return _with_name(values.REALS, name)
      if connective == 'and' and not overlap:
        return _with_name(values.EMPTY, name)
      if overlap:
        return _with_name(values.interval([second.parts[0], first.parts[1]], second.form[0],
                                    first.form[-1]), name)
  if connective == 'and' and len(parts) > 1:
    raise Unreadable('conditions that are not put together here')
  pieces = [q for p in parts for q in (p.parts if p.kind == 'union' else (p,))]
  return _with_name(values.union(pieces), name)


def _hole(value: Value) -> Value | None:
  """The only point that is not in a union, None for others."""
  if value.kind != 'union' or len(value.parts) != 2:
    return None
  left, right = value.parts
  whole = left.parts[0].form == values.MINUS_INFINITY.form and (
      right.parts[1].form == values.INFINITY.form)
  open_there = left.form[-1] == ')' and right.form[0] == '('
  touch = left.parts[1].form == right.parts[0].form
  return left.parts[1] if whole and open_there and touch else None
