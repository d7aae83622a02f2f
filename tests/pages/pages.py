"""README and docs as tests read them: blocks of code, prose, links, headings."""

from __future__ import annotations

import os
import pathlib
import re
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]
_FENCE = re.compile(r'^```(.*?)\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_LINK = re.compile(r'(?<!\\)\[((?:[^\[\]]|!\[[^\]]*\]\([^)]*\))*)\]\(([^()\s]+)\)')
_HEADING = re.compile(r'^(#{1,6}) (.+)$', re.MULTILINE)
_SPAN = re.compile(r'`[^`\n]*`')


class Block(NamedTuple):
  page: str      # its path from the root
  line: int      # of the fence
  language: str
  text: str

  @property
  def where(self) -> str:
    return f'{self.page}:{self.line}'


def name(page: pathlib.Path) -> str:
  return page.relative_to(ROOT).as_posix()


def blocks(*languages: str) -> list[Block]:
  """Blocks of code of all pages, of some languages; of every one where none is named."""
  found = []
  for page in PAGES:
    text = page.read_text('utf-8')
    found += [Block(name(page), text[:m.start()].count('\n') + 1, m[1], m[2])
              for m in _FENCE.finditer(text)]
  return [b for b in found if not languages or b.language in languages]


def without_code(text: str) -> str:
  return _SPAN.sub('', _FENCE.sub('', text))


def spans(text: str) -> list[str]:
  """What stands between backticks within lines."""
  return [span.strip('`') for span in _SPAN.findall(_FENCE.sub('', text))]


def links(text: str) -> list[str]:
  """Targets of links and images."""
  return [target for _, target in _LINK.findall(without_code(text))]


def items(text: str) -> list[str]:
  """First lines of what lists have."""
  return re.findall(r'^(?:- |\d+\. ).*$', _FENCE.sub('', text), re.MULTILINE)


def tables(text: str) -> list[str]:
  """Lines below the heads of tables."""
  return re.findall(r'^\|(?:---\|)+$', _FENCE.sub('', text), re.MULTILINE)


def anchors(text: str) -> set[str]:
  """Names that GitHub gives headings: lower case, blanks as hyphens, no other marks."""
  return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-')
          for _, heading in _HEADING.findall(_FENCE.sub('', text))}


def prose(text: str) -> list[str]:
  """Sentences of a page, without code, tables, pictures and the addresses of links."""
  text = _FENCE.sub('\n\n', text)
  text = re.sub(r'<!--.*?-->|!\[[^\]]*\]\([^)]*\)', '', text, flags=re.DOTALL)
  text = re.sub(r'^\|.*$', '\n', text, flags=re.MULTILINE)
  text = re.sub(r'^#.*$', '\n', text, flags=re.MULTILINE)
  text = _LINK.sub(r'\1', _SPAN.sub('', text))
  parts = re.split(r'\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )', text)
  found = []
  for part in parts:
    part = ' '.join(re.sub(r'[*_]{1,2}', '', part).split())
    found += re.split(r'(?<=[.!?])\s+', re.sub(r'\b(e\.g|i\.e|Fig|et al)\.', r'\1', part))
  return [s for s in found if re.search(r'[A-Za-z]', s)]


def syllables(word: str) -> int:
  """A count by groups of vowels, without a silent e at the end."""
  word = re.sub(r'[^a-z]', '', word.lower())
  short = re.sub(r'(?:[^laeiouy]es|[^aeiouytd]ed|[^laeiouy]e)$', lambda m: m[0][0], word)
  return max(1, len(re.findall(r'[aeiouy]+', short)))


def grade(sentences: list[str]) -> float:
  """The Flesch-Kincaid grade: years of school that reading takes."""
  words = [w for s in sentences for w in re.findall(r"[A-Za-z][A-Za-z'-]*", s)]
  return (0.39 * len(words) / len(sentences)
          + 11.8 * sum(map(syllables, words)) / len(words) - 15.59)


RUN = '/tmp/tts-quickstart'  # of the pages' examples
_ELSEWHERE = ('hf://', 'http://')


def runs_on_a_run(block: Block) -> bool:
  """Whether a block of Python reads a finished run, and nothing else that is not there."""
  return RUN in block.text and not any(x in block.text.replace('or hf://', '') for x in _ELSEWHERE)


def runs_alone(block: Block) -> bool:
  return RUN not in block.text and not any(x in block.text for x in _ELSEWHERE)


def environment() -> dict[str, str]:
  return os.environ | {'PYTHONPATH': str(ROOT), 'JAX_PLATFORMS': 'cpu'}
