"""`votes.jsonl`: what every strategy answers to each question, where gold answers are lacking."""

from __future__ import annotations

import os
import pathlib
import re
from typing import Any

import numpy as np

from tts.eval.measures import answer_choice
from tts.eval.policy import difficulty
from tts.eval.storage import equal_answers, records
from tts.eval.storage.samples import numbered

_FIELDS = ('slot', 'answer', 'answer_score', 'truncated', 'verifier', 'weight')
_SAMPLES = re.compile(r'sample-n\d+')
_Rows = dict[str, list[dict[str, Any]]]  # by question, in the order of their slots


def write(workdir: str | os.PathLike[str]) -> None:
  """Writes a line a question, in the order of their ids, gold answer or not.

  Its fields: `id`; `answer`, the gold one; what the independent samples choose, `majority`, and
  where a verifier has scored them `best_of_n` and `best_of_n_weighted`; what the base's other
  settings do, under their names (`greedy-n1`, `beam-m4-n16`: the weighted vote of what a search
  ended with); `predicted_bin`, None without a scored difficulty pool. An answer is None where there
  is none.

  Args:
    workdir: of a run, or of a study of samples from elsewhere.
  """
  root = pathlib.Path(workdir)
  asked = records.read_object(root / 'questions.json')
  lines = {name: {'id': name, 'answer': asked[name]['answer']} for name in sorted(asked)}
  found = {name: _rows(root, 'search', name) for name in _settings(root, 'search')}
  pools = [name for name in found if _SAMPLES.fullmatch(name)]
  if pools:  # the one that most questions have; of those the largest
    size = lambda name: len(next(iter(found[name].values()), ()))
    widest = max(pools, key=lambda name: (len(found[name]), size(name)))
    for name, chosen in _votes(found[widest], _equal(root, widest)).items():
      for question, answer in chosen.items():
        lines[question][name] = answer
  for name in sorted(set(found) - set(pools)):
    equal = _equal(root, name)
    for question, rows in found[name].items():
      lines[question][name] = (rows[0]['answer'] if rows[0]['verifier'] is None else
                               answer_choice.best_of_n_weighted_answer(
                                   rows, equal.get(question, ())))
  bins: dict[str, int] = {}
  for name in _settings(root, 'difficulty'):
    bins = _predicted(_rows(root, 'difficulty', name))
  records.write_block(root / 'votes.jsonl', [
      {**line, 'predicted_bin': bins.get(name)} for name, line in lines.items()])


def _settings(root: pathlib.Path, stage: str) -> list[str]:
  """Names of a stage's folders."""
  return list(dict.fromkeys(path.parent.name for path in records.blocks(root, stage)))


def _rows(root: pathlib.Path, stage: str, name: str) -> _Rows:
  found: _Rows = {}
  for row in records.iterate(root, stage, name):
    if row['model'] == 'base':
      found.setdefault(row['problem_id'], []).append(
          {name: row[name] for name in _FIELDS if name in row})
  return {question: sorted(rows, key=lambda row: row['slot']) for question, rows in found.items()}


def _equal(root: pathlib.Path, name: str) -> dict[str, equal_answers.Pairs]:
  """Question -> what of its answers is the same by the grader, in a setting of `search`."""
  tables = [equal_answers.read(root, path) for path in records.blocks(root, 'search', name)]
  return {question: table.of(question) for table in tables if table is not None
          for question in table.equal}


def _score(row: dict[str, Any]) -> float | None:
  """Of a whole answer; 0 where there is no answer, which cannot be right."""
  return 0.0 if row['answer'] is None else row['answer_score']


def _votes(by_question: _Rows,
           equal: dict[str, equal_answers.Pairs]) -> dict[str, dict[str, str | None]]:
  """Strategy -> question -> its answer."""
  pools = list(by_question.values())
  answer = np.array([numbered([row['answer'] for row in rows], equal.get(question, ()))
                     for question, rows in by_question.items()])
  chosen = {'majority': answer_choice.majority(answer)}
  score = np.array([[_score(row) for row in rows] for rows in pools], float)
  if not np.isnan(score).any():
    chosen |= {'best_of_n': answer_choice.best(answer, score),
               'best_of_n_weighted': answer_choice.vote(answer, score)}
  return {name: {question: None if slot == answer_choice.NOBODY else rows[slot]['answer']
                 for slot, (question, rows) in zip(slots.tolist(), by_question.items())}
          for name, slots in chosen.items()}


def _predicted(by_question: _Rows) -> dict[str, int]:
  """Question -> its bin by mean score; {} where the pool has not been scored."""
  score = np.array([[_score(row) for row in rows] for rows in by_question.values()], float)
  if np.isnan(score).any() or not any(row['answer_score'] is not None
                                      for rows in by_question.values() for row in rows):
    return {}
  return difficulty.quintiles(tuple(by_question), score.mean(axis=1))
