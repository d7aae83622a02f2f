"""Reads samples that another program drew: JSON lines, in the fields that people's files have.

A line is one sample, or one question with a list of samples. `launch.study --help` says what is
understood. Everything is checked and graded here, before anything is written.
"""

from __future__ import annotations

import collections
from collections.abc import Collection, Iterator, Mapping
import dataclasses
import math
import os
from typing import Any

import tqdm

from tts import answers
from tts.data import jsonl
from tts.data import problems
from tts.types import InputError
from tts.types import Strategy

MODELS = ('base', 'mid', 'large')
METHODS = ('sample', 'greedy', 'beam', 'lookahead')
_MOST = 1 << 16  # candidates: each is a place in an array
UNNAMED = 'prm'  # the verifier of scores that have no name; it is the main one

# Field -> what files call it; of several in one line the first counts.
NAMES = {
    'id': ('problem_id', 'question_id', 'id'),
    'problem': ('problem', 'question', 'prompt'),
    'answer': ('answer', 'gold', 'ground_truth'),
    'prediction': ('prediction', 'text', 'response', 'completion', 'output', 'predictions',
                   'texts', 'responses', 'completions', 'outputs', 'samples', 'choices'),
    'score': ('score', 'reward'),
    'step_scores': ('step_scores',),
    'scores': ('scores', 'rewards'),
    'logprob': ('logprob', 'cumulative_logprob'),
    'tokens': ('tokens', 'num_tokens', 'token_ids', 'completion_tokens'),
    'verifier_tokens': ('verifier_tokens',),
    'truncated': ('truncated',),
    'finish_reason': ('finish_reason',),
    'model': ('model',),
    'level': ('level',),
    'strategy': ('strategy',),
    'budget': ('budget',),
    'beam_width': ('beam_width',),
    'lookahead': ('lookahead',),
}
_PER_SAMPLE = ('score', 'step_scores', 'scores', 'logprob', 'tokens', 'verifier_tokens',
               'truncated', 'finish_reason')


@dataclasses.dataclass(slots=True)
class Question:
  """A question; None for what no line of the file says.

  Attributes:
    prompt: its text.
    gold: the right answer.
    level: external difficulty, 1 to 5.
  """

  prompt: str | None = None
  gold: str | None = None
  level: int | None = None


@dataclasses.dataclass(slots=True)
class Sample:
  """One sample of a question.

  Attributes:
    line: of the file, from 1.
    text: what the model wrote.
    truncated: cut off, so that it has no answer.
    scores: verifier -> (values of the steps, value of the whole), all from 0 to 1.
    logprob: summed, or None.
    tokens: how many, or None.
    verifier_tokens: how many each verifier read, or None.
    answer: the last one in the text, or None.
    correct: None without a gold answer.
  """

  line: int
  text: str
  truncated: bool
  scores: dict[str, tuple[list[float], float]]
  logprob: float | None
  tokens: int | None
  verifier_tokens: int | None
  answer: str | None = None
  correct: bool | None = None


@dataclasses.dataclass(frozen=True)
class SamplesFile:
  """A file's contents.

  Attributes:
    questions: id -> question, in the file's order.
    settings: (model, strategy) -> id -> its samples in the file's order. The budget of independent
      samples is 0 here: how many of them are used is not the file's to say.
    verifiers: names, the main one first.
  """

  questions: dict[str, Question]
  settings: dict[tuple[str, Strategy], dict[str, list[Sample]]]
  verifiers: tuple[str, ...]


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
         logits: Collection[str] = ()) -> SamplesFile:
  """Reads, checks and grades a file.

  Args:
    path: of the file.
    fields: our name of a field -> the file's, where that is none of `NAMES`.
    logits: verifiers whose scores are any number and are mapped by 1 / (1 + exp(-x)).

  Raises:
    InputError: with the file and the line.
  """
  names = NAMES | {ours: (theirs,) for ours, theirs in (fields or {}).items()}
  questions: dict[str, Question] = {}
  settings = collections.defaultdict(lambda: collections.defaultdict(list))
  models: dict[str, str] = {}  # -> where it was first seen
  for where, row in tqdm.tqdm(jsonl.read(path), 'reading', unit=' lines', delay=5):
    jsonl.check_characters(row, where)
    row = _known(row, names)
    line = int(where.rpartition(' ')[2])
    name = _question(row, where, questions)
    model = jsonl.text_field(row, 'model', where) if 'model' in row else 'base'
    models.setdefault(model, where)
    found = settings[model, _strategy(row, where)][name]
    found += [_sample(own, line, where, logits) for own in _expanded(row, where, names)]
  if not questions:
    raise InputError(f'{path} is empty: give one JSON object a line')
  settings = {(_model(model, models), strategy): dict(by_question)
              for (model, strategy), by_question in settings.items()}
  _grade(questions, settings)
  for by_question in settings.values():
    _check_same_fields(path, by_question)
  verifiers = list(dict.fromkeys(v for by_question in settings.values()
                                 for samples in by_question.values()
                                 for s in samples for v in s.scores))
  if unknown := sorted(set(logits) - set(verifiers)):
    raise InputError(f'--logits names {unknown[0]!r}, which scores nothing in {path}: it has '
                     f'{verifiers}')
  verifiers.sort(key=lambda v: v != UNNAMED)
  return SamplesFile(questions, settings, tuple(verifiers))


