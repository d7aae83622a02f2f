"""Search methods by name: how a budget of N rows is spent on one question.

`beam(beam_width=8)`, `rebase()`, ...: each is a value with the parameters of its publication as
defaults. A method of your own is a frozen dataclass: a `Method` with `allocate(key, rows)`, which
rows go on in which slots, or a `Beam` with `priority(rows)`, which of them are kept:

  @methods.register('shortest')
  @dataclasses.dataclass(frozen=True)
  class Shortest(methods.Beam):
    def priority(self, rows):
      return -rows.length.astype(jnp.float32)
"""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Callable
from typing import Any

from tts.plugins import Registry
from tts.searching.beam import Beam, Lookahead
from tts.searching.best_of_n import BestOfN
from tts.searching.dvts import DVTS
from tts.searching.method import (
    EMPTY as EMPTY, Allocation as Allocation, Method, Rows as Rows, going_on as going_on,
    in_order as in_order, positive as positive, shares as shares)
from tts.searching.particle_filter import EntropicParticleFilter, ParticleFilter
from tts.searching.rebase import Rebase
from tts.types import InputError, Strategy

METHODS = Registry('search method')


def register(name: str) -> Callable[[type[Method]], type[Method]]:
  """A decorator that gives a method the name by which configs, records and results know it.

  Raises:
    InputError: the name is taken, or is none.
  """
  return METHODS.register(name)


best_of_n = register('best_of_n')(BestOfN)
beam = register('beam')(Beam)
lookahead = register('lookahead')(Lookahead)
dvts = register('dvts')(DVTS)
rebase = register('rebase')(Rebase)
particle_filter = register('particle_filter')(ParticleFilter)
particle_filter_entropic = register('particle_filter_entropic')(EntropicParticleFilter)


def name_of(method: Method) -> str:
  """The name that a method is registered by; of one that is not, its class's."""
  return METHODS.name(type(method)) or type(method).__name__


def made(name: str, parameters: dict[str, Any], where: str) -> Method:
  """A method by name.

  Raises:
    InputError: no such method or parameter, or a value that it cannot have; begins with `where`.
  """
  if name not in METHODS:
    raise InputError(f'{where}: no search method {name!r}: one of {", ".join(METHODS.names())}; '
                     'one of your own is in a file that config.plugins names')
  method = METHODS[name]
  known = [field.name for field in dataclasses.fields(method)]
  if unknown := [key for key in parameters if key not in known]:
    raise InputError(f'{where}: {name} has no parameter {unknown[0]!r}: '
                     f'{", ".join(known) or "it has none"}')
  try:
    return method(**parameters)
  except (TypeError, ValueError) as error:
    raise InputError(f'{where}: {name}: {error}') from error


def parsed(text: str, where: str) -> tuple[str, dict[str, Any]]:
  """`rebase(temperature=0.2)` as (name, the parameters that it gives); a name alone gives none.

  Raises:
    InputError: it is not written so; the message begins with `where`.
  """
  found = re.fullmatch(r'([\w.]+)(?:\((.*)\))?', text.strip()) if isinstance(text, str) else None
  try:
    if found is None:
      raise ValueError('it is no name with parameters')
    each = [part.split('=', 1) for part in (found[2] or '').split(',') if part.strip()]
    given = {key.strip(): ast.literal_eval(value.strip()) for key, value in each}
    if not all(isinstance(value, (int, float, str, type(None))) for value in given.values()):
      raise TypeError('a parameter is a number, a word or None')
    return found[1], given
  except (TypeError, ValueError, SyntaxError) as error:
    raise InputError(f'{where} has {text!r}: write a method as "rebase" or '
                     '"rebase(temperature=0.2)"') from error


def strategy(method: Method, budget: int, chain_length: int | None = None) -> Strategy:
  """A method at a budget, as records and results know it."""
  return Strategy.of(name_of(method), budget, chain_length, **dataclasses.asdict(method))


def of(strategy: Strategy) -> Method:
  """The method of a strategy.

  Raises:
    InputError: no such method, or it has other parameters.
  """
  return made(strategy.method, dict(strategy.parameters), strategy.name)
