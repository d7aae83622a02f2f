"""GGUF files: a model in one file, mostly quantised, as llama.cpp and its kin read it.

The library `gguf` reads the file and dequantises; what is here keeps a bad file from doing harm.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator
import contextlib
import dataclasses
import functools
import math
import os
import pathlib
from typing import Any

import numpy as np

from tts.types import InputError

SUFFIX = '.gguf'
_MAX_READS = 1 << 22     # of header entries: a vocabulary of 262,144 takes 1.6 million
_CHUNK_VALUES = 1 << 22  # dequantised at a time
_SPLIT = 'split.count'


def is_gguf(path: str | os.PathLike[str]) -> bool:
  """Whether a checkpoint's path is a GGUF file's rather than a folder's."""
  return os.fspath(path).endswith(SUFFIX)


@dataclasses.dataclass(frozen=True)
class Stored:
  """One tensor of the file.

  Attributes:
    kind: name of the type of its values, e.g. `Q4_K`.
    shape: slowest dimension first, as numpy has it; GGUF writes it the other way round.
    offset: of its first byte in the file.
  """

  kind: str
  shape: tuple[int, ...]
  offset: int


@dataclasses.dataclass(frozen=True)
class GgufFile:
  """What the header says, and tensors on demand.

  Attributes:
    path: of the file.
    metadata: key -> number, text, bool or list of these.
    tensors: by the names that they have in the file.
  """

  path: pathlib.Path
  metadata: dict[str, Any]
  tensors: dict[str, Stored]

  def get(self, key: str, kind: type, default: Any = None) -> Any:
    """A value of the metadata, `default` where it is missing.

    Raises:
      InputError: it is of another type than `kind`, or a list.
    """
    value = self.metadata.get(key, default)
    if key in self.metadata and type(value) is not kind:
      raise self._wrong(key, f'one value of type {kind.__name__}')
    return value

  def many(self, key: str, kind: type) -> list[Any]:
    """A list of the metadata, empty where it is missing; InputError where it is something else."""
    value = self.metadata.get(key, [])
    if not isinstance(value, list) or not all(type(member) is kind for member in value):
      raise self._wrong(key, f'a list of type {kind.__name__}')
    return value

  def _wrong(self, key: str, right: str) -> InputError:
    return InputError(f'{self.path}: {key} is {self.metadata[key]!r:.40}, and {right} is '
                      'supported: the file is damaged, or of another kind of model')

  @property
  def quantisation(self) -> str:
    """Its name as files are called by it, e.g. `Q4_K_M`; else the type that most weights have."""
    from gguf import LlamaFileType
    try:
      kind = LlamaFileType(self.get('general.file_type', int, LlamaFileType.GUESSED))
    except ValueError:  # one that is newer than the library
      kind = LlamaFileType.GUESSED
    if kind != LlamaFileType.GUESSED:
      return kind.name.removeprefix('MOSTLY_').removeprefix('ALL_')
    counts = collections.Counter()
    for tensor in self.tensors.values():
      counts[tensor.kind] += math.prod(tensor.shape)
    return max(counts, key=counts.__getitem__, default='F32')

  def read(self, name: str) -> np.ndarray:
    """A tensor, float32, dequantised some rows at a time: no second copy is made.

    Raises:
      InputError: its type is not supported, or the file has become shorter.
    """
    import gguf
    stored = self.tensors[name]
    with _sound(self.path), open(self.path, 'rb') as file:
      kind, width = gguf.GGMLQuantizationType[stored.kind], stored.shape[-1]
      row = gguf.quant_shape_to_byte_shape((width,), kind)[0]
      out = np.empty((math.prod(stored.shape[:-1]), width), np.float32)
      step = max(1, _CHUNK_VALUES // width)
      file.seek(stored.offset)
      for at in range(0, len(out), step):
        rows = out[at:at + step]
        data = np.fromfile(file, np.uint8, len(rows) * row).reshape(len(rows), row)
        try:
          rows[...] = gguf.dequantize(data, kind)
        except NotImplementedError as e:
          raise InputError(
              f'{self.path}: tensor {name} is of type {stored.kind}, which the library gguf does '
              'not dequantise: take another quantisation of the model') from e
    return out.reshape(stored.shape)


def opened(path: str | os.PathLike[str]) -> GgufFile:
  """Reads a file's header; once, however often it is asked for.

  Raises:
    InputError: it cannot be read, is not whole, not GGUF, one part of several, or the library
      `gguf` is missing.
  """
  path = pathlib.Path(path)
  try:
    stat = path.stat()
  except OSError as e:
    raise InputError(f'cannot read {path}: {e.strerror}: give the path of a GGUF file') from e
  return _opened(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=2)
def _opened(path: pathlib.Path, size: int, changed: int) -> GgufFile:
  del size, changed  # of another file under the same name
  try:
    import gguf
  except ImportError as e:
    raise InputError(f'{path} needs the library gguf: pip install -e ".[gguf]"') from e
  with _sound(path):
    reader = _bounded(gguf.GGUFReader)(path)
    metadata = {name: field.contents() for name, field in reader.fields.items()}
    if reader.byte_order != 'I':
      raise ValueError('its byte order is big-endian')
    if not all(name.isprintable() for name in (*metadata, *(t.name for t in reader.tensors))):
      raise ValueError('a name in it is not printable')
    tensors = {t.name: Stored(t.tensor_type.name, tuple(map(int, t.shape[::-1])), t.data_offset)
               for t in reader.tensors}
  found = GgufFile(path, metadata, tensors)
  if found.get(_SPLIT, int, 1) > 1:
    raise InputError(f'{path} is one part of {metadata[_SPLIT]}: join them with llama.cpp\'s '
                     '"llama-gguf-split --merge FIRST_PART OUT.gguf", and give OUT.gguf')
  return found


def _bounded(reader: type) -> type:
  """The library's reader, which goes on beyond the file's end and counts as far as it is told."""

  class Bounded(reader):

    reads = 0

    def _get(self, offset: int, dtype: Any, count: int = 1, *args: Any, **kwargs: Any) -> Any:
      if not self.reads:
        self.data = np.asarray(self.data)  # slices of a memmap take three times as long
      self.reads += 1
      found = super()._get(offset, dtype, count, *args, **kwargs)
      if len(found) != count:
        raise ValueError(f'it ends at byte {len(self.data)}, before it is whole')
      if self.reads > _MAX_READS:
        raise ValueError(f'its header has more than {_MAX_READS} entries')
      return found

  return Bounded


@contextlib.contextmanager
def _sound(path: pathlib.Path) -> Iterator[None]:
  """What the library makes of a bad file, as one line."""
  try:
    with np.errstate(all='ignore'):
      yield
  except InputError:
    raise
  except OSError as e:
    raise InputError(f'cannot read {path}: {e.strerror or e}') from e
  except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as e:
    reason = ' '.join(str(e).split())[:100] or type(e).__name__
    raise InputError(f'{path} is not a whole GGUF file ({reason}): download it again') from e
