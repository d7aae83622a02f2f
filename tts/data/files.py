"""Writes files so that a name is either complete or absent."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os
import pathlib
import tempfile
from typing import IO

from tts.types import InputError


@contextlib.contextmanager
def written_aside(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
  """Opens a file that takes the name `path` once the block ends without error.

  Until then it lies beside `path` under a hidden name; an error removes it.

  Raises:
    InputError: there is no such folder, or `path` is one.
  """
  path = pathlib.Path(path)
  if not path.parent.is_dir():
    raise InputError(f'cannot write {path}: create the folder {path.parent} first')
  if path.is_dir():
    raise InputError(f'cannot write {path}: it is a folder, give a file name')
  descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.')
  try:
    with open(descriptor, 'wb') as file:
      yield file
      file.flush()
      os.fsync(file.fileno())
    # mkstemp leaves a file to its owner alone; give it what `open` would.
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(name, 0o666 & ~umask)
    os.replace(name, path)
  except BaseException:
    pathlib.Path(name).unlink(missing_ok=True)
    raise
