"""Makes a workdir of samples that another program drew, so that the report can be made of them.

The independent samples of each question are split: the first ones are scored, the last ones are the
pool that difficulty is estimated from, so that no sample does both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import hashlib
import importlib.metadata
import os
import pathlib
from typing import Any

import tqdm

from tts import model_kinds
from tts.data import samples_file
from tts.data.samples_file import Sample, SamplesFile
from tts.eval.report import votes_file
from tts.eval.storage import columns, equal_answers, find_equal_answers, records
from tts.types import InputError, Strategy

# What verifiers are called here, the main one first.
# Places for others' verifiers: a latent one reads its generator's states, which no file has.
_NAMES = tuple(name for name in model_kinds.verifiers(model_kinds.of_run(None))
               if not model_kinds.of_run(None)[name].latent)
_BLOCK = 2048  # rows of a record file, about
_MARK = 'records/study.json'  # written last: which files, all of them there


@dataclasses.dataclass(frozen=True)
class Source:
  """What is studied, and how; equal ones give equal records.

  Attributes:
    path: the file of samples.
    difficulty: how many of a question's samples its difficulty is estimated from: a share below 1,
      or a number.
    fields: as `samples_file.read` takes them.
    logits: the same.
    params: parameters of models, by `base`, `mid`, `large` or a verifier's name.
    grader: how answers are compared, of `graders.GRADERS`.
    skip_bad: whether lines that cannot be used are left out.
  """

  path: str
  difficulty: float = 0.5
  fields: Mapping[str, str] = dataclasses.field(default_factory=dict)
  logits: tuple[str, ...] = ()
  params: Mapping[str, float] = dataclasses.field(default_factory=dict)
  grader: str = 'exact'
  skip_bad: bool = False

  def config(self) -> dict[str, Any]:
    """What `run.json` says of it: the file by its contents, not by its place."""
    try:
      with open(self.path, 'rb') as f:
        digest = hashlib.file_digest(f, 'sha256').hexdigest()
    except OSError as e:
      raise InputError(f'cannot read --samples={self.path}: {e.strerror}') from e
    name = os.path.basename(self.path)
    fields = {**dataclasses.asdict(self), 'path': name, 'sha256': digest}
    for option in ('grader', 'skip_bad'):  # off, they leave a study of before as it is
      if fields[option] == getattr(Source, option):
        del fields[option]
    return {'name': f'a study of {name}', 'samples': fields}


def open_workdir(source: Source, workdir: str | os.PathLike[str]) -> bool:
  """Whether a workdir holds this very study's records already.

  Raises:
    InputError: it holds something else, or the file cannot be read.
  """
  root = pathlib.Path(workdir)
  if root.exists() and not root.is_dir():
    raise InputError(f'--workdir={workdir} is a file: give a folder')
  config = source.config()
  if not root.exists() or not any(root.iterdir()):
    return False
  run = records.read_json(root / 'run.json') if (root / 'run.json').is_file() else {}
  if not isinstance(run, dict) or (run.get('config') or {}).get('samples') != _plain(
      config['samples']):
    raise InputError(f'--workdir={workdir} is not empty and not the study of this file by these '
                     'flags: give a new folder')
  if not (root / _MARK).is_file():
    return False
  blocks = [root / 'records' / name for name in records.read_json(root / _MARK)]
  if source.grader != 'exact' and not all(
      equal_answers.path(root, b).is_file() for b in blocks
      if 'search' in b.relative_to(root).parts):
    return False
  return all(block.is_file() for block in blocks)


def _plain(value: Any) -> Any:
  """As it comes back from JSON."""
  return {**value, 'logits': list(value['logits'])}


def write(source: Source, workdir: str | os.PathLike[str]) -> list[str]:
  """Reads the file and writes a workdir's records.

  Args:
    source: what is studied.
    workdir: a folder that `open_workdir` accepts; nothing is written where the file has a mistake.

  Returns:
    Lines that say what was used and what was not.

  Raises:
    InputError: a mistake in the file, with its line, or in the flags.
  """
  root = pathlib.Path(workdir)
  found = samples_file.read(source.path, source.fields, source.logits, source.grader,
                            source.skip_bad)
  names = _verifier_names(found, source)
  pools, held, said = _split(found, source)
  said = [*found.said, *said]
  models = _models(source.params, names)
  graded = [q for q in found.questions.values() if q.gold is not None]
  if len(graded) < len(found.questions):
    said.append(f'{len(found.questions) - len(graded):,} of {len(found.questions):,} questions '
                'have no gold answer: they are in votes.jsonl alone')
  for theirs, ours in names.items():
    if theirs != ours:
      said.append(f'verifier {theirs!r} is {ours} in the results')
  config = source.config()
  judges = ', '.join(v if v == ours else f'{v} as {ours}' for v, ours in names.items())
  records.write_json(root / 'run.json', {
      'config': config, 'config_hash': config['samples']['sha256'][:16],
      'versions': {'numpy': importlib.metadata.version('numpy')},
      'device': f'samples from elsewhere, verifiers: {judges or "none"}', 'seeds': [0]})
  records.write_json(root / 'questions.json', {
      name: {'prompt': q.prompt, 'answer': q.gold} for name, q in found.questions.items()})
  for name, meta in models.items():
    records.write_json(root / f'models/{name}/model.json', meta)
  rows = _Rows(found, names)
  settings = [('search', *setting) for setting in pools]
  settings += [('difficulty', 'base', s, by_question) for s, by_question in held]
  total = sum(len(s) for *_, by_question in settings for s in by_question.values())
  written = []
  with tqdm.tqdm(desc='writing', total=total, unit=' samples', delay=5) as bar:
    for stage, model, strategy, by_question in settings:
      prefix = '' if model == 'base' else f'{model}-'
      for number, block in enumerate(_blocks(by_question)):
        name = f'{stage}/{prefix}{strategy.name}/block-{number:05d}.jsonl.gz'
        made = [row for i in block for row in rows.of(stage, model, strategy, i, by_question[i])]
        block = root / 'records' / name
        if stage == 'search':
          equal_answers.write(root, block, find_equal_answers.of_rows(source.grader, made))
        records.write_block(block, made)
        written.append(name)
        bar.update(len(made))
  votes_file.write(root)
  records.write_json(root / _MARK, written)
  return said


def _blocks(by_question: Mapping[str, Sequence[Sample]]) -> Iterator[list[str]]:
  ids = list(by_question)
  size = max(1, _BLOCK // max(len(s) for s in by_question.values()))
  for first in range(0, len(ids), size):
    yield ids[first:first + size]


def _verifier_names(found: SamplesFile, source: Source) -> dict[str, str]:
  """The file's name of each verifier -> ours. The first is the main one."""
  if len(found.verifiers) > len(_NAMES):
    raise InputError(f'{source.path} has scores by {len(found.verifiers)} verifiers, '
                     f'{list(found.verifiers)}: at most {len(_NAMES)} are compared, leave some '
                     'out')
  stepwise = {v for by_question in found.settings.values() for samples in by_question.values()
              for s in samples for v, (steps, _) in s.scores.items() if len(steps) > 1}
  out = dict(zip(found.verifiers[:1], _NAMES))
  out |= {v: v for v in found.verifiers[1:] if v in _NAMES}
  for name in found.verifiers:
    if name not in out:
      order = _NAMES[1:] if name in stepwise else (*_NAMES[2:], _NAMES[1])
      out[name] = next(v for v in order if v not in out.values())
  return out


