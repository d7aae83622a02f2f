"""Finished solutions read by a verifier: its value at every step's end.

A question is read once, whatever is read after it, and so is a text, however often it was sampled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses
import functools
from typing import Any

import numpy as np

from tts.data.step_format import Reader
from tts.engine.workers import attended
from tts.library.calls import values
from tts.revision import chains
from tts.roles import Roles
from tts.runs import record_rows, verifiers
from tts.runs.blocks import Block
from tts.runs.models_at_work import Workers
from tts.runs.run import Run

# One question's rows, by slot; a block's, by question.
Table = list[list[dict[str, Any]]]


@dataclasses.dataclass(frozen=True)
class _Text:
  """Rows of one question that are the same text after the same prompt."""

  tokens: list[int]      # of the solution, in the verifier's ids
  read: list[int] | None  # per step how many of them it ends at; None where ids are the generator's
  rows: list[dict[str, Any]]


def _texts(question: list[int], rows: list[dict[str, Any]], history: bool, roles: Roles,
           reader: Reader | None) -> dict[tuple[int, ...], list[_Text]]:
  """A question's different texts, by what they are read after."""
  tokens = {row['slot']: row['tokens'] for row in rows}
  found: dict[tuple, _Text] = {}
  by_prompt: dict[tuple[int, ...], list[_Text]] = {}
  for row in rows:
    before = [tokens[slot] for slot in row['context']] if history else []
    prompt = tuple(chains.context(question, before, roles))
    key = prompt, tuple(row['tokens'])
    if key not in found:
      ids, read = (row['tokens'], None) if reader is None else reader.solution(
          row['tokens'], row['step_ends'])
      found[key] = _Text(ids, read, [])
      by_prompt.setdefault(prompt, []).append(found[key])
    found[key].rows.append(row)
  return by_prompt


def scorer(workers: Workers, verifier: str,
           history: bool = False) -> Callable[[list[Block], list[Table]], None]:
  """A function that adds a verifier's scores to the rows of blocks.

  Args:
    workers: of the stage.
    verifier: whose scores they are.
    history: whether it reads what a row was written after, or the question alone.
  """
  run = workers.run
  reader = run.model(verifier).reader
  kind = run.experiment.models.kinds[verifiers.model_of(verifier)]
  # A plugin's value of each step is kept, whatever model it reads.
  stepwise = kind.steps or verifier not in run.experiment.models
  add = functools.partial(_add, name=verifier, main=verifier == run.main, stepwise=stepwise)

  def compute(blocks: list[Block], tables: list[Table]) -> None:
    reading = workers.verifier(verifier)
    table = {id(block): rows for block, rows in zip(blocks, tables)}

    async def score(block: Block, b: int, group: int) -> None:
      question = (block.prompts[b] if reader is None
                  else reader.prompt(block.problems[b].prompt))
      for prompt, texts in _texts(question, table[id(block)][b], history, run.limits.roles,
                                  reader).items():
        found = await values(reading, group, prompt, [text.tokens for text in texts])
        for text, of_text in zip(texts, found):
          add(text, of_text, len(prompt), len(question))

    workers.on_blocks(blocks, score, [reading], max(
        (len(rows) for of_block in tables for rows in of_block), default=1))

  return compute


def layout(run: Run, judges: Sequence[str]) -> list[str]:
  """What a scored pool's fingerprint has beside its verifiers' own: the main one, if not the PRM.

  It has other fields of a row than the rest. Unscored pools do not depend on it.
  """
  return [run.main] if judges and run.main != 'prm' else []


def _add(text: _Text, values_: np.ndarray, prompt: int, question: int, *, name: str, main: bool,
         stepwise: bool) -> None:
  """Adds values float32 [n] to the text's rows. prompt, question: their tokens."""
  own_ids = None
  if text.read is not None:
    own_ids, by_step = len(text.tokens), values_
    ends = text.rows[0]['step_ends']
    values_ = np.zeros(len(text.rows[0]['tokens']), np.float32)
    # Before it has read anything a verifier is undecided, as in a search.
    values_[np.array(ends) - 1] = [by_step[r - 1] if r else 0.5 for r in text.read]
  seen = attended(prompt, len(text.tokens))
  for row in text.rows:
    record_rows.add_scores(row, name, values_, seen, question, first=row['slot'] == 0,
                           context_tokens=prompt if prompt > question else 0, own_ids=own_ids,
                           main=main, stepwise=stepwise)


def judged(run: Run, sample: Callable[[list[Block]], list[Any]],
           table: Callable[[Block, Any], Table],
           scorers: Sequence[Callable[[list[Block], list[Table]], None]],
           ) -> Callable[[list[Block]], list[Callable[[], list[dict[str, Any]]]]]:
  """What a pool's `Work` computes: blocks' samples as rows, with every verifier's scores.

  Args:
    run: whose data say how answers are graded.
    sample: blocks --> what was sampled of each.
    table: a block and that --> its rows, which are not graded.
    scorers: each puts its scores into the rows; see `scorer`.
  """
  def graded(block: Block, rows: Table) -> list[dict[str, Any]]:
    return [row for mine in run.rows.grade(block, rows) for row in mine]

  def compute(group: list[Block]) -> list[Callable[[], list[dict[str, Any]]]]:
    tables = [table(block, found) for block, found in zip(group, sample(group))]
    for add in scorers:
      add(group, tables)
    return [functools.partial(graded, *each) for each in zip(group, tables)]

  return compute
