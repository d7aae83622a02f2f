"""What stands behind a number: units, counted nouns, magnitudes.

A unit that is known has a size in base units, so that an hour is 60 minutes; any other noun counts
itself. Which words mean the same is a table, and no more is guessed than that plurals end in s.
"""

from __future__ import annotations

import dataclasses
import fractions
import re

from tts.answers.clean import WORD

Fraction = fractions.Fraction

MAGNITUDES = {
    'dozen': 12, 'hundred': 10**2, 'thousand': 10**3, 'million': 10**6, 'billion': 10**9,
    'trillion': 10**12, 'dozens': 12, 'hundreds': 10**2, 'thousands': 10**3, 'millions': 10**6,
    'billions': 10**9, 'lakh': 10**5, 'crore': 10**7, 'halves': Fraction(1, 2),
    'thirds': Fraction(1, 3), 'tenths': Fraction(1, 10), 'hundredths': Fraction(1, 100),
    'thousandths': Fraction(1, 1000), 'fourths': Fraction(1, 4), 'fifths': Fraction(1, 5),
    'sixths': Fraction(1, 6), 'sevenths': Fraction(1, 7), 'eighths': Fraction(1, 8),
}
# Words that make another number of one, in ways that are not read.
_OPERATIONS = frozenset('squared cubed factorial halved doubled score gross pairs'.split())
# Dimension -> size in its base unit -> names.
_TABLE = {
    'meter': {
        '1': 'm meter meters metre metres', '1/100': 'cm centimeter centimeters centimetre '
        'centimetres', '1/1000': 'mm millimeter millimeters millimetre millimetres',
        '1000': 'km kilometer kilometers kilometre kilometres', '254/10000': 'inch inches in',
        '3048/10000': 'ft foot feet', '9144/10000': 'yd yard yards',
        '1609344/1000': 'mi mile miles'},
    'gram': {
        '1': 'g gram grams', '1/1000': 'mg milligram milligrams', '1000': 'kg kilogram kilograms '
        'kilo kilos', '45359237/100000': 'lb lbs pound pounds',
        '28349523125/1000000000': 'oz ounce ounces', '1000000': 'ton tons tonne tonnes'},
    'second': {
        '1': 's sec secs second seconds', '60': 'min mins minute minutes',
        '3600': 'h hr hrs hour hours', '86400': 'day days', '604800': 'week weeks'},
    'month': {'1': 'month months', '12': 'year years yr yrs'},
    'liter': {'1': 'L l liter liters litre litres', '1/1000': 'mL ml milliliter milliliters '
              'millilitre millilitres'},
    'dollar': {'1': 'dollar dollars usd buck bucks', '1/100': 'cent cents penny pennies'},
    'euro': {'1': 'euro euros eur'}, 'sterling': {'1': 'gbp quid', '1/100': 'pence'},
    'yen': {'1': 'yen'},
    'rupee': {'1': 'inr rupee rupees rs'},
    'degree': {'1': 'degree degrees deg'}, 'radian': {'1': 'radian radians rad'},
}
_UNITS = {name: (dimension, Fraction(size)) for dimension, sizes in _TABLE.items()
          for size, names in sizes.items() for name in names.split()}
_COMPOUND = {'mph': ('mile', 'hour'), 'kmh': ('km', 'hour'), 'kph': ('km', 'hour'),
             'kmph': ('km', 'hour'), 'mps': ('m', 's'), 'fps': ('ft', 's')}
# Said of any number: they tell no two answers apart.
_FILLERS = frozenset(
    'in total altogether overall of the a an each all unit units whole approximately about '
    'apiece so at'.split())
_POWERS = {'square': 2, 'sq': 2, 'cubic': 3, 'cu': 3}
_SHORT = frozenset('m g s h L l in'.split())  # units where a blank stands before them

_PART = re.compile(
    rf"(?P<mark>{WORD}?)(?P<word>[A-Za-z]+(?:['-][A-Za-z]+)*)\.?"
    r'(?:\s?\^\s?\{?(?P<power>-?[1-3])\}?)?|(?P<over>/)|[\s(){},*]')


