"""A run's finished blocks and what its stages made, as a folder that the same command goes on from.

What follows from these is left out (reports, caches, a benchmark that is drawn), and so are models
that were given. The folder is a workdir itself: a copy of it, on any machine, is gone on with.
"""

from __future__ import annotations

import os
import pathlib
import shutil

from tts.data import files
from tts.types import InputError

_PARTS = ('run.json', 'claims.json', 'claims-revision.json', 'opening.json', 'probe.json',
          'questions.json', 'records', 'timings', 'stages', 'models', 'checkpoints', 'tokenizer',
          'trees')
_SEEDS = 'seeds'


def pack(workdir: str | os.PathLike[str], folder: str | os.PathLike[str],
         largest_model: int) -> tuple[int, list[str]]:
  """Copies into a folder what it has not yet, and removes from it what the run has not any more.

  A run may go on meanwhile: its files are whole or absent, and no file is changed once it is there.

  Args:
    workdir: of the run.
    folder: which is made, or has an older copy.
    largest_model: bytes; a trained model that has more is left out, and trained again elsewhere.

  Returns:
    (bytes that the folder has, models that were left out).

  Raises:
    InputError: the first is no workdir, or the second is something else.
  """
  source, target = pathlib.Path(workdir), pathlib.Path(folder)
  if not (source / 'run.json').is_file():
    raise InputError(f'--workdir={source} holds no run.json: it is not the folder of a run')
  if target.exists() and any(target.iterdir()) and not (target / 'run.json').is_file():
    raise InputError(f'--output={target} has files in it but no run.json: give an empty or a new '
                     'folder')
  large = [f'models/{model.name}' for model in sorted(source.glob('models/*'))
           if _size(model) > largest_model]
  wanted = [path for part in _PARTS for path in _files(source / part)
            if not path.relative_to(source).as_posix().startswith(tuple(f'{m}/' for m in large))]
  names = {path.relative_to(source) for path in wanted}
  for old in [path for part in _PARTS for path in _files(target / part)]:
    if old.relative_to(target) not in names:
      old.unlink()
  for path in wanted:
    _copy(path, target / path.relative_to(source))
  size = sum(path.stat().st_size for part in _PARTS for path in _files(target / part))
  for seed in sorted(source.glob(f'{_SEEDS}/*')):
    more, left_out = pack(seed, target / _SEEDS / seed.name, largest_model)
    size, large = size + more, large + [f'{_SEEDS}/{seed.name}/{name}' for name in left_out]
  return size, large


def _files(path: pathlib.Path) -> list[pathlib.Path]:
  """The file, or those of a folder; none that is being written."""
  if path.is_file():
    return [path]
  return [p for p in sorted(path.rglob('*')) if p.is_file() and not p.name.endswith('.tmp')]


def _size(folder: pathlib.Path) -> int:
  return sum(path.stat().st_size for path in _files(folder))


def _copy(source: pathlib.Path, target: pathlib.Path) -> None:
  """Copies a file unless an equal one is there: same size, not older."""
  if target.is_file():
    a, b = source.stat(), target.stat()
    if a.st_size == b.st_size and a.st_mtime_ns <= b.st_mtime_ns:
      return
  target.parent.mkdir(parents=True, exist_ok=True)
  with open(source, 'rb') as read, files.written_aside(target) as written:
    shutil.copyfileobj(read, written)
