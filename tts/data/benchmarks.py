"""MATH, MATH-500, GSM8K, AIME and AMC from the user's own files, as one TFDS builder.

The files are JSON lines or Parquet, as their publishers give them, or MATH's own folders
(`tts.data.math_folder`). A benchmark's training file is dealt to the splits that train and tune by
a hash of each problem's text, so these are disjoint whatever the order of the file; its test file
is `test`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
import dataclasses
import hashlib
import os
import pathlib
import re
from typing import Any

from absl import logging
import tensorflow_datasets as tfds
from tqdm import tqdm

from tts import answers
from tts.data import family
from tts.data import hub
from tts.data import jsonl
from tts.data import math_folder
from tts.types import InputError
from tts.types import Problem

# Percent of a training file, in this order.
SHARES = (('lm', 45), ('verifier', 30), ('revision', 15), ('validation', 3), ('dev', 7))
COLUMNS = ('problem', 'answer', 'solution', 'level')
_KINDS = ('.jsonl', '.parquet')


@dataclasses.dataclass(eq=False)
class Benchmark(tfds.core.BuilderConfig):
  """Where a benchmark is published, and what its files look like.

  Attributes:
    source: what to download.
    columns: (ours, theirs): the names of `COLUMNS` in its files; what has no entry is not read.
    trains: it has a training file beside the test file; otherwise every file is `test`.
  """

  source: str = ''
  columns: tuple[tuple[str, str], ...] = ()
  trains: bool = False


_MATH = (('problem', 'problem'), ('answer', 'answer'), ('solution', 'solution'), ('level', 'level'))
BENCHMARKS = {b.name: b for b in (
    Benchmark(name='math', trains=True, columns=_MATH,
              source='prm800k/math_splits/{train,test}.jsonl of github.com/openai/prm800k, or '
                     'MATH\'s own train/ and test/ of folders of .json'),
    Benchmark(name='math500', columns=_MATH, source='hf://HuggingFaceH4/MATH-500'),
    Benchmark(name='gsm8k', trains=True, columns=(('problem', 'question'), ('answer', 'answer')),
              source='hf://openai/gsm8k/main'),
    Benchmark(name='aime', source='hf://HuggingFaceH4/aime_2024',
              columns=(('problem', 'problem'), ('answer', 'answer'), ('solution', 'solution'))),
    Benchmark(name='amc', source='hf://AI-MO/aimo-validation-amc',
              columns=(('problem', 'problem'), ('answer', 'answer'))),
)}


class WordProblems(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """Mathematics benchmarks, prepared as ArrayRecord from files that lie in a folder."""

  VERSION = tfds.core.Version('1.0.0')
  BUILDER_CONFIGS = list(BENCHMARKS.values())
  MANUAL_DOWNLOAD_INSTRUCTIONS = (
      'Put {train,test}.jsonl or {train,test}-*.parquet of the benchmark into manual_dir; '
      'a benchmark without a training file: any .jsonl or .parquet files; MATH: its own train/ and '
      'test/ of folders as well.')

  def __init__(self, *, path: str | None = None, columns: tuple[tuple[str, str], ...] = (),
               **kwargs: Any):
    """`path`: the folder or file, in place of `manual_dir`; `columns`: as `DataConfig` has it."""
    self._path, self._columns = path, columns
    super().__init__(file_format='array_record', **kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
        builder=self,
        description=type(self).__doc__,
        disable_shuffling=True,
        features=tfds.features.FeaturesDict(family.FEATURES),
    )

  def _split_generators(self, dl_manager):
    path = self._path or os.fspath(dl_manager.manual_dir)
    splits = parse(self.builder_config.name, path, self._columns)
    return {name: self._generate_examples(name, found) for name, found in splits.items()}

  def _generate_examples(self, split: str, problems: list[Problem]):
    for index, problem in enumerate(tqdm(problems, desc=f'{self.builder_config.name}/{split}',
                                         unit='problem', delay=5, leave=False)):
      yield index, family.row(problem) | {
          'level': problem.level or 0, 'solution': problem.solution or ''}


def load(name: str, path: str | None, columns: tuple[tuple[str, str], ...], split: str,
         root: str, held: Set[str] = frozenset()) -> list[Problem]:
  """Reads one split; prepares all of them where these files have not been prepared.

  Args:
    name: of `BENCHMARKS`.
    path: its folder or file, `hf://` too.
    columns: (ours, theirs) in place of the benchmark's own names.
    split: `test`, and where the benchmark has a training file, those of `SHARES`.
    root: folder of prepared data.
    held: `text_mark` of problems that only `test` may have.

  Raises:
    InputError: no such split or file, or a mistake in a file.
  """
  local = _local(name, path)
  mark = hashlib.sha256(repr(sorted(fingerprint(name, local, columns).items())).encode())
  folder = os.path.join(root, mark.hexdigest()[:12])
  make = lambda: WordProblems(config=name, data_dir=folder, path=local, columns=columns)
  try:
    found = family.read(make, split, folder)
  except KeyError as e:
    raise InputError(
        f'data.family={name} has no split {split!r} in {path}: give data.{split} a file of its own'
    ) from e
  kept = [p for p in found if split == 'test' or text_mark(p.prompt) not in held]
  if len(kept) < len(found):
    logging.info('%s: %d problems of %s left out: data.test has them', name,
                 len(found) - len(kept), split)
  return kept


def parse(name: str, path: str | None,
          columns: tuple[tuple[str, str], ...] = ()) -> dict[str, list[Problem]]:
  """Reads a benchmark's files without preparing them: split --> its problems, in order.

  A split without a problem is absent. Of a problem that a training file repeats, or that is in
  the test file too, the first, or the test file's, is kept. MATH's own test folder is kept whole.

  Raises:
    InputError: as `load`; a problem that is in the test file twice as well.
  """
  files = _files(name, path)
  seen: dict[str, str] = {}  # id --> place
  texts: set[str] = set()
  found: dict[str, list[Problem]] = {}
  dropped = 0
  for part in ('test', 'train'):
    for where, row in _rows(name, files.get(part, [])):
      problem = _problem(name, row, dict(BENCHMARKS[name].columns) | dict(columns), where)
      text = text_mark(problem.prompt)
      if part == 'train' and text in texts:
        dropped += 1
        continue
      if problem.id in seen:
        raise InputError(f'{where}: the problem of {seen[problem.id]} again: remove one')
      seen[problem.id] = where
      texts.add(text)
      found.setdefault('test' if part == 'test' else _share(text), []).append(problem)
  if dropped:
    logging.info('%s: %d training problems left out: in the test file, or repeated', name, dropped)
  return found


def fingerprint(name: str, path: str | None, columns: tuple[tuple[str, str], ...],
                held: Set[str] = frozenset()) -> dict:
  """What the problems depend on: the bytes of the files, not their place.

  And those of `held` that are in a training file.
  """
  digests: dict[str, Any] = {}
  files = _files(name, path)
  for part, found in files.items():
    if _is_folder(found):
      digest = hashlib.sha256()
      for file, data in zip(found, math_folder.read(found), strict=True):
        place = '/'.join(pathlib.PurePath(file).parts[-2:])
        digest.update(f'{place} {len(data)} '.encode() + data)
      digests[part] = digest.hexdigest()[:16]
      continue
    for number, file in enumerate(found):
      with open(file, 'rb') as opened:
        digests[f'{part}-{number}'] = hashlib.file_digest(opened, 'sha256').hexdigest()[:16]
  mark = {'benchmark': name, 'columns': [list(c) for c in columns], 'files': digests}
  if held:
    column = (dict(BENCHMARKS[name].columns) | dict(columns))['problem']
    left_out = held & {text_mark(str(row.get(column)))
                       for _, row in _rows(name, files.get('train', []))}
    mark |= {'left_out': sorted(left_out)} if left_out else {}
  return mark


def text_mark(problem: str) -> str:
  """A hash of a problem's text with its blanks run together."""
  return hashlib.sha256(' '.join(problem.split()).encode('utf-8', 'replace')).hexdigest()[:16]