def _known(row: Mapping[str, Any], names: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
  """The fields of a line by our names; what is null is not there."""
  out = {}
  for ours, theirs in names.items():
    for name in theirs:
      if row.get(name) is not None:
        out[ours] = row[name]
        break
  return out


def _question(row: dict[str, Any], where: str, questions: dict[str, Question]) -> str:
  """A line's question's id; what the line says of it goes into `questions`."""
  text = jsonl.text_field(row, 'problem', where) if 'problem' in row else None
  if 'id' in row:
    name = jsonl.text_field(row, 'id', where)
  elif text is not None:
    name = problems.id_of(text)
  else:
    raise InputError(f'{where}: no "problem_id" and no "problem": give one, or name the file\'s '
                     'own field by --fields=id=NAME')
  known = questions.setdefault(name, Question())
  gold = None
  if 'answer' in row:
    gold = jsonl.gold_field(row, where)
    if not gold:
      raise InputError(f'{where}: the gold answer is empty: leave the field out if it is unknown')
  for field, value in (('prompt', text), ('level', problems.level_of(row.get('level'), where))):
    if value is not None and getattr(known, field) not in (None, value):
      raise InputError(f'{where}: question {name!r} has another {field} than before: give '
                       'different questions different ids')
    setattr(known, field, getattr(known, field) if value is None else value)
  if gold is not None:
    if known.gold is not None and answers.normalize(known.gold) != answers.normalize(gold):
      raise InputError(f'{where}: question {name!r} has the gold answer {gold[:40]!r}, before it '
                       f'was {known.gold[:40]!r}: give one, or different ids')
    known.gold = known.gold or gold
  return name


def _whole(row: Mapping[str, Any], field: str, where: str, least: int,
           most: int = 2**31 - 1) -> int:
  value = row.get(field)
  if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
    raise InputError(f'{where}: field "{field}" is not a whole number from {least} to {most}')
  return value


def _strategy(row: Mapping[str, Any], where: str) -> Strategy:
  method = row.get('strategy', 'sample')
  if method not in METHODS:
    raise InputError(f'{where}: strategy {str(method)[:40]!r} is unknown: choose of {METHODS}')
  if method in ('sample', 'greedy'):
    return Strategy(method, int(method == 'greedy'))
  depth = _whole(row, 'lookahead', where, 1, _MOST) if method == 'lookahead' else None
  found = Strategy(method, _whole(row, 'budget', where, 1, _MOST),
                   _whole(row, 'beam_width', where, 1, _MOST), depth)
  if not found.num_candidates:
    raise InputError(f'{where}: a budget of {found.budget} pays for no candidate at lookahead '
                     f'{depth}: it is candidates x (lookahead + 1)')
  return found


def _model(name: str, models: Mapping[str, str]) -> str:
  if name in MODELS:
    return name
  if len(models) == 1:
    return 'base'  # the only one, whatever it is called
  raise InputError(f'{models[name]}: model {name[:40]!r} is one of several: call them {MODELS}, '
                   'the one that is studied base')


def _expanded(row: dict[str, Any], where: str,
              names: Mapping[str, tuple[str, ...]]) -> Iterator[dict[str, Any]]:
  """The samples of a line, each with its own fields."""
  if 'prediction' not in row:
    raise InputError(f'{where}: no text of a sample: call it "prediction", or name the file\'s own '
                     'field by --fields=prediction=NAME')
  texts = row['prediction']
  if not isinstance(texts, list):
    yield row
    return
  if not texts:
    raise InputError(f'{where}: the list of samples is empty: leave the line out')
  for place, item in enumerate(texts):
    own: dict[str, Any] = {'prediction': item}
    for field in _PER_SAMPLE:
      if field in row and (part := _part(row[field], place, len(texts), field, where)) is not None:
        own[field] = part
    if isinstance(item, dict):  # a server's: its own fields, a chat's text one deeper
      inner = item['message'] if isinstance(item.get('message'), dict) else {}
      own.pop('prediction')
      own |= _known(item, names)
      if 'prediction' not in own and 'content' in inner:
        own['prediction'] = inner['content']
    yield own


def _part(values: Any, place: int, size: int, field: str, where: str) -> Any:
  """A sample's share of a field that has all samples' values; of named ones by name."""
  if isinstance(values, dict):
    return {k: _part(v, place, size, f'{field}.{k}', where) for k, v in values.items()}
  if not isinstance(values, list) or len(values) != size:
    raise InputError(f'{where}: field "{field}" is not a list of {size}, one for each sample')
  return values[place]


def _sample(own: Mapping[str, Any], line: int, where: str, logits: Collection[str]) -> Sample:
  text = jsonl.text_field(own, 'prediction', where)
  reason, cut = own.get('finish_reason'), own.get('truncated', False)
  if not isinstance(cut, bool):
    raise InputError(f'{where}: field "truncated" is not true or false')
  logprob = _number(own['logprob'], 'logprob', where) if 'logprob' in own else None
  tokens = own.get('tokens')
  if isinstance(tokens, list):  # the tokens themselves
    own = {**own, 'tokens': len(tokens)}
  counts = [_whole(own, name, where, 0) if name in own else None
            for name in ('tokens', 'verifier_tokens')]
  return Sample(line, text, cut or reason == 'length', _scores(own, where, logits), logprob,
                *counts)


def _number(value: Any, field: str, where: str) -> float:
  if isinstance(value, (int, float)) and not isinstance(value, bool):
    try:
      number = float(value)
    except OverflowError:
      number = math.inf
    if math.isfinite(number):
      return number
  raise InputError(f'{where}: field "{field}" holds {str(value)[:20]!r}, which is no finite number')


def _scores(own: Mapping[str, Any], where: str,
            logits: Collection[str]) -> dict[str, tuple[list[float], float]]:
  given: dict[str, tuple[str, Any]] = {}  # verifier -> (field, its values)
  for field in ('score', 'step_scores', 'scores'):
    value = own.get(field)
    named = value if isinstance(value, dict) else {UNNAMED: value}
    for name, values in named.items():
      if values is None or values == []:
        continue
      if name in given and field == 'scores':
        raise InputError(f'{where}: two scores by {name!r}: give "score" or "scores"')
      given[name] = field, values
  out = {}
  for name, (field, values) in given.items():
    label = field if name == UNNAMED else f'{field}.{name}'
    steps = [_score(v, label, where, name, logits)
             for v in (values if isinstance(values, list) else [values])]
    out[name] = steps, steps[-1]
  if UNNAMED in out and given[UNNAMED][0] == 'step_scores' and 'score' in own:
    out[UNNAMED] = out[UNNAMED][0], _score(own['score'], 'score', where, UNNAMED, logits)
  return out


def _score(value: Any, label: str, where: str, name: str, logits: Collection[str]) -> float:
  number = _number(value, label, where)
  if name in logits:  # in the form that does not overflow
    return 1 / (1 + math.exp(-number)) if number >= 0 else 1 - 1 / (1 + math.exp(max(number, -700)))
  if not 0 <= number <= 1:
    raise InputError(f'{where}: field "{label}" holds {number:g}, and a vote weighs by numbers '
                     f'from 0 to 1: give probabilities, or --logits={name} for 1/(1+exp(-x))')
  return number


def _grade(questions: Mapping[str, Question],
           settings: Mapping[Any, Mapping[str, list[Sample]]]) -> None:
  total = sum(len(s) for by_question in settings.values() for s in by_question.values())
  with tqdm.tqdm(desc='grading', total=total, unit=' samples', delay=5) as bar:
    for by_question in settings.values():
      for name, samples in by_question.items():
        gold = questions[name].gold
        for sample in samples:
          sample.answer = None if sample.truncated else answers.extract(sample.text)
          if gold is not None:
            sample.correct = sample.answer is not None and answers.is_correct(sample.text, gold)
        bar.update(len(samples))


def _check_same_fields(path: str | os.PathLike[str],
                       by_question: Mapping[str, list[Sample]]) -> None:
  """InputError unless a field is there for all samples of a setting or for none.

  A sample without an answer has no vote and needs no score and no log-probability.
  """
  first: dict[tuple[str, bool], int] = {}  # (field, whether it is there) -> line
  samples = [s for found in by_question.values() for s in found]
  verifiers = set().union(*(s.scores for s in samples))
  for s in samples:
    for field in ('tokens', 'verifier_tokens', *['logprob'] * (s.answer is not None)):
      first.setdefault((field, getattr(s, field) is not None), s.line)
    for name in verifiers if s.answer is not None else ():
      first.setdefault((f'score by {name!r}', name in s.scores), s.line)
  for field, there in first:
    if not there and (field, True) in first:
      raise InputError(f'{path}, line {first[field, False]}: no {field}, which line '
                       f'{first[field, True]} has: give it for every sample, or for none')
