"""Cuts cleaned text at what stands outside all brackets."""

from __future__ import annotations

from collections.abc import Iterator
import re

from tts.answers.clean import WORD

_TOKEN = re.compile(r'\\\\|\\begin|\\end|\\(?:lfloor|lceil|langle)|\\(?:rfloor|rceil|rangle)|\\.|.',
                    re.DOTALL)
_OPEN = frozenset(['(', '[', '{', r'\{', r'\begin', r'\lfloor', r'\lceil', r'\langle'])
_CLOSE = frozenset([')', ']', '}', r'\}', r'\end', r'\rfloor', r'\rceil', r'\rangle'])
_OR = re.compile(rf',?\s*{WORD}or(?![A-Za-z])|,?\s(?:or)\s|,?\s*\\(?:lor|vee)(?![A-Za-z])|;')
_AND = re.compile(rf',?\s*{WORD}and(?![A-Za-z])|,?\s(?:and)\s|,?\s*\\(?:land|wedge)(?![A-Za-z])|,'
                  r'|\\\\')


def _walk(text: str) -> Iterator[tuple[re.Match[str], int]]:
  """The tokens, and how many brackets are open behind each."""
  depth = 0
  for match in _TOKEN.finditer(text):
    depth += (match[0] in _OPEN) - (match[0] in _CLOSE)
    yield match, depth


def split(text: str, at: str) -> list[str] | None:
  """The parts between the characters `at` outside brackets; None where brackets do not match."""
  parts, start, depth = [], 0, 0
  for match, depth in _walk(text):
    if depth < 0:
      return None
    if match[0] == at and not depth:
      parts.append(text[start:match.start()])
      start = match.end()
  return None if depth else [*parts, text[start:]]


def depths(text: str) -> list[int]:
  """How many brackets are open at each character."""
  return [depth for match, depth in _walk(text) for _ in match[0]]


def split_words(text: str) -> tuple[list[str], str] | None:
  """(parts, what is between them): of `or`, `and` or a comma; None where there are no two parts.

  `or` and semicolons part first: `x=1, y=2 or x=3, y=4` has two parts.
  """
  depth = None
  for pattern in (_OR, _AND):
    if not pattern.search(text):
      continue
    depth = depth or depths(text)
    parts, words, start = [], set(), 0
    for match in pattern.finditer(text):
      if depth[match.start()] == 0:
        parts.append(text[start:match.start()].strip())
        words.add(re.sub(r'[^a-z]', '', match[0]) or ',')
        start = match.end()
    if parts:
      parts.append(text[start:].strip())
      words = {{'lor': 'or', 'vee': 'or', 'land': 'and', 'wedge': 'and'}.get(w, w) for w in words}
      return parts, next((w for w in ('or', 'and') if w in words), ',')
  return None
