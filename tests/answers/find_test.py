"""Where the answer stands in a text, and which rule finds it."""

import random
import time

import pytest

from tts import answers

LONG = 'First add the parts: 20 + 11 = 31. Then check that 31 is below 40.\n'

FOUND = [
    # A box, whatever follows it.
    (r'so \boxed{31}. The answer is positive.', '31', 'box'),
    (r'so \boxed{31}. The answer is less than 100, as required.', '31', 'box'),
    ('so \\boxed{31}\n\n#### Check\n20 + 11 = 31', '31', 'box'),
    (r'\boxed{2} then \boxed{3}', '3', 'box'),
    (r'\boxed{\frac{1}{2}}', r'\frac{1}{2}', 'box'),
    (r'\boxed{\{1,2\}}', r'\{1,2\}', 'box'),
    (r'\boxed{\boxed{3}}', '3', 'box'),
    (r'\boxed{5} and \boxed{6', '5', 'box'),
    (r'a } stray \boxed{3}', '3', 'box'),
    (r'\boxed 7 apples', '7', 'box'),
    (r'$\fbox{7}$', '7', 'box'),
    (r'\framebox{7}', '7', 'box'),
    ('\x08oxed{7}', '7', 'box'),  # a backslash and a b that JSON took for a backspace
    (r'The answer is $\boxed{5}$.', '5', 'box'),
    (r'#### 3, or \boxed{4}', '4', 'box'),
    (r'\boxed{4} #### 3', '4', 'box'),
    (r'\boxed{} so \boxed{5} and \boxed{ }', '5', 'box'),
    (r'\boxed{\text{even}}. Answer: 5 steps', r'\text{even}', 'box'),
    # GSM8K's mark, where an answer follows it.
    ('7+12=19\n#### 19', '19', 'marker'),
    ('####45', '45', 'marker'),
    ('#### 1\n#### 2\n', '2', 'marker'),
    ('#### 5\n####', '5', 'marker'),
    ('The answer is 6, no: #### 7', '7', 'marker'),
    ('#### 7\nWait. The answer is 6.', '7', 'marker'),
    ('Is it so?\n#### yes', 'yes', 'marker'),
    ('#### Step 1\nAdd.\n#### 31\n', '31', 'marker'),
    # A tag.
    ('<reasoning>20 + 11</reasoning>\n<answer>31</answer>', '31', 'tag'),
    ('<answer>\n31\n</answer> I hope this helps.', '31', 'tag'),
    ('<answer>The answer is 31.</answer>', '31', 'tag'),
    # A label, in every dress.
    ('**Answer:** 42', '42', 'label'),
    ('**Answer**: 42', '42', 'label'),
    ('**Answer: 42**', '42', 'label'),
    ('__Answer:__ 42', '42', 'label'),
    ('*Final Answer*: 42', '42', 'label'),
    ('> **Final answer:** `42`', '42', 'label'),
    ('✅ Final Answer: **42** ✅', '42', 'label'),
    ('- Answer: 42', '42', 'label'),
    ('Answer (in dollars): 42', '42', 'label'),
    ('ANSWER = 42', '42', 'label'),
    ('Ans: 42', '42', 'label'),
    ('## Answer\n42', '42', 'label'),
    ('#### Answer\n42', '42', 'label'),
    ('### Final Answer:\n\n42', '42', 'label'),
    ('**Final Answer**\n\n$42$', '$42$', 'label'),
    ('**Final Answer**\n\\[\n42\n\\]\nDone.', '42', 'label'),
    ('## The final answer\n$$x = 4,\\ y = 5$$', r'x = 4,\ y = 5', 'label'),
    ('Answer:\n- x = 3\n- y = 4\n\nThat is all.', 'x = 3, y = 4', 'label'),
    ('Answer: B because it fits', 'B', 'label'),
    ('Answer: see above. The answer is 42.', '42', 'sentence'),
    ('Answer check: 30 + 12 = 42. The answer is 42.', '42', 'sentence'),
    ('Answer: Tuesday', 'Tuesday', 'label'),
    ('#### Step 2: conclude\nThe answer is 42.', '42', 'sentence'),
    # A sentence.
    ('So the answer is 7.', '7', 'sentence'),
    ('The answer should be 48.', '48', 'sentence'),
    ('The answer is 3.5. Done', '3.5', 'sentence'),
    ('The answer is .35625', '.35625', 'sentence'),
    ('The final answer is 18 eggs.', '18 eggs', 'sentence'),
    ('The answer is 5 million.', '5 million', 'sentence'),
    ('the answer is 5, because 2+3=5', '5', 'sentence'),
    ('The answer is (1, 2).', '(1, 2)', 'sentence'),
    ('The answer is **7**.', '7', 'sentence'),
    ('The answer is:\n45', '45', 'sentence'),
    ('The answer is\n\\[31\\]', '31', 'sentence'),
    ('The answer is:\n- 31', '31', 'sentence'),
    ('The answer is 36, in total, so the baker keeps that many.', '36', 'sentence'),
    ('Hence 36 is the final answer.', '36', 'sentence'),
    ('The answer is 42. The answer is reasonable.', '42', 'sentence'),
    ('The answer is Monday.', 'Monday', 'sentence'),
    ('The answer is twelve. The answer is positive.', 'twelve', 'sentence'),
    # Bold in the last line.
    (LONG + 'So she keeps **31** eggs.', '31', 'bold'),
    # Nothing else.
    ('42', '42', 'bare'), ('$42', '$42', 'bare'), ('**42**', '42', 'bold'), ('(C)', '(C)', 'bare'),
    (r'$\frac12$', r'$\frac12$', 'bare'), ('1,234.', '1,234.', 'bare'),
    # Thinking is no answer.
    (r'<think>It may be \boxed{5}.</think>So \boxed{6}.', '6', 'box'),
    ('It may be 5. Answer: 5</think>\nThe answer is 6.', '6', 'sentence'),
    # A text that runs on to another question.
    ('The answer is 4.\n\nQuestion: What is 2+3?\nThe answer is 5.', '4', 'sentence'),
    ('#### 4\n\nQ: What is 2+3?\nA: 5\n#### 5', '4', 'marker'),
    ('**Problem:** add.\n**Solution:** The answer is 4.', '4', 'sentence'),
]

