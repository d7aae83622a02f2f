"""Search strategies by name: each is the rule by which a round ranks a question's candidates.

All run in the one loop of `tts.search.search`, which keeps the K best, deals them their children
and counts what was computed. So a new one is a function:

  @methods.register('shortest')
  def shortest(rows):
    return -rows.length.astype(jnp.float32)
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.struct
import jax

from tts.plugins import Registry
from tts.types import Strategy


@flax.struct.dataclass
class Rows:
  """N candidates of one question after a step, unbatched."""

  score: jax.Array     # [N] float32, verifier's value; with lookahead that k steps later
  logprob: jax.Array   # [N] float32, the generator's, summed over the step
  token: jax.Array     # [N, C] int32, of the step, PAD_ID after `length`
  length: jax.Array    # [N] int32, 0 where the row had ended before
  parent: jax.Array    # [N] int32, row of the round before; in the first round the row itself
  live: jax.Array      # [N] bool, it goes on
  finished: jax.Array  # [N] bool, it has an answer; a row that is neither was cut off


Priority = Callable[[Rows], jax.Array]


@dataclasses.dataclass(frozen=True)
class Method:
  """A search strategy.

  Attributes:
    name: in configs' sweeps, records and results.
    priority: of one question's rows, float32 [N]: the K highest are kept, those cut off last
      whatever theirs, ties by slot; NaN is lowest.
    lookahead: whether rows are judged by where k steps more lead. It is charged N (k + 1)
      generations then, and N otherwise.
    theta: what it has been fixed at, beside M and k; part of its name.
  """

  name: str
  priority: Priority
  lookahead: bool
  theta: tuple[tuple[str, float], ...]


METHODS = Registry('search strategy')


def register(name: str, lookahead: bool = False, **theta: float) -> Callable[[Any], Any]:
  """A decorator that adds a rule, `priority(rows, **theta)`, as a strategy; see `Method`.

  Several, of different theta, make a sweep. Its name is `<name>_<key><value>...`.

  Raises:
    InputError: the name is taken, or is none.
  """
  def add(priority: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    full = '_'.join([name, *(f'{key}{value:g}' for key, value in theta.items())])
    rule = functools.partial(priority, **theta) if theta else priority
    METHODS.add(full, priority, Method(full, rule, lookahead, tuple(theta.items())))
    return priority

  return add


def theta(strategy: Strategy) -> dict[str, Any]:
  """All of a search strategy's parameters, as its records have them."""
  return strategy.theta | dict(METHODS[strategy.method].theta)


@register('lookahead', lookahead=True)
@register('beam')
def by_score(rows: Rows) -> jax.Array:
  """The paper's (section 5.2): what the verifier says of each."""
  return rows.score
