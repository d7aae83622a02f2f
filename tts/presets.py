"""The experiment files that come with the project, by name: `--config=quickstart`.

`configs` and `launch` lie beside this package in a checkout, and inside it in a wheel: other people
have packages of these names too.
"""

import importlib.util
import os
import pathlib
import types

from absl import logging

from tts.types import InputError

_OWN = pathlib.Path(__file__).parent
IN_WHEEL = (_OWN / 'launch').is_dir()
ROOT = _OWN if IN_WHEEL else _OWN.parent  # of `configs` and `launch`
_NO_PRESETS = ('__init__', 'claims')


def names() -> list[str]:
  """Of all presets, in alphabetical order."""
  return sorted(p.stem for p in (ROOT / 'configs').glob('*.py') if p.stem not in _NO_PRESETS)


def resolved(given: str) -> str:
  """What `--config` says as a path: `PATH` or `PATH:ARGUMENT`, of a file that there is.

  A file of the user's comes first; a preset is taken for its name, `quickstart`, and for
  `configs/quickstart.py`, and it is said which file that is.

  Raises:
    InputError: there is neither.
  """
  path, colon, argument = given.partition(':')
  if os.path.isfile(path):
    return given
  for name in names():
    if path in (name, f'configs/{name}.py'):
      preset = ROOT / 'configs' / f'{name}.py'
      logging.info('--config=%s is not in this folder: %s is taken', path, preset)
      return f'{preset}{colon}{argument}'
  raise InputError(
      f'--config={path}: there is no such file in {os.getcwd()}, and no preset of this name: give '
      f'the path of an experiment file, or one of {", ".join(names())}')


def module(name: str) -> types.ModuleType:
  """A module of `configs`, e.g. one preset for another that is made of it.

  It is read by its path, since a preset may be read as a file of no package (`--config=PATH`).
  """
  spec = importlib.util.spec_from_file_location(f'configs.{name}', ROOT / 'configs' / f'{name}.py')
  assert spec is not None and spec.loader is not None
  found = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(found)
  return found
