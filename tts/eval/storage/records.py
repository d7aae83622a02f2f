"""Reading and writing a run's files: whole or absent, strict, the same bytes every time.

Numpy-free and JAX-free: every stage writes through here and everything after the search reads
through here. JSON is strict both ways: NaN and infinities are errors, not values.
"""

from __future__ import annotations

import contextlib
import gc
import gzip
import io
import json
import os
import pathlib
import uuid
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from tts.data import files
from tts.types import InputError

_SUFFIXES = ('.jsonl', '.jsonl.gz')
_LEVEL = 5  # gzip: past this, records shrink by a few per cent for twice the time
_DEPTH = 6  # deepest file of a workdir: seeds/<s>/records/<stage>/<strategy>/<block>


def _reject(name: str) -> None:
  raise ValueError(f'{name} is not JSON')


_DECODER = json.JSONDecoder(parse_constant=_reject)
_FAST = msgspec.json.Decoder(dict[str, Any])
_NOT_JSON = (ValueError, RecursionError)  # what either decoder gives


def _plain(value: Any) -> Any:
  """Numpy scalars and arrays as Python's own; anything else is an error."""
  if hasattr(value, 'tolist'):
    return value.tolist()
  raise TypeError(f'{type(value).__name__} is not JSON')


_ENCODER = json.JSONEncoder(allow_nan=False, separators=(',', ':'), default=_plain)
_PRETTY = json.JSONEncoder(allow_nan=False, indent=1, default=_plain)


