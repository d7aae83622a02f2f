"""Files by what is in them: a hash of each, remembered for as long as the file is as it was."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent import futures
import hashlib
import json
import os
import pathlib
import threading
import time
import uuid

from tqdm import tqdm

from tts.data import buckets, files

_THREADS = 8
_CHUNK = 1 << 22  # bytes
# A file that has changed later than this before it was read is not remembered: it may change once
# more without another time of change, as clocks of file systems are coarse.
_SETTLED_NS = 2 * 10**9


def digests(paths: Sequence[str | os.PathLike[str]]) -> list[str]:
  """SHA-256 of each file, in hexadecimal.

  It is kept in the user's cache (`XDG_CACHE_HOME`, else `~/.cache`) beside the file's size, times
  of change and inode, and the file is read again only when one of these is another. Several files
  are read side by side; a bar shows what takes longer than 5 seconds.

  Raises:
    OSError: a file cannot be read. A cache that cannot be read or written is done without.
  """
  found = {path: _remembered(path) for path in paths}
  new = [path for path, digest in found.items() if digest is None]
  with (futures.ThreadPoolExecutor(_THREADS) as pool,
        tqdm(desc='  hashing weights', total=sum(map(os.path.getsize, new)), unit='B',
             unit_scale=True, delay=5, leave=False) as bar):
    lock = threading.Lock()

    def seen(count: int) -> None:
      with lock:
        bar.update(count)

    found |= zip(new, pool.map(lambda path: _hashed(path, seen), new))
  return [found[path] for path in paths]


def _hashed(path: str | os.PathLike[str], seen) -> str:
  """Reads a file, and remembers its hash; `seen` is called with numbers of bytes."""
  before, begun = _stamp(path), time.time_ns()
  digest, buffer = hashlib.sha256(), memoryview(bytearray(_CHUNK))
  with open(path, 'rb', buffering=0) as file:
    while count := file.readinto(buffer):
      digest.update(buffer[:count])
      seen(count)
  _, *times, _ = before
  if _stamp(path) == before and begun - max(times) > _SETTLED_NS:
    _remember(path, {'stamp': before, 'sha256': digest.hexdigest()})
  return digest.hexdigest()


def _stamp(path: str | os.PathLike[str]) -> list[int]:
  found = os.stat(path)
  return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _place(path: str | os.PathLike[str]) -> pathlib.Path:
  return buckets.cache_path('digests', os.path.realpath(path))


def _remembered(path: str | os.PathLike[str]) -> str | None:
  """The hash of a file that has not changed since; None where nothing whole says so."""
  stamp = _stamp(path)
  try:
    found = json.loads(_place(path).read_bytes())
    digest = found['sha256'] if found['stamp'] == stamp else None
  except (OSError, ValueError, TypeError, KeyError, RecursionError):
    return None
  return digest if isinstance(digest, str) and len(digest) == 64 else None


def _remember(path: str | os.PathLike[str], value: dict) -> None:
  place = _place(path)
  try:
    place.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(place, place.with_name(f'.{uuid.uuid4().hex}')) as file:
      file.write(json.dumps(value).encode())
  except OSError:  # it is only read again the next time
    pass
