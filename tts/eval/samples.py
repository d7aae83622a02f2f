"""Records as arrays: every sample of one setting, Q questions by N slots.

Selection, metrics and bins work on these; nothing after this file looks at a row.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from tts.data import answers
from tts.eval import records
from tts.types import InputError

NO_ANSWER = -1
COUNTS = ('prompt', 'kept', 'pruned', 'simulated', 'reencoded', 'last', 'entered', 'attended')


@dataclasses.dataclass(frozen=True)
class Setting:
  """What rows have in common: one strategy, at one budget, by one model, for one purpose."""

  stage: str
  stream: str
  model: str
  method: str
  beam_width: int | None
  lookahead: int | None
  budget: int
  repeat: int


@dataclasses.dataclass(frozen=True)
class Samples:
  """Candidates of one setting. A slot without a row is absent: it is truncated nowhere.

  Attributes:
    setting: what the rows have in common.
    ids: problem ids [Q], sorted.
    level: int64 [Q], external difficulty, 0 where there is none.
    present: bool [Q, N], a row was written for this slot.
    answer: int64 [Q, N], equal where answers' normal forms are; NO_ANSWER has no vote.
    truncated: bool [Q, N], ran out of room before an answer.
    correct: bool [Q, N].
    steps: float64 [Q, N, S], verifier value at each step end, NaN past a row's last step.
    answer_score: float64 [Q, N], value at the last step; NaN where there is none.
    orm_score: float64 [Q, N], NaN where there is none.
    logprob: float64 [Q, N], summed over the row's own tokens, natural log.
    length: int64 [Q, N], own tokens.
    counts: per model int64 [Q, N, len(COUNTS)], a row's share of the tokens computed.
    row_seconds: measured seconds per row, or None where no block was timed.
  """

  setting: Setting
  ids: tuple[str, ...]
  level: np.ndarray
  present: np.ndarray
  answer: np.ndarray
  truncated: np.ndarray
  correct: np.ndarray
  steps: np.ndarray
  answer_score: np.ndarray
  orm_score: np.ndarray
  logprob: np.ndarray
  length: np.ndarray
  counts: dict[str, np.ndarray]
  row_seconds: float | None

  @property
  def votes(self) -> np.ndarray:
    """bool [Q, N], the rows that have an answer."""
    return self.answer != NO_ANSWER

  @property
  def seconds(self) -> float | None:
    """Measured seconds per question."""
    if self.row_seconds is None:
      return None
    return self.row_seconds * float(self.present.sum(axis=1).mean())


class _Rows:
  """Columns of one setting while its blocks are read."""

  def __init__(self):
    self.columns = collections.defaultdict(list)
    self.steps = []
    self.counts = collections.defaultdict(dict)  # model -> row number -> counts
    self.timed_rows, self.seconds = 0, 0.0

  def add(self, row: dict[str, Any]) -> None:
    c = self.columns
    c['id'].append(row['problem_id'])
    c['slot'].append(row['slot'])
    c['level'].append(row['level'] or 0)
    c['answer'].append(row['answer'])
    c['truncated'].append(row['truncated'])
    c['correct'].append(row['correct'])
    c['answer_score'].append(_number(row['answer_score']))
    c['orm_score'].append(_number(row['orm_score']))
    c['logprob'].append(row['logprob'])
    c['length'].append(len(row['tokens']))
    for model, counts in row['counts'].items():
      self.counts[model][len(self.steps)] = [counts[name] for name in COUNTS]
    self.steps.append(row['step_scores'] or ())


def numbered(texts: list[str | None]) -> list[int]:
  """Numbers that are equal where the answers' normal forms are; NO_ANSWER for None."""
  forms: dict[str, int] = {}
  numbers: dict[str | None, int] = {None: NO_ANSWER}
  for text in texts:
    if text not in numbers:
      # The grader leaves longer ones unread, and so does a vote.
      form = answers.normalize(text) if len(text) <= answers.MAX_LENGTH else text
      numbers[text] = forms.setdefault(form, len(forms))
  return [numbers[text] for text in texts]


def _number(value: float | None) -> float:
  return np.nan if value is None else value


def _setting(stage: str, row: dict[str, Any]) -> Setting:
  return Setting(stage, row['stream'], row['model'], row['strategy'], row['theta']['beam_width'],
                 row['theta']['lookahead'], row['budget'], row['repeat'])


