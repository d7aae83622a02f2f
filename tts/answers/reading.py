"""From an answer as written to its value: which kind it is, and of what parts.

`read` tries one kind after the other, the most telling first. An answer that is none of them is
text if it has words, and otherwise unread: equal to the same writing alone, unless a library knows
better (`tts.answers.grading`).
"""

from __future__ import annotations

import functools
import re

from tts.answers import clean
from tts.answers import expression
from tts.answers import numbers
from tts.answers import quantity
from tts.answers import relations
from tts.answers import values
from tts.answers.clean import WORD
from tts.answers.numbers import Fraction, Unreadable
from tts.answers.split import depths, split, split_words
from tts.answers.values import Value

# Longer answers are wrong, unread. The longest of MATH's 12,500 has 159.
MAX_LENGTH = 400
_MAX_DEPTH = 12
_MAX_PARTS = 60

MAYBE_NUMBER = re.compile(r'[-+]?\$?\d[\d,.]*(?:/\d+)?|-?\\frac\{\d+\}\{\d+\}')
_INTEGER = re.compile(r'-?(?:[0-9]{1,18}|[0-9]{1,3}(?:,[0-9]{3}){1,5})')
_INTEGERS = re.compile(r'\((?: ?-?[0-9]{1,18} ?,)+ ?-?[0-9]{1,18} ?\)')
_GROUPED = re.compile(
    r"(?<![0-9.,'])[0-9]{1,3}(?:(?:,[0-9]{3})+(?![0-9,])|(?:'[0-9]{3})+(?![0-9'])"
    r'|(?:,[0-9]{2})+,[0-9]{3}(?![0-9,])|(?: [0-9]{3})+(?![0-9]| ?/)|(?:\.[0-9]{3}){2,}(?![0-9.]))')
_LETTERS = re.compile(r"[A-Za-z][A-Za-z .'-]*")
_VOWELS = frozenset('aeiou')
_NO_PROSE = frozenset(
    'sin cos tan cot sec csc sqrt exp log pi infinity inf reals real no none empty option choice '
    'answer hundred thousand million billion dozen alpha beta gamma delta theta lambda sigma omega'
    .split()) | frozenset(quantity.NUMERALS)
_OPTION = re.compile(
    rf'(?:(?:{WORD}?(?:[Oo]ption|[Cc]hoice|[Aa]nswer) )?\(?{WORD}?([A-Z])\)?'
    rf'|\(?{WORD}?([A-Z])(?:\)|[.:](?= ))[.:]?\s*(\S.*))')
_MATRIX = re.compile(
    r'\\begin\s*\{([pbBvV]?matrix|array|smallmatrix)\}(?:\s*\{[lcr| ]*\})?(.*?)'
    r'\\end\s*\{\1\}')
# A system of equations, or equations one below the other.
_SYSTEM = re.compile(
    r'(?:\\\{\s*)?\\begin\s*\{(cases|aligned|align\*?|gathered|array|split)\}(?:\s*\{[lcr| ]*\})?'
    r'(.*?)\\end\s*\{\1\}\s*\.?')
_MINUS = re.compile(r'(\\mathbb\s*\{?R\}?)\s*-\s*(?=\\\{)')
_BASED = re.compile(
    rf'\(?([0-9][0-9A-Fa-f]*)\)?\s*(?:_\s*\{{?\s*({WORD}?[a-z]+|[0-9]+)\s*\}}?'
    rf'|\(?\s*{WORD}?base {WORD}?([a-z]+|[0-9]+)\s*\)?)')
_BASES = {w: n for n, w in enumerate(
    'two three four five six seven eight nine ten eleven twelve'.split(), 2)} | {'sixteen': 16}
_TIME = re.compile(rf'(\d{{1,2}})(?:\s?[:.]\s?(\d\d))?\s?{WORD}?([ap]m)', re.IGNORECASE)
_BUILDER = re.compile(r'\\\{\s*([A-Za-z])\s*(?:\\in\s*\\mathbb\s*\{?R\}?\s*)?[|:](.*)\\\}')
_REALS = re.compile(
    rf'\\mathbb\s*\{{?R\}}?|\\R|(?:{WORD}?[Aa]ll )?(?:{WORD}?[Rr]eal(?: {WORD}?[Nn]umbers?)?)'
    rf'|{WORD}?[Rr]eals')
