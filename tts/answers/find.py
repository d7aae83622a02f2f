"""Finds the answer in what a model wrote.

Answers are marked in many ways, and `RULES` ranks these: a box outranks a marker, that a label,
that a sentence. Of the highest-ranked kind the last one counts. A remark (`The answer is
positive.`) has no number, formula or option, and never takes the place of one that has, however it
is marked.

What a model thinks is not what it answers: all up to `</think>` is passed over, and so is all after
a `<think>` that does not end. Where a text runs on to a question of its own (`Question: ...` after
an answer), what follows is another question's.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator
import dataclasses
import re

from tts.answers import clauses
from tts.answers import reading
from tts.answers.reading import MAX_LENGTH

# From the highest rank to the lowest.
RULES = ('box', 'marker', 'tag', 'label', 'sentence', 'bold', 'bare')
# An answer is looked for in so many last characters of a text.
_MAX_TEXT = 1_000_000

_MOST_MATCHES = 100

_THINK_END = re.compile(r'</(?:think|thinking|thought)>', re.IGNORECASE)
_THINK_START = re.compile(r'<(?:think|thinking|thought)>', re.IGNORECASE)
_NEXT_QUESTION = re.compile(
    r'\n[ \t>*#]{0,8}(?:(?:Question|Problem|Exercise|Q)\b[ \t]{0,3}\d{0,4}[*_ \t]{0,4}[:.]'
    r'|(?:User|Human|Student|Assistant)[ \t]{0,2}:'
    r'|(?<=#)[ \t]{0,3}(?:Question|Instruction|Problem)\b)',
    re.IGNORECASE)
_END_OF_TURN = re.compile(r'<\|(?:im_end|endoftext|eot_id|end_of_text|end)\|>|</s>|<end_of_turn>')

_BOX = re.compile(
    r'\\(?:f|frame)?box(?:ed)?\s*\{|\\[{}]|[{}]|\\boxed\s+[^\s{}$\\]{1,40}')
_SAID_IN_BOX = re.compile(r'\\text\s*\{[^{}]*(?:\b(?:is|are)|[:=])\s*\}\s*([^\s].*)', re.DOTALL)
_MARK = re.compile(r'(?<!#)#{4}(?!#)')
_TAG = re.compile(r'<(/?)(?:final_?)?ans(?:wer)?>', re.IGNORECASE)

_LIGHT = r'[ \t>*_`~]{0,12}'  # what Markdown puts around words
_NAME = r'(?:answers?|ans\.?|(?:final[ \t])?result|final[ \t]value)'
_LABEL = re.compile(
    rf'(?<![A-Za-z0-9]){_NAME}["\']?[ \t]{{0,3}}(?:\([^()\n]{{0,40}}\)[ \t]{{0,3}})?{_LIGHT}'
    rf'(?:[:：=]|(?:[-–—→➡])(?=[ \t\ufe0f])){_LIGHT}|\bans\.[ \t](?=\d)'
    rf'|^[^\w\n]{{0,20}}_{{0,3}}(?:(?:the|my|our|your)[ \t]+)?(?:(?:final|correct)[ \t]+)?{_NAME}'
    rf'_{{0,3}}[^\w\n]{{0,20}}$',
    re.IGNORECASE | re.MULTILINE)
_SENTENCE = re.compile(
    r'\b(?:answers?|solutions?|final result|(?:correct|right|best)[ \t](?:option|choice))\b'
    r'[^\n.:=#\\$]{0,40}?\b(?:is|are|was|'
    r'would be|should be|must be|will be|equals|turns out to be|comes (?:out )?to)\b'
    rf'{_LIGHT}[:：=]?{_LIGHT}',
    re.IGNORECASE)
_REVERSED = re.compile(
    r'(?:^|[.!?,]\s|\b(?:so|thus|hence|therefore),?\s)([^\s.,!?][^.,!?\n]{0,60}?)\s(?:(?:is|are)\s'
    r'(?:the|our|my)\s(?:final\s|correct\s)?answers?\b|as\s(?:the|our|my)\s(?:final\s)?answer\b)',
    re.IGNORECASE | re.MULTILINE)
_OPENING = re.compile(
    r'(?:(?:so|thus|hence|therefore|then|and|we (?:get|have|obtain)|this gives|that)\b,?\s+)+',
    re.IGNORECASE)
_HEADING = re.compile(
    r'(?:step|part|case|method|solution|section|example|problem|question|approach|phase|verif|check|'
    r'conclusion|summary|explanation|note|given|find)\w*\b|'
    r'\d{1,2}[.)]\s+[A-Za-z]|.*:$', re.IGNORECASE)
_EDGES = ' \n\t\r*`"\'_~>'
_BARE_LENGTH = 80
_BARE_VALUE = re.compile(r'\d|\\|\$|^\(?[A-J]\)?\.?$')
_NO_VALUE = ('text', 'unread', 'function', 'relation')


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
  """An answer in a text.

  Attributes:
    answer: as it is written there.
    rule: of `RULES`, what marked it.
  """

  answer: str
  rule: str


def find(text: str) -> Found | None:
  """Returns the answer that a text gives, or None.

  An answer stands in `\\boxed{}` or `\\fbox{}`; after `####` on its line, where that is no heading;
  between `<answer>` tags; after a label (`Answer:`, `**Final Answer**`, a heading `## Answer`), on
  its line or on the next; in a sentence (`The answer is 7.`, `7 is the answer.`); or it is a bold
  number in the last line. An unfinished one does not count. A text that is a number, a formula or
  an option and nothing else is its own answer. Linear in the text.
  """
  text = text[-_MAX_TEXT:].replace('\x08oxed', '\\boxed')  # JSON's \b
  if '<' in text:
    text = _END_OF_TURN.split(_answered(text), maxsplit=1)[0]
  if next_question := _NEXT_QUESTION.search(text):
    before = _ranked(text[:next_question.start()])
    if before is not None and clauses.says_something(before.answer):
      return before
  return _ranked(text)


def extract(text: str) -> str | None:
  """Returns the answer that `find` finds, as written, or None."""
  found = find(text)
  return found and found.answer


def gold_answer(text: str) -> str:
  """Returns a gold answer: in `\\boxed{}`, after `####`, or else the whole text."""
  for answers in (_boxed(text), _after_marks(text)):
    for answer in answers:
      return answer
  return text.strip()


def _last(pattern: re.Pattern[str], text: str) -> list[re.Match[str]]:
  """The matches from the last on, as many as are worth looking at."""
  return list(collections.deque(pattern.finditer(text), _MOST_MATCHES))[::-1]


def _answered(text: str) -> str:
  """The part of a text that is no thinking."""
  ends = list(_THINK_END.finditer(text))
  if ends:
    text = text[ends[-1].end():]
  if start := _THINK_START.search(text):
    text = text[:start.start()]
  return text


def _ranked(text: str) -> Found | None:
  remark = None
  rules = _boxed, _marked, _tagged, _labelled, _said, _bold, _bare
  for rule, answers in zip(RULES, rules):
    for answer in answers(text):
      if rule == 'box' or clauses.says_something(answer):
        return Found(answer[:MAX_LENGTH + 1], rule)
      remark = remark or Found(answer[:MAX_LENGTH + 1], rule)
  return remark


def _boxed(text: str) -> Iterator[str]:
  """The last box's content."""
  start = text.find('box')
  if start < 0:
    return
  best = None
  open_braces = []  # (is a box, where its content starts)
  for match in _BOX.finditer(text, max(0, start - 6)):
    token = match[0]
    if token == '{' or token.endswith('{') and 'box' in token:
      open_braces.append((token != '{', match.end()))
    elif token == '}':
      is_box, begin = open_braces.pop() if open_braces else (False, 0)
      if is_box and (best is None or begin > best[0]) and text[begin:match.start()].strip():
        best = begin, match.start()
    elif 'box' in token:  # \boxed 7
      best = match.start() + len('\\boxed'), match.end()
  if best is not None:
    if answer := text[best[0] : min(best[1], best[0] + 2 * MAX_LENGTH)].strip(' \n\r'):
      said = _SAID_IN_BOX.fullmatch(answer)
      yield said[1] if said else answer


