"""The engine's device programs, each with the shapes of what it is called with.

Whoever calls a program and whoever only wants to know what it takes (`launch.compile`, the formula
of memory) has it from here. The shapes are of one device group: `stacked` makes them those of all.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from tts import parallel, placement
from tts.engine import lanes as lanes_lib, nodes, pages as pages_lib
from tts.engine.lanes import Lanes
from tts.engine.pages import Pages
from tts.engine.program import Program
from tts.engine.shape import Shape
from tts.protocols import Make, MakeGenerator, Params, Texts
from tts.sampling import decode
from tts.sampling.logits import SamplingConfig


@functools.cache
def empty_lanes(mesh: parallel.Mesh, make: MakeGenerator, count: int, width: int,
                window: int) -> Program:
  """Parameters --> `Lanes` with nothing in them."""
  return Program(lambda params: lanes_lib.empty(make(params), count, width, window), mesh)


@functools.cache
def empty_texts(mesh: parallel.Mesh, make: Make, count: int, width: int) -> Program:
  """Parameters --> a model's texts, with nothing in them."""
  return Program(lambda params: make(params).empty(count, width), mesh)


@functools.cache
def empty_pages(mesh: parallel.Mesh, count: int) -> Program:
  """(), texts --> pages for texts like these."""
  return Program(lambda _, texts: pages_lib.empty(texts, count), mesh)


@functools.cache
def write(mesh: parallel.Mesh, make: MakeGenerator, num: int, sampling: SamplingConfig,
          limits: decode.Limits) -> Program:
  """Parameters, `Lanes` --> (the lanes after up to `num` tokens, `Log`)."""
  return Program(lambda params, lanes: lanes_lib.write(make(params), lanes, num, sampling, limits),
                 mesh, donate=(1,))


def writes(make: MakeGenerator, params: Params, shape: Shape, width: int) -> tuple[Lanes]:
  """Shapes of what `write` is called with behind the parameters."""
  return (jax.eval_shape(lambda p: lanes_lib.empty(make(p), shape.lanes, width), params),)


@functools.cache
def read(mesh: parallel.Mesh, make: Make, values: bool) -> Program:
  """Parameters, texts, int32 [n, 3 + m] --> (the texts with these tokens, values).

  A row has the lane, how many of its tokens are real, whether a generator wrote them, and the
  tokens. Where there are as many rows as lanes, row i is of lane i. Else rows of a negative lane
  stand at the end, and are none. The values of a verifier are float32 [n, m]; () of a generator.
  """
  def whole(params, texts, rows):
    counts, own, tokens = rows[:, 1], rows[:, 2] > 0, rows[:, 3:]
    if not values:
      return make(params).read(texts, tokens, counts), ()
    found, texts = make(params).extend(texts, tokens, counts, own)
    return texts, found

  def function(params, texts, rows):
    if rows.shape[0] == texts.length.shape[0]:
      return whole(params, texts, rows)
    lanes, count = jnp.maximum(rows[:, 0], 0), jnp.sum(rows[:, 0] >= 0)
    some, found = whole(params, pages_lib.picked(texts, lanes), rows)
    return pages_lib.returned(texts, some, lanes, count), found

  return Program(function, mesh, donate=(1,))


def reads(make: Make, params: Params, shape: Shape, width: int, rows: int,
          size: int) -> tuple[Any, ...]:
  """Shapes of what `read` is called with behind the parameters, for `size` tokens in each row."""
  return _texts(make, params, shape.readers, width), _ints(rows, 3 + size)


@functools.cache
def load(mesh: parallel.Mesh) -> Program:
  """(), texts, pages, copies, int32 [3, R] --> the texts; see `pages.load`, `Store.copies`."""
  return Program(lambda _, texts, pages, copies, rows: _load(texts, pages, copies, rows), mesh,
                 donate=(1,))


def _load(texts: Texts, pages: Pages, copies: jax.Array, rows: jax.Array) -> Texts:
  fresh, length, last = rows
  return pages_lib.load(texts, pages, copies, fresh > 0, length, last)


def loads(make: Make, params: Params, shape: Shape, width: int, count: int) -> tuple[Any, ...]:
  """Shapes of what `load` is called with, into reading lanes that all want a long text."""
  texts = _texts(make, params, shape.readers, width)
  return texts, _pages(texts, count), _copies(shape.readers, width), _ints(3, shape.readers)


@functools.cache
def fill(mesh: parallel.Mesh) -> Program:
  """(), `Lanes`, pages, copies, int32 [3 + FIELDS, L] --> the lanes; `load` and `lanes.filled`."""
  def function(_, lanes, pages, copies, rows):
    texts = _load(lanes.texts, pages, copies, rows[:3])
    return lanes_lib.filled(dataclasses.replace(lanes, texts=None), texts, rows[0] > 0, rows[3:])

  return Program(function, mesh, donate=(1,))


def fills(make: MakeGenerator, params: Params, shape: Shape, width: int,
          count: int) -> tuple[Any, ...]:
  """Shapes of what `fill` is called with, where all lanes want a long text."""
  lanes, = writes(make, params, shape, width)
  return (lanes, _pages(lanes.texts, count), _copies(shape.lanes, width),
          _ints(3 + lanes_lib.FIELDS, shape.lanes))


@functools.cache
def save(mesh: parallel.Mesh) -> Program:
  """(), and what `pages.save` takes --> the pages."""
  return Program(lambda _, *args: pages_lib.save(*args), mesh, donate=(1,))


def saves(make: Make, params: Params, rows: int, width: int, count: int) -> tuple[Any, ...]:
  """Shapes of what `save` is called with, from `rows` lanes that all have a long text."""
  texts = _texts(make, params, rows, width)
  return _pages(texts, count), texts, texts.carry, _copies(rows, width)


@functools.cache
def widen(mesh: parallel.Mesh, width: int) -> Program:
  """(), texts --> the same with room for `width` tokens."""
  return Program(lambda _, texts: pages_lib.widened(texts, width), mesh)


@functools.cache
def more(mesh: parallel.Mesh, count: int) -> Program:
  """(), pages --> so many."""
  return Program(lambda _, pages: pages_lib.more(pages, count), mesh)


@functools.cache
def resize(mesh: parallel.Mesh) -> Program:
  """(), and what `lanes.resized` takes --> the lanes."""
  return Program(lambda _, *args: lanes_lib.resized(*args), mesh)


def resizes(make: MakeGenerator, params: Params, shape: Shape, width: int) -> tuple[Any, ...]:
  """Shapes of what `resize` is called with to have as many lanes as there may be."""
  of = lambda count: jax.eval_shape(lambda p: lanes_lib.empty(make(p), count, width), params)
  return of(shape.sizes[-2]), _ints(shape.lanes)


def stacked(block: Any, mesh: parallel.Mesh) -> Any:
  """Shapes of one group --> of all groups, as the programs take them from each other."""
  return jax.tree_util.tree_map_with_path(
      lambda path, x: placement.stacked(x, mesh, pages_lib.axes(path)), block)


def _texts(make: Make, params: Params, rows: int, width: int) -> Texts:
  return jax.eval_shape(lambda p: make(p).empty(rows, width), params)


def _pages(texts: Texts, count: int) -> Pages:
  return jax.eval_shape(lambda texts: pages_lib.empty(texts, count), texts)


def _copies(rows: int, width: int) -> jax.ShapeDtypeStruct:
  return _ints(pages_lib.padded(rows * nodes.pages_for(width)), 3)


def _ints(*size: int) -> jax.ShapeDtypeStruct:
  return jax.ShapeDtypeStruct(size, jnp.int32)
