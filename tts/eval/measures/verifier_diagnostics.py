"""Where a verifier is good and what fools it: by step, by difficulty, under selection, by example.

All of it is about answers of the same question in the independent pools of the reported questions.
"""

from __future__ import annotations

import collections
from collections.abc import Mapping, Set
from typing import Any

import numpy as np

from tts.data.tokenizer import Tokenizer
from tts.eval.measures import answer_choice, statistics
from tts.eval.measures.outcomes import budgets, scores
from tts.eval.policy.difficulty import BINS
from tts.eval.storage import records, runfiles
from tts.eval.storage.runfiles import RunFiles
from tts.eval.storage.samples import Samples
from tts.types import InputError

LAST = 'last'
_FOOLS = 12


def auc_by_step(pool: Samples, name: str, stepwise: bool) -> list[list[Any]]:
  """AUC of each step's values, right against wrong final outcome: [step, auc, ci95, n] each.

  Steps count from 1; a sample is compared at the steps that it has. The entry `last` is each
  sample's last step, whichever that is, and the only one where the verifier is not `stepwise`: it
  scores whole solutions alone. n: questions with both outcomes among those samples.
  """
  values, last = pool.scored(name), scores(pool, name, 'last')
  if values is None or last is None:
    return []
  steps = values.shape[-1] if stepwise else 0
  found = [*((s + 1, values[..., s]) for s in range(steps)), (LAST, last)]
  columns = np.stack([
      statistics.auc_by_question(value, pool.correct, pool.votes & ~np.isnan(value))
      for _, value in found])
  return [[step, *known] for (step, _), known in zip(found, statistics.known_means(columns))
          if known[-1]]


def auc_by_bin(pool: Samples, score: np.ndarray, bins: Mapping[str, int]) -> list[list[Any]]:
  """AUC of final scores [Q, N] by bin: [bin, auc, ci95, n]; n: questions with both outcomes."""
  by_question = statistics.auc_by_question(score, pool.correct, pool.votes)
  bin_ = np.array([bins.get(i, 0) for i in pool.ids])
  columns = np.stack([np.where(bin_ == b, by_question, np.nan) for b in range(1, BINS + 1)])
  return [[b, *known] for b, known in enumerate(statistics.known_means(columns), 1) if known[-1]]


def over_optimisation(run: RunFiles, name: str | None) -> list[list[Any]]:
  """What plain best-of-N chooses as N grows: [N, mean score, accuracy, ci95 of accuracy, n].

  The score is averaged over the tries that have an answer; a try without one is wrong.

  Args:
    run: the files.
    name: a verifier, or None for the summed log-probability.
  """
  pools = run.pools('base')
  out = []
  for size in budgets(max((p.setting.strategy.budget for p in pools), default=0)):
    pool = next(p for p in pools if p.setting.strategy.budget >= size)
    score = pool.logprob if name is None else scores(pool, name, 'last')
    if score is None or np.isnan(score[pool.votes]).any() or not pool.votes.any():
      continue
    answer, value, right = (
        answer_choice.groups(x, size) for x in (pool.answer, score, pool.correct))
    slot = answer_choice.best(answer, value)[:, None]
    some = slot[:, 0] != answer_choice.NOBODY
    at = np.maximum(slot, 0)
    chosen = np.take_along_axis(value, at, axis=1)[some, 0]
    accuracy = (np.take_along_axis(right, at, axis=1)[:, 0] & some).reshape(
        len(pool.ids), -1).mean(axis=1)
    out.append([size, float(chosen.mean()), float(accuracy.mean()),
                statistics.mean_interval(accuracy), len(accuracy)])
  return out


def _worst(pool: Samples, score: np.ndarray) -> list[tuple[int, int, int, float]]:
  """(question, its best wrong slot, its best right slot, margin), the largest margins first."""
  def best(mine):
    at = np.where(mine, score, -np.inf).argmax(axis=1)
    return at, np.take_along_axis(score, at[:, None], axis=1)[:, 0]

  wrong, right = pool.votes & ~pool.correct, pool.votes & pool.correct
  both = wrong.any(axis=1) & right.any(axis=1)
  (wrong_at, wrong_score), (right_at, right_score) = best(wrong), best(right)
  margin = np.where(both, wrong_score - right_score, -np.inf)
  order = np.argsort(-margin, kind='stable')[:_FOOLS]
  return [(int(q), int(wrong_at[q]), int(right_at[q]), float(margin[q]))
          for q in order if both[q]]


def fools(run: RunFiles, pool: Samples, name: str) -> list[dict[str, Any]]:
  """The wrong answers that beat every right one of their question by most.

  Returns:
    Per question `problem_id`, `prompt`, `gold` (None where the run has not written them down),
    `margin`, and the two best answers, `wrong` and `right`, each `slot`, `answer`, `score`, and
    `steps`, [text, score] each; None for what is not known: the text without a tokenizer, the score
    where the verifier reads whole answers.
  """
  score = scores(pool, name, 'last')
  if score is None:
    return []
  worst = _worst(pool, score)
  wanted = {(pool.ids[q], slot) for q, *slots, _ in worst for slot in slots}
  rows = _rows(pool, wanted)
  questions, tokenizer = run.questions(), _tokenizer(run)
  out = []
  for q, wrong, right, margin in worst:
    name_ = pool.ids[q]
    asked = questions.get(name_, {})
    pair = [_answer(rows.get((name_, slot)), pool, name, q, slot, tokenizer)
            for slot in (wrong, right)]
    out.append({'problem_id': name_, 'prompt': asked.get('prompt'), 'gold': asked.get('answer'),
                'margin': margin, 'wrong': pair[0], 'right': pair[1]})
  return out


def _answer(row: Mapping[str, Any] | None, pool: Samples, name: str, question: int, slot: int,
            tokenizer: Tokenizer | None) -> dict[str, Any]:
  values = pool.scored(name)[question, slot]
  values = values[~np.isnan(values)].tolist()
  score = float(scores(pool, name, 'last')[question, slot])
  if row is None:
    return {'slot': slot, 'answer': None, 'score': score, 'steps': []}
  begins = [0, *row['step_ends'][:-1]]
  if row.get('tokens') is None:  # from elsewhere: steps end at characters
    cut = lambda a, b: row['text'][a:b]
  else:
    cut = lambda a, b: tokenizer and tokenizer.decode(row['tokens'][a:b])
  texts = [(text := cut(a, b)) and text.rstrip('\n') for a, b in zip(begins, row['step_ends'])]
  values = ([None] * (len(texts) - len(values)) + values)[-len(texts):]
  return {'slot': slot, 'answer': row['answer'], 'score': score,
          'steps': [[t, v] for t, v in zip(texts, values)]}


def _rows(pool: Samples, wanted: Set[tuple[str, int]]) -> dict[tuple[str, int], dict[str, Any]]:
  """The pool's rows of some (problem, slot); they are read again, since samples keep no tokens."""
  files, how = dict(zip(pool.ids, pool.files)), pool.setting.strategy
  inside = collections.defaultdict(set)
  for name, _ in wanted:
    inside[files[name]].add(name)
  return {(row['problem_id'], row['slot']): row
          for path, names in inside.items() for row in records.of_problems(path, names)
          if (row['problem_id'], row['slot']) in wanted
          and row['strategy'] == how.method and row['budget'] == how.budget}


def _tokenizer(run: RunFiles) -> Tokenizer | None:
  """The run's tokenizer, or None where it is not there any more."""
  try:
    given = run.root / runfiles.GIVEN / 'base'
    return Tokenizer.load(given if run.checkpoint('base') else run.root / 'tokenizer')
  except InputError:
    return None

