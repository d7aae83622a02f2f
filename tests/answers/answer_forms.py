"""Texts with a given answer in them, and texts with another one, to grade."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import random
import re

from tts import answers

# Of the kinds that competition problems have.
KINDS = (
    '7', '-12', '0', '1024', '1,200', '86,400', '0.25', '-3.75', '.5', '12.50',
    r'\frac{3}{8}', r'-\frac{11}{4}', r'\frac{1}{1000}', r'\dfrac{5}{6}',
    r'\frac37', r'2\frac{1}{3}',
    r'\sqrt{13}', r'5\sqrt{6}', r'\frac{\sqrt{7}}{3}', r'\frac{2+\sqrt{5}}{4}', r'\sqrt[3]{4}',
    r'\pi', r'12\pi', r'\frac{7\pi}{12}', r'4\pi-3\sqrt{3}', 'e^2', r'\log_2 7',
    r'3^{10}', r'2^{-5}',
    '3+4i', '-2i', r'\frac{1}{2}-\frac{\sqrt{3}}{2}i',
    'x^2-5x+6', '(x-2)(x-3)', '2a+3b', r'\frac{x+1}{x-4}', 'n(n+1)', 'y=-2x+9', 'x^2+y^2=25',
    '(4,-1)', r'\left(\frac{1}{2},3\right)', '(0,0,5)', r'\left(2,\frac{\pi}{6}\right)',
    '(-3,5]', r'[2,\infty)', r'(-\infty,-1)\cup(1,\infty)', r'x \ge 4', r'-2<x<6',
    '1,5,9', r'\{2,3,7\}', r'1+\sqrt{2},1-\sqrt{2}', r'3 \pm \sqrt{11}',
    r'\begin{pmatrix} 1 & 4 \\ -2 & 0 \end{pmatrix}', r'\begin{pmatrix} 6 \\ -7 \end{pmatrix}',
    r'35^\circ', '110^{\\circ}', r'45\%', r'\$18', r'\$4.20', r'9\text{ cm}',
    r'24 \text{ square inches}',
    r'\text{Tuesday}', r'\text{even}', r'\text{(B)}', 'C', '1101_2', r'572_{9}', '3:30', '10:7',
)

# (gold, the same by algebra alone).
ALGEBRA = (
    (r'\sqrt{18}', r'3\sqrt{2}'), (r'\frac{1}{\sqrt{3}}', r'\frac{\sqrt{3}}{3}'), ('32', '2^5'),
    ('x^2-5x+6', '(x-2)(x-3)'), ('(x+1)^2', 'x^2+2x+1'), ('2a+3b', '3b+2a'),
    (r'\frac{x}{2}', '0.5x'),
    (r'\frac{2+\sqrt{5}}{4}', r'\frac{\sqrt{5}+2}{4}'), (r'12\pi', r'\pi \cdot 12'),
    ('3+4i', '4i+3'),
    (r'\left(\frac{\sqrt{8}}{2},1\right)', r'(\sqrt{2},1)'),
    (r'3\pm\sqrt{11}', r'3-\sqrt{11},3+\sqrt{11}'),
    (r'\{\sqrt{4},5\}', r'\{5,2\}'), (r'\log_2 8', '3'),
    (r'(-\infty,1)\cup(2,\infty)', r'(2,\infty)\cup(-\infty,1)'),
    (r'\begin{pmatrix}\frac{1}{2}\\4\end{pmatrix}', r'\begin{pmatrix}0.5\\2^2\end{pmatrix}'),
    (r'x\ge 4', '4 \\le x'), ('y=-2x+9', 'y=9-2x'), (r'\cos\frac{\pi}{3}', r'\frac{1}{2}'),
)

# (gold, another that the library could take for it).
TRAPS = (
    ('5', '5 or 7'), ('5', '5, 7'), ('5', r'5 \text{ and } 7'), ('5', r'\{5,7\}'), ('57', '5 7'),
    ('5', r'5} \boxed{7'), ('7', r'5} \boxed{7'), ('5', r'7} or {5'), ('5', r'5\\7'), ('5', '5\\'),
    ('5', r'$5$ or $7$'), ('5', r'\fbox{5}\fbox{7}'), ('1101_2', '1101_3'), ('21_{8}', '21_{9}'),
    ('(1,2)', '(2,1)'), ('(1,2)', '[1,2]'), ('(1,2]', '[1,2)'), (r'\pi', '3.14'),
    (r'\frac{1}{3}', '0.33'), ('x+1', 'y+1'), ('5', 'x'), ('5', r'\text{five hundred}'), ('5', ''),
    ('5', r'\neq 5'), ('5', '>5'), ('5', '-5'), (r'\sqrt{2}', '-\\sqrt{2}'), ('2^{10}', '2^{11}'),
    (r'\begin{pmatrix}1\\2\end{pmatrix}', r'\begin{pmatrix}2\\1\end{pmatrix}'),
)

_WHOLE = re.compile(r'-?[0-9]+')
_NUMBER = re.compile(r'-?[0-9]+(?:\.[0-9]+)?')


def right(gold: str) -> Iterator[str]:
  """Predictions whose last answer is `gold`, in other words."""
  yield f'#### {gold}'
  yield f'\\boxed{{{gold}}}'
  yield f'Then we get\n$$\\boxed{{ {gold} }}.$$'
  yield f'First \\boxed{{123456}}, no: it is $\\boxed{{{gold}}}$, as I said.'
  yield f'The final answer is ${gold.strip("$")}$.'
  yield f'#### ${gold.strip("$")}$.'
  yield f'\\boxed{{\\displaystyle {gold}}}'
  if '\\frac' in gold:
    yield f'\\boxed{{{gold.replace(chr(92) + "frac", chr(92) + "dfrac")}}}'
    yield f'\\boxed{{{gold.replace(chr(92) + "frac", chr(92) + "tfrac")}}}'
  if '\\left' not in gold and gold.startswith('(') and gold.endswith(')') and gold.count('(') == 1:
    yield f'\\boxed{{\\left{gold[:-1]}\\right)}}'
  if _NUMBER.fullmatch(gold):
    yield f'\\boxed{{{gold}\\text{{ units}}}}'
    yield f'The answer is {gold} apples.'
    yield f'So x = \\boxed{{x = {gold}}}'
    yield f'#### \\${gold}'
  if _WHOLE.fullmatch(gold):
    yield f'\\boxed{{{gold}.0}}'
    yield f'\\boxed{{{int(gold):,}}}'
    yield f'\\boxed{{\\frac{{{3 * int(gold)}}}{{3}}}}'


def wrong(gold: str, others: Sequence[str], rng: random.Random) -> Iterator[str]:
  """Predictions whose last answer is not `gold`, by normal form: mostly near it."""
  form = answers.normalize(gold)
  places = [m.start() for m in re.finditer('[0-9]', gold)]
  found = [rng.choice(others), rng.choice(others), gold[1:] if gold.startswith('-') else f'-{gold}']
  if places:
    at = rng.choice(places)
    digit = rng.choice([d for d in '123456789' if d != gold[at]])
    found += [gold[:at] + digit + gold[at + 1:], gold[:at] + digit + gold[at:]]
  for other in found:
    if answers.normalize(other) != form:
      yield f'It is {gold}? No: \\boxed{{{other}}}'
