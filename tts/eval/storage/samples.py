"""Records as arrays: every sample of one setting, Q questions by N slots.

Selection, metrics and bins work on these; nothing after this file looks at a row.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import operator
import os
import pathlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from tts.eval.storage import columns, equal_answers, parse_cache, records, traces
from tts.eval.storage.columns import Columns, COUNTS as COUNTS
from tts.eval.storage.traces import Traces
from tts.model_kinds import MAIN
from tts.types import InputError, Strategy

NO_ANSWER = -1
# A row's fields that make a `Setting`, beside `theta`.
_common = operator.attrgetter('stream', 'model', 'strategy', 'budget', 'repeat', 'verifier')


@dataclasses.dataclass(frozen=True)
class Setting:
  """What rows have in common: one strategy, at one budget, by one model, for one purpose.

  `verifier` is the one that guided a search, None where nothing was searched. Chains of revisions
  have `chain_length` answers each, one after the other in their question's slots; of a search it
  is how many were in the context of what it wrote.
  """

  stage: str
  stream: str
  model: str
  strategy: Strategy
  repeat: int
  verifier: str | None = None

  @property
  def guided(self) -> bool:
    """Whether a verifier led the search, and did not only judge what was written."""
    return self.verifier is not None


def _setting(stage: str, common: tuple, theta: bytes) -> Setting:
  """Of a row's fields `_common`, and its `theta` as it is written."""
  stream, model, method, budget, repeat, verifier = common
  return Setting(stage, stream, model, columns.strategy(method, budget, theta), repeat, verifier)


def _order(setting: Setting) -> list[tuple[bool, Any]]:
  """What settings are sorted by."""
  s, how = setting, setting.strategy
  values = (s.stage, s.stream, s.model, how.method, how.beam_width, how.lookahead,
            str(how.others), how.budget, s.repeat, s.verifier, how.chain_length)
  return [(v is not None, v) for v in values]


@dataclasses.dataclass(frozen=True, eq=False)  # hashed as the object that it is
class Samples:
  """Candidates of one setting. A slot without a row is absent: it is truncated nowhere.

  Attributes:
    setting: what the rows have in common.
    ids: problem ids [Q], sorted.
    level: int64 [Q], external difficulty, 0 where there is none.
    present: bool [Q, N], a row was written for this slot.
    weight: int64 [Q, N], votes of a row: the particles that it stands for; 1 of all other rows.
    answer: int64 [Q, N], equal where answers' normal forms are; NO_ANSWER has no vote.
    truncated: bool [Q, N], ran out of room before an answer.
    correct: bool [Q, N].
    steps: float64 [Q, N, S], value of the guide, or else of the main verifier, at each step end;
      NaN past a row's last step.
    answer_score: float64 [Q, N], value at the last step; NaN where there is none.
    others: per other verifier float64 [Q, N, S], its values; an outcome verifier has S = 1.
    logprob: float64 [Q, N], summed over the row's own tokens, natural log.
    certainty: float64 [Q, N], self-certainty (arXiv 2502.18581); NaN where it is not known.
    confidence: of each token, or None where no row has it.
    length: int64 [Q, N], own tokens.
    counts: per model int64 [Q, N, len(COUNTS)], a row's share of the tokens computed.
    row_seconds: measured seconds per row, or None where no block was timed.
    files: per question the record file that holds it.
    main: the run's main verifier.
    thinking: by `columns.THINKING` int64 [Q, N], tokens of thoughts, of answers and forced ones;
      empty of a model that does not think.
    equal: id -> pairs of answers that are the same by the grader, though their normal forms differ;
      what a vote takes for one candidate is `grouping.tries`.
  """

  setting: Setting
  ids: tuple[str, ...]
  level: np.ndarray
  present: np.ndarray
  weight: np.ndarray
  answer: np.ndarray
  truncated: np.ndarray
  correct: np.ndarray
  steps: np.ndarray
  answer_score: np.ndarray
  others: dict[str, np.ndarray]
  logprob: np.ndarray
  certainty: np.ndarray
  confidence: Traces | None
  length: np.ndarray
  counts: dict[str, np.ndarray]
  row_seconds: float | None
  files: tuple[pathlib.Path, ...] = ()
  main: str = MAIN
  thinking: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
  equal: Mapping[str, Collection[tuple[int, int]]] = dataclasses.field(default_factory=dict)

  @property
  def guide(self) -> str:
    """The verifier whose values `steps` and `answer_score` are.

    Of a pool the one that has read it and is in no `others`: the main one, or that of before where
    the config has another since.
    """
    read = (v for v in self.counts if v not in self.others and v != self.setting.model)
    return self.setting.verifier or next(read, self.main)

  def scored(self, verifier: str) -> np.ndarray | None:
    """A verifier's values float64 [Q, N, S], or None where it has scored nothing."""
    if verifier != self.guide:
      return self.others.get(verifier)
    return None if np.isnan(self.steps).all() else self.steps

  @property
  def logprob_known(self) -> bool:
    """Whether every row that votes has a log-probability: samples from elsewhere may have none."""
    return not np.isnan(self.logprob[self.votes]).any()

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


