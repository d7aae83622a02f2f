"""Texts that are not in a lane, in pages: what several continue is there once.

A page holds the columns of up to `SIZE` neighbouring tokens. A text is a path of nodes, each some
pages long (`tts.engine.nodes`), and a lane that takes it copies its pages one behind the other.
Nothing moves when a search branches: its children are paths with the same beginning.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from tts import in_place, placement
from tts.protocols import Carry, Columns, Texts

SIZE = 16
_AXES = (None, None, 'kv_heads', None, None)  # logical axes of columns


@flax.struct.dataclass
class Pages:
  """Columns of texts, and what follows each page's last token."""

  columns: Columns  # as in `Texts`, with pages for texts and SIZE columns
  carry: Carry      # as in `Texts`, [pages, ...]


def axes(path: Any) -> tuple[str | None, ...]:
  """Logical axes of an array by its path in a tree: devices share columns' heads, and no more."""
  return _AXES if any(getattr(key, 'name', None) == 'columns' for key in path) else ()


def empty(texts: Texts, count: int) -> Pages:
  """`count` pages for texts like these."""
  return Pages(
      columns=jax.tree.map(lambda x: placement.constrain(jnp.zeros(
          (x.shape[0], count, x.shape[2], SIZE, x.shape[4]), x.dtype), *_AXES), texts.columns),
      carry=jax.tree.map(lambda x: jnp.zeros((count, *x.shape[1:]), x.dtype), texts.carry))


def padded(copies: int) -> int:
  """Copies of a call: a power of four, so that few programs are compiled."""
  return 1 << max(6, copies.bit_length() + 1 & ~1)


def load(texts: Texts, pages: Pages, copies: jax.Array, fresh: jax.Array, length: jax.Array,
         last: jax.Array) -> Texts:
  """Texts of which the `fresh` ones are others.

  Args:
    texts: the lanes'.
    pages: where the others are.
    copies: pages to lanes, int32 [n, 3]: lane, page, column of the lane; those of a negative lane
      stand at the end, and are none. In order: what lies behind a page's tokens is overwritten by
      the next.
    fresh: bool [L].
    length: int32 [L], of the other text.
    last: int32 [L], its last page; negative for a text that has read nothing.
  """
  def one(i, columns):
    lane, page, column = copies[i]
    return jax.tree.map(
        lambda old, new: in_place.put(old, in_place.cut_row(new, page, 1),
                                      (0, lane, 0, column, 0)),
        columns, pages.columns)

  columns = jax.lax.fori_loop(0, _count(copies), one, texts.columns)

  def carried(old, stored):
    over = lambda flag: flag.reshape(flag.shape + (1,) * (old.ndim - 1))
    new = jnp.where(over(last >= 0), jnp.take(stored, jnp.maximum(last, 0), axis=0),
                    jnp.zeros((), old.dtype))
    return jnp.where(over(fresh), new, old)

  return dataclasses.replace(texts, columns=columns, length=jnp.where(fresh, length, texts.length),
                       carry=jax.tree.map(carried, texts.carry, pages.carry))


def save(pages: Pages, texts: Texts, carry: Carry, copies: jax.Array) -> Pages:
  """Pages with some of the lanes' columns in them, and a lane's `carry` [L, ...] beside each.

  copies: as of `load`, lanes to pages.
  """
  def one(i, pages):
    lane, page, column = copies[i]

    def columns(old, new):
      one_page = (old.shape[0], 1, *old.shape[2:])
      some = in_place.cut(new, (0, lane, 0, column, 0), one_page)
      return in_place.put(old, some, (0, page, 0, 0, 0))

    def row(old, new):
      return in_place.put_row(old, in_place.cut_row(new, lane, 0), page, 0)

    return Pages(columns=jax.tree.map(columns, pages.columns, texts.columns),
                 carry=jax.tree.map(row, pages.carry, carry))

  return jax.lax.fori_loop(0, _count(copies), one, pages)


def _count(copies: jax.Array) -> jax.Array:
  return jnp.sum(copies[:, 0] >= 0)


def picked(texts: Texts, lanes: jax.Array) -> Texts:
  """The texts of the lanes with these numbers, int32 [n]."""
  count = lanes.shape[0]

  def one(i, new):
    return jax.tree.map(
        lambda new, old: in_place.put_row(new, in_place.cut_row(old, lanes[i], 1), i, 1),
        new, texts.columns)

  columns = jax.lax.fori_loop(0, count, one, jax.tree.map(
      lambda x: placement.constrain(
          jnp.zeros((x.shape[0], count, *x.shape[2:]), x.dtype), *_AXES), texts.columns))
  rest = jax.tree.map(lambda x: x[lanes], dataclasses.replace(texts, columns=()))
  return rest.replace(columns=columns)


def returned(texts: Texts, some: Texts, lanes: jax.Array, count: jax.Array) -> Texts:
  """The texts with the first `count` of those that were `picked`, changed or not."""
  def put(i, axis):
    return lambda old, new: in_place.put_row(old, in_place.cut_row(new, i, axis), lanes[i], axis)

  def one(i, texts):
    rest = jax.tree.map(put(i, 0), texts.replace(columns=()), some.replace(columns=()))
    return rest.replace(columns=jax.tree.map(put(i, 1), texts.columns, some.columns))

  return jax.lax.fori_loop(0, count, one, texts)


def widened(texts: Texts, width: int) -> Texts:
  """The texts with room for `width` tokens."""
  return dataclasses.replace(texts, columns=_grown(texts.columns, 3, width))


def more(pages: Pages, count: int) -> Pages:
  """So many pages, the first of which are these."""
  return Pages(columns=_grown(pages.columns, 1, count), carry=_grown(pages.carry, 0, count))


def _grown(tree: Any, axis: int, size: int) -> Any:
  """Arrays with zeros behind them along an axis, up to `size`."""
  def one(x):
    longer = [(0, 0)] * x.ndim
    longer[axis] = (0, size - x.shape[axis])
    return jnp.pad(x, longer)

  return jax.tree.map(one, tree)
