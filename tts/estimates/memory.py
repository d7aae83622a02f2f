"""Memory of a device program on one device, by the shapes alone: one formula for everybody.

`--dry_run` refuses by it what will not fit, and `launch.compile` prints it beside the compiler's
own figure. Arguments and outputs are exact up to the padding of a device's layouts; an output that
takes an argument's place is none. `working` is what is made beside them: the new tokens' keys and
values, and one layer's attention weights, or the logits. What the compiler saves or adds is not
known before it has run, and while lanes or pages grow their old ones are there too.
"""

from __future__ import annotations

import dataclasses
import functools

import jax.numpy as jnp

from tts import placement
from tts.engine.lanes import FIELDS
from tts.engine.nodes import pages_for
from tts.engine.pages import padded, SIZE
from tts.engine.shape import Shape
from tts.models import blockwise
from tts.models.arch import Arch
from tts.models.transformer import abstract

_WORD = 4  # bytes of an int32, uint32 or float32


@dataclasses.dataclass(frozen=True)
class Footprint:
  """Bytes on one device.

  Attributes:
    weights: of the program's model.
    inputs: what else it is called with.
    outputs: of it, those apart that take the place of arguments.
    working: what it makes meanwhile.
    others: weights of the stage's other models.
    kept: lanes and pages of the stage that it is not called with.
  """

  weights: int
  inputs: int
  outputs: int
  working: int = 0
  others: int = 0
  kept: int = 0

  @property
  def arguments(self) -> int:
    return self.weights + self.inputs

  @property
  def total(self) -> int:
    return self.arguments + self.outputs + self.working + self.beside

  @property
  def beside(self) -> int:
    """What is on the device and not the program's."""
    return self.others + self.kept


@functools.cache
def weights(arch: Arch, width: int) -> int:
  """Bytes of a model's parameters on one of `width` devices that share it."""
  return sum(size for _, size, _ in placement.pieces(abstract(arch), width))


@functools.cache
def whole(arch: Arch, width: int) -> tuple[tuple[str, int], ...]:
  """Parameters that every one of `width` devices has all of, and their bytes."""
  return tuple((name, size) for name, size, shared in placement.pieces(abstract(arch), width)
               if not shared)


def _shared(count: int, width: int) -> int:
  """Of `count` heads, those of one device; all where they do not divide."""
  return count // width if count % width == 0 else count


def place(arch: Arch, width: int) -> int:
  """Bytes of keys and values of one token on one device."""
  heads = _shared(arch.num_kv_heads, width)
  return 2 * arch.num_layers * heads * arch.head_size * jnp.dtype(arch.dtype).itemsize


def _scores(arch: Arch, width: int, rows: int, new: int, seen: int) -> int:
  """Bytes of one layer's attention weights, `new` tokens a row over `seen`; or of the MLP."""
  scores = _shared(arch.num_heads, width) * blockwise.size(new, seen) * seen * _WORD
  mlp = new * _shared(arch.mlp_width, width) * jnp.dtype(arch.dtype).itemsize
  return rows * max(scores, mlp)


def carry(arch: Arch, values: bool) -> int:
  """Bytes of what a text carries beside keys and values; of a verifier's, where `values` is set."""
  state = arch.width * jnp.dtype(arch.dtype).itemsize
  return state if not values else state + 2 * _WORD if arch.surprise_layer else 0


def texts(arch: Arch, width: int, rows: int, tokens: int, carried: int) -> int:
  """Bytes of lanes with room for so many tokens each, which carry so many bytes beside."""
  return rows * (tokens * place(arch, width) + carried + _WORD)


def lanes(arch: Arch, width: int, rows: int, tokens: int, carried: int) -> int:
  """Bytes of `tts.engine.lanes.Lanes`: texts, what is drawn by and how far each is."""
  return texts(arch, width, rows, tokens, carried) + rows * (carried + 11 * _WORD + 4)


def pages(arch: Arch, width: int, count: int, carried: int) -> int:
  """Bytes of `tts.engine.pages.Pages`."""
  return count * (SIZE * place(arch, width) + carried)


def write(arch: Arch, width: int, shape: Shape, tokens: int, carried: int, drawn: int) -> Footprint:
  """`programs.write` in lanes with room for `tokens`; drawn: bytes that are said of each token."""
  rows = shape.lanes
  return Footprint(
      weights=weights(arch, width), inputs=lanes(arch, width, rows, tokens, carried),
      outputs=rows * (drawn * shape.write + 1),
      working=rows * shape.write * place(arch, width) + max(
          _scores(arch, width, rows, 1, tokens + shape.write),
          3 * rows * _vocabulary(arch, width) * _WORD))


