"""`gs://` paths: folders of a bucket, worked on as folders of this machine.

Objects of a bucket can be neither renamed nor added to, and libraries want files. So a folder is
copied here, its files are used as any others, and what is new goes back at every point where a
shared disk would let others see it: after a block, a training checkpoint, and where processes wait
for each other. The bucket is the truth: what is here and not there is removed at the start.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures
import contextlib
import fcntl
import functools
import hashlib
import itertools
import os
import pathlib
from typing import Any, IO

from absl import logging
from tqdm import tqdm

from tts.data import gcs
from tts.types import InputError

_OWN = ('data', 'imported', 'tmp')  # of a run: each machine makes these itself
_THREADS = 8
_LARGE = 1 << 20  # bytes from which files are sent side by side

_opened: list[_Folder] = []


def is_remote(path: str | os.PathLike[str]) -> bool:
  return os.fspath(path).startswith(gcs.SCHEME)


@functools.cache
def local(path: str) -> str:
  """Where a `gs://` file or folder lies on this machine; what is new is fetched, once a process.

  Raises:
    InputError: it is not there, cannot be read, or the library is missing.
  """
  bucket, name = gcs.parts(path)
  here = cache_path('read', path)
  with _locked(here, wait=True):
    with gcs.reasons(path):
      blob = gcs.client().bucket(bucket).get_blob(name, retry=gcs.retry())
    if blob is not None:
      file = here / pathlib.PurePosixPath(name).name
      gcs.download(blob, file)
      return str(file)
    folder = _Folder(path, here)
    folder.pull()
    if not folder.known:
      raise InputError(f'{path}: there is nothing of this name in the bucket')
  return str(here)


@contextlib.contextmanager
def opened(path: str) -> Iterator[str]:
  """A folder to work in: `path` itself, or a copy of what a `gs://` folder holds.

  Two processes of one machine have a copy each. What is new goes to the bucket at every `push`, and
  at the end if there was no error.

  Raises:
    InputError: the bucket cannot be read or written, or the library is missing.
  """
  if not is_remote(path):
    yield path
    return
  with contextlib.ExitStack() as stack:
    here = _own_copy(path, stack)
    logging.info('%s: worked on in %s', path, here)
    folder = _Folder(path, here, _OWN)
    folder.pull()
    _opened.append(folder)
    stack.callback(_opened.remove, folder)
    yield str(here)
    folder.push()


@contextlib.contextmanager
def written(path: str) -> Iterator[IO[bytes]]:
  """Opens a new `gs://` file, which is there, whole, once the block ends without error."""
  bucket, name = gcs.parts(path)
  here = cache_path('write', f'{path} {os.getpid()}')
  here.parent.mkdir(parents=True, exist_ok=True)
  try:
    with open(here, 'wb') as file:
      yield file
    with gcs.reasons(path):
      gcs.client().bucket(bucket).blob(name).upload_from_filename(here, retry=gcs.retry())
  finally:
    here.unlink(missing_ok=True)


def push() -> None:
  """Sends what is new here; nothing where no folder of a bucket is open."""
  for folder in _opened:
    folder.push()


def pull() -> None:
  """Fetches what is new there."""
  for folder in _opened:
    folder.pull()


class _Folder:
  """A folder of a bucket and its copy.

  `known` has the files that are the same in both: the copy's size and time of change, and the
  object's generation, which is None until they have been compared.
  """

  def __init__(self, path: str, here: pathlib.Path, own: tuple[str, ...] = ()):
    bucket, name = gcs.parts(path)
    self._path, self._here, self._prefix, self._own = path, here, f'{name}/', own
    with gcs.reasons(path):
      self._bucket = gcs.client().bucket(bucket)
    here.mkdir(parents=True, exist_ok=True)
    self.known: dict[str, tuple[tuple[int, int], int | None]] = {
        name: (stamp, None) for name, stamp in self._files().items()}

  def pull(self) -> None:
    """Makes the copy what the bucket has; files that are only here are left if they are new."""
    whole = False
    while not whole:
      there = self._listed()
      for name in self.known.keys() - there.keys():
        (self._here / name).unlink(missing_ok=True)
        del self.known[name]
      new = {name: blob for name, blob in there.items()
             if self.known.get(name, (None, None))[1] != blob.generation}
      try:
        self._each(self._fetch, new, {name: blob.size for name, blob in new.items()}, 'from')
        whole = True
      except gcs.GoneError:  # another process has replaced it since it was listed
        pass

  def push(self) -> None:
    """Makes the bucket what the copy is, in the order in which its files were written.

    So what says that others are whole is there last; only large ones, which never say so, are sent
    side by side.
    """
    files = self._files()
    new = {name: stamp for name, stamp in files.items() if self.known.get(name, ('',))[0] != stamp}
    size = {name: stamp[0] for name, stamp in new.items()}
    self._each(self._send, {n: s for n, s in new.items() if size[n] >= _LARGE}, size, 'to')
    for name in sorted(new, key=lambda n: (new[n][1], n)):
      if size[name] < _LARGE:
        self._send(name, new[name])
    for name in self.known.keys() - files.keys():
      with gcs.reasons(f'{self._path}/{name}'):
        self._bucket.delete_blobs([self._blob(name)], on_error=lambda _: None, retry=gcs.retry())
      del self.known[name]

  def _listed(self) -> dict[str, Any]:
    """Objects by name."""
    found = {}
    with gcs.reasons(self._path):
      for blob in self._bucket.client.list_blobs(self._bucket, prefix=self._prefix,
                                                 retry=gcs.retry()):
        name = blob.name.removeprefix(self._prefix)
        if name.endswith('/') or not self._is_shared(name):  # '/': what consoles call a folder
          continue
        if {'', '.', '..'} & {*name.split('/')}:
          raise InputError(f'{gcs.SCHEME}{self._bucket.name}/{blob.name} is no name that a file '
                           'here can have: remove it')
        found[name] = blob
    return found

  def _files(self) -> dict[str, tuple[int, int]]:
    """Size and time of change of what is here, by name."""
    found = {}
    for folder, _, names in os.walk(self._here):
      for path in (os.path.join(folder, name) for name in names):
        name = pathlib.Path(path).relative_to(self._here).as_posix()
        if self._is_shared(name):
          found[name] = _stamp(path)
    return found

  def _is_shared(self, name: str) -> bool:
    return name.partition('/')[0] not in self._own

  def _blob(self, name: str) -> Any:
    return self._bucket.blob(self._prefix + name)

  def _fetch(self, name: str, blob: Any) -> None:
    gcs.download(blob, self._here / name)
    self.known[name] = _stamp(self._here / name), blob.generation

  def _send(self, name: str, stamp: tuple[int, int]) -> None:
    blob = self._blob(name)
    with gcs.reasons(f'{self._path}/{name}'):
      blob.upload_from_filename(self._here / name, retry=gcs.retry())
    self.known[name] = stamp, blob.generation

  def _each(self, do: Any, work: dict[str, Any], size: dict[str, int], way: str) -> None:
    """Does it to several files side by side."""
    with (futures.ThreadPoolExecutor(_THREADS) as pool,
          tqdm(desc=f'  {way} {self._path}', total=sum(size[name] for name in work), unit='B',
               unit_scale=True, delay=5, leave=False) as bar):
      running = {pool.submit(do, name, value): name for name, value in work.items()}
      try:
        for done in futures.as_completed(running):
          done.result()
          bar.update(size[running[done]])
      except BaseException:
        pool.shutdown(cancel_futures=True)
        raise


def _stamp(path: str | os.PathLike[str]) -> tuple[int, int]:
  found = os.stat(path)
  return found.st_size, found.st_mtime_ns


def cache_path(use: str, path: str) -> pathlib.Path:
  """A folder for a path, of its own for each use; short, since file names are."""
  root = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
  digest = hashlib.sha256(path.rstrip('/').encode()).hexdigest()[:12]
  return pathlib.Path(root, 'tts', use, f'{digest}-{pathlib.PurePosixPath(path).name[:40]}')


def _own_copy(path: str, stack: contextlib.ExitStack) -> pathlib.Path:
  """The first copy that no other process works on."""
  for number in itertools.count():
    here = cache_path(f'work-{number}', path)
    if stack.enter_context(_locked(here, wait=False)):
      return here


@contextlib.contextmanager
def _locked(folder: pathlib.Path, wait: bool) -> Iterator[bool]:
  """Whether no other process has the folder; waits until none has, or says so at once."""
  folder.parent.mkdir(parents=True, exist_ok=True)
  with open(f'{folder}.lock', 'wb') as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
      yield False
    else:
      yield True


