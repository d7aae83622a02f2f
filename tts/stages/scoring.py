"""Verifiers' scores of finished samples.

Samples of a question are often the same text, and most are shorter than the buffer. Each text is
read once, among others of its length. What a sample is charged does not depend on that: a strategy
that draws it alone would have to read it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Callable

import numpy as np

from tts.data.step_format import Reader
from tts.models.transformer import Arch
from tts.revision import chains
from tts.revision.trajectories import MAX_CONTEXT
from tts.roles import Roles
from tts.stages import blocks as blocks_lib
from tts.stages import programs, rows as rows_lib
from tts.stages.blocks import Block
from tts.stages.context import Model, Run
from tts.types import PAD_ID

_TEXTS = 128        # of one call of the program, at most
_SCORES = 40_000_000  # texts times columns squared: what attention holds at a time, per head
_QUARTERS = (2, 3, 4)            # of a solution's buffer; each is a program to compile
_CONTEXTS = (0, 2, MAX_CONTEXT)  # answers before it that there is room for, another for each

# One question's rows, by slot; a block's, by question.
Table = list[list[dict[str, Any]]]


@dataclasses.dataclass(frozen=True)
class _Text:
  """Rows of one question that are the same text after the same prompt."""

  prompt: Sequence[int]  # the question, or with a history all that the answer was written after
  question: int          # tokens of the question
  tokens: list[int]      # of the solution, in the verifier's ids
  read: list[int] | None  # per step how many of them it ends at; None where ids are the generator's
  rows: list[dict[str, Any]]


@functools.cache
def _program(arch: Arch, make: Any, mesh: Any) -> blocks_lib.Program:
  """One program for all verifiers of an architecture that are read alike."""
  return blocks_lib.Program(programs.score_step(arch, make), mesh)


def _texts(block: Block, table: Table, history: bool, roles: Roles,
           reader: Reader | None) -> list[_Text]:
  """A block's different texts, those that need the largest shape first."""
  found: dict[tuple, _Text] = {}
  for b, of_question in enumerate(table):
    question = block.prefix[b, :block.prefix_len[b]].tolist()
    if reader is not None:
      question = reader.prompt(block.problems[b].prompt)
    tokens = {row['slot']: row['tokens'] for row in of_question}
    for row in of_question:
      before = [tokens[slot] for slot in row['context']] if history else []
      prompt = chains.context(question, before, roles)
      key = b, tuple(prompt), tuple(row['tokens'])
      if key not in found:
        ids, read = (row['tokens'], None) if reader is None else reader.solution(
            row['tokens'], row['step_ends'])
        found[key] = _Text(prompt, len(question), ids, read, [])
      found[key].rows.append(row)
  return sorted(found.values(), key=lambda t: -len(t.prompt if history else t.tokens))