def _models(params: Mapping[str, float], names: Mapping[str, str]) -> dict[str, dict[str, Any]]:
  """`model.json` of each model whose size is given: with no `arch`, its FLOPs are 2 n a token."""
  known = {m: m for m in samples_file.MODELS} | dict(names)
  out = {}
  for name, value in params.items():
    if name not in known:
      raise InputError(f'--params names {name!r}: choose of {list(known)}')
    ours = known[name]
    kind = 'lm' if ours in samples_file.MODELS else 'orm' if ours.startswith('orm') else 'prm'
    out[ours] = {'kind': kind, 'arch': None, 'params': int(value), 'metrics': {}}
  return out


_Settings = list[tuple[str, Strategy, dict[str, list[Sample]]]]


def _split(found: SamplesFile, source: Source,
           ) -> tuple[_Settings, list[tuple[Strategy, dict[str, list[Sample]]]], list[str]]:
  """(what is scored: model, strategy, samples; the difficulty pool: one or none; what to say)."""
  share = source.difficulty
  pools: _Settings = []
  held, said = [], []
  for (model, strategy), by_question in found.settings.items():
    if strategy.method != 'sample':
      most = 1 if strategy.method == 'greedy' else strategy.num_candidates
      for name, samples in by_question.items():
        if len(samples) > most:
          raise InputError(f'{source.path}, line {samples[most].line}: question {name!r} has '
                           f'{len(samples)} rows of {strategy.name} by {model}, which has {most}: '
                           'give no more')
      if strategy.method != 'greedy' and not all(
          s.scores or s.answer is None for v in by_question.values() for s in v):
        raise InputError(f'{source.path}, line {next(iter(by_question.values()))[0].line}: '
                         f'{strategy.name} needs the scores of the verifier that guided it: give '
                         '"score"')
      pools.append((model, strategy, by_question))
      said.append(f'{model}, {strategy.name}: {len(by_question):,} questions')
      continue
    counts = {name: len(samples) for name, samples in by_question.items()}
    least = min(counts, key=counts.get)
    num = counts[least]
    if (unused := sum(counts.values()) - num * len(counts)):
      more = sum(c > num for c in counts.values())
      said.append(f'{model}: questions have {num} to {max(counts.values())} samples; the first '
                  f'{num} of each are used, {unused:,} of {more:,} questions are not. Question '
                  f'{least!r} has the fewest: more are used without it')
    spent = 0
    if model == 'base':
      spent = int(num * share) if share < 1 else int(share)
      if spent >= num:
        raise InputError(f'--difficulty={share:g} leaves none of the {num} samples of each '
                         'question to be scored: give a share, or a smaller number')
    scored = num - spent
    pools.append((model, Strategy('sample', scored),
                  {name: s[:scored] for name, s in by_question.items()}))
    if spent:
      held.append((Strategy('sample', spent),
                   {name: s[scored:num] for name, s in by_question.items()}))
    said.append(f'{model}: {len(counts):,} questions, {scored} samples of each scored'
                + (f', {spent} others for their difficulty' if spent else ''))
  if not any(model == 'base' and strategy.method == 'sample' for model, strategy, _ in pools):
    raise InputError(f'{source.path} has no independent samples of the model "base": give lines '
                     'without "strategy" and "model"')
  return pools, held, said