def _temporary(path: pathlib.Path) -> pathlib.Path:
  """Where `path` is written first: its workdir's `tmp`, or beside it outside a workdir."""
  name = f'{path.name}.{uuid.uuid4().hex}.tmp'
  for folder in list(path.absolute().parents)[:_DEPTH]:
    if (folder / 'run.json').exists():
      return folder / 'tmp' / name
  return path.parent / f'.{name}'


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
  """Puts a file in place whole or not at all, whatever happens meanwhile.

  Args:
    path: the file; its folder is made if need be.
    data: what it is to hold.

  Raises:
    OSError: no space, no permission. The old file, if any, is untouched and no partial one stays.
  """
  path = pathlib.Path(path)
  temporary = _temporary(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary.parent.mkdir(parents=True, exist_ok=True)
  with files.replacing(path, temporary) as f:
    f.write(data)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
  """Writes one strict JSON value, indented. ValueError on NaN or an infinity."""
  write_bytes(path, (_PRETTY.encode(value) + '\n').encode())


def write_block(path: str | os.PathLike[str], rows: Iterable[dict[str, Any]]) -> None:
  """Writes rows as JSON lines, gzipped if the name ends in `.gz`; equal rows give equal bytes.

  Args:
    path: ends in `.jsonl` or `.jsonl.gz`.
    rows: JSON values; numpy scalars and arrays are taken too.

  Raises:
    ValueError: a row holds NaN or an infinity; nothing is written.
    OSError: as `write_bytes`.
  """
  path = pathlib.Path(path)
  data = ''.join(_ENCODER.encode(row) + '\n' for row in rows).encode()
  write_bytes(path, gzipped(data) if path.suffix == '.gz' else data)


def gzipped(data: bytes) -> bytes:
  """Equal data, equal bytes: the header has no time and no name."""
  buffer = io.BytesIO()
  # GzipFile and not gzip.compress, whose header differs between Python versions.
  with gzip.GzipFile('', 'wb', _LEVEL, buffer, mtime=0) as f:
    f.write(data)
  return buffer.getvalue()


_GZIP_HEADER = gzipped(b'')[:10]


def _spoilt(path: pathlib.Path, why: str) -> InputError:
  fix = ('start the run again, which writes it anew' if path.name == 'run.json' else
         'delete it; the run recomputes it')
  return InputError(f'{path}: {why}; {fix}')


def _lines(path: pathlib.Path) -> list[bytes]:
  if not path.is_file():
    raise InputError(f'{path}: no such file; start the run again, which computes it')
  data = path.read_bytes()
  if path.suffix == '.gz':
    if not data:  # which gzip takes for no lines
      raise _spoilt(path, 'an empty file')
    try:
      data = gzip.decompress(data)
    except (EOFError, gzip.BadGzipFile, zlib.error) as e:
      raise _spoilt(path, f'not a whole gzip file ({e})') from e
  return data.split(b'\n')


def check(path: str | os.PathLike[str]) -> None:
  """Reads a block through, without parsing it.

  Raises:
    InputError: it is cut short, or a bit of it is not as it was written (CRC-32 of what it holds).
  """
  path = pathlib.Path(path)
  _lines(path)
  if path.suffix == '.gz':
    with open(path, 'rb') as file:
      # The first bytes are in no checksum.
      if file.read(len(_GZIP_HEADER)) != _GZIP_HEADER:
        raise _spoilt(path, 'not the first bytes that records have')


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
  """No garbage collection inside: it would look through every row so far, again and again."""
  collects = gc.isenabled()
  gc.disable()
  try:
    yield
  finally:
    if collects:
      gc.enable()


def _decoded(lines: list[bytes], decoder: msgspec.json.Decoder) -> list[Any]:
  with uncollected():
    return [decoder.decode(line) for line in lines if line.strip()]


def read_typed(path: str | os.PathLike[str], decoder: msgspec.json.Decoder) -> list[Any]:
  """Rows of one block, of each what a decoder's type has: in half the time of `read_block`.

  Raises:
    InputError: as `read_block`; or a row lacks a field or has another type in it.
  """
  path = pathlib.Path(path)
  try:
    return _decoded(_lines(path), decoder)
  except _NOT_JSON as e:
    read_block(path)  # names the line of what is no JSON
    raise bad_row(path, e) from e


def bad_row(path: pathlib.Path, error: Exception) -> InputError:
  """What to raise for a block that is JSON but not records."""
  return InputError(f'{path}: a row lacks or misuses a field ({error!r}); delete it; the run '
                    'recomputes it')


def read_block(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
  """Rows of one block.

  Raises:
    InputError: the file is missing, cut short or corrupt; the message names file and line.
  """
  path = pathlib.Path(path)
  lines = _lines(path)
  with contextlib.suppress(*_NOT_JSON):
    return _decoded(lines, _FAST)
  rows = []  # `_DECODER` says more about what is wrong
  for number, line in enumerate(lines, start=1):
    if not line.strip():
      continue
    try:
      row = _DECODER.decode(line.decode())
    except _NOT_JSON as e:
      raise _spoilt(path, f'line {number} is not JSON ({e})') from e
    if not isinstance(row, dict):
      raise _spoilt(path, f'line {number} is not a JSON object')
    rows.append(row)
  return rows


def of_problems(path: str | os.PathLike[str], ids: Iterable[str]) -> list[dict[str, Any]]:
  """A sound block's rows of some problems, without parsing the others."""
  ids = set(ids)
  data = b'\n' + b'\n'.join(_lines(pathlib.Path(path))) + b'\n'
  begins = set()
  for name in (json.dumps(i).encode() for i in ids):
    at = data.find(name)
    while at >= 0:
      begins.add(data.rfind(b'\n', 0, at) + 1)
      at = data.find(name, data.find(b'\n', at))
  rows = [_DECODER.decode(data[b:data.find(b'\n', b)].decode()) for b in sorted(begins)]
  return [row for row in rows if row['problem_id'] in ids]


def read_json(path: str | os.PathLike[str]) -> Any:
  """One strict JSON value. InputError if the file is missing or not JSON."""
  path = pathlib.Path(path)
  if not path.is_file():
    raise InputError(f'{path}: no such file; start the run again, which computes it')
  try:
    return _DECODER.decode(path.read_bytes().decode().strip())
  except _NOT_JSON as e:
    raise _spoilt(path, f'not JSON ({e})') from e


def read_object(path: str | os.PathLike[str], *keys: str) -> dict[str, Any]:
  """As `read_json`, of a JSON object that has these keys; InputError if it is another value."""
  value = read_json(path)
  if not isinstance(value, dict) or not value.keys() >= set(keys):
    raise _spoilt(pathlib.Path(path), f'not a JSON object with {", ".join(keys) or "fields"}')
  return value


def blocks(workdir: str | os.PathLike[str], stage: str | None = None,
           strategy: str | None = None) -> list[pathlib.Path]:
  """Record files of a run in a fixed order: by stage, strategy, block name.

  Args:
    workdir: the run's folder.
    stage: `search`, `difficulty`, `labels`, ...; None for all.
    strategy: a `Strategy.name`; None for all.
  """
  root = pathlib.Path(workdir) / 'records'
  found = [p for p in root.glob(f'{stage or "*"}/**/*')
           if p.name.endswith(_SUFFIXES) and p.is_file()]
  if strategy is not None:
    found = [p for p in found if p.parent.name == strategy]
  return sorted(found, key=lambda p: p.relative_to(root).parts)


def iterate(workdir: str | os.PathLike[str], stage: str | None = None,
            strategy: str | None = None) -> Iterator[dict[str, Any]]:
  """Rows of `blocks`, a block at a time."""
  for path in blocks(workdir, stage, strategy):
    yield from read_block(path)


def read(workdir: str | os.PathLike[str], stage: str | None = None,
         strategy: str | None = None) -> list[dict[str, Any]]:
  """All rows of `blocks`, in their order; [] where nothing has been written yet."""
  return list(iterate(workdir, stage, strategy))