NOTHING = [
    '', '####', r'\boxed{}', r'\boxed{7', '7+12=19', 'The answer is not clear.', 'The answer is correct.',
    '#### Verification\nIt holds.', 'We check that our solution is accurate.\n\n1. Add.', '#### Step 1: add\n20 + 11 = 31', r'<think>so \boxed{5}', LONG,
    r'<think>so \boxed{5}</think>', 'the answer is', 'Answer:', 'So the total is 31.', '<answer></answer>',
]


@pytest.mark.parametrize('text,answer,rule', FOUND)
def test_finds_the_answer_and_says_why(text, answer, rule):
  assert answers.find(text) == answers.Found(answer, rule)
  assert answers.extract(text) == answer


@pytest.mark.parametrize('text,answer,rule', FOUND)
def test_what_stands_before_changes_nothing(text, answer, rule):
  if rule != 'bare':
    before = r'Let me think. The answer may be 99: <answer>98</answer>, or \boxed{97} <b>. ' * (
        rule == 'box') or LONG
    assert answers.extract(before + '\n' + text) == answer


@pytest.mark.parametrize('text', NOTHING)
def test_no_answer_is_none(text):
  assert answers.find(text) is None


def test_every_rule_is_tried_in_the_order_of_its_rank():
  marks = {'box': r'\boxed{1}', 'marker': '#### 2', 'tag': '<answer>3</answer>', 'label': 'Answer: 4',
           'sentence': 'The answer is 5.', 'bold': 'Here **6**'}
  assert tuple(marks) == answers.RULES[:-1]
  rng = random.Random(0)
  for first in range(len(marks)):
    for _ in range(10):
      lines = list(marks.values())[first:-1]
      rng.shuffle(lines)
      found = answers.find('\n'.join([*lines, marks['bold']]))
      assert found == answers.Found(str(first + 1), answers.RULES[first]), lines


@pytest.mark.parametrize('gold,answer', [
    ('72', '72'), (r'so it is $\boxed{72}$.', '72'), ('48/2 = <<48/2=24>>24.\n#### 72', '72'),
    (r'$3\cdot 4=12$. So the sum is $\boxed{12}$.', '12'), ('#### Tuesday\n', 'Tuesday'), ('  x+1 ', 'x+1')])
def test_gold_is_bare_boxed_or_marked(gold, answer):
  assert answers.gold_answer(gold) == answer


@pytest.mark.parametrize('line', [
    'Answer: ', '**Answer**\n', 'The answer is ', '#### ', '<answer>', r'\boxed{', '**', '- ', 'Q: \n',
    '\nQuestion: ', '<think>', '</think>', '$$', r'\[', 'is the answer ', '1 is the answer. ', '#', '\n'])
def test_long_texts_take_no_longer_than_their_length_asks_for(line):
  begun = time.process_time()
  answers.find(line * (1_000_000 // len(line)))
  assert time.process_time() - begun < 3
