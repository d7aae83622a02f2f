"""Reads samples that another program drew: JSON lines, in the fields that people's files have.

`launch.study --help` says what is understood, `sample_lines` reads one line. Everything is checked
and graded here, before anything is written.
"""

from __future__ import annotations

import collections
from collections.abc import Collection, Mapping
import dataclasses
import itertools
import os

import tqdm

from tts import answers
from tts.answers import grading
from tts.data import jsonl
from tts.data import sample_lines
from tts.data.sample_lines import Line
from tts.data.sample_lines import Question
from tts.data.sample_lines import Sample
from tts.data.sample_scores import UNNAMED
from tts.data.sample_texts import NAMES
from tts.types import InputError
from tts.types import Strategy

MODELS = ('base', 'mid', 'large')
_BATCH = 1 << 13  # samples that are graded together

_BySetting = dict[tuple[str, Strategy], dict[str, list[Sample]]]


@dataclasses.dataclass(frozen=True)
class SamplesFile:
  """A file's contents.

  Attributes:
    questions: id -> question, in the file's order.
    settings: (model, strategy) -> id -> its samples in the file's order. The budget of independent
      samples is 0 here: how many of them are used is not the file's to say.
    verifiers: names, the main one first.
    said: lines about what was missing or left out.
  """

  questions: dict[str, Question]
  settings: _BySetting
  verifiers: tuple[str, ...]
  said: tuple[str, ...] = ()


def parse_fields(text: str | None) -> dict[str, str]:
  """`prediction=output,answer=gold` as a mapping of our fields to the file's.

  Raises:
    InputError: no such field, or not of this form.
  """
  out = {}
  for part in filter(None, (p.strip() for p in (text or '').split(','))):
    ours, equals, theirs = (x.strip() for x in part.partition('='))
    if ours not in NAMES or not equals or not theirs:
      raise InputError(f'--fields has {part!r}: write FIELD=NAME with a FIELD of {list(NAMES)}')
    out[ours] = theirs
  return out


def read(path: str | os.PathLike[str], fields: Mapping[str, str] | None = None,
         logits: Collection[str] = (), grader: str = 'exact',
         skip_bad: bool = False) -> SamplesFile:
  """Reads, checks and grades a file.

  Args:
    path: of the file.
    fields: our name of a field -> the file's, where that is none of `NAMES`.
    logits: verifiers whose scores are any number and are mapped by 1 / (1 + exp(-x)).
    grader: of `graders.GRADERS`.
    skip_bad: leave out lines that cannot be used, and say so.

  Raises:
    InputError: with the file and the line.
  """
  grading.check(grader)
  names = NAMES | {ours: (theirs,) for ours, theirs in (fields or {}).items()}
  bad = jsonl.BadLines(skip_bad)
  questions: dict[str, Question] = {}
  found: _BySetting = collections.defaultdict(lambda: collections.defaultdict(list))
  models: dict[str, str] = {}  # -> where it was first seen
  ways: dict[tuple[str, str, Strategy], str | None] = {}
  repeated = 0
  for where, row in tqdm.tqdm(jsonl.read(path, bad), 'reading', unit=' lines', delay=5):
    with bad.left_out():
      line = sample_lines.parsed(row, where, names, logits)
      _join(line, questions)
      models.setdefault(line.model, where)
      if ways.setdefault((line.name, line.model, line.strategy), line.filter) == line.filter:
        found[line.model, line.strategy][line.name] += line.samples
      else:
        repeated += 1
  said = [f'{repeated:,} lines have samples of lines before once more, as another filter read them '
          'for lm-evaluation-harness: they are left out'] if repeated else []
  if not questions:
    raise InputError('; '.join(bad.said()) or f'{path} is empty: give one JSON object a line')
  settings = {(_model(model, models), strategy): dict(by_question)
              for (model, strategy), by_question in found.items()}
  _grade(questions, settings, grader)
  for by_question in settings.values():
    said += _check_same_fields(path, by_question, bad)
  samples = [s for by_question in settings.values() for of in by_question.values() for s in of]
  if not samples:
    raise InputError('; '.join(bad.said()))
  verifiers = list(dict.fromkeys(v for s in samples for v in s.scores))
  if unknown := sorted(set(logits) - set(verifiers)):
    raise InputError(f'--logits names {unknown[0]!r}, which scores nothing in {path}: it has '
                     f'{verifiers}')
  verifiers.sort(key=lambda v: v != UNNAMED)
  if without := sum(s.text is None for s in samples):
    said.append(f'{without:,} of {len(samples):,} samples have no text, so no answer')
  asked = set().union(*settings.values())
  return SamplesFile({name: q for name, q in questions.items() if name in asked}, settings,
                     tuple(verifiers), (*bad.said(), *said))


