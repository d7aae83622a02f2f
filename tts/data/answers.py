"""Finds the answer in a text and compares it with the gold one.

Predictions are untrusted: everything here is linear in the text, or quadratic in
an answer of at most `MAX_LENGTH` characters; nothing is evaluated and no power
is computed. What is not recognised stays as it is written, and is then equal to
the same writing alone.
"""

from __future__ import annotations

from collections.abc import Iterator
import fractions
import re

# Longer answers are wrong, unread. The longest of MATH's 12,500 has 159.
MAX_LENGTH = 400
# An answer is looked for in so many last characters of a text.
_MAX_TEXT = 1_000_000

_BARE = re.compile(r'[-+]?\$?\d[\d,./]*%?')
_MARK = re.compile(r'#{4,}')
_BOX = re.compile(r'\\boxed\s*\{|\\[{}]|[{}]|\\boxed\s+[^\s{}$\\]{1,40}')
_PHRASE = re.compile(
    r'\banswers?\b(?:[^\n.:=#\\$]{0,40}?\b(?:is|are)\b|\s{0,3}(?=[:=]))'
    r'(?:\s{0,3}[:=]\s{0,4})?',
    re.IGNORECASE,
)
_CLAUSE_END = re.compile(
    r'\n|(?<!\\)[.!?](?=\s|$)|,?\s(?:because|since|which|so|as)\b|[,;]\s(?=[A-Za-z]{2})'
)
# `18 eggs` in a sentence: the noun goes, unless the number would change.
_COUNTED = re.compile(
    r'([-+]?\$?[0-9][0-9,]*(?:\.[0-9]+)?)\s+(?!(?:and|or|to|over|times|plus|minus|'
    r'by|pi|percent|dozen|hundred|thousand|million|billion|trillion)\b)'
    r'[A-Za-z]{2,}[A-Za-z ]*'
)

# `The answer is correct`, or an unfinished mark of another kind.
_NO_ANSWER = re.compile(
    r'(?:in)?correct\b|right\b|wrong\b|not\b|clear\b|unknown\b|.*(?:\\boxed|####)',
    re.IGNORECASE,
)


def extract(text: str) -> str | None:
  """Returns the last answer in `text`, as written, or None.

  An answer follows `####` on its line, stands in `\\boxed{}`, or ends a sentence
  like `The answer is 7.` or `Answer: 7`. An unfinished one does not count. A text
  that is a number and nothing else is its own answer.
  """
  text = text[-_MAX_TEXT:]
  found = _last(_marked(text), _boxed(text), _said(text))
  if found is None and _BARE.fullmatch(text[-MAX_LENGTH:].strip()):
    return text.strip() if len(text) <= MAX_LENGTH else None
  return found


def gold_answer(text: str) -> str:
  """Returns a gold answer: in `\\boxed{}`, after `####`, or else the whole text."""
  return _last(_marked(text), _boxed(text)) or text.strip()


def is_correct(prediction_text: str, gold: str) -> bool:
  """Whether the last answer in a prediction has the gold answer's normal form."""
  answer = extract(prediction_text)
  gold = gold_answer(gold)
  if answer is None or max(len(answer), len(gold)) > MAX_LENGTH:
    return False
  form = normalize(gold)
  return form != '' and normalize(answer) == form


def _last(*found: tuple[int, str] | None) -> str | None:
  """The (position, answer) furthest on; too long an answer is cut, and wrong."""
  candidates = [f for f in found if f is not None]
  return max(candidates)[1][: MAX_LENGTH + 1] if candidates else None


def _marked(text: str) -> tuple[int, str] | None:
  for match in reversed(list(_MARK.finditer(text))):
    line = text[match.end() : match.end() + 2 * MAX_LENGTH].partition('\n')[0]
    if answer := line.partition('####')[0].strip():
      return match.end(), answer
  return None


def _boxed(text: str) -> tuple[int, str] | None:
  start = text.find('\\boxed')
  if start < 0:
    return None
  best = None
  open_braces = []  # (is a box, where its content starts)
  for match in _BOX.finditer(text, start):
    token = match[0]
    if token == '{' or token.startswith('\\boxed') and token.endswith('{'):
      open_braces.append((token != '{', match.end()))
    elif token == '}':
      is_box, begin = open_braces.pop() if open_braces else (False, 0)
      if is_box and (best is None or begin > best[0]):
        best = begin, match.start()
    elif token.startswith('\\boxed'):  # \boxed 7
      best = match.start() + len('\\boxed'), match.end()
  if best is None:
    return None
  answer = text[best[0] : min(best[1], best[0] + 2 * MAX_LENGTH)].strip()
  return (best[0], answer) if answer else None


