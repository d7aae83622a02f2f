"""What sampling, scoring and searching give."""

from __future__ import annotations

import dataclasses
import html
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tts.eval.measures import answer_choice
from tts.eval.report import page, tree_page
from tts.eval.storage import find_equal_answers, records
from tts.eval.storage.samples import NO_ANSWER, numbered
from tts.types import InputError



@dataclasses.dataclass(frozen=True)
class Solution:
  """One solution.

  Attributes:
    text: as it was written.
    answer: the one found in it; None where there is none, or where it was cut off.
    finished: whether it ended by itself, and not at a limit.
    score: the verifier's value at its end, a probability; None without a verifier. Of
      `tts.deepconf`, how confident the model was of its least confident group of tokens.
    step_scores: at each step's end.
    logprob: of the text, summed, natural log at temperature 1; None of a text that was given.
    num_tokens: of the text.
    thinking_tokens: of these, those of the thought with its marks; None of a model that does not
      think, or is not said to.
    forced_tokens: of these, those that budget forcing read into it: they were not drawn.
    weight: particles that it stands for; votes count them. 1 but in a particle filter.
    statistics: of its tokens with `statistics=True`, else None; `token_statistics.joined`.
  """

  text: str
  answer: str | None
  finished: bool
  score: float | None
  step_scores: tuple[float, ...]
  logprob: float | None
  num_tokens: int
  weight: int = 1
  statistics: dict[str, Any] | None = None
  thinking_tokens: int | None = None
  forced_tokens: int = 0


@dataclasses.dataclass(frozen=True)
class Result:
  """What was found for one question. A notebook shows it as a page.

  Attributes:
    question: as it was given.
    answer: what the vote chose, as it is written in the first solution that has it; None without
      any answer.
    solutions: in the order of their slots.
    votes: answer --> what it got: summed weights of its solutions, the largest one for `best_of_n`.
    tokens: that the generator wrote, discarded ones included.
    verifier_tokens: that the verifier read of solutions.
    flops: of both models, from counted tokens; None where a model's architecture is not known.
    tree: of a search, its steps as `tts.eval.report.tree_page` draws them; else None.
  """

  question: str
  answer: str | None
  solutions: tuple[Solution, ...]
  votes: Mapping[str, float]
  tokens: int
  verifier_tokens: int
  flops: int | None
  tree: dict[str, Any] | None = None

  def page(self) -> str:
    """A self-contained HTML page: the search's tree, or the solutions."""
    if self.tree is not None:
      return tree_page.render(self.tree, 'the tree')
    rows = [['' if s.answer is None else s.answer, '' if s.score is None else f'{s.score:.3f}',
             s.num_tokens, s.text.strip()] for s in self.solutions]
    votes = [[answer, f'{value:.3f}'] for answer, value in self.votes.items()]
    return page.document(self.question[:60], '\n'.join(
        [f'<p>{html.escape(self.question)}</p>', page.table(['answer', 'votes'], votes),
         page.table(['answer', 'score', 'tokens', 'solution'], rows)]), '')

  def save(self, path: str | os.PathLike[str]) -> None:
    """Writes the page, whole or not at all."""
    records.write_bytes(pathlib.Path(path), self.page().encode())

  def _repr_html_(self) -> str:
    # A frame, so that the page's styles do not reach into the notebook's.
    return (f'<iframe srcdoc="{html.escape(self.page())}" width="100%" height="480" '
            'style="border:1px solid #ccc"></iframe>')


def voted(solutions: Sequence[Solution], selection: str,
          grader: str) -> tuple[int | None, dict[str, float]]:
  """Which solution a vote answers with, and what every answer got.

  Args:
    solutions: of one question, by slot.
    selection: one of `select.UNSCORED` or `select.SCORED`.
    grader: by which answers are taken for the same.

  Returns:
    (its place, or None without any answer; answer as first written --> votes, the most first).
  """
  known = (*answer_choice.UNSCORED, *answer_choice.SCORED)
  if selection not in known:
    raise InputError(f'selection is {selection!r}: one of {", ".join(known)}')
  answers = [s.answer for s in solutions]
  equal = find_equal_answers.of_rows(grader, [
      {'problem_id': '', 'slot': slot, 'answer': answer, 'truncated': not s.finished}
      for slot, (answer, s) in enumerate(zip(answers, solutions))])
  number = np.array([numbered(answers, equal.of(''))])
  score, logprob = (np.array([[np.nan if x is None else x for x in values]], float)
                    for values in ([s.score for s in solutions], [s.logprob for s in solutions]))
  weight = np.array([[s.weight for s in solutions]])
  if selection in answer_choice.SCORED and np.isnan(score[number != NO_ANSWER]).any():
    raise InputError(f'selection={selection} needs a verifier\'s scores: give verifier=, or '
                     'selection=\'majority\'')
  slot = int(answer_choice.choose(selection, number, score, logprob, weight=weight)[0])
  each = answer_choice.weights(selection, number, score, logprob, weight)[0]
  names: dict[int, str] = {}
  votes: dict[int, float] = {}
  for answer, candidate, value in zip(answers, number[0].tolist(), each.tolist()):
    if answer is not None:
      names.setdefault(candidate, answer)
      old = votes.get(candidate, 0.0)
      votes[candidate] = max(old, value) if selection == 'best_of_n' else old + value
  return (None if slot == answer_choice.NOBODY else slot,
          {names[c]: votes[c] for c in sorted(votes, key=lambda c: -votes[c])})