def _join(line: Line, questions: dict[str, Question]) -> None:
  """Adds what a line says of its question; InputError, and nothing added, where it disagrees."""
  known, new, name = questions.setdefault(line.name, line.question), line.question, line.name
  if known == new:
    return
  for field in ('prompt', 'level'):
    value = getattr(new, field)
    if value is not None and getattr(known, field) not in (None, value):
      raise InputError(f'{line.where}: question {name!r} has another {field} than before: give '
                       'different questions different ids')
  if None not in (new.gold, known.gold) and known.gold != new.gold and (
      answers.normalize(known.gold) != answers.normalize(new.gold)):
    raise InputError(f'{line.where}: question {name!r} has the gold answer {new.gold[:40]!r}, '
                     f'before it was {known.gold[:40]!r}: give one, or different ids')
  questions[name] = Question(*(getattr(new if getattr(known, field) is None else known, field)
                               for field in ('prompt', 'gold', 'level')))


def _model(name: str, models: Mapping[str, str]) -> str:
  if name in MODELS:
    return name
  if len(models) == 1:
    return 'base'  # the only one, whatever it is called
  raise InputError(f'{models[name]}: model {name[:40]!r} is one of several: call them {MODELS}, '
                   'the one that is studied base')


def _grade(questions: Mapping[str, Question], settings: _BySetting, grader: str) -> None:
  total = sum(len(s) for by_question in settings.values() for s in by_question.values())
  every = ((s, questions[name]) for by_question in settings.values()
           for name, samples in by_question.items() for s in samples)
  with tqdm.tqdm(desc='grading', total=total, unit=' samples', delay=5) as bar:
    while batch := list(itertools.islice(every, _BATCH)):
      for sample, question in batch:
        silent = sample.truncated or sample.text is None
        sample.answer = None if silent else answers.extract(sample.text)
        sample.correct = None if question.gold is None else False
      asked = [(s, q) for s, q in batch if s.answer is not None and q.gold is not None]
      verdicts = grading.are_right(grader, [(s.answer, q.gold) for s, q in asked],
                                   [q.prompt or '' for _, q in asked])
      for (sample, _), verdict in zip(asked, verdicts):
        sample.correct = verdict
      bar.update(len(batch))


def _check_same_fields(path: str | os.PathLike[str], by_question: dict[str, list[Sample]],
                       bad: jsonl.BadLines) -> list[str]:
  """Sees to it that a field is there for all samples of a setting or for none; says what is not.

  A sample without an answer has no vote and needs no score and no log-probability, and nobody may
  have counted its tokens. Of others that lack what others have, the line is bad; where these are
  most of the lines, that is an error whatever becomes of bad lines.
  """
  lines: dict[tuple[str, bool], dict[int, None]] = collections.defaultdict(dict)
  samples = [s for found in by_question.values() for s in found]
  verifiers = set().union(*(s.scores for s in samples))
  statistics = set().union(*(s.statistics or () for s in samples))
  for s in samples:
    if s.answer is not None:
      for field in ('tokens', 'verifier_tokens', 'logprob'):
        lines[field, getattr(s, field) is not None][s.line] = None
      for name in verifiers:
        lines[f'score by {name!r}', name in s.scores][s.line] = None
      for name in statistics:
        lines[f'statistics.{name}', name in (s.statistics or ())][s.line] = None
  left_out: set[int] = set()
  for field in [field for field, there in lines if not there and (field, True) in lines]:
    having, lacking = lines[field, True], [n for n in lines[field, False] if n not in left_out]
    strict = jsonl.BadLines(bad.skip and len(lacking) < len(having))
    for number in lacking:
      with (bad if strict.skip else strict).left_out():
        raise InputError(f'{path}, line {number}: no {field}, which line {next(iter(having))} has: '
                         'give it for every sample, or for none')
    left_out.update(lacking)
  for name in list(by_question) if left_out else ():
    by_question[name] = [s for s in by_question[name] if s.line not in left_out]
    if not by_question[name]:
      del by_question[name]
  samples = [s for found in by_question.values() for s in found]
  uncounted = sum(s.tokens is None for s in samples)
  if not 0 < uncounted < len(samples):
    return []
  for s in samples:
    s.tokens = None
  return [f'{uncounted:,} of {len(samples):,} samples have no number of tokens: costs are in '
          'generations alone']
