"""What was read of a block, kept under `W/cache` in a tenth of the time that reading it takes.

The report is made again and again from the same records. The cache is no part of a run: without
it, or where it is damaged or of another file or program, the records are read.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import pathlib
import zlib
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import numpy as np

from tts.eval.storage import records

_T = TypeVar('_T')
_LEVEL = 1  # zlib: about as large as the records; higher ones save little
_READERS = ('columns.py', 'records.py', 'runfiles.py', 'samples.py', '../answers/*.py')
_Key = tuple[str, int, int]  # program, size and time of the record file


def _encoded(value: Any) -> Any:
  """An array as its dtype and bytes."""
  if isinstance(value, np.ndarray):
    return value.dtype.str, value.tobytes()
  raise NotImplementedError(type(value).__name__)


def _decoded(kind: type, value: Any) -> Any:
  assert kind is np.ndarray
  dtype, data = value
  return np.frombuffer(data, dtype)  # ValueError for objects


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_encoded)


@functools.cache
def _program() -> str:
  """Of the code that reads rows: what another one made of them is not to be taken."""
  here = pathlib.Path(__file__)
  return hashlib.sha256(b''.join(
      path.read_bytes() for name in _READERS
      for path in sorted(here.parent.glob(name)))).hexdigest()


def decoder(kind: Any) -> msgspec.msgpack.Decoder:
  """For values of a type made of dataclasses, arrays [R] and JSON's own."""
  return msgspec.msgpack.Decoder(tuple[_Key, kind], dec_hook=_decoded)


def read(workdir: pathlib.Path, path: pathlib.Path, parse: Callable[[pathlib.Path], _T],
         kept: msgspec.msgpack.Decoder) -> _T:
  """`parse(path)`, or what it gave when the file was as it is now.

  Args:
    workdir: the run's folder.
    path: one of its record files.
    parse: reads it; what it raises is raised.
    kept: `decoder` of what it returns.
  """
  stat = path.stat()
  key = (_program(), stat.st_size, stat.st_mtime_ns)
  place = workdir / 'cache' / path.relative_to(workdir / 'records')
  with contextlib.suppress(OSError, ValueError, zlib.error, msgspec.MsgspecError):
    known, value = kept.decode(zlib.decompress(place.read_bytes()))
    if known == key:
      return value
  value = parse(path)
  with contextlib.suppress(OSError):  # a folder that may only be read
    records.write_bytes(place, zlib.compress(_ENCODER.encode((key, value)), _LEVEL))
  return value
