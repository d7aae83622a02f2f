"""What heads of latent verifiers are fitted on: hidden states of texts, read or written."""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp

from tts.models import generator as generator_lib, latent, texts as texts_lib
from tts.models.latent import Head
from tts.models.transformer import Decoder
from tts.protocols import Params, Scored, Texts

_LARGEST = float(jnp.finfo(jnp.float16).max)


@flax.struct.dataclass
class Carry:
  """Beside the columns of R texts that are read to learn from."""

  hidden: jax.Array  # [R, D] final hidden state of the newest token
  states: jax.Array  # [R, n D] float32, those of the chosen layers


class States:
  """What a head is fitted on: a verifier whose values are what each token is judged by.

  Values are float32 [R, n, layers D + len(beside)], in this order; there are no parameters beside
  the decoder's.
  """

  def __init__(self, decoder: Decoder, params: Params, head: Head):
    self._decoder, self._params, self._head = decoder, params, head

  def empty(self, rows: int, width: int) -> Texts:
    """Texts that have read nothing, with room for `width` tokens each."""
    arch = self._decoder.arch
    carry = Carry(jnp.zeros((rows, arch.width), arch.dtype),
                  jnp.zeros((rows, len(self._head.layers) * arch.width), jnp.float32))
    return texts_lib.empty(self._decoder, self._params, rows, width, carry)

  def extend(self, texts: Texts, tokens: jax.Array, lengths: jax.Array, own: jax.Array) -> Scored:
    """Reads new tokens; see `tts.protocols.Verifier`."""
    carry = texts.carry
    hidden, texts = generator_lib.read(self._decoder, self._params, texts, tokens, lengths,
                                       chosen=self._head.layers)
    states = latent.side_by_side(hidden.states)
    found = latent.before(carry.states, states)
    if self._head.beside:
      found = jnp.concatenate([found, latent.observed_own(
          self._decoder, self._params, self._head, latent.before(carry.hidden, hidden.lm), tokens,
          own & (lengths > 0))], axis=-1)
    carry = latent.newest(Carry(hidden.lm, states), carry, lengths)
    return Scored(found, texts.replace(carry=carry))


class Collecting(latent.Writes):
  """The decoder as a generator that hands out what a head would judge each token by.

  A `tts.protocols.JudgingGenerator` whose values are those of `States`, as float16, made while the
  tokens are written.
  """

  def __init__(self, decoder: Decoder, params: Params, head: Head):
    self._decoder, self._params, self._head = decoder, params, head
    self._reading = States(decoder, params, head)

  def empty(self, rows: int, width: int) -> Texts:
    """Texts that have read nothing, with room for `width` tokens each."""
    return self._reading.empty(rows, width)

  def read(self, texts: Texts, tokens: jax.Array, lengths: jax.Array) -> Texts:
    """Reads tokens that nobody wrote, int32 [R, n], of which the first `lengths` are real."""
    return self._reading.extend(texts, tokens, lengths, jnp.zeros(lengths.shape, bool)).texts

  def begin(self, texts: Texts, size: int) -> generator_lib.Writing:
    """Texts as they are, with room for `size` tokens to be written."""
    return generator_lib.Writing(texts=texts, chunk=texts_lib.chunk(texts, size))

  def judge(self, writing: generator_lib.Writing, logits: jax.Array,
            tokens: jax.Array) -> tuple[generator_lib.Writing, jax.Array]:
    """What tokens int32 [R] drawn from logits [R, V] are judged by, float16 [R, F]."""
    found = writing.texts.carry.states
    if self._head.beside:
      found = jnp.concatenate([found, latent.observed(self._head, logits, tokens)], axis=-1)
    return writing, jnp.clip(found, -_LARGEST, _LARGEST).astype(jnp.float16)

  def extend(self, writing: generator_lib.Writing, tokens: jax.Array,
             live: jax.Array) -> generator_lib.Writing:
    """Adds one token int32 [R] to the texts that are live, bool [R]."""
    hidden, chunk = generator_lib.advance(
        self._decoder, self._params, writing.texts, writing.chunk, tokens[:, None],
        live.astype(jnp.int32), chosen=self._head.layers)
    new = Carry(hidden.lm[:, 0], latent.side_by_side(hidden.states)[:, 0])
    return latent.with_newest(writing, new, chunk, live)
