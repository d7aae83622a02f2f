"""Arithmetic with limits: exact on rationals, to 50 digits on everything else.

A number is a `Fraction` as long as it is rational and of at most `MAX_BITS`, and otherwise a tuple
of mpmath's: one number for a constant, and one at each of `POINTS` points for a function of
variables. A variable's values at these points come from its name, so two functions that agree at
all of them to 28 digits are the same function. Nothing here takes longer than a fraction of a
second: what would is `Unreadable`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import fractions
import hashlib
import math
from typing import Any

import mpmath

Fraction = fractions.Fraction
Number = Fraction | tuple[Any, ...]

POINTS = 3
MAX_BITS = 1 << 15  # 3000! has 30,000
_MAX_MAGNITUDE = 1 << 40  # of a number's binary logarithm
_DIGITS, _SHOWN = 50, 28
_DENOMINATOR = 720720  # a rational of a small denominator that irrational parts add up to
_MP = mpmath.MPContext()
_MP.dps = _DIGITS
_NOISE = _MP.mpf(10) ** (12 - _DIGITS)


class Unreadable(ValueError):
  """What is written is no expression that is known here, or exceeds a limit."""


def numeric(a: Number) -> tuple[Any, ...]:
  """The number as a tuple of mpmath's."""
  return a if isinstance(a, tuple) else (_MP.mpf(a.numerator) / a.denominator,)


def _checked(values: Sequence[Any]) -> Number:
  for value in values:
    if not _MP.isfinite(value) or value and abs(_MP.mag(value)) > _MAX_MAGNITUDE:
      raise Unreadable('a number is too large, or none')
  return tuple(values)


def _pointwise(function: Callable[..., Any], *numbers: Number) -> Number:
  columns = [numeric(n) for n in numbers]
  size = max(map(len, columns))
  try:
    return _checked([function(*(c[i if len(c) > 1 else 0] for c in columns)) for i in range(size)])
  except (ArithmeticError, ValueError, TypeError, NotImplementedError) as e:
    raise Unreadable(str(e)) from e


def _rational(a: Fraction) -> Number:
  if max(a.numerator.bit_length(), a.denominator.bit_length()) > MAX_BITS:
    return numeric(a)
  return a


def add(a: Number, b: Number) -> Number:
  if isinstance(a, Fraction) and isinstance(b, Fraction):
    return _rational(a + b)
  return _pointwise(_sum, a, b)


def _sum(x, y):
  total = x + y
  # What remains where two numbers cancel is rounding.
  return total if abs(total) > _NOISE * max(abs(x), abs(y)) else _MP.mpf(0)


def multiply(a: Number, b: Number) -> Number:
  if isinstance(a, Fraction) and isinstance(b, Fraction):
    return _rational(a * b)
  return _pointwise(lambda x, y: x * y, a, b)


def negative(a: Number) -> Number:
  return multiply(Fraction(-1), a)


def divide(a: Number, b: Number) -> Number:
  if isinstance(a, Fraction) and isinstance(b, Fraction):
    if not b:
      raise Unreadable('division by zero')
    return _rational(a / b)
  return _pointwise(lambda x, y: x / y, a, b)


def power(a: Number, b: Number) -> Number:
  """a to the b. A negative number's odd root is the real one."""
  if isinstance(a, Fraction) and isinstance(b, Fraction):
    if not a and b <= 0:
      raise Unreadable('0 to the 0 or less')
    if b.denominator == 1:
      bits = max(a.numerator.bit_length(), a.denominator.bit_length())
      if abs(b) * bits <= 2 * MAX_BITS:
        return _rational(a ** int(b))
    elif exact := _exact_root(a, b):
      return exact
  return _pointwise(lambda x, y: _power(x, y, b), a, b)


def _exact_root(a: Fraction, b: Fraction) -> Number | None:
  """A rational root of a rational, to the power `b`; None where there is none."""
  if b.denominator > 64 or a < 0 and b.denominator % 2 == 0:
    return None
  parts = [_integer_root(abs(n), b.denominator) for n in (a.numerator, a.denominator)]
  if None in parts:
    return None
  return power(Fraction(-parts[0] if a < 0 else parts[0], parts[1]), Fraction(b.numerator))


