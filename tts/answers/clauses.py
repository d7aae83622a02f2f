"""What a clause says: the value that ends a sentence, or stands behind a label."""

from __future__ import annotations

import re

from tts.answers import quantity
from tts.answers.reading import MAX_LENGTH, read

_CLAUSE_END = re.compile(
    r'\n|(?<!\\)(?<!\bRs)(?<!i\.e)[.!?](?=[\s*_`]|$)'
    r'|\sand\s(?=that|no\b|nothing|we\b|this)|,?\s(?:because|since|which|so|as|where)\b|[,;]\s(?=[A-Za-z]{2})')
_EDGES = ' \t\r*`"\'_~>'
_EMOJI = re.compile('^[\u2190-\u21ff\u2600-\u27bf\U0001f300-\U0001faff\ufe0f\\s*_`]+'
                    '|[\u2600-\u27bf\U0001f300-\U0001faff\ufe0f\\s*_`]+$')
_BULLET = re.compile(r'^[ \t]{0,8}(?:[-*•+]|\d{1,2}[.)])[ \t]+')
_DISPLAY = re.compile(
    r'\s*(?:\\\[(.{1,800}?)\\\]|\$\$(.{1,800}?)\$\$|\\\((.{1,800}?)\\\)|\$\s*\n([^$]{1,400})\$'
    r'|\$([^$]{0,200}\\begin[^$]{1,400})\$|\\begin\{(?:align|equation|gather)\*?\}(.{1,800}?)\\end)',
    re.DOTALL)
_FENCE = re.compile(r'[ \t*_`>#:~=—-]*(?:```\w*)?[ \t]*\n')

_FILLERS = re.compile(
    r'(?:(?:,|(?:is|therefore|thus|hence|so|then|simply|indeed|actually|equal to|probably|clearly|'
    r'now|still|just|also|found to be|that|we get|we have|which means|and)'
    r'(?![A-Za-z]))[ ,]*)+(?=\S)',
    re.IGNORECASE)
# Said of an answer, not an answer.
_REMARK = re.compile(
    r'(?:reasonable|unique|valid|exact|verified|consistent|found|checked|confirmed|easy|independent|'
    r'rounded|sensible|plausible|obtained|derived|based|expressed|simplified|the same|close|'
    r'already|in the|of the|greater than zero|supported|clear|unknown|as expected)\b',
    re.IGNORECASE)
# `The answer is correct`, or an unfinished mark of another kind.
_NO_ANSWER = re.compile(
    r'(?:in)?correct\b|right\b|wrong\b|not\b|clear\b|unknown\b|see (?:above|below)\b|'
    r'(?:as )?follows?\b|.*(?:\\boxed|####)', re.IGNORECASE)
_SAYS_SOMETHING = re.compile(
    r'[\d\\$^=<>∞π√½¼¾⅓⅔]|^\W{0,4}[A-Za-z]\W{0,4}$|^\W{0,3}\(?[A-J]\)?[.):]?\s')
_NUMERAL = re.compile(rf'(?:{"|".join(quantity.NUMERALS)})\b', re.IGNORECASE)
BOLD = re.compile(r'\*\*([^*\n]{1,80})\*\*')
_MATHEMATICS = re.compile(r'\$([^$\n]{1,200})\$|\\\(([^\n]{1,200}?)\\\)')
_IS = re.compile(
    r'\s(?:is|are|was|were|equals|makes?|gives?)\s+|(?<![<>=!\\])=(?!=)', re.IGNORECASE)
# What comes before the number that a sentence is about, two words between them at most.
_VERB = re.compile(
    r'(?:^|\b(?:is|are|was|were|be|has|have|had|makes?|earns?|needs?|takes?|gets?|costs?|keeps?|'
    r'pays?|spends?|sells?|gives?|totals?|number|will)\s'
    r'(?:(?!not|multiple|one|table|step|of)[\w\']+\s){0,2})$',
    re.IGNORECASE)
_ADVERBIAL = re.compile(r'(?:after|in|for|at|if|when|since|with|by|before|during)\s', re.IGNORECASE)
_NUMBER = re.compile(
    r'(?<![\w.])-?(?:\\?\$|[£€¥₹])?\s?\d[\d,]*(?:\.\d+)?(?:/\d+)?\s?'
    r'(?:\\?%|million\b|thousand\b|billion\b)?')


def says_something(answer: str) -> bool:
  """Whether there is a number, a formula or an option in it: no remark has one."""
  return bool(_SAYS_SOMETHING.search(answer) or _NUMERAL.match(answer)) and not (
      _REMARK.match(answer))


def after(text: str, start: int) -> str:
  """The answer that begins there or, where the line is done, on the next ones; '' for none."""
  ahead = text[start : start + 4 * MAX_LENGTH].lstrip(' \t')
  below = False
  while fence := _FENCE.match(ahead):
    ahead, below = ahead[fence.end():].lstrip(' \t'), True
  if display := _DISPLAY.match(ahead):
    inside = next(group for group in display.groups() if group is not None)
    return inside.replace('&', '').strip() if display[6] else inside.strip().rstrip('.')
  if below and _BULLET.match(ahead):
    items = []
    for line in ahead.split('\n'):
      if not _BULLET.match(line):
        break
      items.append(clause(_BULLET.sub('', line)))
    return ', '.join(filter(None, items))
  return clause(ahead)


def clause(text: str) -> str:
  """The value in the first clause of a text, '' where that denies or says nothing."""
  text = text.lstrip(_EDGES + '#}')
  text = _FILLERS.sub('', text, count=1) if _FILLERS.match(text) else text
  found = text
  for end in _CLAUSE_END.finditer(text):
    before = text[:end.start()]
    if end[0][0] in ',;' and _ADVERBIAL.match(text):
      continue
    if end[0][0] not in ',;' or before.count('(') + before.count('[') <= (
        before.count(')') + before.count(']')):
      found = before
      break
  if '**' not in found.strip('*'):
    found = found.strip(_EDGES)
  found = _EMOJI.sub('', found.rstrip(' ,;:.'))
  if found.count('{') < found.count('}') and '{' not in found:
    found = found.rstrip('}')
  return '' if _NO_ANSWER.match(found.strip(_EDGES)) else value(found)


def value(text: str) -> str:
  """The value in a text of words: its bold or mathematical part, what it `is`, its only number.

  A text that is a value as a whole, or has several numbers and nothing to choose by, stays whole.
  """
  plain = text.strip(_EDGES)
  if len(plain) > MAX_LENGTH or not re.search(r'\d|\\|\$', plain) or _REMARK.match(plain):
    return plain
  if read(plain).kind not in ('text', 'unread'):
    return plain
  bold = [m[1] for m in BOLD.finditer(text) if re.search(r'\d|\\|\$', m[1])]
  if len(bold) == 1:
    return value(bold[0])
  sides = _IS.split(plain)
  if len(sides) > 1 and says_something(sides[-1]):
    return value(sides[-1].strip(_EDGES + ':'))
  spans = [m[1] or m[2] for m in _MATHEMATICS.finditer(plain)]
  if len(spans) == 1 and not re.search(r'\d', _MATHEMATICS.sub('', plain)):
    return spans[0].strip()
  amounts = list(_NUMBER.finditer(plain))
  if len(amounts) == 1 and '\\' not in plain.replace('\\$', '') and (
      _VERB.search(plain[:amounts[0].start()])):
    return amounts[0][0].strip(' ,')
  return plain