def check_columns(columns: tuple[tuple[str, str], ...]) -> None:
  """Raises InputError where `data.columns` is not pairs of (ours, theirs)."""
  for pair in columns:
    if len(pair) != 2 or pair[0] not in COLUMNS:
      raise InputError(f'data.columns has {pair!r}: give (one of {", ".join(COLUMNS)}, its name '
                       'in your file)')


def _local(name: str, path: str | None) -> str:
  """`path` on this machine; says what to download where it is not there."""
  source = BENCHMARKS[name].source
  form = ('train.jsonl and test.jsonl, or train-*.parquet and test-*.parquet'
          if BENCHMARKS[name].trains else 'a .jsonl or .parquet file')
  if not path:
    raise InputError(f'data.family={name} needs --config.data.path: a folder with {form}, '
                     f'downloaded from {source}')
  local = hub.local(path, 'dataset')
  if not os.path.exists(local):
    raise InputError(f'data.path: there is no {path}: download {source} to it ({form})')
  return local


def _files(name: str, path: str | None) -> dict[str, list[str]]:
  """`train` and `test` --> their files. A path that is a file is `test`."""
  local = pathlib.Path(_local(name, path))
  if local.is_file():
    if local.suffix not in _KINDS:
      raise InputError(f'data.path: {path} is neither .jsonl nor .parquet')
    return {'test': [str(local)]}
  files = sorted(f for f in local.rglob('*') if f.suffix in _KINDS and f.is_file())
  if not BENCHMARKS[name].trains:
    parts = {'test': files}
  else:
    parts = {part: [f for f in files if re.fullmatch(rf'{part}(?:-\d+-of-\d+)?', f.stem)]
             for part in ('train', 'test')}
  parts = {part: [str(f) for f in found] for part, found in parts.items() if found}
  if not parts and name == 'math':
    parts = math_folder.find(local)
  if not parts:
    wanted = 'train or test' if BENCHMARKS[name].trains else 'any'
    raise InputError(f'data.path: {path} holds no file for {name} ({wanted} .jsonl or .parquet): '
                     f'download {BENCHMARKS[name].source} to it')
  return parts