_NOTHING = re.compile(
    rf'\\emptyset|\\\{{\s*\\\}}|{WORD}?(?:[Tt]he )?(?:{WORD}?(?:[Nn]o|[Ee]mpty) )'
    rf'(?:{WORD}?real )?(?:{WORD}?solutions?|{WORD}?set)')
_CLOSINGS = {r'\{': (r'\}',), '(': (')', ']'), '[': (')', ']')}


@functools.lru_cache(1 << 16)
def read(answer: str) -> Value:
  """The value of an answer as it is written. Never raises; costs milliseconds at most."""
  text = answer.strip(' \n\r')
  if _INTEGER.fullmatch(text):
    return _integer(text)
  if len(text) > MAX_LENGTH:
    return Value('unread', text)
  text = clean.clean(text)
  if _is_prose(text):
    return _text(text)
  try:
    return _value(text, 0)
  except (Unreadable, RecursionError):
    return _text(text)


def _integer(text: str) -> Value:
  return values.number(Fraction(int(text.replace(',', ''))), places=0)


def _is_prose(text: str) -> bool:
  """Whether there is nothing but words: `Evelyn`, `New York`, and not `xyz` or `sin x`."""
  if text.lower() == 'no':
    return True
  if not _LETTERS.fullmatch(text):
    return False
  runs = re.findall('[A-Za-z]+', text)
  return not set(map(str.lower, runs)) & _NO_PROSE and any(
      len(run) > 3 or len(run) == 3 and not _VOWELS.isdisjoint(run.lower()) for run in runs)


def _value(text: str, depth: int) -> Value:
  """The value of cleaned text.

  Raises:
    Unreadable: of none of the kinds but text.
  """
  if depth > _MAX_DEPTH:
    raise Unreadable('nested too deeply')
  inner = functools.partial(_value, depth=depth + 1)
  if not text:
    if depth:
      raise Unreadable('a part is missing')
    return Value('unread', '')
  # The most frequent kinds, at once.
  if _INTEGERS.fullmatch(text):
    return values.tuple_of([_integer(part) for part in text[1:-1].split(',')])
  if quantity.ARITHMETIC.fullmatch(text) and text.count('.') < 2:
    return quantity.plain(text)
  if match := _OPTION.fullmatch(text):
    return _option(match)
  if _REALS.fullmatch(text):
    return values.REALS
  if _NOTHING.fullmatch(text):
    return values.EMPTY
  if (infinite := relations.infinity(text)) is not None:
    return infinite
  if not any(c in text for c in '([') and r'\{' not in text:
    text = _GROUPED.sub(lambda m: re.sub(r"[,' ]|\.(?=.*\.)|\.(?=\d{3}$)", '', m[0]), text)
  if (match := _SYSTEM.fullmatch(text)) and ('=' in match[2] or match[1] != 'array'):
    return inner(match[2].replace('&', '').strip(' \\,'))
  if text[0] == '{' and text[-1] == '}' and 0 not in depths(text)[:-1]:
    return inner(text[1:-1].strip())
  text = _MINUS.sub(r'\1\\setminus ', text)
  if (found := split_words(text)) is not None:
    return _list(*found, inner)
  if (found := relations.read(text, inner)) is not None:
    return found
  if r'\pm' in text or r'\mp' in text:
    return _both_signs(text, inner)
  if (found := _bracketed(text, inner)) is not None:
    return found
  if r'\cup' in text or r'\setminus' in text or r'\backslash' in text:
    return relations.union(text, inner)
  if (text[0], text[-1]) == (']', '['):
    return relations.as_interval(f'({text[1:-1]})', inner)
  if r'\begin' in text or r'\langle' in text:
    return _matrix(text, inner)
  if match := _TIME.fullmatch(text):
    return Value('time', f'{int(match[1])}:{match[2] or "00"} {match[3].lower()}')
  if match := _BASED.fullmatch(text):
    base = (match[2] or match[3]).lstrip(WORD)
    if base.isdigit() or base in _BASES:
      return Value('based', f'{match[1].lstrip("0").upper() or "0"}_{_BASES.get(base, base)}')
  if ':' in text and len(sides := split(text, ':') or ()) > 1 and not quantity.has_words(text):
    return values.ratio([inner(side.strip()) for side in sides])
  return quantity.read(text)


