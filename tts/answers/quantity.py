"""A number with what stands around it: a currency, a unit, a noun, a percent sign, words for it."""

from __future__ import annotations

import re

from tts.answers import expression
from tts.answers import numbers
from tts.answers import units
from tts.answers import values
from tts.answers.clean import WORD
from tts.answers.numbers import Fraction, Unreadable
from tts.answers.values import Value

_CURRENCY = r'\\(usd|gbp|eur|yen|inr) ?'
_BEFORE = re.compile(
    rf'(?:(?:{WORD}?(?:approximately|about|around|roughly|exactly|only|just|nearly|a total of|'
    rf'total of|equals|is|are|approx\.?)\s)*)(?:{WORD}?(?:US|CA|AU)(?=\\usd))?', re.IGNORECASE)
_CODES = re.compile(rf'{WORD}?(USD|Rs\.?|INR|EUR|GBP) ?(?=[\d.])')
_DECIMAL = re.compile(r'-?(?:\d*)\.(\d+)|-?\d+')
# Numbers, operators and the plainest commands: nothing that may be a unit, a list or a word.
ARITHMETIC = re.compile(r'(?:[\d.+*/^{}!-]|\\(?:frac|sqrt|pi)(?![A-Za-z]))+')
_FRACTION = re.compile(r'(-?)\\frac\{(\d{1,15})\}\{(\d{1,15})\}')
# Where a unit may begin: behind a digit, a closing bracket, `%` or a command's name.
_UNIT_STARTS = re.compile(
    rf'(?<=[0-9)}}%])(?=\s*[(/]?\s*(?:{WORD}|[A-Za-z]))|(?<=[A-Za-z])(?=\s+{WORD})|(?<=\w)(?= \()')
_ANGLE_FUNCTION = re.compile(r'sin|cos|tan|cot|sec|csc')
_DEGREES = re.compile(rf'(.*\S)\s*\\degree ?{WORD}?([CF])?')
_BOUND = re.compile(
    rf'{WORD}?(at least|at most|no more than|no less than|no fewer than|more than|greater than|'
    rf'less than|fewer than|over|under|above|below|up to) ', re.IGNORECASE)
_AT_LEAST = ('at least', 'no less than', 'no fewer than')
_AT_MOST = ('at most', 'no more than', 'up to')
NUMERALS = {w: n for n, w in enumerate(
    'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen '
    'sixteen seventeen eighteen nineteen'.split())} | {
        w: 10 * n for n, w in enumerate(
            'twenty thirty forty fifty sixty seventy eighty ninety'.split(), 2)}
_NUMERAL = re.compile(
    rf'{WORD}?({"|".join(sorted(NUMERALS, key=len, reverse=True))})'
    rf'(?:[- ]{WORD}?(one|two|three|four|five|six|seven|eight|nine))?(?![A-Za-z-])', re.IGNORECASE)


def has_words(text: str) -> bool:
  return any(len(m[0]) > 2 for m in re.finditer(rf'{WORD}[A-Za-z]+', text)) or (
      re.search(r'(?<![\\A-Za-z])[A-Za-z]{4,}', text) is not None)


def plain(text: str) -> Value:
  """The number that `ARITHMETIC` is.

  Raises:
    Unreadable: as `expression.read`.
  """
  if match := _FRACTION.fullmatch(text):
    top, bottom = int(match[2]), int(match[3])
    if bottom:
      return values.number(Fraction(-top if match[1] else top, bottom))
  return _number(text, 1, False, None)


def read(text: str) -> Value:
  """The quantity or function that cleaned text is.

  Raises:
    Unreadable: it is none.
  """
  text = text.replace(WORD, '', 1) if text.startswith(WORD) and len(text) == 2 else text
  text = text[_BEFORE.match(text).end():] or text
  unmarked = text.replace(WORD, '')
  if bound := _BOUND.match(unmarked):
    return _bounded(bound[1].lower(), unmarked[bound.end():])
  if numeral := _NUMERAL.match(text):
    value = NUMERALS[numeral[1].lower()] + NUMERALS.get((numeral[2] or '').lower(), 0)
    text = f'{value}{text[numeral.end():]}'
  text, unit = _without_currency(text)
  if text.endswith('%'):
    return _number(text[:-1].rstrip(), 1, True, unit)
  if match := _DEGREES.fullmatch(text):
    if not _ANGLE_FUNCTION.search(match[1]):
      return _number(match[1], 1, False, units.degrees(match[2] or ''))
  for start in _UNIT_STARTS.finditer(text):
    head, found = text[:start.start()].rstrip(), units.read(text[start.start():])
    if found is None:
      continue
    magnitude, percent, said = found
    if head.endswith('%'):
      head, percent = head[:-1].rstrip(), True
    if head.endswith(r'\degree'):
      head = head[:-len(r'\degree')].rstrip()
    if unit is not None:  # `$24 per day`: of the dollar, and the words say of what
      said = units.Unit(unit.size, unit.dimensions, said.nouns)
    try:
      return _number(head, magnitude, percent, said)
    except Unreadable:
      continue
  return _number(text, 1, False, unit)


def _without_currency(text: str) -> tuple[str, units.Unit | None]:
  sign = '-' if text.startswith('-') else ''
  rest = text[len(sign):]
  match = re.match(_CURRENCY, rest) or _CODES.match(rest)
  if match:
    code = match[1].lower().rstrip('.')
    return sign + rest[match.end():].lstrip(), units.named(code)
  if match := re.search(rf'\s?{_CURRENCY}$', text):
    return text[:match.start()], units.named(match[1])
  return text, None


def _number(text: str, magnitude: Fraction | int, percent: bool, unit: units.Unit | None) -> Value:
  if not text:
    raise Unreadable('no number')
  value, _ = expression.read(text)
  if magnitude != 1:
    value = numbers.multiply(value, Fraction(magnitude))
  match = _DECIMAL.fullmatch(text)
  if unit is not None and unit.nouns and numbers.is_function(numbers.exactly(value)):
    raise Unreadable('words behind a formula')
  places = len(match[1] or '') if match and magnitude == 1 else None
  if r'\recurring' in text:
    places = 0  # a repeating decimal is exact: 0.454545... is not what has been rounded to 0.45
  return values.number(value, places=places, percent=percent, unit=unit)


def _bounded(word: str, text: str) -> Value:
  """`at least 5` and its like, as intervals."""
  end = read(text)
  if end.kind != 'number':
    raise Unreadable('a bound')
  if word in _AT_LEAST:
    return values.interval([end, values.INFINITY], '[', ')')
  if word in _AT_MOST:
    return values.interval([values.MINUS_INFINITY, end], '(', ']')
  if word in ('more than', 'greater than', 'over', 'above'):
    return values.interval([end, values.INFINITY])
  return values.interval([values.MINUS_INFINITY, end])
