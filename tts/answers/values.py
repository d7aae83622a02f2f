"""The kinds of value that an answer can be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import dataclasses

from tts.answers import numbers
from tts.answers.numbers import Number
from tts.answers.units import Unit

KINDS = ('number', 'function', 'list', 'set', 'tuple', 'interval', 'union', 'matrix', 'named',
         'relation', 'based', 'ratio', 'time', 'option', 'text', 'unread')


@dataclasses.dataclass(frozen=True, slots=True)
class Value:
  """An answer that has been read.

  Attributes:
    kind: of `KINDS`.
    form: the normal form. Equal forms mean equal answers, but for units and a single name, which
      answers to one question share.
    parts: of a list, set, tuple, union or ratio, in the order they are written in (of an interval
      and of named values in the order of their form); rows of a matrix; an option's content.
    number: of a number or a function; a relation's one constant side.
    places: decimals that a plain decimal states, None for other numbers.
    percent: a number of hundredths.
    unit: of a number, None where none is said.
    name: what it is said to be the value of, '' if nothing; names of named values with commas.
    relation: of a function with a name, the form of the equation `name = function`.
  """

  kind: str
  form: str
  parts: tuple[Value, ...] = ()
  number: Number | None = None
  places: int | None = None
  percent: bool = False
  unit: Unit | None = None
  name: str = ''
  relation: str = ''


def number(value: Number, **more) -> Value:
  value = numbers.exactly(value)
  kind = 'function' if numbers.is_function(value) else 'number'
  return Value(kind, numbers.form(value), number=value, **more)


INFINITY = Value('number', r'\infty')
MINUS_INFINITY = Value('number', r'-\infty')
REALS = Value('interval', r'(-\infty,\infty)', (MINUS_INFINITY, INFINITY))
EMPTY = Value('set', r'\emptyset')


def _flat(parts: Iterable[Value], kind: str) -> tuple[Value, ...]:
  """Parts with `1 \\pm 2` and the like, lists themselves, laid open."""
  return tuple(p for part in parts for p in (part.parts if part.kind == kind else (part,)))


def listed(parts: Iterable[Value]) -> Value:
  """Values in no order, each as often as it is said."""
  parts = _flat(parts, 'list')
  if len(parts) == 1:
    return parts[0]
  return Value('list', ', '.join(sorted(p.form for p in parts)), parts)


def set_of(parts: Iterable[Value]) -> Value:
  parts = tuple({p.form: p for p in _flat(parts, 'list')}.values())
  return Value('set', '\\{' + ','.join(sorted(p.form for p in parts)) + '\\}', parts)


def tuple_of(parts: Sequence[Value], left: str = '(', right: str = ')') -> Value:
  kind = 'tuple' if (left, right) == ('(', ')') or len(parts) != 2 else 'interval'
  return Value(kind, left + ','.join(p.form for p in parts) + right, tuple(parts))


def interval(ends: Sequence[Value], left: str = '(', right: str = ')') -> Value:
  """From the first end to the second, an open bracket for an end that is not in it."""
  return Value('interval', f'{left}{ends[0].form},{ends[1].form}{right}', tuple(ends))


def matrix(rows: Sequence[Sequence[Value]], around: str = '') -> Value:
  form = around + '[' + ';'.join(','.join(v.form for v in row) for row in rows) + ']'
  return Value('matrix', form, tuple(tuple_of(row, '[', ')') for row in rows))


def ratio(parts: Sequence[Value]) -> Value:
  return Value('ratio', ':'.join(p.form for p in parts), tuple(parts))


def named_values(parts: Sequence[Value]) -> Value:
  """Values of different names, by name."""
  parts = sorted(parts, key=lambda p: p.name)
  return Value('named', ', '.join(f'{p.name}={p.form}' for p in parts), tuple(parts),
               name=','.join(p.name for p in parts))


def union(parts: Sequence[Value]) -> Value:
  """Intervals (and points) in their order."""
  parts = sorted(parts, key=_left)
  if len(parts) == 1:
    return parts[0]
  return Value('union', r'\cup'.join(p.form for p in parts), tuple(parts))


def point(value: Value) -> Value:
  return interval([value, value], '[', ']')


def _left(interval: Value) -> tuple[bool, object]:
  end = interval.parts[0]
  return (end.form != MINUS_INFINITY.form,
          numbers.ordinal(end.number) if end.number is not None else 0)


def before(a: Value, b: Value) -> bool:
  """Whether an end of an interval is less than another."""
  if a.form == MINUS_INFINITY.form or b.form == INFINITY.form:
    return a.form != b.form
  if a.form == INFINITY.form or b.form == MINUS_INFINITY.form:
    return False
  return bool(numbers.ordinal(a.number) < numbers.ordinal(b.number))