@dataclasses.dataclass(frozen=True, slots=True)
class Unit:
  """A unit of measure.

  Attributes:
    size: in base units.
    dimensions: sorted (base unit, power) pairs; () for none.
    nouns: what is counted, as far as no unit is known for it.
  """

  size: Fraction = Fraction(1)
  dimensions: tuple[tuple[str, int], ...] = ()
  nouns: frozenset[str] = frozenset()


def named(word: str) -> Unit:
  """The unit of a currency sign or another known word."""
  dimension, size = _UNITS[word]
  return Unit(size, ((dimension, 1),))


def degrees(scale: str) -> Unit:
  """Of an angle, or of the temperature scale C or F."""
  return Unit(Fraction(1), (('degree', 1),), frozenset(scale.lower()))


def read(text: str) -> tuple[Fraction | int, bool, Unit] | None:
  """What cleaned text behind a number says: (magnitude, is percent, unit); None: it is no unit."""
  blank = text[:1] in ' ({'
  magnitude, percent = 1, False
  size, dimensions, nouns = Fraction(1), {}, set()
  sign, power = 1, 1
  parts, position = [], 0
  while position < len(text):
    if (match := _PART.match(text, position)) is None:
      return None
    position = match.end()
    if match['word'] or match['over']:
      parts.append(match)
  if not parts or not any(match['word'] for match in parts):
    return None
  for match in parts:
    word = match['word']
    if word == 'in' and match is not parts[-1]:
      continue  # `24 in total` are no inches
    if match['over'] or word == 'per':
      sign = -1
      continue
    if word.lower() in _OPERATIONS:
      return None
    if match['mark'] and len(word) == 1 and word not in _SHORT and word not in 'NJWVK':
      return None  # a letter of mathematics in another font
    if not match['mark'] and not _is_bare_word(word, blank or match.start() > 0):
      return None
    lower = word.lower()
    if lower in MAGNITUDES:
      magnitude *= MAGNITUDES[lower]
    elif lower in ('percent', 'pct'):
      percent = True
    elif lower in _POWERS:
      power = _POWERS[lower]
    elif word in _UNITS or lower in _UNITS or lower in _COMPOUND:
      given = int(match['power'] or 1) * power * sign
      found = _COMPOUND.get(lower) or (word if word in _UNITS else lower,)
      for unit, direction in zip(found, (1, -1)):
        dimension, factor = _UNITS[unit]
        dimensions[dimension] = dimensions.get(dimension, 0) + given * direction
        size *= factor ** (given * direction)
      sign, power = 1, 1
    elif lower not in _FILLERS:
      nouns.add(_singular(lower))
      sign = 1
  known = tuple(sorted((d, p) for d, p in dimensions.items() if p))
  return magnitude, percent, Unit(size, known, frozenset(nouns))


def _is_bare_word(word: str, blank: bool) -> bool:
  """Whether letters outside `\\text{}` are a word and not a product of variables."""
  known = word in _UNITS or word.lower() in _UNITS or word.lower() in _COMPOUND
  if len(word) == 1:
    return blank and word in _SHORT
  if known:
    return True
  return blank and len(word) > 2 and word not in ('sin', 'cos', 'tan', 'log', 'exp', 'sqrt') or (
      word in _FILLERS and blank)


def _singular(word: str) -> str:
  if word.endswith('ies') and len(word) > 4:
    return word[:-3] + 'y'
  if word.endswith(('ses', 'xes', 'ches', 'shes')):
    return word[:-2]
  return word[:-1] if word.endswith('s') and not word.endswith('ss') and len(word) > 3 else word


def says_what(unit: Unit | None) -> bool:
  """Whether it is a unit at all, and not words like `in total`."""
  return unit is not None and bool(unit.dimensions or unit.nouns)


def conflict(a: Unit | None, b: Unit | None) -> bool:
  """Whether equal numbers of these are different things: 3 wins and 3 losses."""
  if a is None or b is None:
    return False
  if a.dimensions and b.dimensions and a.dimensions != b.dimensions:
    return True
  return bool(a.nouns and b.nouns) and not (a.nouns <= b.nouns or b.nouns <= a.nouns)