def numbered(texts: list[str | None], equal: equal_answers.Pairs = ()) -> list[int]:
  """Numbers of the candidates of a vote: equal ones are the same answer; NO_ANSWER for None.

  Args:
    texts: answers of one question, in the order of their slots.
    equal: normal forms that are the same by the grader, `Verdicts.of`.
  """
  forms: dict[str, int] = {}
  numbers: dict[str | None, int] = {None: NO_ANSWER}
  for text in texts:
    if text not in numbers:
      numbers[text] = forms.setdefault(columns.form(text), len(forms))
  found = [numbers[text] for text in texts]
  pairs = _places(equal, forms)
  return equal_answers.grouped(np.array([found]), pairs)[0].tolist() if pairs else found


def _places(equal: equal_answers.Pairs, place: Mapping[str, int]) -> list[tuple[int, int]]:
  """Pairs of different forms as numbers, those that there are."""
  return [(place[a], place[b]) for a, b in equal if a != b and a in place and b in place]


def _dense(setting: Setting, c: Columns, files: dict[str, pathlib.Path],
           row_seconds: float | None, main: str,
           tables: Mapping[str, equal_answers.Verdicts]) -> Samples | None:
  ids = sorted(c.id.different)
  place = {name: i for i, name in enumerate(ids)}
  question = np.array([place[name] for name in c.id.different], np.int64)[c.id.which]
  strategy, size = setting.strategy, setting.strategy.num_candidates
  if c.slot.min() < 0 or c.slot.max() >= size:
    raise InputError(f'records/{setting.stage}: problem {ids[question[c.slot.argmax()]]}, slot '
                     f'{c.slot.max()} of {strategy.method} at budget {strategy.budget}; delete '
                     'these records; the run recomputes them')
  where = question * size + c.slot
  seen = np.bincount(where, minlength=len(ids) * size)
  if seen.max() > 1:
    twice = divmod(int(seen.argmax()), size)
    raise InputError(f'records/{setting.stage}: {strategy.method} at budget {strategy.budget} has '
                     f'problem {ids[twice[0]]}, slot {twice[1]} twice; delete one of the two '
                     'blocks')

  def spread(values, fill, dtype):
    values = np.asarray(values, dtype)
    out = np.full((len(ids) * size, *values.shape[1:]), fill, dtype)
    out[where] = values
    return out.reshape(len(ids), size, *values.shape[1:])

  def per_step(numbers):
    return numbers.spread(where, len(ids) * size).reshape(len(ids), size, -1)

  form = [NO_ANSWER if text is None else i for i, text in enumerate(c.answer.different)]
  number = {text: i for i, text in enumerate(c.answer.different)} if tables else {}
  equal = {name: _places(table.of(name), number) for name, table in tables.items()}
  level = np.zeros(len(ids), np.int64)
  level[question] = c.level
  samples = Samples(
      setting=setting, ids=tuple(ids), level=level, present=(seen > 0).reshape(-1, size),
      weight=spread(c.weight, 1, np.int64),
      answer=spread(np.array(form)[c.answer.which], NO_ANSWER, np.int64),
      truncated=spread(c.truncated, False, bool), correct=spread(c.correct, False, bool),
      steps=per_step(c.steps), answer_score=spread(c.answer_score, np.nan, float),
      others={name: per_step(numbers) for name, numbers in c.others.items()},
      logprob=spread(c.logprob, np.nan, float), certainty=spread(c.certainty, np.nan, float),
      confidence=traces.spread(c.confidence.value, c.confidence.length, where, (len(ids), size)),
      length=spread(c.length, 0, np.int64),
      counts={model: spread(values[c.counts.which], 0, np.int64)
              for model, values in columns.counts(c.counts).items()},
      row_seconds=row_seconds, files=tuple(files[i] for i in ids), main=main,
      thinking={name: spread(values, 0, np.int64) for name, values in c.thinking.items()},
      equal={name: pairs for name, pairs in equal.items() if pairs})
  if strategy.method in ('sample', 'greedy', 'chains', 'budget_forcing'):
    # Blocks cut a question's slots too: until the last of them is there it has no pool of N.
    samples = take(samples, np.flatnonzero(samples.present.all(axis=1)))
  return samples if samples.ids else None


