"""Writes files so that a name is either complete or absent."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os
import pathlib
from typing import IO
import uuid

from tts.data import buckets
from tts.types import InputError


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], aside: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
  """Opens a new file `aside` that takes the name `path` once the block ends without error.

  Args:
    path: in a folder that there is.
    aside: on the same file system, a name that nothing else has; an error removes it.

  Raises:
    OSError: no space, no permission. The old file at `path`, if any, is untouched.
  """
  path, aside = pathlib.Path(path), pathlib.Path(aside)
  try:
    with open(aside, 'wb') as file:
      yield file
      file.flush()
      os.fsync(file.fileno())
    os.replace(aside, path)
  except BaseException:
    aside.unlink(missing_ok=True)
    raise
  folder = os.open(path.parent, os.O_RDONLY)
  try:
    os.fsync(folder)  # the rename itself survives a power cut
  finally:
    os.close(folder)


def check_place(path: str | os.PathLike[str]) -> None:
  """Whether a file can be written at `path`, to be asked before hours of work.

  Raises:
    InputError: there is no such folder, or `path` is one, or a device.
  """
  if buckets.is_remote(path):
    return
  path = pathlib.Path(path)
  if not path.parent.is_dir():
    raise InputError(f'cannot write {path}: create the folder {path.parent} first')
  if path.is_dir():
    raise InputError(f'cannot write {path}: it is a folder, give a file name')
  if path.exists() and not path.is_file():
    raise InputError(f'cannot write {path}: it is no file that another could take the place of')


@contextlib.contextmanager
def written_aside(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
  """`replacing` for a file that a user names: until it is whole it lies beside it, hidden.

  One in a bucket (`gs://`) is sent there when it is whole.

  Raises:
    InputError: as `check_place`.
    OSError: as `replacing`.
  """
  check_place(path)
  if buckets.is_remote(path):
    with buckets.written(os.fspath(path)) as file:
      yield file
    return
  path = pathlib.Path(os.path.realpath(path))  # a link stays one
  with replacing(path, path.with_name(f'.{path.name}.{uuid.uuid4().hex}')) as file:
    yield file
