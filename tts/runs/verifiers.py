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

from tts import model_kinds
from tts.config import Experiment
from tts.models.verifier import Verifier
from tts.plugins import Registry
from tts.types import InputError

Make = Callable[[Any, Any], Any]  # (decoder, parameters) --> a verifier, in a compiled program


@dataclasses.dataclass(frozen=True)
class Reading:
  """A verifier of a plugin.

  Attributes:
    make: see `Make`.
    of: the model that it reads.
  """

  make: Make
  of: str


VERIFIERS = Registry('verifier')


def register(name: str, of: str = 'prm') -> Callable[[Make], Make]:
  """A decorator that adds a class as a verifier, which reads the model `of`.

  The independent pool is scored by it, and where `of` scores unfinished solutions too it guides a
  beam search at every budget: rows of `ablations`, a column of the ledger. Such a one can be the
  main verifier too: `config.verifier` names it.

  Raises:
    InputError: the name is taken, or is none.
  """
  def reading(make: Make) -> Reading:
    if name in model_kinds.LEARNS:
      raise InputError(f'{make.__module__} registers the verifier {name!r}, which is a model: '
                       'choose another name')
    return Reading(make, of)

  return VERIFIERS.register(name, reading)


def model_of(name: str) -> str:
  """The model that a verifier reads; of a model its own name."""
  return VERIFIERS[name].of if name in VERIFIERS else name


def make_of(name: str) -> Make:
  """What reads a verifier's model."""
  return VERIFIERS[name].make if name in VERIFIERS else Verifier


def mark_of(name: str) -> tuple[str, ...]:
  """What scores depend on beside the model; see `Registry.mark`."""
  return VERIFIERS.mark(name) if name in VERIFIERS else ()


def added(experiment: Experiment) -> dict[str, str]:
  """Verifier of the config's plugins --> the model that it reads.

  Raises:
    InputError: it has a model's name, or reads a model that the config does not have.
  """
  found = {name: reading.of for name, reading in VERIFIERS.of(experiment.plugins).items()}
  for name, of in found.items():
    if name in experiment.models or of not in experiment.models:
      raise InputError(f'config.plugins: {VERIFIERS[name].make.__module__} registers the verifier '
                       f'{name!r} of {of!r}: it reads one of {list(experiment.models)}, and has a '
                       'name that is none of these')
  return found


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


def check_served(experiment: Experiment) -> None:
  """Raises InputError where a model on a server is to be learnt from, or read inside."""
  models = experiment.models
  if not models.served:
    return
  where = f'config.models.{models.served[0]}.server is given'
  for name, model in models.items():
    if model.enabled and models.kinds[name].latent:
      raise InputError(f'{where}, and {name} reads hidden states, which a server does not give: '
                       f'set --config.models.{name}.enabled=False')
  if untaught := models.trained():
    raise InputError(f'{where}, and there are no weights to train {untaught[0]} from: use '
                     f'launch.evaluate, or give --config.models.{untaught[0]}.checkpoint')
  for name, of in added(experiment).items():
    if of in models.served:
      raise InputError(f'{where}, and the verifier {name} of config.plugins reads that model here: '
                       'leave the plugin out')
  if experiment.revision.enabled and models['base'].server:
    raise InputError(f'{where}, and revisions are made of a model that is here: set '
                     '--config.revision.enabled=False')
  if experiment.budget_forcing.thinking_tokens and models['base'].server:
    raise InputError(f'{where}, and a server is not asked to go on behind what budget forcing has '
                     'it read: set --config.budget_forcing.thinking_tokens="()"')


def beside(experiment: Experiment) -> list[str]:
  """The others that searches can follow."""
  return [name for name in _followed(experiment) if name != main(experiment)]


def is_latent(experiment: Experiment, name: str) -> bool:
  """Whether it reads the base's hidden states: those that are there when that has written."""
  kind = experiment.models.kinds.get(name)
  return kind is not None and kind.latent


def reads(experiment: Experiment, name: str, model: str) -> bool:
  """Whether it scores what `model` writes; a latent one scores what its own generator does."""
  return model == 'base' or not is_latent(experiment, name)


def every(experiment: Experiment) -> tuple[str, ...]:
  """All that score independent solutions: the config's models, then its plugins'."""
  return (*model_kinds.verifiers(experiment.models.kinds), *added(experiment))


def _followed(experiment: Experiment) -> list[str]:
  kinds = experiment.models.kinds
  guides = model_kinds.guides(kinds)
  readable = guides + model_kinds.generators(kinds)
  return [*guides, *(name for name, of in added(experiment).items() if of in readable)]