def _after_marks(text: str) -> Iterator[str]:
  """What follows `####` on its line, from the last on."""
  for match in _last(_MARK, text) if '####' in text else ():
    line = text[match.end() : match.end() + 2 * MAX_LENGTH].partition('\n')[0]
    if answer := line.partition('####')[0].strip():
      yield answer


def _marked(text: str) -> Iterator[str]:
  """The same where no heading is meant: words are one, but in the text's last line."""
  for answer in _after_marks(text):
    plain = answer.strip(_EDGES)
    if reading.MAYBE_NUMBER.fullmatch(plain):
      yield answer
      continue
    if _LABEL.search(plain) or _HEADING.match(plain):
      continue  # `#### Answer: 5` is read as a label
    if said := list(_said(plain)):
      yield said[0]
    elif not _is_heading(plain) or len(plain) <= 40 and text.rstrip().endswith(answer):
      yield answer


def _is_heading(line: str) -> bool:
  """Whether a line is words, with a number among them or not: `3 reasons why`."""
  return len(re.findall(r'[A-Za-z]{2,}', re.sub(r'\\[A-Za-z]+', '', line))) > 3 or (
      not clauses.says_something(line) or reading.read(line).kind == 'text' or (
          re.match(r'(?!USD|Rs)[A-Za-z]{2,}\b.*\d', line) is not None))


