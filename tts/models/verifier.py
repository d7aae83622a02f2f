"""A decoder with a value head as the verifier that a search calls.

It keeps keys and values of its own and reads only the tokens that are new, so a step is scored for
the price of the step.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from tts.models import generator
from tts.models import texts as texts_lib
from tts.models.surprise import Account
from tts.models.transformer import Decoder, Hidden
from tts.protocols import Params, Scored, Texts


class Verifier:
  """The functions of one verifier and its parameters; built inside a compiled program."""

  def __init__(self, decoder: Decoder, params: Params):
    self._decoder, self._params = decoder, params

  def empty(self, rows: int, width: int) -> Texts:
    """Texts that have read nothing, with room for `width` tokens each.

    Their `carry` is what the next token's surprise depends on: `Hidden` [R], or None where that
    does not matter.
    """
    arch, carry = self._decoder.arch, None
    if arch.surprise_layer:
      nothing = jnp.zeros(rows, jnp.float32)
      carry = Hidden(top=None, lm=jnp.zeros((rows, arch.width), arch.dtype),
                     account=Account(total=nothing, largest=nothing))
    return texts_lib.empty(self._decoder, self._params, rows, width, carry)

  def extend(self, texts: Texts, tokens: jax.Array, lengths: jax.Array,
             own: jax.Array) -> Scored:
    """Reads new tokens; see `tts.protocols.Verifier`. Those of a question are no surprise."""
    hidden, texts = generator.read(self._decoder, self._params, texts, tokens, lengths,
                                   texts.carry, own)
    logit = self._decoder.apply(self._params, hidden.top, method='values')
    carry = texts.carry
    if carry is not None:
      last = jnp.maximum(lengths - 1, 0)
      newest = jax.tree.map(lambda x: jnp.take_along_axis(x, _over(last[:, None], x), axis=1)[:, 0],
                            hidden.replace(top=None))
      carry = jax.tree.map(lambda new, old: jnp.where(_over(lengths > 0, new), new, old),
                           newest, carry)
    return Scored(jax.nn.sigmoid(logit), texts.replace(carry=carry))


def _over(index: jax.Array, x: jax.Array) -> jax.Array:
  """`index` with axes added until it goes with `x`."""
  return index.reshape(index.shape + (1,) * (x.ndim - index.ndim))