def _option(match: re.Match[str]) -> Value:
  letter, content = match[1] or match[2], match[3]
  if content is None:
    return Value('option', letter)
  return Value('option', letter, (read(content),))


def _list(parts: list[str], connective: str, inner) -> Value:
  if len(parts) > _MAX_PARTS or not all(parts):
    raise Unreadable('a list that is none')
  found = [inner(part) for part in parts]
  if all(v.kind in ('interval', 'union') and v.name for v in found) and (
      len({v.name for v in found}) == 1):
    return relations.joined(found, connective)
  if found[0].name and r'\ne' in parts[0] and all(v.kind == 'number' for v in found[1:]):
    name, _, first = parts[0].partition(r'\ne')  # `x \ne 0, 1`
    return inner(rf'{name}\in\mathbb{{R}}\setminus\{{{",".join([first, *parts[1:]])}\}}')
  if connective == 'or' and all('infty' in v.form for v in found):
    return relations.union(r'\cup '.join(parts), inner)
  names = [v.name for v in found]
  if all(names) and len(set(names)) == len(names):
    return values.named_values(found)
  return values.listed(found)


def _both_signs(text: str, inner) -> Value:
  if text.count(r'\pm') + text.count(r'\mp') > 3:
    raise Unreadable('too many signs')
  both = []
  for signs in ('+-', '-+'):  # of the first of each, the upper ones and the lower ones
    one = text
    for command, sign in zip(('pm', 'mp'), signs):
      one = re.sub(rf'\\{command}(?![A-Za-z])', sign, one, count=1)
    both.append(inner(one.strip()))
  return values.listed(both)


def _bracketed(text: str, inner) -> Value | None:
  """A set, tuple, interval, or a value in brackets of its own; None where it is none of them."""
  if match := _BUILDER.fullmatch(text):
    return inner(match[2].strip())
  for left, closings in _CLOSINGS.items():
    for right in closings:
      if not (text.startswith(left) and text.endswith(right)):
        continue
      content = text[len(left):-len(right)].strip()
      parts = split(content, ',')
      if parts is None or not content:
        return None
      if (left, right) == ('(', ')') and len(parts) == 1:
        return inner(content)
      if left != r'\{' and len(parts) == 1:
        return None
      found = [inner(part.strip()) for part in parts]
      if left == r'\{':
        return values.set_of(found) if not _have_names(found) else _list(parts, ',', inner)
      return values.tuple_of(found, left, right)
  return None


def _have_names(found: list[Value]) -> bool:
  return len(found) > 1 and all(v.name for v in found)


def _matrix(text: str, inner) -> Value:
  match = _MATRIX.search(text)
  before, behind = (text[:match.start()].strip(), text[match.end():].strip()) if match else ('', '')
  if (before, behind) in (('[', ']'), ('(', ')')):
    before = behind = ''
  if match and not behind:
    around = {'v': 'det', 'V': 'norm'}.get(match[1][0], '')
    rows = [[inner(cell.strip()) for cell in row.split('&')]
            for row in re.split(r'\\\\(?:\[[^\]]*\])?', match[2]) if row.strip()]
    if before:
      factor = expression.read({'-': '-1'}.get(before, before))[0]
      rows = [[values.number(numbers.multiply(factor, cell.number)) if cell.number is not None
               else inner('') for cell in row] for row in rows]
    if rows and len({len(row) for row in rows}) == 1 and rows[0]:
      return values.matrix(rows, around)
  elif match := re.fullmatch(r'\\langle(.*)\\rangle', text.strip()):
    cells = split(match[1], ',')
    if cells:
      return values.matrix([[inner(cell.strip())] for cell in cells])
  raise Unreadable('a matrix')


def _text(text: str) -> Value:
  """What is left: words by their letters alone, or a writing that is not understood."""
  if quantity.has_words(text) or re.fullmatch(r"[A-Za-z][A-Za-z .,'-]+", text):
    words = re.sub(r"[^\w\s\\^{}()+*/=<>%.'-]", ' ', text.replace(WORD, '')).casefold()
    words = re.sub(r'\b(?:the|an?)\b(?=\s*\w)', ' ', words)
    return Value('text', ' '.join(words.split()).strip(' .'))
  # `1 1` is not 11: between digits a blank stays.
  return Value('unread', re.sub(r'(?<![0-9])\s+|\s+(?![0-9])', '', text))