class _Rows:
  """Records' rows of samples."""

  def __init__(self, found: SamplesFile, names: Mapping[str, str]):
    self._questions, self._names = found.questions, names

  def of(self, stage: str, model: str, strategy: Strategy, question: str,
         samples: Sequence[Sample]) -> Iterator[dict[str, Any]]:
    """A question's samples in the order of their slots."""
    known = self._questions[question]
    guided = _NAMES[0] if strategy.method not in ('sample', 'greedy') else None
    for slot, s in enumerate(samples):
      text = s.text or ''
      scores = {self._names[name]: values for name, values in s.scores.items()}
      steps, score = scores.pop(_NAMES[0], (None, None))
      yield {
          'split': 'test', 'stream': 'difficulty' if stage == 'difficulty' else 'test',
          'model': model, 'problem_id': question, 'strategy': strategy.method,
          'theta': strategy.theta, 'budget': strategy.budget, 'seed': 0, 'repeat': 0, 'slot': slot,
          **({'weight': s.weight} if s.weight > 1 else {}), 'text': text, 'num_tokens': s.tokens,
          'step_ends': step_ends(text, max([len(v) for v, _ in s.scores.values()], default=1)),
          'step_scores': steps, 'answer': s.answer, 'truncated': s.truncated, 'correct': s.correct,
          'answer_score': score, 'verifier': guided,
          'other_scores': {name: values for name, (values, _) in scores.items()},
          'logprob': s.logprob, 'level': known.level, 'context': [],
          **({'statistics': s.statistics} if s.statistics else {}),
          'counts': self._counts(model, s)}

  def _counts(self, model: str, sample: Sample) -> dict[str, dict[str, int]]:
    """The sample's own tokens alone: of prompts and contexts nothing is known."""
    read = {} if sample.verifier_tokens is None else dict.fromkeys(
        (self._names[name] for name in sample.scores), sample.verifier_tokens)
    spent = {} if sample.tokens is None else {model: sample.tokens}
    return {name: dict.fromkeys(columns.COUNTS, 0) | {'kept': n, 'entered': n}
            for name, n in (spent | read).items()}


def step_ends(text: str, steps: int) -> list[int]:
  """Where each step of a text ends, in characters: its paragraphs or its lines, if there are so
  many; else the text is one step."""
  for mark in ('\n\n', '\n'):
    parts = text.split(mark)
    ends, place = [], 0
    for part in parts:
      place += len(part) + len(mark)
      if part.strip():
        ends.append(min(place, len(text)))
      elif ends:
        ends[-1] = min(place, len(text))
    if len(ends) == steps:
      return ends
  return [len(text)]
