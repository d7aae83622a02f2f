"""MATH as its authors publish it: `<split>/<subject>/<number>.json`, an object a problem.

12,500 small files: they are read by a few threads, since on a shared file system each is a wait.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent import futures
import functools
import os
import pathlib
import re
from typing import Any

from tqdm import tqdm

from tts.data import jsonl
from tts.types import InputError

SPLITS = ('test', 'train')
_THREADS = 16
_LEVEL = re.compile(r'Level (?:[1-5]|\?)')  # a few problems have no level


def find(root: pathlib.Path) -> dict[str, list[str]]:
  """Split --> its files under `root`, by subject and number; {} where nothing is laid out so.

  Raises:
    InputError: a `.json` among them that is not named by a number.
  """
  found: dict[str, list[tuple[str, int, str]]] = {}
  for folder, _, names in os.walk(os.path.abspath(root)):
    *_, split, subject = '', *pathlib.PurePath(folder).parts
    if split not in SPLITS:
      continue
    for name in names:
      stem, kind = os.path.splitext(name)
      if kind != '.json' or name.startswith('.'):
        continue
      path = os.path.join(folder, name)
      if not (stem.isascii() and stem.isdigit()):
        raise InputError(f'{path} is not a problem of MATH, which are named by numbers: move it '
                         'elsewhere')
      found.setdefault(split, []).append((subject, int(stem), path))
  return {split: [path for *_, path in sorted(files)] for split, files in found.items()}


def read(files: Sequence[str]) -> list[bytes]:
  """The files' bytes; a second call for the same files, unchanged, reads nothing.

  Raises:
    InputError: a file that cannot be read.
  """
  try:
    stats = [os.stat(path) for path in files]
  except OSError as e:
    raise InputError(f'cannot read {e.filename}: {e.strerror}') from e
  return _read(tuple((p, s.st_size, s.st_mtime_ns) for p, s in zip(files, stats, strict=True)))


def rows(files: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
  """Yields (file, object) of each, in order.

  The object's `id` is `<split>/<subject>/<number>.json`, which is the `unique_id` of MATH-500.

  Raises:
    InputError: with the file: it is damaged, or lacks a field.
  """
  for path, data in zip(files, read(files), strict=True):
    row = jsonl.parsed(data, path)
    for field in ('problem', 'level', 'solution'):
      if not isinstance(row.get(field), str) or not row[field].strip():
        raise InputError(f'{path}: no text in field "{field}": it is damaged, copy it again')
    if not _LEVEL.fullmatch(row['level']):
      raise InputError(f'{path}: level {row["level"][:40]!r} is not "Level 1" to "Level 5"')
    yield path, row | {'id': '/'.join(pathlib.PurePath(path).parts[-3:])}


@functools.lru_cache(2)
def _read(stamped: tuple[tuple[str, int, int], ...]) -> list[bytes]:
  files = [pathlib.Path(path) for path, *_ in stamped]
  with futures.ThreadPoolExecutor(_THREADS) as pool:
    done = tqdm(pool.map(pathlib.Path.read_bytes, files), desc='reading MATH', total=len(files),
                unit='file', delay=5, leave=False)
    try:
      return list(done)
    except OSError as e:
      raise InputError(f'cannot read {e.filename}: {e.strerror}') from e
