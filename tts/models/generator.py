"""A decoder as the generator that samplers and searches call: functions over texts."""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp

from tts.models import stacks, texts as texts_lib
from tts.models.texts import Chunk
from tts.models.transformer import Decoder, Hidden
from tts.protocols import Params, Texts


@flax.struct.dataclass
class Writing:
  """Texts to which tokens are being added, one at a time."""

  texts: Texts  # their `carry`: final hidden state of each text's newest token, [R, D]
  chunk: Chunk  # what has been added


def advance(decoder: Decoder, params: Params, texts: Texts, chunk: Chunk, tokens: jax.Array,
            lengths: jax.Array, before: Hidden | None = None, own: jax.Array | None = None,
            chosen: tuple[int, ...] = ()) -> tuple[Hidden, Chunk]:
  """Reads new tokens int32 [R, n] of which the first `lengths` int32 [R] are real.

  Args:
    decoder: static.
    params: its parameters.
    texts: what was read before.
    chunk: with room for n columns, which stand in it afterwards.
    tokens: int32 [R, n].
    lengths: int32 [R].
    before: `Hidden` [R] of each text's newest token; read with `Arch.surprise_layer` alone.
    own: bool [R], texts whose new tokens a generator wrote, None for none; likewise.
    chosen: layers whose states are wanted, of `Decoder`.

  Returns:
    (`Hidden` [R, n, D], the chunk).
  """
  num_new = tokens.shape[-1]
  real = jnp.arange(num_new)[None] < lengths[:, None]
  own = jnp.zeros_like(real) if own is None else real & own[:, None]
  views = texts_lib.views(
      texts, chunk, num_new, [decoder.arch.window(number)
                              for number, _ in stacks.places(decoder.stacks_of(params))])
  hidden, columns = decoder.apply(
      params, tokens, texts_lib.positions(texts, chunk, num_new), views=views, own=own,
      before=before, chosen=chosen)
  return hidden, texts_lib.written(chunk, columns, num_new, lengths)


def read(decoder: Decoder, params: Params, texts: Texts, tokens: jax.Array, lengths: jax.Array,
         before: Hidden | None = None, own: jax.Array | None = None,
         chosen: tuple[int, ...] = ()) -> tuple[Hidden, Texts]:
  """Reads tokens that are given; nothing is computed where there are none.

  Args: as of `advance`.

  Returns:
    (`Hidden` [R, n, D], the texts with them).
  """
  def reading(carry):
    _, texts, chunk, _ = carry
    hidden, chunk = advance(decoder, params, texts, chunk, tokens, lengths, before, own, chosen)
    return jnp.zeros((), bool), texts, chunk, hidden

  chunk = texts_lib.chunk(texts, tokens.shape[1])
  _, _, _, shape = jax.eval_shape(lambda: reading((None, texts, chunk, None)))
  blank = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shape)
  # A loop of one pass and no branch: behind it columns are written in place, not copied first.
  _, texts, chunk, hidden = jax.lax.while_loop(
      lambda carry: carry[0], reading, (jnp.any(lengths > 0), texts, chunk, blank))
  return hidden, texts_lib.append(texts, chunk)


class Generator:
  """The functions of one decoder and its parameters; built inside a compiled program."""

  def __init__(self, decoder: Decoder, params: Params):
    self._decoder, self._params = decoder, params

  def empty(self, rows: int, width: int) -> Texts:
    """Texts that have read nothing, with room for `width` tokens each."""
    arch = self._decoder.arch
    return texts_lib.empty(self._decoder, self._params, rows, width,
                           jnp.zeros((rows, arch.width), arch.dtype))

  def read(self, texts: Texts, tokens: jax.Array, lengths: jax.Array) -> Texts:
    """Reads tokens that are given, int32 [R, n] of which the first `lengths` int32 [R] are real."""
    hidden, texts = read(self._decoder, self._params, texts, tokens, lengths)
    last = jnp.take_along_axis(hidden.lm, jnp.maximum(lengths - 1, 0)[:, None, None], axis=1)[:, 0]
    return texts.replace(carry=jnp.where(lengths[:, None] > 0, last, texts.carry))

  def begin(self, texts: Texts, size: int) -> Writing:
    """Texts as they are, with room for `size` tokens to be written."""
    return Writing(texts=texts, chunk=texts_lib.chunk(texts, size))

  def logits(self, writing: Writing) -> jax.Array:
    """Next-token logits of each text, float32 [R, V]."""
    return self._decoder.apply(self._params, writing.texts.carry, method='logits')

  def extend(self, writing: Writing, tokens: jax.Array, live: jax.Array) -> Writing:
    """Adds one token int32 [R] to the texts that are live, bool [R]; who is not stays so."""
    hidden, chunk = advance(self._decoder, self._params, writing.texts, writing.chunk,
                            tokens[:, None], live.astype(jnp.int32))
    carry = jnp.where(live[:, None], hidden.lm[:, 0], writing.texts.carry)
    return Writing(texts=writing.texts.replace(carry=carry), chunk=chunk)

  def end(self, writing: Writing) -> Texts:
    """The texts with what has been added to them."""
    return texts_lib.append(writing.texts, writing.chunk)
