"""Finished solutions read by a verifier: its value at every step's end.

A question is read once, whatever is read after it, and so is a text, however often it was sampled.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
import dataclasses
import functools
from typing import Any

import numpy as np

from tts.data.verifier_format import Reader
from tts.engine.engine_models import attended
from tts.library.calls import values
from tts.model_kinds import MAIN
from tts.revision import chains
from tts.roles import Roles
from tts.runs import record_rows, verifiers
from tts.runs.blocks import Block
from tts.runs.models_at_work import PerQuestion, Workers
from tts.runs.record_rows import Rows
from tts.runs.run import Run


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


class Scorer:
  """Adds a verifier's scores to the rows of questions."""

  def __init__(self, workers: Workers, verifier: str, history: bool = False):
    """history: whether it reads what a row was written after, or the question alone."""
    run = workers.run
    kind = run.experiment.models.kinds[verifiers.model_of(verifier)]
    # A plugin's value of each step is kept, whatever model it reads.
    stepwise = kind.steps or verifier not in run.experiment.models
    self._add = functools.partial(_add, name=verifier, main=verifier == run.main, stepwise=stepwise,
                                  latent=verifiers.is_latent(run.experiment, verifier))
    self._reader, self._roles, self._history = run.model(verifier).reader, run.limits.roles, history
    self.reading = workers.verifier(verifier)

  async def score(self, block: Block, b: int, group: int, rows: Rows) -> None:
    """Reads the solutions of a block's question; rows: its own, which get the scores."""
    question = (block.prompts[b] if self._reader is None
                else self._reader.prompt(block.problems[b].prompt))
    texts = _texts(question, rows, self._history, self._roles, self._reader)
    for prompt, of_prompt in texts.items():
      found = await values(self.reading, group, prompt, [text.tokens for text in of_prompt])
      for text, of_text in zip(of_prompt, found):
        self._add(text, of_text, len(prompt), len(question))


def layout(run: Run, judges: Sequence[str]) -> list[str]:
  """What a scored pool's fingerprint has beside its verifiers' own: the main one, if not the PRM.

  It has other fields of a row than the rest. Unscored pools do not depend on it.
  """
  return [run.main] if judges and run.main != MAIN else []


def _add(text: _Text, values_: np.ndarray, prompt: int, question: int, *, name: str, main: bool,
         stepwise: bool, latent: bool) -> None:
  """Adds values float32 [n] to the text's rows. prompt, question: their tokens.

  What a latent verifier read here was there when it was written, and is charged so.
  """
  own_ids = None
  if text.read is not None:
    own_ids, by_step = len(text.tokens), values_
    ends = text.rows[0]['step_ends']
    values_ = np.zeros(len(text.rows[0]['tokens']), np.float32)
    # Before it has read anything a verifier is undecided, as in a search.
    values_[np.array(ends) - 1] = [by_step[r - 1] if r else 0.5 for r in text.read]
  seen = attended(prompt, len(text.tokens))
  for row in text.rows:
    record_rows.put_scores(row, name, values_, main, stepwise)
    if latent:
      record_rows.count_states(row, name)
    else:
      record_rows.count_read(row, name, seen, question, first=row['slot'] == 0,
                             context_tokens=prompt if prompt > question else 0, own_ids=own_ids)


def judged(asked: PerQuestion, rows: Callable[[Block, int, Any], Rows],
           scorers: Sequence[Scorer]) -> PerQuestion:
  """A question's rows, with every verifier's scores; they are to be graded.

  Args:
    asked: what is sampled of a question.
    rows: block, place of the question, and that --> its rows.
    scorers: put their scores into the rows.
  """
  def of(block: Block) -> Callable[[int, int], Coroutine]:
    sample = asked.of(block)

    async def question(b: int, group: int) -> Rows:
      found = rows(block, b, await sample(b, group))
      for scorer in scorers:
        await scorer.score(block, b, group, found)
      return found

    return question

  return PerQuestion(of, [*asked.models, *(scorer.reading for scorer in scorers)], asked.rows)