def _shapes(prompt: int, longest: int, history: bool) -> list[tuple[int, int]]:
  """(columns before the solution, of the solution) of the programs, the smallest first.

  `prompt` and `longest` are the buffers of a question and of a solution.
  """
  if history:
    return [(prompt + n * (prompt + longest + 1), longest) for n in _CONTEXTS]
  return [(prompt, -(-longest * quarters // 4)) for quarters in _QUARTERS]


def _smallest(shapes: Sequence[tuple[int, int]], texts: Sequence[_Text]) -> tuple[int, int]:
  """The first shape that all texts fit into."""
  prompt, solution = (max(map(len, x)) for x in zip(*((t.prompt, t.tokens) for t in texts)))
  return next(s for s in shapes if prompt <= s[0] and solution <= s[1])


def at_a_time(shapes: Sequence[tuple[int, int]]) -> int:
  """Texts of one call, whichever of the shapes it has."""
  return max(1, min(_TEXTS, _SCORES // sum(shapes[-1])**2))


def _inputs(texts: Sequence[_Text], shape: tuple[int, int], num: int) -> tuple:
  """Arguments of `programs.score_step`: each text is the only candidate of its question."""
  prefix = np.full((num, shape[0]), PAD_ID, np.int32)
  prefix_len = np.ones(num, np.int32)
  tokens = np.full((num, 1, shape[1]), PAD_ID, np.int32)
  lengths = np.zeros((num, 1), np.int32)
  for i, text in enumerate(texts):
    prefix_len[i], lengths[i] = len(text.prompt), len(text.tokens)
    prefix[i, :prefix_len[i]] = text.prompt
    tokens[i, 0, :lengths[i, 0]] = text.tokens
  return prefix, prefix_len, tokens, lengths


def scorer(run: Run, verifier: Model,
           history: bool = False) -> Callable[[list[Block], list[Table]], None]:
  """A function that adds the verifier's scores to the rows of blocks.

  Args:
    run: gives limits and devices.
    verifier: whose scores they are.
    history: whether it reads what a row was written after, or the question alone.
  """
  reader = verifier.reader

  def compute(group: list[Block], tables: list[Table]) -> None:
    sizes = ((group[0].prefix.shape[1], run.limits.max_tokens) if reader is None
             else (reader.prompt_width, reader.past))
    shapes = _shapes(*sizes, history)
    num = at_a_time(shapes)
    calls = []  # a call holds one block's texts: what is computed together is always the same
    for block, table in zip(group, tables):
      texts = _texts(block, table, history, run.limits.roles, reader)
      for now in (texts[i:i + num] for i in range(0, len(texts), num)):
        calls.append((_smallest(shapes, now), now))
    for shape in shapes:
      mine = [texts for s, texts in calls if s == shape]
      for first in range(0, len(mine), run.groups):
        now = mine[first:first + run.groups]
        results = blocks_lib.on_groups(
            _program(verifier.arch, verifier.make, run.mesh), verifier.params,
            [_inputs(texts, shape, num) for texts in now], run.groups)
        for texts, (values, attended) in zip(now, results):
          for i, text in enumerate(texts):
            _add(text, verifier.name, values[i, 0], int(attended[i, 0]), run.main)

  return compute


def layout(run: Run, judges: Sequence[str]) -> list[str]:
  """What a scored pool's fingerprint has beside its verifiers' own: the main one, if not the PRM.

  It has other fields of a row than the rest. Unscored pools do not depend on it.
  """
  return [run.main] if judges and run.main != 'prm' else []


def _add(text: _Text, name: str, values: np.ndarray, attended: int, main: str) -> None:
  own_ids = None
  if text.read is not None:
    own_ids, by_step = len(text.tokens), values
    ends = text.rows[0]['step_ends']
    values = np.zeros(len(text.rows[0]['tokens']), np.float32)
    # Before it has read anything a verifier is undecided, as in a search.
    values[np.array(ends) - 1] = [by_step[r - 1] if r else 0.5 for r in text.read]
  for row in text.rows:
    reread = len(text.prompt) if len(text.prompt) > text.question else 0
    rows_lib.add_scores(row, name, values, attended, text.question, first=row['slot'] == 0,
                        context_tokens=reread, own_ids=own_ids, main=main)


def judged(sample: Callable[[list[Block]], list[Any]], table: Callable[[Block, Any], Table],
           scorers: Sequence[Callable[[list[Block], list[Table]], None]],
           ) -> Callable[[list[Block]], list[list[dict[str, Any]]]]:
  """What a pool's `Work` computes: a block's samples as rows, with every verifier's scores.

  Args:
    sample: blocks --> what was sampled of each.
    table: a block and that --> its rows.
    scorers: each puts its scores into the rows; see `scorer`.
  """
  def compute(group: list[Block]) -> list[list[dict[str, Any]]]:
    tables = [table(block, found) for block, found in zip(group, sample(group))]
    for add in scorers:
      add(group, tables)
    return [[row for of_problem in of_block for row in of_problem] for of_block in tables]

  return compute