def _integer_root(n: int, degree: int) -> int | None:
  root = int(_MP.nint(_MP.root(n, degree))) if n.bit_length() < 150 else None
  return root if root is not None and root**degree == n else None


def _power(x, y, exact: Number):
  if not x:
    if _MP.re(y) <= 0:
      raise ValueError('0 to the 0 or less')
    return _MP.mpf(0)
  if abs(_MP.log(abs(x))) * abs(y) > _MAX_MAGNITUDE:
    raise ValueError('too large')
  if isinstance(exact, Fraction) and exact.denominator % 2 and _MP.im(x) == 0 and _MP.re(x) < 0:
    size = (-_MP.re(x)) ** y
    return -size if exact.numerator % 2 else size
  return x**y


def root(a: Number, degree: Number) -> Number:
  return power(a, divide(Fraction(1), degree))


def factorial(a: Number) -> Number:
  if isinstance(a, Fraction) and a.denominator == 1 and 0 <= a <= 3000:
    return Fraction(math.factorial(int(a)))
  return _pointwise(lambda x: _bounded(_MP.gamma, x + 1, 64), a)


def binomial(n: Number, k: Number) -> Number:
  """n over k, by factorials."""
  if all(isinstance(x, Fraction) and x.denominator == 1 for x in (n, k)) and 0 <= k <= n <= 3000:
    return Fraction(math.comb(int(n), int(k)))
  if isinstance(k, Fraction) and k.denominator == 1 and 0 <= k <= 20:
    out: Number = Fraction(1)
    for i in range(int(k)):
      out = multiply(out, divide(add(n, Fraction(-i)), Fraction(i + 1)))
    return out
  return divide(factorial(n), multiply(factorial(k), factorial(add(n, negative(k)))))


def _bounded(function, x, bits: int):
  if x and _MP.mag(x) > bits:
    raise ValueError('too large')
  return function(x)


_TURNING = ('sin', 'cos', 'tan', 'cot', 'sec', 'csc')
_PLAIN = ('asin', 'acos', 'atan', 'acot', 'asec', 'acsc', 'asinh', 'acosh', 'atanh', 'ln')
_GROWING = ('sinh', 'cosh', 'tanh', 'coth', 'exp')
FUNCTIONS = (*_TURNING, *_PLAIN, *_GROWING, 'log', 'lg', 'abs', 'floor', 'ceil')
# Without a base `log` is to the base that the question means, so what is equal in every base is.
_LOG_UNIT = _MP.mpf('0.618281271735902350138457')


def apply(name: str, a: Number) -> Number:
  """One of `FUNCTIONS` of a number; angles are in radians."""
  if name == 'abs' and isinstance(a, Fraction):
    return abs(a)
  if name in ('floor', 'ceil'):
    if isinstance(a, Fraction):
      return Fraction(a.__floor__() if name == 'floor' else a.__ceil__())
    return _pointwise(lambda x: _bounded(getattr(_MP, name), x, 150), a)
  if name == 'lg':
    return _pointwise(lambda x: _MP.log(x) / _MP.ln10, a)
  if name == 'log':
    return _pointwise(lambda x: _MP.log(x) * _LOG_UNIT, a)
  function = {'abs': abs}.get(name) or getattr(_MP, name)
  bits = 40 if name in _GROWING else 100
  return _pointwise(lambda x: _clean(_bounded(function, x, bits)), a)


def _clean(x):
  """A value of a function that is 0 or infinite but for rounding: sin of pi, tan of half of it."""
  if abs(x) > 1 / _NOISE:
    raise ValueError('a pole')
  return x if abs(x) > _NOISE else _MP.mpf(0)


def constant(name: str) -> Number:
  """`pi`, `e`, `i` or `phi`."""
  return (_MP.mpc(0, 1) if name == 'i' else +getattr(_MP, name),)


