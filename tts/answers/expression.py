"""Reads an expression, LaTeX or as computers write it, straight into a number.

A recursive descent over the tokens of what `clean` left; every construct is evaluated where it is
read. What is not understood raises `Unreadable`: nothing is guessed.
"""

from __future__ import annotations

import re

from tts.answers import clean
from tts.answers import numbers
from tts.answers.numbers import Fraction, Number, Unreadable

_MAX_DEPTH = 30
_TOKEN = re.compile(
    r'\s*(?:(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d{1,7}(?![A-Za-z0-9]))?|\.\d+)'
    r'|(?P<command>\\(?:[A-Za-z]+|.))'
    rf'|(?P<word>{clean.WORD}[A-Za-z\'-]+)'
    r'|(?P<letter>[A-Za-z])|(?P<symbol>\S))')

_ALIASES = {
    'arcsin': 'asin', 'arccos': 'acos', 'arctan': 'atan', 'arccot': 'acot', 'arcsec': 'asec',
    'arccsc': 'acsc', 'cosec': 'csc', 'ctg': 'cot', 'tg': 'tan', 'arctg': 'atan',
    'cbrt': 'cbrt', 'sqrt': 'sqrt', 'Abs': 'abs', 'log10': 'lg', 'factorial': 'factorial',
    'lfloor': 'floor', 'lceil': 'ceil', 'ceiling': 'ceil',
    **{name: name for name in numbers.FUNCTIONS},
}
_SPELT = ('alpha', 'beta', 'gamma', 'delta', 'theta', 'lambda', 'sigma', 'omega')
_NAMES = sorted((*_ALIASES, 'pi', *_SPELT), key=len, reverse=True)
_KNOWN = tuple(_NAMES)
_RUN = re.compile(r'(?<![\\A-Za-z])[A-Za-z]{2,}')
_TWO_WORDS = re.compile(r'(?<![\\A-Za-z])(?!sin|cos|tan|log|ln|exp)[A-Za-z]{2,} +[A-Za-z]{2,}')
_GREEK = frozenset(
    'alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi '
    'rho sigma tau upsilon varphi phi chi psi omega Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega'
    ' ell hbar'.split())
_CLOSING = {'(': ')', '[': ']', '{': '}', r'\{': r'\}', '|': '|', r'\lfloor': r'\rfloor',
            r'\lceil': r'\rceil'}
_UNKNOWN_FUNCTIONS = frozenset('fghFGHPQ')
_ENDS = frozenset(['+', '-', '*', '/', ')', ']', '}', '|', ',', r'\}', r'\rfloor', r'\rceil', ''])


def read(text: str) -> tuple[Number, frozenset[str]]:
  """The number that cleaned text is, and the variables in it.

  Raises:
    Unreadable: it is no expression.
  """
  reader = _Reader(text)
  try:
    value = reader.sum()
  except RecursionError as e:
    raise Unreadable('nested too deeply') from e
  if reader.here:
    raise Unreadable(f'{reader.here!r} is not expected')
  return value, frozenset(reader.variables)


def tokens(text: str) -> list[str]:
  """The tokens of cleaned text; names of functions are one token each, prefixed by a backslash."""
  if _has_prose(text):
    raise Unreadable('words')
  out = []
  position, end = 0, len(text)
  while position < end:
    match = _TOKEN.match(text, position)
    if match is None:
      break
    position = match.end()
    if match['word']:
      name = match['word'][1:]
      if name not in _ALIASES and len(name) > 1:
        raise Unreadable('words')
      out.append('\\' + name if len(name) > 1 else name)
    elif match['letter']:
      start = match.start('letter')
      name = next((n for n in _NAMES if text.startswith(n, start)), None)
      if name:
        out.append('\\' + name)
        position = start + len(name)
      else:
        out.append(match['letter'])
    else:
      out.append(match[0].strip())
  return out


def _has_prose(text: str) -> bool:
  """Whether letters are words rather than products: four and more in a row, or two words."""
  runs = [run for run in _RUN.findall(text) if not run.startswith(_KNOWN)]
  return any(len(run) > 3 for run in runs) or len(runs) > 1 and bool(_TWO_WORDS.search(text))


