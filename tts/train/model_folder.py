"""The folder of a published model: parameters, `model.json`, and what else is beside them.

A published model is a folder that any launcher takes as a `--checkpoint`:

  params/          Orbax arrays, not tied to the mesh that they were trained on
  model.json       {"kind", "arch", "params", "metrics", ..., "files": {path: [bytes, SHA-256]}}
  tokenizer.model  SentencePiece; or tokenizer.json, and what lies beside it (`tts.data.tokenizer`)

`files` covers all but `model.json`, so that damage is found, and named, before anything is decoded.
A head (`tts.train.latent_folder`) is such a folder without a tokenizer, and has "head" for "arch".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import hashlib
import json
import os
import pathlib
import shutil
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from tts.data import files
from tts.types import InputError

MODEL_FILE = 'model.json'
PARAMS = 'params'
# Orbax's: it names the folder that was written to, and it has the time; nothing reads the first.
_PLACE, _TIMES = 'commit_success.txt', '_CHECKPOINT_METADATA'
_AT_A_TIME_GB = 1  # that Orbax holds beside a model that it writes or reads


def publish(directory: str | os.PathLike[str], params: Any, meta: Mapping[str, Any],
            beside: Callable[[pathlib.Path], None] = lambda folder: None) -> None:
  """Writes a model beside `directory`, then renames it; one that was there is replaced.

  With several processes one of them is to call it.

  Args:
    directory: the folder's name, e.g. `W/models/base`.
    params: a tree of arrays.
    meta: JSON, of `model.json`; `params` and `files` are put in here.
    beside: puts what else belongs to it into a folder.
  """
  directory = pathlib.Path(os.path.abspath(directory))
  aside = directory.with_name(f'.{directory.name}.new')
  shutil.rmtree(aside, ignore_errors=True)
  aside.mkdir(parents=True)
  options = this_process()
  # A folder a parameter: in one file all of them would be held once more, compressed.
  handler = ocp.PyTreeCheckpointHandler(use_ocdbt=False, use_compression=False,
                                        save_concurrent_gb=in_flight(params),
                                        multiprocessing_options=options)
  with ocp.Checkpointer(handler, multiprocessing_options=options) as writer:
    writer.save(aside / PARAMS, args=ocp.args.PyTreeSave(jax.tree.map(_on_host, params)))
  _forget_when_and_where(aside / PARAMS)
  beside(aside)
  model = {**meta, 'params': sum(x.size for x in jax.tree.leaves(params)),
           'files': {path: digest(aside / path) for path in files_of(aside)}}
  with files.written_aside(aside / MODEL_FILE) as file:
    file.write(json.dumps(model, indent=1, allow_nan=False).encode())
  for path in aside.rglob('*'):
    _fsync(path)
  old = directory.with_name(f'.{directory.name}.old')
  shutil.rmtree(old, ignore_errors=True)
  if directory.exists():
    directory.rename(old)
  aside.rename(directory)
  _fsync(directory.parent)
  shutil.rmtree(old, ignore_errors=True)


def _forget_when_and_where(folder: pathlib.Path) -> None:
  """The same arrays are the same files, so that a model is known by them on any machine."""
  (folder / _PLACE).unlink(missing_ok=True)
  about = json.loads((folder / _TIMES).read_bytes())
  about |= {key: 0 for key in about if key.endswith('timestamp_nsecs')}
  (folder / _TIMES).write_text(json.dumps(about))


def read_meta(directory: str | os.PathLike[str], names: Sequence[str],
              kinds: Mapping[str, type]) -> dict[str, Any]:
  """`model.json` of a published model, of which the folder's contents are checked to be there.

  Args:
    directory: the folder.
    names: what is to be in it; `a or b` for one of two.
    kinds: fields of `model.json` --> their type.

  Raises:
    InputError: no such folder, or not a model.
  """
  directory = pathlib.Path(directory)
  if not directory.is_dir():
    raise InputError(f'checkpoint {directory} is not a folder: give the folder of a model, '
                     'such as models/base in a workdir')
  for name in (MODEL_FILE, *names):
    if not any((directory / n).exists() for n in name.split(' or ')):
      raise InputError(f'checkpoint {directory} has no {name}: give the folder of a model of '
                       'this project, or convert another with launch.import_checkpoint')
  path = directory / MODEL_FILE
  try:
    meta = json.loads(path.read_bytes())
  except ValueError as e:
    raise InputError(f'{path} is not JSON ({e}): copy the checkpoint again') from e
  for key, kind in kinds.items():
    if not isinstance(meta, dict) or not isinstance(meta.get(key), kind):
      raise InputError(f'{path} has no "{key}", or not one that a model has: copy the checkpoint '
                       'again')
  return meta


def check_files(directory: str | os.PathLike[str], meta: Mapping[str, Any]) -> None:
  """Looks at every file that `model.json` names.

  Raises:
    InputError: it names the first that is missing, or not as it was saved.
  """
  try:
    compare(pathlib.Path(directory), meta['files'])
  except ValueError as e:
    raise InputError(f'checkpoint {directory} is damaged: {e}: copy it again') from e


def compare(folder: pathlib.Path, digests: Mapping[str, Any]) -> None:
  """Raises ValueError that says which of the files is not as it was."""
  for path, saved in digests.items():
    found = digest(folder / path) if (folder / path).is_file() else None
    if found != saved:
      raise ValueError(f'{path} {"is missing" if found is None else "is not as it was saved"}')


def in_flight(params: Any) -> float:
  """Gigabytes for Orbax to hold at a time: it refuses an array that is as large as its limit."""
  largest = max(x.size * x.dtype.itemsize for x in jax.tree.leaves(params))
  return max(_AT_A_TIME_GB, 1.001 * largest / 1e9)


def _on_host(x: Any) -> Any:
  """Without its devices, which are no part of a model; what lies on the CPU is not copied."""
  alone = isinstance(x, jax.Array) and len(x.devices()) == jax.process_count() == 1
  if alone and next(iter(x.devices())).platform == 'cpu':
    return x  # Orbax limits how much of these is in flight, and of numpy's arrays nothing
  return np.asarray(x)  # and of several processes it refuses arrays that one of them has


def this_process() -> ocp.options.MultiprocessingOptions:
  """Orbax would have all processes take part, and wait for each other, in every call."""
  me = jax.process_index()
  return ocp.options.MultiprocessingOptions(primary_host=me, active_processes={me},
                                            barrier_sync_key_prefix=f'process-{me}')


def files_of(root: pathlib.Path) -> list[str]:
  return sorted(p.relative_to(root).as_posix() for p in root.rglob('*') if p.is_file())


def digest(path: pathlib.Path) -> list:
  """[size, SHA-256] of a file."""
  with open(path, 'rb') as file:
    return [os.fstat(file.fileno()).st_size, hashlib.file_digest(file, 'sha256').hexdigest()]


def _fsync(path: pathlib.Path) -> None:
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)
