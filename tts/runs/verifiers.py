"""Verifiers by name: each reads a trained model, in a way of its own.

One is the main one (`config.verifier`): it guides every search and scores what curves, policy and
difficulty are made of. The others are ablations: they score the reported pool, and those that can
guide a beam search.

A new one is a class with the functions of `tts.models.verifier.Verifier`, `empty` and `extend`;
what it carries is its own. `examples/my_verifier.py` is one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from tts.config import Experiment, ModelsConfig
from tts.eval.storage.samples import GUIDES, REVISION_VERIFIERS, VERIFIERS as TRAINED
from tts.models.verifier import Verifier
from tts.plugins import Registry
from tts.types import InputError

Make = Callable[[Any, Any], Any]  # (decoder, parameters) --> a verifier, in a compiled program


@dataclasses.dataclass(frozen=True)
class Kind:
  """A verifier.

  Attributes:
    make: see `Make`.
    of: the model that it reads, a field of `ModelsConfig`.
  """

  make: Make
  of: str


VERIFIERS = Registry('verifier')
for _name in (*TRAINED, *REVISION_VERIFIERS):
  VERIFIERS.add(_name, Verifier, Kind(Verifier, _name))


def register(name: str, of: str = 'prm') -> Callable[[Make], Make]:
  """A decorator that adds a class as a verifier, which reads the model `of`.

  The independent pool is scored by it, and where `of` scores unfinished solutions too it guides a
  beam search at every budget: rows of `ablations`, a column of the ledger. Such a one can be the
  main verifier too: `config.verifier` names it.

  Raises:
    InputError: the name is taken, or is none, or there is no such model.
  """
  models = [f.name for f in dataclasses.fields(ModelsConfig)]

  def add(make: Make) -> Make:
    if name in models or of not in models:
      raise InputError(f'{make.__module__} registers the verifier {name!r} of {of!r}: it reads one '
                       f'of {models}, and has a name that is none of these')
    VERIFIERS.add(name, make, Kind(make, of))
    return make

  return add


def model_of(name: str) -> str:
  """The model that a verifier reads; of a model its own name."""
  return VERIFIERS[name].of if name in VERIFIERS else name


def added(experiment: Experiment) -> dict[str, str]:
  """Verifier of the config's plugins --> the model that it reads."""
  return {name: kind.of for name, kind in VERIFIERS.of(experiment.plugins).items()
          if name != kind.of}


def guides(name: str) -> bool:
  """Whether it scores unfinished solutions, so that a search can follow it."""
  return model_of(name) in (*GUIDES, 'base', 'mid', 'large')


def main(experiment: Experiment) -> str:
  """The main verifier.

  Raises:
    InputError: `config.verifier` names none that can guide a search.
  """
  known = _followed(experiment)
  if experiment.verifier not in known:
    raise InputError(f'config.verifier is {experiment.verifier!r}: one of {", ".join(known)}, or a '
                     'verifier of unfinished solutions that a module of config.plugins registers')
  return experiment.verifier


def beside(experiment: Experiment) -> list[str]:
  """The others that searches can follow."""
  return [name for name in _followed(experiment) if name != main(experiment)]


def _followed(experiment: Experiment) -> list[str]:
  return [name for name in (*GUIDES, *added(experiment)) if guides(name)]