def _is_folder(files: list[str]) -> bool:
  """Whether these are of MATH's own folders."""
  return files[:1] != [] and files[0].endswith('.json')


def _rows(name: str, files: list[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
  if _is_folder(files):
    yield from math_folder.rows(files)
    return
  for file in files:
    empty = True
    for found in jsonl.read(file) if file.endswith('.jsonl') else _parquet_rows(file):
      empty = False
      yield found
    if empty:
      raise InputError(f'{file} is empty: download it again from {BENCHMARKS[name].source}')


def _parquet_rows(file: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
  import pyarrow  # pylint: disable=g-import-not-at-top
  from pyarrow import parquet  # pylint: disable=g-import-not-at-top

  try:
    with parquet.ParquetFile(file) as opened:
      number = 0
      for batch in opened.iter_batches(batch_size=1000):
        for row in batch.to_pylist():
          number += 1
          yield f'{file}, row {number}', row
  except (pyarrow.ArrowException, OSError) as e:
    reason = str(e).partition('\n')[0]
    raise InputError(f'{file}: not a Parquet file that can be read: {reason}') from e


def _problem(name: str, row: Mapping[str, Any], columns: Mapping[str, str],
             where: str) -> Problem:
  """One row; the gold answer from `answer`, or else from the box of `solution`."""
  for ours in ('problem', 'answer'):
    boxed = ours == 'answer' and 'solution' in columns and columns['solution'] in row
    if columns[ours] not in row and not boxed:
      raise InputError(f'{where}: no column {columns[ours]!r}; it has {sorted(row)[:8]}: '
                       f"--config.data.columns=\"(('{ours}', 'ITS NAME'),)\"")
  text = ' '.join(jsonl.text_field(row, columns['problem'], where).split())
  prompt = jsonl.text_field(row, columns['problem'], where).strip()
  solution = None
  if columns.get('solution') in row and row[columns['solution']] is not None:
    solution = jsonl.text_field(row, columns['solution'], where).strip()
  if columns['answer'] in row:
    answer = jsonl.text_field(row, columns['answer'], where)
    if '####' in answer:
      solution = answer
    gold = answers.gold_answer(answer)
    unmarked = name == 'gsm8k' and '\n' in answer.strip() and gold == answer.strip()
  else:
    boxed = solution or ''
    if '\\boxed' not in boxed:  # as a few of MATH's solutions have it
      boxed = boxed.replace('\\fbox', '\\boxed')
    gold = answers.gold_answer(boxed)
    unmarked = gold == boxed
  if unmarked:
    raise InputError(f'{where}: no answer after #### or in \\boxed{{}}')
  for field, value in (('problem', text), ('answer', gold)):
    if not value:
      raise InputError(f'{where}: column {columns[field]!r} is empty')
  level = re.fullmatch(r'(?:Level )?([1-5])', str(row.get(columns.get('level'))))
  return Problem(
      # Of a file a problem. Other publishers' ids are not read: they are not of the text alone.
      id=row['id'] if where.endswith('.json') else text_mark(text),
      prompt=prompt + '\n',
      answer=gold,
      level=int(level[1]) if level else None,
      solution=solution,
  )


def _share(text: str) -> str:
  """The split of a training problem, by its `text_mark`."""
  place = int(hashlib.sha256(f'share {text}'.encode()).hexdigest()[:8], 16) % 100
  for name, percent in SHARES:
    place -= percent
    if place < 0:
      return name
  raise AssertionError('the shares are 100 percent')