def variable(name: str) -> Number:
  """A variable's values: positive, negative, and larger."""
  return _seeded([f'{name}/{i}' for i in range(POINTS)])


def unknown_function(name: str, a: Number) -> Number:
  """f(a) for an f of which nothing is known but that equal arguments give equal values."""
  shown = [_shown(x) for x in numeric(a)]
  return _seeded([f'{name}({s})' for s in shown])


def _seeded(names: Sequence[str]) -> Number:
  out = []
  for i, name in enumerate(names):
    digest = hashlib.blake2b(name.encode('utf-8', 'surrogatepass'), digest_size=20).digest()
    bits = int.from_bytes(digest, 'big')
    size = _MP.mpf(bits) / (1 << 160)
    out.append((size + _MP.mpf(1) / 2, -size - _MP.mpf(1) / 3, 3 * size + 2)[i % 3])
  return tuple(out)


def exactly(a: Number) -> Number:
  """The rational that a constant is, where it is one of a small denominator; else the number."""
  if isinstance(a, Fraction):
    return a
  first = a[0]
  if any(abs(x - first) > _NOISE * abs(first) for x in a[1:]):
    return a
  real, imaginary = _parts(first)
  if imaginary or abs(real) > 10**9:
    return (first,)
  scaled = real * _DENOMINATOR
  nearest = _MP.nint(scaled)
  if abs(scaled - nearest) > _NOISE * max(1, abs(scaled)) or not nearest and real:
    return (first,)
  return Fraction(int(nearest), _DENOMINATOR)


def is_function(a: Number) -> bool:
  return isinstance(a, tuple) and len(a) > 1


def is_real(a: Number) -> bool:
  return isinstance(a, Fraction) or len(a) == 1 and not _parts(a[0])[1]


def rounds_to(a: Number, stated: Fraction, places: int) -> bool:
  """Whether a real constant is `stated` to so many decimals."""
  if isinstance(a, Fraction):
    return abs(a - stated) * 2 * 10**places < 1
  return bool(abs(_MP.re(a[0]) - numeric(stated)[0]) * 2 * 10**places < 1)


def ordinal(a: Number) -> Any:
  """A real constant to sort by."""
  return _MP.re(numeric(a)[0])


def form(a: Number) -> str:
  """A writing that numbers share if they are equal, and functions if they agree at all points."""
  a = exactly(a)
  if isinstance(a, Fraction):
    long = max(a.numerator.bit_length(), a.denominator.bit_length()) > 4096
    return f'q{_hash(f"{a.numerator:x}/{a.denominator:x}")}' if long else str(a)
  if len(a) == 1:
    real, imaginary = _parts(a[0])
    if not imaginary:
      return _shown(real)
    real, imaginary = (form((part,)) for part in (real, imaginary))
    return f'{real}+{imaginary}i' if real != '0' else f'{imaginary}i'
  return f'f{_digest(a)}'


def scaled_form(a: Number, sign_matters: bool) -> str:
  """As `form`, the same for all multiples; for positive ones alone if the sign matters."""
  a = numeric(a)
  first = next((x for x in a if x), None)
  if first is None:
    return '0'
  return _digest(tuple(x / (abs(first) if sign_matters else first) for x in a))


def _digest(a: Sequence[Any]) -> str:
  return _hash(' '.join(_shown(x) for x in a))


def _hash(text: str) -> str:
  return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _parts(x) -> tuple[Any, Any]:
  """The real and the imaginary part; one that is nothing beside the other is 0."""
  least = _NOISE * abs(x)
  return tuple(p if abs(p) > least else _MP.mpf(0) for p in (_MP.re(x), _MP.im(x)))


def _shown(x) -> str:
  real, imaginary = _parts(x)
  if imaginary:
    return f'{_MP.nstr(real, _SHOWN)}+{_MP.nstr(imaginary, _SHOWN)}i'
  return f'~{_MP.nstr(real, _SHOWN)}'