def _said(text: str) -> tuple[int, str] | None:
  for match in reversed(list(_PHRASE.finditer(text))):
    clause = text[match.end() : match.end() + 2 * MAX_LENGTH].strip(' \t*`"\'')
    if end := _CLAUSE_END.search(clause):
      clause = clause[: end.start()]
    clause = clause.strip(' \t*`"\'').rstrip(' ,;:.')
    if counted := _COUNTED.fullmatch(clause):
      clause = counted[1]
    if clause and not _NO_ANSWER.match(clause):
      return match.end(), clause
  return None


_INTEGER = re.compile(r'-?[0-9]{1,18}')
_DECIMAL = r'[0-9]+(?:\.[0-9]*)?|\.[0-9]+'
_NUMBER = re.compile(rf'([+-]?)({_DECIMAL})(?:/([+-]?)({_DECIMAL}))?')
_MIXED = re.compile(
    r'([+-]?)([0-9]+)(?:\s*\\frac\{?([0-9]+)\}?\{([0-9]+)\}|\s*\\frac([0-9])([0-9])'
    r'|\s+([0-9]+)/([0-9]+))'
)
_GROUPED = re.compile(r'(?<![0-9.,])[0-9]{1,3}(?:,[0-9]{3})+(?![0-9,])')
_UNIT = (
    r'(?:percent|degrees?|dollars?|cents?|units?|points?|hours?|minutes?|seconds?|'
    r'days?|weeks?|months?|years?|inch(?:es)?|feet|foot|yards?|miles?|'
    r'(?:kilo|centi|milli)?(?:met(?:er|re)s?|grams?|lit(?:er|re)s?)|'
    r'pounds?|ounces?|mph|km|cm|mm|kg|mg|ml|ft|(?<=\s)(?:in|m|g|s|h|L))'
)
_TRAILING_UNIT = re.compile(
    r'(?<=[0-9})])\s*(?:(?:square|cubic|sq\.?|cu\.?)\s+)?'
    rf'{_UNIT}(?:\s*(?:/|per)\s*{_UNIT})?(?:\s*\^\s*(?:[23]|\{{[23]\}}))?$'
)
_LEFT_SIDE = re.compile(
    r'[A-Za-z](?:_(?:[A-Za-z0-9]|\{[A-Za-z0-9]+\}))?(?:\([A-Za-z]\))?(?:=|\\in(?![a-z]))'
)
_REWRITES = tuple(
    (re.compile(pattern), new)
    for pattern, new in (
        (r'[−–]', '-'),
        (r'π', r'\\pi '),
        (r'∞', r'\\infty '),
        (r'≤|<=|\\leq(?![A-Za-z])', r'\\le '),
        (r'≥|>=|\\geq(?![A-Za-z])', r'\\ge '),
        (r'\\?\$|(?<!\\)\\[()\[\]]', ''),
        (r'\\(?:left|right|displaystyle|quad|qquad)(?![A-Za-z])', ' '),
        (r'(?<!\\)\\[!,]\s*', ''),
        (r'(?<!\\)\\[;:> ]|~', ' '),
        (r'\{,\}', ','),
        (r'\\[dtc]frac(?![A-Za-z])', r'\\frac'),
        (r'\^\s*(?:\\circ|\{\s*\\circ\s*\})|°|\\degrees?(?![A-Za-z])', ''),
        (r'\\(?:text|textbf|textit|textrm|mbox|mathrm|mathbf)\s*\{([^{}]*)\}', r' \1 '),
        (r'\\(?:cdot|times)(?![A-Za-z])|[×·⋅]', '*'),
        (r'\\?%', ''),
        (r'\*\*', '^'),
    )
)


def normalize(answer: str) -> str:
  """Returns the normal form: equal for two writings of the same answer.

  Numbers become exact: `0.50`, `1/2`, `\\frac12` and `\\frac{2}{4}` are `1/2`.
  Spacing, dollar signs, thousands' commas, `\\left`, `\\text{}`, a final full
  stop, a unit or `%` after a number (`50%` is 50, not 1/2) and `x =` go. Bare
  lists and `\\{sets\\}` are sorted; tuples and intervals keep their order.
  """
  text = answer.strip()
  if _INTEGER.fullmatch(text):
    return str(int(text))
  if len(text) > MAX_LENGTH:
    return text
  for pattern, new in _REWRITES:
    text = pattern.sub(new, text)
  text = text.strip().rstrip('.').rstrip()
  if not re.search(r'[(\[]|\\\{', text):  # (1,234) is a pair
    text = _GROUPED.sub(lambda match: match[0].replace(',', ''), text)
  text = _TRAILING_UNIT.sub('', text)
  if mixed := _MIXED.fullmatch(text):
    sign, whole, *parts = (part for part in mixed.groups() if part is not None)
    top, bottom = (int(part) for part in parts)
    if top < bottom:
      return _exact(f'{sign}1', int(whole) * bottom + top, bottom)
  # `1 1` is not 11: between digits a blank stays.
  text = re.sub(r'(?<![0-9])\s+|\s+(?![0-9])', '', text)
  text = re.sub(r'(?<![\\A-Za-z])sqrt\(([^()]*)\)', r'\\sqrt{\1}', text)
  text = re.sub(r'(?<![\\A-Za-z])pi(?![A-Za-z])', r'\\pi', text)
  text = _fractions(text)
  text = re.sub(r'\{([0-9A-Za-z])\}(?![0-9])', r'\1', text)
  return _canonical(text)


