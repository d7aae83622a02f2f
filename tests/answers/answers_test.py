"""Grading by `exact`: tables of right and wrong pairs, and hostile texts."""

import random
import sys
import time

import pytest

from tts import answers

EQUAL = [
    ('45', '45'), ('007', '7'), ('+5', '5'), ('-0', '0'), ('5.', '5'), ('7/1', '7'),
    ('0.5', '1/2'), ('.5', r'\frac12'), ('0.50', r'\dfrac{1}{2}'), ('2/4', '1/2'),
    (r'\frac{-1}{2}', r'-\frac{1}{2}'), (r'\frac{1}{-2}', '-0.5'), ('−3', '-3'),
    (r'3\frac{1}{2}', '7/2'), ('3 1/2', '3.5'), (r'-2\frac13', '-7/3'),
    ('1,000', '1000'), (r'10{,}000', '10000'), (r'1,\!000', '1000'), ('$1,234,567$', '1234567'),
    (r'\$18.90', '18.9'), (r'\(5\)', '5'), (r'\[5\]', '5'), ('$5$', '5'),
    ('50%', '50'), (r'50\%', '50'), (r'90^\circ', '90'), (r'90^{\circ}', '90 degrees'),
    (r'5\text{ cm}', '5'), (r'15\mbox{ cm}^2', '15'), ('5 miles per hour', '5'),
    ('x = 5', '5'), (r'x \in [-2,7]', '[-2,7]'), ('y=2x+3', '2x+3'),
    ('2, 1', '1,2'), ('x=1,x=2', '2, 1'), (r'\{1,2\}', r'\{2, 1\}'), ('((5))', '5'),
    (r'\left( 3, \frac{\pi}{2} \right)', r'(3,\pi/2)'), ('(0.5,1)', r'(\frac{1}{2},1)'),
    (r'\text{(C)}', 'C'), (r'\text{Evelyn}', 'evelyn'), ('New York', 'new york'),
    (r'2\sqrt{3}', r'2\sqrt3'), ('sqrt(2)', r'\sqrt{2}'), ('2pi', r'2 \pi'),
    (r'\frac\pi2', r'\pi/2'), (r'\frac{3\pi}{2}', r'3\pi/2'), (r'\frac{x+1}{2}', '(x+1)/2'),
    ('50 / 2 = 25 cm', '25'), ('x^{2}+1', 'x^2 + 1'), (r'2 \times 10^{5}', r'2\cdot 10^5'), ('2516_{8}', '2516_8'),
]  # pyformat: disable

DIFFERENT = [
    ('3', '-3'), ('100', '1000'), ('0.5', '5'), ('1/2', '2'), ('0.333', '1/3'), ('1/0', '0'),
    ('5m', '5'), ('5 million', '5'), ('10^5', '105'),
    ('11', '1 1'), ('1, 234', '1234'), ('1,234', '(1,234)'), ('12', '1,2'), ('(1,2)', '(12)'),
    ('(1,2)', '(2,1)'), ('(1,2)', '[1,2]'), ('[0,1)', '(0,1]'), (r'\{1,2\}', '(1,2)'),
    (r'2\frac{3}{4}', '23/4'), (r'10\frac{3}{2}', '103/2'), (r'\frac{1}{2}3', '1/23'),
    (r'\frac{1}{2}x', r'\frac{1}{2x}'), (r'x\frac{-1}{2}', 'x-1/2'),
    (r'\sqrt{12}', r'\sqrt{1}2'), ('2^{10}', '210'), ('A', 'a'), ('50 / 2 = 26 cm', '26'),
    ('6 = 2 m', '2'),
]  # pyformat: disable


@pytest.mark.parametrize('a,b', EQUAL)
def test_writings_of_one_answer_share_a_form(a, b):
  assert answers.normalize(a) == answers.normalize(b)
  assert answers.is_correct(f'#### {a}', b)
  assert answers.is_correct(rf'\boxed{{{b}}}', a)


@pytest.mark.parametrize('a,b', DIFFERENT)
def test_other_answers_do_not(a, b):
  assert answers.normalize(a) != answers.normalize(b)
  assert not answers.is_correct(f'#### {a}', b)


def test_numbers_become_exact():
  assert answers.normalize('-1,250.50') == '-2501/2'
  assert answers.normalize('0.10') == '1/10'


@pytest.mark.parametrize(
    'gold',
    ['72', r'so it is $\boxed{72}$.', 'She sold 48/2 = <<48/2=24>>24.\n#### 72'],
)
def test_gold_may_be_bare_boxed_or_marked(gold):
  assert answers.gold_answer(gold) == '72'
  assert answers.is_correct('#### 72', gold)
  assert not answers.is_correct('#### 24', gold)


def test_an_empty_gold_is_never_matched():
  assert not answers.is_correct('#### $', '')
  assert not answers.is_correct('no answer', '')


def test_too_long_an_answer_is_wrong():
  longest = '9' * answers.MAX_LENGTH
  assert answers.is_correct(f'#### {longest}', longest)
  assert not answers.is_correct(f'#### {longest}9', f'{longest}9')


