"""Worked examples of our own for few-shot prompts: question and solution, a step a line."""

from __future__ import annotations

from tts.data import words

# In the manner of the paper's four examples for MATH.
_MATH = (
    ('Find the sum of the solutions of $x^2 - 7x + 10 = 0$.',
     'The quadratic factors as $(x - 2)(x - 5) = 0$.\n'
     'Its solutions are $x = 2$ and $x = 5$.\n'
     'Their sum is $2 + 5 = 7$.\n'
     'The answer is $\\boxed{7}$.'),
    ('A bag holds 3 red and 5 blue marbles. Two are drawn without replacement. What is the '
     'probability that both are red?',
     'The first marble is red with probability $\\frac{3}{8}$.\n'
     'Then 2 of the 7 marbles that are left are red, so the second is red with probability '
     '$\\frac{2}{7}$.\n'
     'Both are red with probability $\\frac{3}{8} \\cdot \\frac{2}{7} = \\frac{6}{56} = '
     '\\frac{3}{28}$.\n'
     'The answer is $\\boxed{\\frac{3}{28}}$.'),
    ('What is the remainder when $2^{10}$ is divided by $7$?',
     'We have $2^3 = 8$, which leaves the remainder $1$ when it is divided by $7$.\n'
     'So $2^{10} = (2^3)^3 \\cdot 2$ leaves the same remainder as $1^3 \\cdot 2 = 2$.\n'
     'The answer is $\\boxed{2}$.'),
    ('A rectangle has a perimeter of $26$ and an area of $40$. What is the length of its '
     'diagonal?',
     'Let the sides be $a$ and $b$: then $a + b = 13$ and $ab = 40$.\n'
     'The square of the diagonal is $a^2 + b^2 = (a + b)^2 - 2ab = 169 - 80 = 89$.\n'
     'So the diagonal is $\\sqrt{89}$.\n'
     'The answer is $\\boxed{\\sqrt{89}}$.'),
)

# In the manner of GSM8K's own solutions.
_GSM8K = (
    ('A farmer has 5 rows of 8 apple trees. A storm breaks 6 of the trees, and he plants twice as '
     'many new ones as were broken. How many apple trees does he have now?',
     'He had 5 * 8 = 40 trees.\n'
     'After the storm there were 40 - 6 = 34 trees.\n'
     'He plants 2 * 6 = 12 new trees.\n'
     'Now he has 34 + 12 = 46 trees.\n'
     'The answer is 46.'),
    ('Nora earns $15 an hour and works 6 hours a day, 4 days a week. She spends a third of what '
     'she earns on rent. How many dollars does she have left each week?',
     'She works 6 * 4 = 24 hours a week.\n'
     'She earns 24 * 15 = 360 dollars.\n'
     'The rent takes 360 / 3 = 120 dollars.\n'
     'She has 360 - 120 = 240 dollars left.\n'
     'The answer is 240.'),
    ('A shirt costs $40 and a pair of shoes costs 50% more. How much do 2 shirts and a pair of '
     'shoes cost together?',
     'The shoes cost 40 * 1.5 = 60 dollars.\n'
     'Two shirts cost 2 * 40 = 80 dollars.\n'
     'Together that is 60 + 80 = 140 dollars.\n'
     'The answer is 140.'),
    ('Max is 4 years older than Lea. In 6 years their ages will add up to 40. How old is Lea now?',
     'In 6 years both are 6 years older, so now their ages add up to 40 - 12 = 28.\n'
     'Without the 4 years between them that is 28 - 4 = 24.\n'
     'Lea is 24 / 2 = 12 years old.\n'
     'The answer is 12.'),
)

SETS = {'math': _MATH, 'gsm8k': _GSM8K, 'words': words.EXAMPLES}