class _Reader:
  """A place among tokens; '' is after the last."""

  def __init__(self, text: str):
    self._tokens = [*tokens(text), '', '', '', '']
    self._at = 0
    self._depth = 0
    self._bars = 0
    self.variables: set[str] = set()

  @property
  def here(self) -> str:
    return self._tokens[self._at]

  def _take(self, *expected: str) -> bool:
    if self.here in expected:
      self._at += 1
      return True
    return False

  def _next(self) -> str:
    token = self.here
    self._at += 1
    return token

  def sum(self) -> Number:
    self._depth += 1
    if self._depth > _MAX_DEPTH:
      raise Unreadable('nested too deeply')
    total = self._signed()
    while self.here in ('+', '-'):
      total = numbers.add(total, self._signed())
    self._depth -= 1
    return total

  def _signed(self) -> Number:
    """A product with any signs before it."""
    minus = self._minus()
    value = self._product()
    return numbers.negative(value) if minus else value

  def _minus(self) -> bool:
    """Whether the signs here come to a minus."""
    minus = False
    while self.here in ('+', '-'):
      minus ^= self._next() == '-'
    return minus

  def _product(self) -> Number:
    value = self._power()
    while True:
      if self._take('*'):
        value = numbers.multiply(value, self._operand())
      elif self._take('/'):
        value = numbers.divide(value, self._operand())
      elif self._begins_factor():
        if self.here[0].isdigit() or self.here[0] == '.':
          before = self._tokens[self._at - 1]
          if before[-1].isdigit() or before.isalpha():
            raise Unreadable('a number behind a number or a letter: `1 1`, `a2b4`')
        value = numbers.multiply(value, self._power())
      else:
        return value

  def _operand(self) -> Number:
    """A factor or an exponent, which may have a sign: `2 * -3`, `2^-5`."""
    minus = self._minus()
    value = self._power()
    return numbers.negative(value) if minus else value

  def _begins_factor(self) -> bool:
    return self.here not in _ENDS or self.here == '|' and not self._bars

  def _power(self) -> Number:
    value = self._postfix(self._atom())
    if self._take('^'):
      value = numbers.power(value, self._operand())
      value = self._postfix(value)
    return value

  def _postfix(self, value: Number) -> Number:
    while True:
      if self._take('!'):
        value = numbers.factorial(value)
      elif self._take(r'\degree'):
        value = numbers.multiply(value, numbers.divide(numbers.constant('pi'), Fraction(180)))
      else:
        return value

  def _group(self) -> Number:
    """What stands in the bracket that opens here."""
    opening = self._next()
    bar = opening == '|'
    outer, self._bars = self._bars, int(bar)
    value = self.sum()
    self._bars = outer
    if not self._take(_CLOSING[opening]):
      raise Unreadable(f'{opening} is not closed')
    return numbers.apply('abs', value) if bar else value

  def _argument(self) -> Number:
    """A LaTeX argument: a group, a command with its own, or one digit or letter."""
    if self.here == '{':
      return self._group()
    token = self.here
    if token and token[0].isdigit() and len(token) > 1 and '.' not in token:
      self._tokens[self._at:self._at + 1] = list(token)  # \frac12
    return self._atom()

  def _atom(self) -> Number:
    token = self.here
    if not token or token in _ENDS and token != '|':
      raise Unreadable('something is missing')
    if token[0].isdigit() or token[0] == '.' and len(token) > 1:
      return self._number()
    if token in _CLOSING:
      value = self._group()
      return numbers.apply({r'\lfloor': 'floor', r'\lceil': 'ceil'}[token], value) if (
          token in (r'\lfloor', r'\lceil')) else value
    if token in (r'\frac', r'\recurring'):
      self._next()
      top = self._argument()
      return numbers.divide(top, self._argument())
    if token == r'\binom':
      self._next()
      n = self._argument()
      return numbers.binomial(n, self._argument())
    if token[0] == '\\' and token[1:] in _ALIASES:
      return self._function(_ALIASES[self._next()[1:]])
    return self._name()

  def _number(self) -> Number:
    value = exact(self._next())
    if value.denominator != 1:
      return value
    # A mixed number: `1\frac12`, `3 1/2`.
    ahead = self._tokens[self._at:self._at + 3]
    if ahead[0] == r'\frac':
      start = self._at
      self._next()
      parts = []
      for _ in range(2):
        plain = self.here[:1].isdigit() or self._tokens[self._at + 1][:1].isdigit()
        parts.append(self._argument() if plain and self.here in '{0123456789' or
                     self.here[:1].isdigit() else None)
      if all(isinstance(p, Fraction) and p.denominator == 1 for p in parts) and (
          0 < parts[0] < parts[1]):
        return value + parts[0] / parts[1]
      self._at = start
    elif ahead[1] == '/' and ahead[0].isdigit() and ahead[2].isdigit():
      top, bottom = int(ahead[0]), int(ahead[2])
      if 0 < top < bottom:
        self._at += 3
        return value + Fraction(top, bottom)
    return value

  def _function(self, name: str) -> Number:
    if name in ('sqrt', 'cbrt'):
      degree: Number = Fraction(3 if name == 'cbrt' else 2)
      if name == 'sqrt' and self.here == '[':
        degree = self._group()
      if self.here[:1].isdigit():
        return numbers.root(exact(self._next()), degree)  # \sqrt13, one number
      return numbers.root(self._group() if self.here in _CLOSING else self._argument(), degree)
    base = exponent = None
    while self.here in ('_', '^'):
      if self._next() == '_':
        base = self._subscript()
      else:
        exponent = self._operand()
    if exponent == Fraction(-1) and f'a{name}' in numbers.FUNCTIONS:
      name, exponent = f'a{name}', None
    if self.here in _CLOSING and self.here != '|':
      value = self._group()
    else:
      value = self._power()
      while self._begins_factor() and self.here[1:] not in _ALIASES:
        value = numbers.multiply(value, self._power())
    if name == 'factorial':
      value = numbers.factorial(value)
    elif base is not None:
      if name != 'log':
        raise Unreadable('a subscript')
      value = numbers.divide(numbers.apply('ln', value), numbers.apply('ln', base))
    else:
      value = numbers.apply(name, value)
    return value if exponent is None else numbers.power(value, exponent)

  def _subscript(self) -> Number:
    if self.here == '{':
      return self._group()
    if self.here[:1].isdigit():
      return exact(self._next())
    return self._atom()

  def _name(self) -> Number:
    """A constant, a variable with its subscript and primes, or an unknown function of something."""
    token = self._next()
    bare = token.lstrip('\\')
    if token in (r'\pi', 'e', 'i', r'\imath'):
      if self.here != '_':
        return numbers.constant({'\\imath': 'i'}.get(token, bare))
    elif not (token.isalpha() or bare in _GREEK):
      raise Unreadable(f'{token!r} is not known')
    name = bare
    if self._take('_'):
      name += '_' + self._index()
    while self._take("'"):
      name += "'"
    if self.here == '(' and (bare in _UNKNOWN_FUNCTIONS or name.endswith("'")):
      value = self._group()
      self.variables.add(name)
      return numbers.unknown_function(name, value)
    self.variables.add(name)
    return numbers.variable(name)

  def _index(self) -> str:
    if not self._take('{'):
      return self._next().lstrip('\\')
    out = ''
    while self.here and self.here != '}':
      out += self._next().lstrip('\\')
    if not self._take('}'):
      raise Unreadable('a subscript is not closed')
    return out


def exact(text: str) -> Fraction:
  """A number as it is written: `12`, `.5`, `5e6`.

  Raises:
    Unreadable: it is too long.
  """
  mantissa, _, exponent = text.lower().partition('e')
  if abs(int(exponent or 0)) * 4 > numbers.MAX_BITS:
    raise Unreadable('too large')
  whole, _, part = mantissa.partition('.')
  value = Fraction(int((whole + part) or '0'), 10 ** len(part))
  return value * Fraction(10) ** int(exponent) if exponent else value
