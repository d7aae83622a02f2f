"""The folder of a run: what lies where, what made it, and what no longer fits the config.

Every result folder holds `fingerprint.json`, a hash of its config subtree and of its inputs'
fingerprints. A folder whose fingerprint has changed is moved to `stale/`; nothing is deleted.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
import pathlib
import re
import time
from typing import Any

from absl import logging

from tts import machine
from tts.eval.storage import records
from tts.types import InputError

_MARK = 'fingerprint.json'


def _plain(value: Any) -> Any:
  """A dataclass as JSON, less the fields that are off (None, False or empty).

  So a new option, off in a run of before, leaves that run's results as they are.
  """
  if not dataclasses.is_dataclass(value):
    return value
  fields = {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
  return {k: v for k, v in fields.items() if v is not None and v is not False and v != ()}


def fingerprint(*parts: Any) -> str:
  """Hash of configs (dataclasses or JSON values) and of other fingerprints."""
  plain = [_plain(p) for p in parts]
  return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def file_fingerprint(path: str) -> str:
  """Hash of a file's bytes, or of a folder's file names and sizes and its `model.json`."""
  if os.path.isfile(path):
    with open(path, 'rb') as f:
      return hashlib.file_digest(f, 'sha256').hexdigest()[:16]
  names = []
  for folder, _, files in sorted(os.walk(path)):
    names += [(os.path.relpath(os.path.join(folder, f), path),
               os.path.getsize(os.path.join(folder, f))) for f in sorted(files)]
  meta = os.path.join(path, 'model.json')
  return fingerprint(names, file_fingerprint(meta) if os.path.exists(meta) else None)


def fault(error: InputError) -> str:
  """What is wrong with a damaged file, without the advice what to do: it is done here."""
  return re.sub(r'[;:] (delete|copy) it.*', '', str(error))


# Folders that this process keeps to itself -> a descriptor, whose lock ends with the process.
_HELD: dict[str, int] = {}


class Workdir:
  """Paths under one run's folder."""

  def __init__(self, root: str):
    """Opens `root`, an empty or missing folder or one that a run has made."""
    self.root = os.path.abspath(root)
    if os.path.exists(self.root) and not os.path.isdir(self.root):
      raise InputError(f'--workdir={root} is a file: give a folder')
    if os.path.isdir(self.root) and os.listdir(self.root) and not os.path.exists(
        self.path('run.json')):
      raise InputError(f'--workdir={root} has files in it but no run.json: it is not the workdir '
                       'of a run; give an empty or a new folder')
    os.makedirs(self.path('tmp'), exist_ok=True)
    self.stage: str | None = None  # that is being run

  def hold(self) -> None:
    """Keeps other runs out of the folder for as long as this process lives.

    Raises:
      InputError: another process has it, or it holds what `launch.study` made.
    """
    if 'samples' in (self._read_dict('run.json').get('config') or {}):
      raise InputError(f'--workdir={self.root} holds a study of samples from elsewhere: give an '
                       'empty or a new folder')
    if self.root in _HELD:
      return
    folder = os.open(self.root, os.O_RDONLY)
    try:
      fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as e:
      os.close(folder)
      raise InputError(f'another process is at work in --workdir={self.root}: let it finish, or '
                       'end it') from e
    except OSError:  # a file system without locks
      pass
    _HELD[self.root] = folder

  def path(self, *parts: str) -> str:
    return os.path.join(self.root, *parts)

  def write_json(self, relative: str, value: Any) -> None:
    target = self.path(relative)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    records.write_json(target, value)

  def read_json(self, relative: str) -> Any | None:
    """The file's value, or None where there is none."""
    try:
      with open(self.path(relative)) as f:
        return json.load(f)
    except FileNotFoundError:
      return None
    except ValueError as error:  # no JSON, or no UTF-8
      raise InputError(
          f'{self.path(relative)} is damaged ({error}): delete it and run again') from error

  def _read_dict(self, relative: str) -> dict[str, Any]:
    """The file's fields; none where it is missing or damaged, which is said."""
    try:
      found = self.read_json(relative)
    except InputError as error:
      logging.warning('made anew: %s', fault(error))
      return {}
    return found if isinstance(found, dict) else {}

  def mark(self, relative: str, file: str = _MARK) -> str | None:
    """Fingerprint of a result folder, or None."""
    return self._read_dict(os.path.join(relative, file)).get('fingerprint')

  def retire(self, relative: str, why: str = 'was made with another config') -> None:
    """Moves a result that cannot be used any more, a folder or a file, to `stale/`."""
    folder = self.path(relative)
    if not os.path.exists(folder):
      return
    stale = self.path('stale', f'{relative}-{time.strftime("%Y%m%d-%H%M%S")}')
    while os.path.exists(stale):
      stale += '+'
    os.makedirs(os.path.dirname(stale), exist_ok=True)
    os.rename(folder, stale)
    logging.info('%s %s: moved to %s', relative, why, stale)

  def claim(self, relative: str, mark: str) -> str:
    """The folder for results with this fingerprint: kept as it is if it fits, else begun anew."""
    folder = self.path(relative)
    if self.mark(relative) != mark:
      self.retire(relative)
      os.makedirs(folder)
      self.write_json(os.path.join(relative, _MARK), {'fingerprint': mark})
    return folder

  def seal(self, relative: str, mark: str) -> None:
    """Writes down what the files of a finished result folder hold."""
    self.write_json(os.path.join(relative, _MARK),
                    {'fingerprint': mark, 'files': self._digests(relative)})

  def is_sealed(self, relative: str, mark: str) -> bool:
    """Whether the folder is as it was when it was sealed; a damaged one is moved away."""
    sealed = self._read_dict(os.path.join(relative, _MARK))
    if sealed.get('fingerprint') != mark or 'files' not in sealed:
      return False
    found = self._digests(relative)
    wrong = sorted(name for name in {*found, *sealed['files']}
                   if found.get(name) != sealed['files'].get(name))
    if wrong:
      logging.warning('damaged, and made anew: %s', self.path(relative, wrong[0]))
      self.retire(relative, 'is damaged')
    return not wrong

  def _digests(self, relative: str) -> dict[str, str]:
    """SHA-256 of every file of a folder but its mark, by its path."""
    found = {}
    for folder, _, names in os.walk(self.path(relative)):
      for path in (os.path.join(folder, n) for n in names if n != _MARK):
        with open(path, 'rb') as file:
          found[os.path.relpath(path, self.path(relative))] = hashlib.file_digest(
              file, 'sha256').hexdigest()
    return found

  def finish_stage(self, name: str, usage: Usage, budget_seconds: int | None = None,
                   config_hash: str | None = None, **seconds: float) -> None:
    """Records what a stage took, added to what earlier, interrupted starts took.

    config_hash: fingerprint of the config that it is finished for, where it is asked about later.
    """
    relative = f'stages/{name}.json'
    before = self._read_dict(relative)
    spent = {k: before.get(k, 0) + v for k, v in (usage.spent() | seconds).items()}
    peak = max(before.get('peak_rss_bytes', 0), machine.peak_rss_bytes())
    self.write_json(relative, {'stage': name, **spent, 'budget_seconds': budget_seconds,
                               'peak_rss_bytes': peak, 'config_hash': config_hash})


def finished(root: str, config_hash: str) -> set[str]:
  """Stages that a workdir, which need not be there, has finished for a config of this fingerprint.

  Raises:
    InputError: it is damaged.
  """
  files = pathlib.Path(root, 'stages').glob('*.json')
  found = [records.read_object(path, 'stage') for path in files]
  return {stage['stage'] for stage in found if stage.get('config_hash') == config_hash}


class Usage:
  """Wall and processor seconds since it was made."""

  def __init__(self):
    self._wall, self._cpu = time.monotonic(), time.process_time()

  def spent(self) -> dict[str, float]:
    return {'wall_seconds': time.monotonic() - self._wall,
            'cpu_seconds': time.process_time() - self._cpu}