def read(arch: Arch, width: int, shape: Shape, tokens: int, carried: int, given: int, rows: int,
         size: int) -> Footprint:
  """`programs.read` of `size` tokens in `rows` of the lanes, which have room for `tokens`.

  given: bytes that it gives of each token: a verifier's value, or what a head is fitted on.
  """
  lanes_ = shape.readers
  return Footprint(
      weights=weights(arch, width),
      inputs=texts(arch, width, lanes_, tokens, carried) + rows * (size + 3) * _WORD,
      outputs=rows * size * given,
      working=rows * size * place(arch, width) + _scores(arch, width, rows, size, tokens + size)
      + (texts(arch, width, rows, tokens, carried) if rows < lanes_ else 0))


def resize(arch: Arch, width: int, shape: Shape, tokens: int, carried: int) -> Footprint:
  """`programs.resize` from half of the lanes, with room for `tokens`, to all."""
  rows = shape.lanes
  return Footprint(weights=0, outputs=lanes(arch, width, rows, tokens, carried),
                   inputs=lanes(arch, width, shape.sizes[-2], tokens, carried) + rows * _WORD)


def load(arch: Arch, width: int, shape: Shape, tokens: int, count: int, carried: int) -> Footprint:
  """`programs.load` from `count` pages."""
  rows = shape.readers
  return Footprint(weights=0, outputs=0, inputs=(
      texts(arch, width, rows, tokens, carried) + pages(arch, width, count, carried)
      + _copies(rows, tokens) + 3 * rows * _WORD))


def fill(arch: Arch, width: int, shape: Shape, tokens: int, count: int, carried: int) -> Footprint:
  """`programs.fill` from `count` pages."""
  rows = shape.lanes
  return Footprint(weights=0, outputs=0, inputs=(
      lanes(arch, width, rows, tokens, carried) + pages(arch, width, count, carried)
      + _copies(rows, tokens) + (3 + FIELDS) * rows * _WORD))


def save(arch: Arch, width: int, rows: int, tokens: int, count: int, carried: int) -> Footprint:
  """`programs.save` to `count` pages. What texts carry is given beside them, not with them."""
  length = rows * _WORD  # no page has it, and the compiler leaves it out
  return Footprint(weights=0, outputs=0, inputs=(
      texts(arch, width, rows, tokens, carried) - length + pages(arch, width, count, carried)
      + _copies(rows, tokens)))


def _copies(rows: int, tokens: int) -> int:
  return 3 * padded(rows * pages_for(tokens)) * _WORD


def training(arch: Arch, *, batch: int, columns: int, labelled: bool, width: int = 1,
             groups: int = 1, adapters: int = 0, remat: bool = False) -> Footprint:
  """An update: weights and Adam's two moments, donated, and what is kept for it.

  `width` x `groups` devices share weights and moments, `groups` of them the rows too. With bytes of
  `adapters` these alone are learnt, and the weights are there once more, merged.

  Rows that are `labelled` have a label a token, and masks of labels and of own tokens. With `remat`
  a layer keeps what it begins with, and one at a time all of it. What is made in blocks, scores and
  logits, is kept for none but the one at hand.
  """
  size, whole = weights(arch, width), batch * columns
  batch = -(-batch // groups)
  tokens, layers = batch * columns, arch.num_layers
  block = blockwise.size(columns, columns)
  layer = tokens * (8 * arch.width + 4 * arch.mlp_width)
  scores = 2 * batch * arch.num_heads * block * columns
  if block == columns:
    layer, scores = layer + scores, 0
  # One array of the width is all that a gradient asks for; the compiler's layers grow by four.
  kept = layer + layers * 4 * tokens * arch.width if remat else layers * layer
  logits = 3 * batch * blockwise.size(columns, arch.vocab_size) * arch.vocab_size
  learnt = size + 3 * adapters if adapters else 3 * size
  return Footprint(weights=learnt // groups, outputs=0,
                   inputs=whole * (3 * _WORD + 1 + (_WORD + 2) * labelled),
                   working=(size * (2 if adapters else 1) + (kept + scores + logits)
                            * jnp.dtype(arch.dtype).itemsize))


def _vocabulary(arch: Arch, width: int) -> int:
  return _shared(arch.vocab_size, width)