def take(samples: Samples, questions: np.ndarray) -> Samples:
  """The same samples for some questions. questions: int64, positions in `ids`, ascending."""
  def pick(value):
    if isinstance(value, np.ndarray):
      return value[questions]
    if isinstance(value, Traces):
      return value.of(questions)
    if isinstance(value, dict):
      return {k: v[questions] for k, v in value.items()}
    return value

  fields = {f.name: pick(getattr(samples, f.name)) for f in dataclasses.fields(samples)
            if f.name != 'equal'}
  for name in ('ids', 'files'):
    fields[name] = tuple(getattr(samples, name)[q] for q in questions)
  fields['equal'] = {name: samples.equal[name] for name in fields['ids'] if name in samples.equal}
  return Samples(**fields)


_Block = tuple[list[tuple[Setting, Columns]], dict[str, Any]]
_BLOCKS = parse_cache.decoder(_Block)


def _parsed(stage: str, path: pathlib.Path) -> _Block:
  """One block's settings as columns, rows without a gold answer left out, and all rows' counts."""
  with records.uncollected():
    rows = records.read_typed(path, columns.ROWS)
    try:
      counts = columns.written(rows)
      inside = collections.defaultdict(list)  # places in `rows`
      for i, row in enumerate(rows):
        if row.correct is not None:
          inside[_common(row), bytes(row.theta)].append(i)
      found = [(_setting(stage, *same), Columns.of([rows[i] for i in at], counts.at(at)))
               for same, at in inside.items()]
      return found, columns.total(counts)
    except columns.ROW_ERRORS as e:
      raise records.bad_row(path, e) from e


def _read(workdir: pathlib.Path, stage: str, path: pathlib.Path) -> _Block:
  return parse_cache.read(workdir, path, functools.partial(_parsed, stage), _BLOCKS)


def load(workdir: str | os.PathLike[str], stage: str,
         seen: Callable[[str, dict[str, Any]], None] | None = None,
         mapped: Callable = map, main: str = MAIN) -> dict[Setting, Samples]:
  """Every setting that a stage has recorded so far, in a fixed order.

  Questions of which an independent pool lacks samples are left out, and so are those without a
  gold answer.

  Args:
    workdir: the run's folder.
    stage: `search`, `difficulty`, `budget_forcing` or `revise`.
    seen: called with the stage and the sum of each block's counts, those of rows that are left out
      too.
    mapped: `map`, or an executor's, to read blocks in several processes.
    main: the run's main verifier, whose scores pools have in fields of their own.

  Raises:
    InputError: a block is corrupt, lacks a field, or two blocks hold the same sample.
  """
  workdir = pathlib.Path(workdir)
  parts: dict[Setting, list[Columns]] = collections.defaultdict(list)
  files: dict[Setting, dict[str, pathlib.Path]] = collections.defaultdict(dict)
  # The table of each question that has answers which are the same.
  tables: dict[Setting, dict[str, equal_answers.Verdicts]] = collections.defaultdict(dict)
  timed: dict[Setting, list[float]] = collections.defaultdict(lambda: [0, 0.0])  # rows, seconds
  paths = records.blocks(workdir, stage)
  for path, (found, total) in zip(paths, mapped(functools.partial(_read, workdir, stage), paths)):
    if seen is not None:
      seen(stage, total)
    table = equal_answers.read(workdir, path)
    for setting, part in found:
      parts[setting].append(part)
      files[setting].update(dict.fromkeys(part.id.different, path))
      if table is not None:
        tables[setting].update({name: table for name in part.id.different if name in table.equal})
    seconds = block_seconds(workdir, path)
    if found and seconds is not None:
      share = seconds / sum(len(part.slot) for _, part in found)
      for setting, part in found:
        timed[setting][0] += len(part.slot)
        timed[setting][1] += share * len(part.slot)
  dense = {s: _dense(s, Columns.joined(parts.pop(s)), files[s],
                     timed[s][1] / timed[s][0] if s in timed else None, main, tables[s])
           for s in sorted(parts, key=_order)}
  return {s: v for s, v in dense.items() if v is not None}


def block_seconds(workdir: pathlib.Path, block: pathlib.Path) -> float | None:
  """Measured seconds of a record file; None where they were not taken."""
  timing = block_timing(workdir, block)
  return None if timing is None else timing['seconds']


def block_timing(workdir: pathlib.Path, block: pathlib.Path) -> dict[str, Any] | None:
  """What is measured of a record file, from the same place under `timings`; None without one."""
  place = block.relative_to(workdir / 'records')
  timing = workdir / 'timings' / place.parent / (block.name.split('.jsonl')[0] + '.json')
  return records.read_object(timing, 'seconds') if timing.exists() else None
