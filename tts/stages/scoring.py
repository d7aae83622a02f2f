"""Verifiers' scores of finished samples.

Samples of a question are often the same text, and most are shorter than the buffer. Each text is
read once, among others of its length. What a sample is charged does not depend on that: a strategy
that draws it alone would have to read it.
"""

from __future__ import annotations

import functools
from typing import Any, Callable

import numpy as np

from tts.models.transformer import Arch
from tts.stages import blocks as blocks_lib
from tts.stages import programs, rows as rows_lib
from tts.stages.blocks import Block
from tts.stages.context import Model, Run

_TEXTS = 128        # of one call of the program
_WIDTHS = (2, 3, 4)  # quarters of the buffer; each is a program to compile

# One question's rows, by slot; a block's, by question.
Table = list[list[dict[str, Any]]]


@functools.cache
def _program(arch: Arch, mesh: Any, width: int) -> blocks_lib.Program:
  """One program for all verifiers of a shape. `width` is there because a program has one."""
  del width
  return blocks_lib.Program(programs.score_step(arch), mesh)


def _texts(table: Table) -> list[tuple[int, list[dict[str, Any]]]]:
  """(question, the rows that are one text) of a block, the longest first."""
  found: dict[tuple, list[dict[str, Any]]] = {}
  for b, of_question in enumerate(table):
    for row in of_question:
      found.setdefault((b, *row['tokens']), []).append(row)
  return sorted(((key[0], rows) for key, rows in found.items()), key=lambda t: -_length(t))


def _length(text: tuple[int, list[dict[str, Any]]]) -> int:
  return len(text[1][0]['tokens'])


def _inputs(block: Block, texts: list[tuple[int, list[dict[str, Any]]]], width: int) -> tuple:
  """Arguments of `programs.score_step`: each text is the only candidate of its question."""
  prefix = np.zeros((_TEXTS, block.prefix.shape[1]), np.int32)
  prefix_len = np.ones(_TEXTS, np.int32)
  tokens = np.zeros((_TEXTS, 1, width), np.int32)
  lengths = np.zeros((_TEXTS, 1), np.int32)
  for i, (b, rows) in enumerate(texts):
    prefix[i], prefix_len[i] = block.prefix[b], block.prefix_len[b]
    lengths[i] = len(rows[0]['tokens'])
    tokens[i, 0, :lengths[i, 0]] = rows[0]['tokens']
  return prefix, prefix_len, tokens, lengths


def scorer(run: Run, verifier: Model) -> Callable[[list[Block], list[Table]], None]:
  """A function that adds the verifier's scores to the rows of blocks."""
  widths = [-(-run.limits.max_tokens * quarters // 4) for quarters in _WIDTHS]

  def compute(group: list[Block], tables: list[Table]) -> None:
    calls = []  # a call holds one block's texts: what is computed together is always the same
    for block, table in zip(group, tables):
      texts = _texts(table)
      for first in range(0, len(texts), _TEXTS):
        now = texts[first:first + _TEXTS]
        calls.append((next(w for w in widths if w >= _length(now[0])), block, now))
    for width in widths:
      mine = [(block, texts) for w, block, texts in calls if w == width]
      for first in range(0, len(mine), run.groups):
        now = mine[first:first + run.groups]
        results = blocks_lib.on_groups(
            _program(verifier.arch, run.mesh, width), verifier.params,
            [_inputs(*call, width) for call in now], run.groups)
        for (block, texts), (values, attended) in zip(now, results):
          for i, (b, rows) in enumerate(texts):
            for row in rows:
              rows_lib.add_scores(row, verifier.name, values[i, 0], int(attended[i, 0]),
                                  int(block.prefix_len[b]), first=row['slot'] == 0)

  return compute
