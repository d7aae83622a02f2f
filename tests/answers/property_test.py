"""Pairs of answers that are made by rule: equal ones are the same, different ones are not.

SymPy is the judge, and of the test alone: it says whether two expressions are equal.
"""

import random

import pytest

from tts import answers

sympy = pytest.importorskip('sympy', reason='needs pip install tts[math]')
X, Y = sympy.symbols('x y')


def _number(rng):
  """(SymPy's value, writings of it)."""
  top, bottom = rng.randint(-60, 60), rng.randint(1, 24)
  value = sympy.Rational(top, bottom)
  sign, size = '-' if top < 0 else '', abs(top)
  forms = [rf'{sign}\frac{{{size}}}{{{bottom}}}', f'{top}/{bottom}', rf'\dfrac{{{top}}}{{{bottom}}}',
           rf'\frac{{{3 * top}}}{{{3 * bottom}}}', rf'{top} \div {bottom}', f'${top}/{bottom}$']
  if value.q == 1:
    forms += [f'{value}', f'{value}.0', f'x = {value}', rf'{value}\text{{ cm}}', rf'\text{{{value} pears}}']
  if size > bottom > 1 and size % bottom:
    forms.append(rf'{sign}{size // bottom}\frac{{{size % bottom}}}{{{bottom}}}')
  if set(sympy.factorint(value.q)) <= {2, 5}:
    forms.append(f'{float(value):.10f}'.rstrip('0').rstrip('.'))
  return value, forms


def _radical(rng):
  a, b, c = rng.randint(1, 9), rng.choice((2, 3, 5, 6, 7, 10)), rng.randint(-5, 5)
  value = a * sympy.sqrt(b) + c
  sum_ = f'{c}' if c else ''
  return value, [rf'{a}\sqrt{{{b}}}{c:+d}' if c else rf'{a}\sqrt{{{b}}}', rf'{sum_}+{a}\sqrt{{{b}}}',
                 rf'\sqrt{{{a * a * b}}}+{c}', f'{a}*sqrt({b})+({c})', rf'\frac{{{a * b}}}{{\sqrt{{{b}}}}}+{c}']


def _polynomial(rng):
  a, b, c = (rng.choice([n for n in range(-7, 8) if n]) for _ in range(3))
  value = c * (X - a) * (X - b)
  expanded = sympy.expand(value)
  return value, [rf'{c}(x-({a}))(x-({b}))', sympy.latex(expanded), str(expanded),
                 f'{c}*(x**2 - ({a + b})*x + ({a * b}))', rf'\left(x{-b:+d}\right)\left({c}x{-a * c:+d}\right)']


def _trigonometric(rng):
  n = rng.choice((15, 30, 36, 45, 60, 72, 120, 150, 210))
  name = rng.choice(('sin', 'cos'))
  value = getattr(sympy, name)(sympy.pi * sympy.Rational(n, 180))
  return value, [rf'\{name} {n}^\circ', rf'\{name}({n}°)', sympy.latex(value),
                 rf'\{name}\frac{{{n}\pi}}{{180}}', f'{name}({n}*pi/180)']


def _complex(rng):
  a, b = rng.randint(-6, 6), rng.choice([n for n in range(-6, 7) if n])
  value = a + b * sympy.I
  return value, [f'{a}{b:+d}i', f'{b}i{a:+d}', rf'{a}{b:+d}\mathrm{{i}}', rf'\frac{{{2 * a}{2 * b:+d}i}}{{2}}',
                 f'i({b}{-a:+d}i)' if a else f'{b}i']


def _power(rng):
  base, exponent = rng.choice((2, 3, 7, 10)), rng.randint(-60, 60)
  value = sympy.Integer(base) ** exponent
  return value, [f'{base}^{{{exponent}}}', f'{base}**({exponent})', rf'\frac{{1}}{{{base}^{{{-exponent}}}}}',
                 rf'{base}\cdot{base}^{{{exponent - 1}}}']


def _two_variables(rng):
  a, b = (rng.choice([n for n in range(-6, 7) if n]) for _ in range(2))
  value = (a * X + b * Y) / (X * Y)
  return value, [rf'\frac{{{a}x{b:+d}y}}{{xy}}', rf'\frac{{{a}}}{{y}}{b:+d}\cdot\frac1x',
                 f'({a}*x+({b})*y)/(x*y)', rf'\frac{{{b}}}{{x}}+\frac{{{a}}}{{y}}']


MAKERS = (_number, _radical, _polynomial, _trigonometric, _complex, _power, _two_variables)


def _equal(a, b):
  difference = sympy.simplify(a - b)
  return difference == 0 or bool(difference.is_zero)


@pytest.mark.parametrize('maker', MAKERS)
def test_pairs_of_one_value_and_of_another(maker):
  rng = random.Random(maker.__name__)
  made = [maker(rng) for _ in range(70)]
  same = different = 0
  for value, forms in made:
    for form in forms:
      for gold in (forms[0], rng.choice(forms)):
        assert answers.is_correct(f'so \\boxed{{{form}}}.', gold), (form, gold)
        same += 1
    for other, others in rng.sample(made, 6):
      if _equal(value, other):
        continue
      for form in others[:2]:
        assert not answers.is_correct(f'so \\boxed{{{form}}}.', forms[0]), (form, forms[0])
        different += 1
  assert same > 500 and different > 400


def test_structures_of_values():
  """Tuples, sets, intervals and lists of what the makers make."""
  rng = random.Random(5)
  count = 0
  for _ in range(400):
    parts = [rng.choice((_number, _radical))(rng) for _ in range(rng.choice((2, 3)))]
    values, golds = [p[0] for p in parts], [p[1][0] for p in parts]
    others = [rng.choice([f for f in p[1] if 'text' not in f and '=' not in f]) for p in parts]
    if len(set(values)) < len(values):
      continue
    turned = others[::-1]
    rows = [(f'({",".join(others)})', f'({",".join(golds)})', True),
            (f'({",".join(turned)})', f'({",".join(golds)})', False),
            (rf'\{{{",".join(turned)}\}}', rf'\{{{",".join(golds)}\}}', True),
            (rf'\{{{",".join(turned)}\}}', f'({",".join(golds)})', False),
            (', '.join(turned), ', '.join(golds), True),
            (', '.join(turned[1:]), ', '.join(golds), False),
            (','.join(f'{n}={v}' for n, v in zip('cab', others)),
             ','.join(f'{n}={v}' for n, v in zip('cab', golds)), True),
            (','.join(f'{n}={v}' for n, v in zip('cab', turned)),
             ','.join(f'{n}={v}' for n, v in zip('cab', golds)), False)]
    if len(parts) == 2:
      rows += [(f'[{others[0]},{others[1]})', f'[{golds[0]},{golds[1]})', True),
               (f'({others[0]},{others[1]}]', f'[{golds[0]},{golds[1]})', False),
               (rf'{others[0]}<x\le {others[1]}', f'({golds[0]},{golds[1]}]', True),
               (rf'{others[0]}\le x<{others[1]}', f'({golds[0]},{golds[1]}]', False)]
    for form, gold, equal in rows:
      assert answers.is_correct(f'\\boxed{{{form}}}', gold) is equal, (form, gold, equal)
      count += 1
  assert count > 3000