def _exact(sign: str, top: int, bottom: int) -> str:
  return str(fractions.Fraction(-top if sign.startswith('-') else top, bottom))


def _canonical(text: str, depth: int = 0) -> str:
  """Normal form of text without blanks: numbers, lists, brackets, words."""
  if match := _LEFT_SIDE.match(text):
    text = text[match.end() :] or text
  if match := _NUMBER.fullmatch(text):
    value = _decimal(match[2])
    if match[4] is not None:
      below = _decimal(match[4])
      if below == 0:
        return text
      value /= below
    return str(-value if (match[1] == '-') != (match[3] == '-') else value)
  if depth > 20:
    return text
  parts = _split(text)
  if len(parts) > 1:
    # With blanks: the list `1, 234` is not the number `1,234`.
    return ', '.join(sorted(_canonical(part, depth + 1) for part in parts))
  for left, right in (('\\{', '\\}'), ('(', ')'), ('(', ']'), ('[', ')'), ('[', ']')):
    inner = text[len(left) : -len(right)]
    if not (text.startswith(left) and text.endswith(right) and inner):
      continue
    parts = _split(inner)
    if not parts:  # `(a)(b)`: the two brackets are not a pair
      continue
    forms = [_canonical(part, depth + 1) for part in parts]
    if left == '\\{':
      forms.sort()
    elif len(forms) == 1 and (left, right) == ('(', ')'):
      return forms[0]
    return left + ','.join(forms) + right
  if text.startswith('+'):
    return _canonical(text[1:], depth + 1)
  return text.casefold() if text.isalpha() and len(text) > 1 else text


def _decimal(text: str) -> fractions.Fraction:
  whole, _, part = text.partition('.')
  return fractions.Fraction(int((whole + part) or '0'), 10 ** len(part))


def _split(text: str) -> list[str]:
  """Cuts at the commas outside brackets; [] where a bracket closes too early."""
  parts, depth, start = [], 0, 0
  for i, character in enumerate(text):
    if character in '([{':
      depth += 1
    elif character in ')]}':
      depth -= 1
      if depth < 0:
        return []
    elif character == ',' and depth == 0:
      parts.append(text[start:i])
      start = i + 1
  return [*parts, text[start:]]


def _fractions(text: str, depth: int = 0) -> str:
  """Writes \\frac{a}{b} as a/b, in brackets where the meaning needs them."""
  out = ''
  while True:
    before, command, rest = text.partition('\\frac')
    out += before
    if not command or depth > 20:
      return out + command + rest
    top, after = _argument(rest)
    bottom, after = _argument(after)
    if not top or not bottom:
      out += command
      text = rest
      continue
    top, bottom = _fractions(top, depth + 1), _fractions(bottom, depth + 1)
    alone = out.strip('+-') == '' and not after
    if re.search(r'[-+/]', top[1:] if alone else top):
      top = f'({top})'
    if not re.fullmatch(rf'[+-]?(?:{_DECIMAL})|[A-Za-z]|\\[A-Za-z]+', bottom):
      bottom = f'({bottom})'
    quotient = f'{top}/{bottom}'
    # `2\frac{3}{4}5` must not read as 23/45.
    if out[-1:].isdigit() or after[:1].isdigit():
      quotient = f'({quotient})'
    out += quotient
    text = after


def _argument(text: str) -> tuple[str, str]:
  """Splits off a LaTeX argument: {group}, \\command or one character."""
  if text.startswith('{'):
    depth = 0
    for i, character in enumerate(text):
      depth += (character == '{') - (character == '}')
      if depth == 0:
        return text[1:i], text[i + 1 :]
    return '', text
  if match := re.match(r'\\[A-Za-z]+(?:\{[^{}]*\})?', text):
    return match[0], text[match.end() :]
  return text[:1], text[1:]