def _tagged(text: str) -> Iterator[str]:
  end = None
  for match in _last(_TAG, text):
    if match[1]:
      end = match.start()
    elif end is not None:
      content = text[match.end():end].strip()
      said = next(_labelled(content), None) or next(_said(content), None)
      if said or 0 < len(content) <= MAX_LENGTH:
        yield said or clauses.value(content)
      end = None


def _labelled(text: str) -> Iterator[str]:
  for match in _last(_LABEL, text):
    if answer := clauses.after(text, match.end()):
      yield answer


def _said(text: str) -> Iterator[str]:
  found = [(m.start(), m, None) for m in _last(_SENTENCE, text)]
  found += [(m.start(), m, m[1]) for m in _last(_REVERSED, text)]
  for _, match, given in sorted(found, key=lambda f: f[0], reverse=True):
    answer = clauses.clause(_OPENING.sub('', given, count=1)) if given else (
        clauses.after(text, match.end()))
    # `Our solution is accurate.`: of a solution only a value is said.
    if answer and (clauses.says_something(answer) or not match[0].lower().startswith('solution')):
      yield answer


def _bold(text: str) -> Iterator[str]:
  """The only bold number of the last line that is not empty; the number of a list is none."""
  last = text.rstrip()[-2 * MAX_LENGTH:].rpartition('\n')[2].strip()
  found = [m[1].strip() for m in clauses.BOLD.finditer(last) if re.search(r'\d', m[1])]
  if len(found) == 1 and not (_HEADING.match(found[0]) or (
      last.startswith(f'**{found[0]}') and re.fullmatch(r'\d+[.)]', found[0]))):
    yield clauses.value(found[0].rstrip('.:,'))


def _bare(text: str) -> Iterator[str]:
  """A text that is a value and nothing else."""
  plain = text.strip(_EDGES + '#')
  if len(plain) > MAX_LENGTH or len(plain) > _BARE_LENGTH and not plain.isdigit() or '\n' in plain:
    return
  if not _BARE_VALUE.search(plain):
    return
  value = reading.read(plain)
  formula = plain.startswith(('$', '\\(', '\\[', '\\frac', '\\sqrt')) and value.kind != 'unread'
  if formula or value.kind not in _NO_VALUE and ('=' not in plain or value.name):
    yield plain