def _dense(setting: Setting, rows: _Rows) -> Samples | None:
  c = rows.columns
  ids, question = np.unique(np.array(c['id'], dtype=object), return_inverse=True)
  slot = np.array(c['slot'], np.int64)
  size = setting.budget
  if slot.min() < 0 or slot.max() >= size:
    raise InputError(f'records/{setting.stage}: problem {c["id"][int(slot.argmax())]}, slot '
                     f'{slot.max()} of {setting.method} at budget {size}; delete these records; '
                     'the run recomputes them')
  where = question * size + slot
  seen = np.bincount(where, minlength=len(ids) * size)
  if seen.max() > 1:
    twice = divmod(int(seen.argmax()), size)
    raise InputError(f'records/{setting.stage}: {setting.method} at budget {size} has problem '
                     f'{ids[twice[0]]}, slot {twice[1]} twice; delete one of the two blocks')

  def spread(values, fill, dtype):
    out = np.full(len(ids) * size, fill, dtype)
    out[where] = np.array(values, dtype)
    return out.reshape(len(ids), size)

  answer = numbered([None if cut else a for a, cut in zip(c['answer'], c['truncated'])])
  steps = np.full((len(ids) * size, max(map(len, rows.steps))), np.nan)
  lengths = np.array([len(s) for s in rows.steps])
  filled = np.arange(steps.shape[1]) < lengths[:, None]
  steps_by_row = np.full(filled.shape, np.nan)
  steps_by_row[filled] = [v for s in rows.steps for v in s]
  steps[where] = steps_by_row
  counts = {}
  for model, by_row in sorted(rows.counts.items()):
    counts[model] = np.zeros((len(ids) * size, len(COUNTS)), np.int64)
    counts[model][where[list(by_row)]] = list(by_row.values())
    counts[model] = counts[model].reshape(len(ids), size, -1)
  level = np.zeros(len(ids), np.int64)
  level[question] = c['level']
  samples = Samples(
      setting=setting, ids=tuple(ids), level=level, present=(seen > 0).reshape(-1, size),
      answer=spread(answer, NO_ANSWER, np.int64), truncated=spread(c['truncated'], False, bool),
      correct=spread(c['correct'], False, bool),
      steps=steps.reshape(len(ids), size, -1),
      answer_score=spread(c['answer_score'], np.nan, float),
      orm_score=spread(c['orm_score'], np.nan, float),
      logprob=spread(c['logprob'], np.nan, float), length=spread(c['length'], 0, np.int64),
      counts=counts, row_seconds=rows.seconds / rows.timed_rows if rows.timed_rows else None)
  if setting.method in ('sample', 'greedy'):
    # Blocks cut a question's slots too: until the last of them is there it has no pool of N.
    samples = take(samples, np.flatnonzero(samples.present.all(axis=1)))
  return samples if samples.ids else None


def take(samples: Samples, questions: np.ndarray) -> Samples:
  """The same samples for some questions. questions: int64, positions in `ids`, ascending."""
  def pick(value):
    if isinstance(value, np.ndarray):
      return value[questions]
    if isinstance(value, dict):
      return {k: v[questions] for k, v in value.items()}
    return value

  fields = {f.name: pick(getattr(samples, f.name)) for f in dataclasses.fields(samples)}
  fields['ids'] = tuple(samples.ids[q] for q in questions)
  return Samples(**fields)


def bad_row(path: pathlib.Path, error: Exception) -> InputError:
  """What to raise for a block that is JSON but not records."""
  return InputError(f'{path}: a row lacks or misuses a field ({error!r}); delete it; the run '
                    'recomputes it')


def load(workdir: str | os.PathLike[str], stage: str,
         seen: Callable[[str, dict[str, Any]], None] | None = None) -> dict[Setting, Samples]:
  """Every setting that a stage has recorded so far, in a fixed order.

  Questions of which an independent pool lacks samples are left out, and so are those without a
  gold answer.

  Args:
    workdir: the run's folder.
    stage: `search` or `difficulty`.
    seen: called with the stage and every row, those that are left out too.

  Raises:
    InputError: a block is corrupt, lacks a field, or two blocks hold the same sample.
  """
  workdir = pathlib.Path(workdir)
  groups: dict[Setting, _Rows] = collections.defaultdict(_Rows)
  for path in records.blocks(workdir, stage):
    inside = collections.Counter()
    try:
      for row in records.read_block(path):
        if seen is not None:
          seen(stage, row)
        if row['correct'] is None:
          continue
        setting = _setting(stage, row)
        groups[setting].add(row)
        inside[setting] += 1
    except (KeyError, TypeError, AttributeError) as e:
      raise bad_row(path, e) from e
    timing = _timing(workdir, path)
    if timing.exists():
      seconds = records.read_json(timing)['seconds']
      for setting, rows in inside.items():
        groups[setting].timed_rows += rows
        groups[setting].seconds += seconds * rows / inside.total()
  order = lambda s: tuple(-1 if v is None else v for v in dataclasses.astuple(s))
  dense = {s: _dense(s, groups[s]) for s in sorted(groups, key=order)}
  return {s: v for s, v in dense.items() if v is not None}


def _timing(workdir: pathlib.Path, block: pathlib.Path) -> pathlib.Path:
  """The timing file of a record file: the same place under `timings`."""
  place = block.relative_to(workdir / 'records')
  return workdir / 'timings' / place.parent / (block.name.split('.jsonl')[0] + '.json')
