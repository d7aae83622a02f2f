"""Other people's methods: modules that a config names, and the registries that they add to.

`--config.plugins="('examples.my_method',)"` imports that module, and its functions register
themselves: search methods in `tts.methods`, task families in `tts.data.tasks`, graders in
`tts.answers.graders`, difficulty estimators in `tts.eval.policy.estimators`, verifiers in
`tts.runs.verifiers`. The project's own are entries of the same registries.
"""

from __future__ import annotations

import hashlib
import importlib
import pathlib
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from tts.types import InputError

_OWN = 'tts.'
_REGISTRIES: list[Registry] = []


class Registry:
  """Entries by name, each with the module whose function it is."""

  def __init__(self, kind: str):
    """kind: what an entry is, for messages."""
    self._kind = kind
    self._entries: dict[str, tuple[str, Any]] = {}
    _REGISTRIES.append(self)

  def add(self, name: str, function: Callable, entry: Any) -> None:
    """Adds `entry`, which is made of a function of the module that registers it.

    Raises:
      InputError: the name is taken, or no name for a folder.
    """
    module = function.__module__
    if not re.fullmatch(r'[a-z][a-z0-9_.]*', name):
      raise InputError(f'{module} registers the {self._kind} {name!r}: give a name of small '
                       'letters, digits, _ and .')
    if name in self._entries:
      raise InputError(f'{module} registers the {self._kind} {name!r}, a name that '
                       f'{self._entries[name][0]} has taken: choose another')
    self._entries[name] = module, entry

  def register(self, name: str, made: Callable[[Any], Any] = lambda function: function) -> Callable:
    """A decorator that adds a function or a class; as `add`, which raises what this does.

    made: the entry of it, where that is not the function itself.
    """
    def add(function: Any) -> Any:
      self.add(name, function, made(function))
      return function

    return add

  def of(self, plugins: Sequence[str] = ()) -> dict[str, Any]:
    """The project's own entries, then those of some modules, each in their order."""
    found = {name: entry for name, (module, entry) in self._entries.items()
             if module.startswith(_OWN)}
    for plugin in plugins:
      found |= {name: entry for name, (module, entry) in self._entries.items()
                if module == plugin}
    return found

  def __getitem__(self, name: str) -> Any:
    return self._entries[name][1]

  def __contains__(self, name: str) -> bool:
    return name in self._entries

  def names(self) -> list[str]:
    return list(self._entries)

  def name(self, entry: Any) -> str | None:
    """The first name that an entry has; None of what is not registered."""
    return next((name for name, (_, known) in self._entries.items() if known is entry), None)

  def mark(self, name: str) -> tuple[str, ...]:
    """What results of an entry depend on: its module and a hash of its source; () for our own."""
    module = self._entries[name][0]
    return () if module.startswith(_OWN) else (module, _source(module))

  def modules(self) -> set[str]:
    return {module for module, _ in self._entries.values()}


def _source(module: str) -> str:
  return hashlib.sha256(pathlib.Path(sys.modules[module].__file__).read_bytes()).hexdigest()[:16]


def load(names: Sequence[str]) -> None:
  """Imports modules, once in a process.

  Raises:
    InputError: there is no such module, it fails, or nothing of it is registered.
  """
  for name in names:
    if not all(part.isidentifier() for part in name.split('.')):
      raise InputError(f'config.plugins has {name!r}: give a module by its dotted name, e.g. '
                       'examples.my_method')
    try:
      importlib.import_module(name)
    except InputError as error:
      raise InputError(f'config.plugins: {error}') from error
    except Exception as error:
      raise InputError(f'config.plugins has {name!r}, which cannot be imported: '
                       f'{type(error).__name__}: {error}') from error
    if not any(name in registry.modules() for registry in _REGISTRIES):
      raise InputError(f'config.plugins has {name!r}, which registers nothing of its own: '
                       'docs/extending.md says how one does')
