"""What a search method is: where one question's rows go on after each step.

A search proposes (every live row writes a step), scores (a verifier reads it, or where it leads
some steps later) and allocates: which rows go on, and in which slots. The last is the method. It is
written for one question as a pure function of arrays, so it can be compiled and mapped; the search
calls it once a round and needs to know no more of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import flax.struct
import jax
import jax.numpy as jnp

EMPTY = -1  # of `Allocation.parent`: nothing is in the slot any more


@flax.struct.dataclass
class Rows:
  """N rows of one question after a step.

  A row that has ended is there until a method drops it, and is ranked again in every round: by what
  it had in the round in which it ended. In an empty slot everything is 0.
  """

  score: jax.Array      # [N] float32, the verifier's probability; with lookahead that k steps later
  logprob: jax.Array    # [N] float32, the generator's, summed over the newest step, natural log
  token: jax.Array      # [N, C] int32, of the newest step, PAD_ID after `length`
  length: jax.Array     # [N] int32, tokens of the newest step
  parent: jax.Array     # [N] int32, row of the round before; in the first round the row itself
  live: jax.Array       # [N] bool, it can go on
  finished: jax.Array   # [N] bool, it has an answer
  truncated: jax.Array  # [N] bool, it was cut off; a slot that is none of the three is empty
  carry: Any            # [N, ...], what the method carries with each
  round: jax.Array      # [] int32, rounds before this one
  max_rounds: jax.Array  # [] int32, that there can be

  @classmethod
  def of(cls, score: Sequence[float], **fields: Any) -> Rows:
    """Rows that can all go on in the first of 40 rounds, each after a step of one token: for tests.

    Args:
      score: of each row.
      fields: what is otherwise.
    """
    num = len(score)
    ones, none = jnp.ones(num, jnp.int32), jnp.zeros(num, bool)
    given = {'score': jnp.asarray(score, jnp.float32), 'logprob': jnp.zeros(num),
             'token': ones[:, None], 'length': ones, 'parent': jnp.arange(num), 'live': ~none,
             'finished': none, 'truncated': none, 'round': 0, 'max_rounds': 40}
    carry = jax.tree.map(jnp.asarray, fields.pop('carry', ()))  # a tree; the others are one array
    return cls(carry=carry, **{name: jnp.asarray(x) for name, x in (given | fields).items()})


@flax.struct.dataclass
class Allocation:
  """Where a round's rows go on."""

  parent: jax.Array  # [N] int32, the row that each slot goes on as, or EMPTY
  stop: jax.Array    # [] bool, the search is over: what has ended, of these, are the candidates
  carry: Any         # [N, ...], of the slots


class Method:
  """A search method: a frozen dataclass whose fields are the method's own parameters.

  Only `allocate` has to be written; of a subclass of `Beam`, only `priority`. A field `beam_width`
  is M, a field `lookahead` is k: the latter has each row rolled out greedily so many steps before
  it is scored, and is charged N (k + 1) generations; every other method is charged N. A parameter
  that is off is None; one that has to be a number above 0 is checked by `positive` in
  `__post_init__`.
  """

  lookahead = 0
  __dataclass_fields__: ClassVar[dict[str, Any]]  # of the subclasses, which are dataclasses

  def begin(self, num: int) -> Any:
    """What is carried with each of N rows at first, a tree of arrays [N, ...]; () for nothing.

    It goes on with the rows: `going_on` moves it to their slots. `allocate` may give another.
    """
    del num
    return ()

  def kept(self, num: int) -> int:
    """The most of N rows that others go on from, which is what memory is planned by."""
    return num

  def allocate(self, key: jax.Array, rows: Rows) -> Allocation:
    """Where the rows go on.

    Args:
      key: this round's, of this question, to be consumed.
      rows: after the step.
    """
    raise NotImplementedError(f'{type(self).__name__} has no allocate(key, rows)')


def going_on(rows: Rows, parent: jax.Array) -> Allocation:
  """An allocation that stops where nothing that is left can write on.

  Args:
    rows: after the step.
    parent: int32 [N], the row that each slot goes on as, or EMPTY.
  """
  place = jnp.maximum(parent, 0)
  live = jnp.any((parent != EMPTY) & rows.live[place])
  return Allocation(parent=parent.astype(jnp.int32), stop=~live,
                    carry=jax.tree.map(lambda x: x[place], rows.carry))


def in_order(children: jax.Array) -> jax.Array:
  """Slots that are given out in the order of rows, each row's side by side.

  Args:
    children: int32 [N], slots of each row, N in all at most.

  Returns:
    int32 [N], the row of each slot, ascending; EMPTY behind them.
  """
  ends, slots = jnp.cumsum(children), jnp.arange(children.size)
  return jnp.where(slots < ends[-1], jnp.searchsorted(ends, slots, side='right'), EMPTY)


def shares(weights: jax.Array, total: jax.Array) -> jax.Array:
  """Whole numbers that add up to a total, in proportion to weights, by the largest remainders.

  Each gets its share rounded down; what is left goes to the largest remainders, of equal ones to
  the first.

  Args:
    weights: float32 [N], not negative, one of them positive.
    total: int32 [].

  Returns:
    int32 [N].
  """
  exact = weights / jnp.sum(weights) * total
  whole = jnp.floor(exact)
  left = total - jnp.sum(whole).astype(jnp.int32)
  order = jnp.argsort(-jnp.where(weights > 0, exact - whole, -1.0), stable=True)
  rank = jnp.zeros_like(order).at[order].set(jnp.arange(order.size))
  return whole.astype(jnp.int32) + (rank < left)


def positive(**parameters: float) -> None:
  """Raises ValueError that names the first parameter that is not above 0."""
  for name, value in parameters.items():
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
      raise ValueError(f'{name} is {value!r}: it must be a number above 0')