def test_random_fractions_agree_with_arithmetic():
  rng = random.Random(0)
  for _ in range(500):
    a, b, c, d = (rng.randint(1, 12) for _ in range(4))
    first, second = rf'\frac{{{a}}}{{{b}}}', f'{c} / {d}'
    same = answers.normalize(first) == answers.normalize(second)
    assert same == (a * d == b * c), (first, second)


PARTS = [
    '\\boxed{', '{', '}', '####', 'answer is ', '\\frac', '(', ')', '[', ',', '\\text{', '1', '/', '.', ' ',
    '\n', '\\', '$', '-', '\\{', '\\}', 'x=', '\\sqrt', '^', '٣', '½', '%', ':', '_', '!', '|', '<', '\\le ',
    '\\pm ', '\\cup ', '\\infty', 'and ', 'or ', '12', '0.5', 'e', 'i', '\\pi', 'sin', '\\sin ', '\\log_', ' cm',
    '\\text{ apples}', 'million', ' p.m.', '\\degree', '^\\circ', '\\overline{', '...', 'f(x)', '\\in ', "'",
    '\\begin{pmatrix}', '\\end{pmatrix}', '&', '\\\\', '\\mathbb{R}', '\\setminus', '\\binom', '\ud800', 'C', '*',
    '\\usd', '\\recurring', '\ue000', 'The answer is ', '**', '<answer>', '\x0c', '\t', '²', '。', 'Answer: ']


def test_random_text_is_survived():
  rng = random.Random(1)
  slowest = 0.0
  for _ in range(4000):
    text = ''.join(rng.choices(PARTS, k=rng.randint(1, 40)))
    begun = time.process_time()
    answers.is_correct(text, text)
    value = answers.read(text)
    assert answers.same(value, value) in (True, None) or not value.form, text
    answer = answers.extract(text)
    assert answer is None or answer, text
    slowest = max(slowest, time.process_time() - begun)
  assert slowest < 1


def test_deep_nesting_needs_no_deep_stack():
  frames = 0
  frame = sys._getframe()
  while frame is not None:
    frames, frame = frames + 1, frame.f_back
  limit = sys.getrecursionlimit()
  sys.setrecursionlimit(frames + 100)
  try:
    answers.normalize('(' * 200 + '1' + ')' * 199)
    answers.normalize('\\frac{' * 50 + '1}{2}')
  finally:
    sys.setrecursionlimit(limit)


def test_only_the_end_of_a_huge_text_is_read():
  assert answers.extract('#### 5\n' + 'x' * 900_000) == '5'
  assert answers.extract('#### 5\n' + 'x' * 1_100_000) is None


MEGA = 3_000_000
HOSTILE = {
    'open': '{' * MEGA,
    'close': '\\boxed{' + '}' * MEGA,
    'boxes': '\\boxed{' * (MEGA // 7),
    'nested boxes': '\\boxed{' * 100_000 + '}' * 100_000,
    'box and blanks': '\\boxed' + ' ' * MEGA,
    'boxes and blanks': '\\boxed  ' * (MEGA // 8),
    'backslashes': '\\boxed{' + '\\' * MEGA,
    'hashes': '#' * MEGA,
    'marks': '####\n' * (MEGA // 5),
    'mark and blanks': '#### ' + ' ' * MEGA,
    'phrases': 'answer is ' * (MEGA // 10),
    'half phrases': 'answer ' * (MEGA // 7),
    'digits': '#### ' + '9' * MEGA,
    'tower': '\\boxed{9^{9^{9^{9^{9^9}}}}}',
    'exponent': '#### 1e999999999',
    'fractions': '#### ' + '\\frac{' * 60,
    'bare fractions': '#### ' + '\\frac' * 79,
    'brackets': '#### ' + '(' * 200 + ')' * 200,
    'commas': '#### ' + ',' * 400,
    'texts': '#### ' + '\\text{' * 66,
    'unit': '#### 1' + ' ' * 390 + 'x',
    'mixed': '#### 1' + ' ' * 190 + '1' * 190,
}


@pytest.mark.parametrize('text', [
    '10^{10^6}', '10^{10^7}', r'\sqrt{2}^{10^8}', '2^{-10^8}', r'(1+i)^{10^9}', r'\pi^{10^8}', r'\frac1{2^{10^9}}',
    '10^{10^{10}}', '(10^9)!', '3000!^{3000!}', r'\binom{10^9}{10^8}', '9' * 400, '1e999999', '(1+x)^{5000}'])
def test_a_huge_number_is_compared_with_a_decimal_at_once(text):
  begun = time.process_time()
  assert not answers.is_correct(f'#### {text}', '0.33') and not answers.is_correct(f'#### {text}', 'x>1, x<2')
  assert not answers.is_correct(f'#### x<{text}, x>7', '0.33')
  assert time.process_time() - begun < 0.5


@pytest.mark.parametrize('name', HOSTILE)
def test_hostile_text_is_wrong_and_quick(name):
  start = time.process_time()
  assert not answers.is_correct(HOSTILE[name], '5')
  answers.normalize(HOSTILE[name][-answers.MAX_LENGTH :])
  assert time.process_time() - start < 2
