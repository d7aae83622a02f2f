"""Google Cloud Storage by its own library: paths, a client, whole objects, errors in one line."""

from __future__ import annotations

import base64
from collections.abc import Iterator
import contextlib
import functools
import os
import pathlib
import re
from typing import Any

from tts.types import InputError

SCHEME = 'gs://'
_PATH = re.compile(r'gs://([a-z0-9][a-z0-9._-]+)/(.+?)/?')
_RETRY_SECONDS = 600.0  # a network that is gone for longer ends the run
_CHUNK = 1 << 20


class GoneError(InputError):
  """There is no such object, or no such bucket."""


def parts(path: str) -> tuple[str, str]:
  """Bucket, and name in it."""
  match = _PATH.fullmatch(path)
  if match is None or '..' in match[2].split('/'):
    raise InputError(f'{path}: not of the form gs://bucket/folder')
  return match[1], match[2]


@functools.cache
def client() -> Any:
  try:
    from google.cloud import storage
  except ImportError as e:
    raise InputError('gs:// paths need google-cloud-storage: pip install -e ".[gcs]"') from e
  return storage.Client(project=None)  # objects have none, and not every account does


@functools.cache
def retry() -> Any:
  from google.cloud.storage.retry import DEFAULT_RETRY
  return DEFAULT_RETRY.with_timeout(_RETRY_SECONDS)


def download(blob: Any, path: pathlib.Path) -> None:
  """Fetches an object, unless the file has the same bytes already."""
  if path.is_file() and path.stat().st_size == blob.size and _crc32c(path) == blob.crc32c:
    return
  path.parent.mkdir(parents=True, exist_ok=True)
  aside = path.with_name(f'.{path.name}.{os.getpid()}')
  try:
    with reasons(f'{SCHEME}{blob.bucket.name}/{blob.name}'):
      blob.download_to_filename(aside, retry=retry())
    os.replace(aside, path)
  finally:
    aside.unlink(missing_ok=True)


def _crc32c(path: pathlib.Path) -> str:
  """As a bucket says it of an object."""
  import google_crc32c

  checksum = google_crc32c.Checksum()
  with open(path, 'rb') as file:
    while chunk := file.read(_CHUNK):
      checksum.update(chunk)
  return base64.b64encode(checksum.digest()).decode()


@contextlib.contextmanager
def reasons(path: str) -> Iterator[None]:
  """What is wrong and what to do, in one line, of the library's errors."""
  try:
    from google.api_core import exceptions
    from google.auth import exceptions as auth
    import requests
  except ImportError as e:
    raise InputError('gs:// paths need google-cloud-storage: pip install -e ".[gcs]"') from e
  try:
    yield
  except auth.GoogleAuthError as e:
    raise InputError(f'{path}: no credentials for Google Cloud: gcloud auth application-default '
                     'login, or set GOOGLE_APPLICATION_CREDENTIALS') from e
  except exceptions.NotFound as e:
    raise GoneError(f'{path}: there is no such bucket, or this was removed meanwhile') from e
  except (exceptions.Forbidden, exceptions.Unauthorized) as e:
    raise InputError(f'{path}: not allowed: give this account the role Storage Object Admin') from e
  except (exceptions.GoogleAPIError, requests.RequestException) as e:
    words = ' '.join(str(e).split())[:200]
    raise InputError(f'{path}: cannot be reached: {words}; start again to go on') from e
