"""Answers of every kind are compared by what they mean."""

import pytest

from tests.answers.kinds import KINDS
from tts import answers
from tts.answers import grading

ROWS = [(kind, gold, other, equal) for kind, rows in KINDS.items() for gold, same, different in rows
        for others, equal in ((same, True), (different, False)) for other in others]


@pytest.mark.parametrize('kind', KINDS)
def test_answers_of_a_kind(kind):
  wrong = [(gold, other, equal) for k, gold, other, equal in ROWS if k == kind
           if answers.is_correct(f'so it is \\boxed{{{other}}}.', gold) is not equal]
  assert not wrong


def test_math_says_the_same():
  pytest.importorskip('math_verify')
  verdicts = grading.are_correct('math', [(f'\\boxed{{{other}}}', gold) for _, gold, other, _ in ROWS])
  assert [row for row, verdict in zip(ROWS, verdicts) if verdict is not row[-1]] == []


@pytest.mark.parametrize('kind', KINDS)
def test_every_answer_equals_itself(kind):
  for k, gold, other, _ in ROWS:
    if k == kind:
      for answer in (gold, other):
        value = answers.read(answer)
        assert answers.same(value, value) is True, (answer, value)


def bare(value):
  return not (value.unit or value.name or value.kind == 'option') and all(map(bare, value.parts))


def test_equal_forms_are_equal_answers_but_for_units_and_names():
  forms = {}
  for _, gold, other, _ in ROWS:
    for answer in (gold, other):
      value = answers.read(answer)
      forms.setdefault(value.form, []).append(value)
  shared = [(a, b) for values in forms.values() for a in values for b in values
            if bare(a) and bare(b)]
  assert len(shared) > 300
  assert [(a, b) for a, b in shared if answers.same(a, b) is not True] == []


@pytest.mark.parametrize('a,b', [
    (r'5\text{ cm}', '5'), (r'50\%', '50'), ('x = 5', '5'), ('0.50', r'\frac12'), (r'\{1,2\}', r'\{2,1\}'),
    (r'2\sqrt3', r'\sqrt{12}'), ('(x+1)^2', 'x^2+2x+1'), ('New York', 'new york'), (r'\text{(C)}', 'C'),
    ('2, 1', '1,2'), (r'x \in [-2,7]', '[-2,7]')])
def test_votes_share_a_form(a, b):
  assert answers.normalize(a) == answers.normalize(b) != ''
