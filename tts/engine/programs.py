"""The engine's device programs, each with the shapes of what it is called with.

Whoever calls a program and whoever only wants to know what it takes (`launch.compile`, the formula
of memory) has it from here. The shapes are of one device group: `stacked` makes them those of all.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
from typing import Any

import jax
import jax.numpy as jnp

from tts import parallel
from tts.engine import lanes as lanes_lib, nodes, pages as pages_lib
from tts.engine.lanes import Lanes
from tts.engine.pages import Copies
from tts.engine.program import Program
from tts.engine.shape import Shape
from tts.sampling import decode
from tts.sampling.logits import SamplingConfig

Make = Callable[[Any], Any]  # parameters --> a model's functions, inside a program; hashable


@functools.cache
def empty_lanes(mesh: parallel.Mesh, make: Make, count: int, width: int) -> Program:
  """Parameters --> `Lanes` with nothing in them."""
  return Program(lambda params: lanes_lib.empty(make(params), count, width), mesh)


@functools.cache
def empty_texts(mesh: parallel.Mesh, make: Make, count: int, width: int) -> Program:
  """Parameters --> a model's texts, with nothing in them."""
  return Program(lambda params: make(params).empty(count, width), mesh)


@functools.cache
def empty_pages(mesh: parallel.Mesh, count: int) -> Program:
  """(), texts --> pages for texts like these."""
  return Program(lambda _, texts: pages_lib.empty(texts, count), mesh)


@functools.cache
def write(mesh: parallel.Mesh, make: Make, num: int, sampling: SamplingConfig,
          limits: decode.Limits) -> Program:
  """Parameters, `Lanes` --> (the lanes after up to `num` tokens, `Log`)."""
  return Program(lambda params, lanes: lanes_lib.write(make(params), lanes, num, sampling, limits),
                 mesh, donate=(1,))


def writes(make: Make, params: Any, shape: Shape, width: int) -> tuple[Lanes]:
  """Shapes of what `write` is called with behind the parameters."""
  return (jax.eval_shape(lambda p: lanes_lib.empty(make(p), shape.lanes, width), params),)


@functools.cache
def read(mesh: parallel.Mesh, make: Make, values: bool) -> Program:
  """Parameters, texts, tokens [R, n], counts [R], own [R] --> (the texts with them, values).

  The values of a verifier are float32 [R, n]; () of a generator.
  """
  def function(params, texts, tokens, counts, own):
    if not values:
      return make(params).read(texts, tokens, counts), ()
    found, texts = make(params).extend(texts, tokens, counts, own)
    return texts, found

  return Program(function, mesh, donate=(1,))


def reads(make: Make, params: Any, shape: Shape, width: int) -> tuple[Any, ...]:
  """Shapes of what `read` is called with behind the parameters."""
  of = lambda dtype, *size: jax.ShapeDtypeStruct((shape.readers, *size), dtype)
  return (_texts(make, params, shape.readers, width), of(jnp.int32, shape.tile), of(jnp.int32),
          of(jnp.bool_))


@functools.cache
def load(mesh: parallel.Mesh) -> Program:
  """(), and what `pages.load` takes --> the texts."""
  return Program(lambda _, *args: pages_lib.load(*args), mesh, donate=(1,))


def loads(make: Make, params: Any, rows: int, width: int, count: int) -> tuple[Any, ...]:
  """Shapes of what `load` is called with, into `rows` lanes that all want a long text."""
  texts = _texts(make, params, rows, width)
  of = lambda dtype: jax.ShapeDtypeStruct((rows,), dtype)
  return (texts, _pages(texts, count), _copies(rows, width), of(jnp.bool_), of(jnp.int32),
          of(jnp.int32))


@functools.cache
def save(mesh: parallel.Mesh) -> Program:
  """(), and what `pages.save` takes --> the pages."""
  return Program(lambda _, *args: pages_lib.save(*args), mesh, donate=(1,))


def saves(make: Make, params: Any, rows: int, width: int, count: int) -> tuple[Any, ...]:
  """Shapes of what `save` is called with, from `rows` lanes that all have a long text."""
  texts = _texts(make, params, rows, width)
  return _pages(texts, count), texts, texts.carry, _copies(rows, width)


@functools.cache
def grow(mesh: parallel.Mesh, axis: int, size: int) -> Program:
  """(), columns or pages --> the same, with zeros behind them along an axis."""
  return Program(lambda _, tree: pages_lib.grown(tree, axis, size), mesh)


@functools.cache
def take(mesh: parallel.Mesh) -> Program:
  """(), and what `lanes.taken` takes --> the lanes."""
  return Program(lambda _, *args: lanes_lib.taken(*args), mesh, donate=(1,))


def stacked(block: Any, mesh: parallel.Mesh) -> Any:
  """Shapes of one group --> of all groups, as the programs take them from each other."""
  return jax.tree_util.tree_map_with_path(
      lambda path, x: parallel.stacked(x, mesh, pages_lib.axes(path)), block)


def _texts(make: Make, params: Any, rows: int, width: int) -> Any:
  return jax.eval_shape(lambda p: make(p).empty(rows, width), params)


def _pages(texts: Any, count: int) -> Any:
  return jax.eval_shape(lambda texts: pages_lib.empty(texts, count), texts)


def _copies(rows: int, width: int) -> Copies:
  of = lambda *size: jax.ShapeDtypeStruct(size, jnp.int32)
  size = pages_lib.padded(rows * nodes.pages_for(width))
  return Copies(lane=of(size), page=of(size), column=of(size), count=of())
