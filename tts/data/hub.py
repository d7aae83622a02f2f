"""`hf://` and `gs://` paths as local files and folders; the Hugging Face Hub's are read here."""

from __future__ import annotations

import os
import pathlib
import re

from tts.data import buckets
from tts.types import InputError

# All that is ever fetched: no pickle, no code.
_ALLOWED = {
    'model': ('*.safetensors', '*.json', '*.jinja', 'tokenizer.model', '*/tokenizer.model'),
    'dataset': ('*.jsonl', '*.parquet'),
}
_NAMED = {'model': ('*.gguf',), 'dataset': ()}  # by its name alone: a repository has twenty of them
_FORM = 'hf://org/name[@revision][/path/in/repo]'
_NAME = r'[A-Za-z0-9][A-Za-z0-9._-]*'
_PATH = re.compile(rf'hf://({_NAME}/{_NAME})(?:@([A-Za-z0-9._-]+))?(?:/(.+?))?/?')


def local(path: str | os.PathLike[str], kind: str = 'model') -> str:
  """Returns where `path` lies on this machine; fetches it first from the Hub or from a bucket.

  Any other path is returned as it is, and no library is imported for it. For `gs://` see
  `tts.data.buckets`. What is fetched of the Hub lies in its library's cache, is not fetched again,
  and continues where an interrupted download stopped. `HF_HOME`, `HF_ENDPOINT`, `HF_TOKEN` and
  `HF_HUB_OFFLINE` work as they do there.

  Args:
    path: a local path, `gs://bucket/path`, or `hf://org/name[@revision][/path/in/repo]`.
    kind: `model` or `dataset`: where the Hub looks, and which files are fetched.

  Raises:
    InputError: not of this form, not there, not allowed, not reachable; or the library is missing.
  """
  path = os.fspath(path)
  if buckets.is_remote(path):
    return buckets.local(path)
  if not path.startswith('hf://'):
    return path
  match = _PATH.fullmatch(path)
  if match is None or '..' in pathlib.PurePosixPath(match[3] or '').parts:
    raise InputError(f'{path}: not of the form {_FORM}')
  repo, revision, inner = match.groups()
  allowed = _ALLOWED[kind]
  is_file = inner is not None and _fits(inner, allowed + _NAMED[kind])
  try:
    import huggingface_hub  # pylint: disable=g-import-not-at-top
  except ImportError as e:
    raise InputError(f'{path}: needs huggingface_hub: pip install -e ".[open]"') from e
  try:
    if is_file:
      return huggingface_hub.hf_hub_download(repo, inner, repo_type=kind, revision=revision)
    folder = huggingface_hub.snapshot_download(
        repo, repo_type=kind, revision=revision,
        allow_patterns=[f'{inner}/{p}' if inner else p for p in allowed])
  except Exception as e:  # the library's errors have no base of their own, nor have its transport's
    raise InputError(f'{path}: {_reason(e, kind)}') from e
  found = pathlib.Path(folder, inner or '')
  if not any(f.is_file() for f in found.rglob('*')):
    named = ''.join(f', or {pattern} by its name' for pattern in _NAMED[kind])
    raise InputError(f'{path}: has no file of {", ".join(allowed)}; nothing else is fetched{named}')
  return str(found)


def _fits(inner: str, allowed: tuple[str, ...]) -> bool:
  name = pathlib.PurePosixPath(inner)
  return any(name.match(pattern) for pattern in allowed)


def _reason(error: Exception, kind: str) -> str:
  """What is wrong and what to do, in one line."""
  from huggingface_hub import errors  # pylint: disable=g-import-not-at-top

  if isinstance(error, errors.GatedRepoError):
    return 'gated: accept its terms on its page, then set HF_TOKEN to a token of that account'
  if isinstance(error, errors.RevisionNotFoundError):
    return 'no such revision: name a branch, tag or commit after the @'
  if isinstance(error, errors.RepositoryNotFoundError):
    return f'no such {kind} repository, or a private one: check the name, or set HF_TOKEN'
  if isinstance(error, errors.RemoteEntryNotFoundError):
    return 'no such file in the repository: check the path'
  if isinstance(error, PermissionError):
    return f'cannot write {error.filename}: set HF_HOME to a folder that can be written'
  words = ' '.join(str(error).split())[:200] or type(error).__name__
  return f'not in the cache and not to be had: check the network and HF_ENDPOINT ({words})'
