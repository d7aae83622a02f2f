"""What a model has to be, so that samplers, searches and the engine can use it.

A `Generator` writes texts, a `Verifier` scores them; a `JudgingGenerator` does both at once, and
what it writes is not read. They are functions over a state of R texts side by side, `Texts`; they
are built of parameters inside a compiled program (`Make`), and what they compute for a text does
not depend on the texts beside it. Implementations: `tts.models.generator`, `tts.models.verifier`
and `tts.models.latent` (a decoder of ours or an open one; a verifier with another tokenizer is one
whose ids are its own), the plugin in `examples/my_verifier.py`, somebody else's Flax model in
`examples/my_model.py`, the tables of the tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import flax.struct
import jax

Params: TypeAlias = Any   # a tree of arrays, whatever the model has
Carry: TypeAlias = Any    # a tree of arrays [R, ...], a row a text; () or None for nothing
Columns: TypeAlias = Any  # a tree of arrays [Y, R, K_kv, W, E], a column a token; () for none


@flax.struct.dataclass
class Texts:
  """R texts as far as a model has read them.

  The engine moves texts about by these fields alone: it copies columns [.., r, :, a:b, :] for the
  tokens a to b of text r, and `carry` [r]. So what is true of a text must follow from its columns
  below `length`, and from `carry`.
  """

  columns: Columns   # what is kept of each token, keys and values: Y layers, K_kv heads of E
  length: jax.Array  # [R] int32, tokens that have been read
  carry: Carry       # what else the next token depends on: the newest hidden state; zeros at first


class Writing(Protocol):
  """Texts to which tokens are being added one at a time; a pytree of the generator's own."""

  texts: Texts  # their `carry` is that of each text's newest token


class Scored(NamedTuple):
  """What a verifier gives."""

  values: jax.Array  # [R, n] float32, at every new token: chances that the answer will be right
  texts: Texts       # with the new tokens


@runtime_checkable
class Generator(Protocol):
  """A language model that writes. R texts, V ids."""

  def empty(self, rows: int, width: int) -> Texts:
    """R = `rows` texts that have read nothing, with room for W = `width` tokens each."""

  def read(self, texts: Texts, tokens: jax.Array, lengths: jax.Array) -> Texts:
    """The texts with tokens int32 [R, n] behind them; the first `lengths` int32 [R] are real."""

  def begin(self, texts: Texts, size: int) -> Writing:
    """Texts as they are, with room for `size` tokens to be written."""

  def logits(self, writing: Writing) -> jax.Array:
    """Of each text's next token, float32 [R, V], at temperature 1."""

  def extend(self, writing: Writing, tokens: jax.Array, live: jax.Array) -> Writing:
    """Adds one token int32 [R] to the texts that are live, bool [R]; the others stay."""

  def end(self, writing: Writing) -> Texts:
    """The texts with what has been added to them; `length` counts it."""


@runtime_checkable
class JudgingGenerator(Generator, Protocol):
  """A generator that scores what it writes while it writes it (`tts.models.latent`)."""

  def judge(self, writing: Writing, logits: jax.Array,
            tokens: jax.Array) -> tuple[Writing, jax.Array]:
    """Counts the tokens int32 [R] that were drawn from `logits` [R, V], before they are added.

    Returns:
      (The texts, which `extend` is called with; float32 [R], chances that the answer will be right,
      of each text with its token. [R, ...] of one that says something else of a token.)
    """


@runtime_checkable
class Verifier(Protocol):
  """A model that says of a text how likely it is to come to a right answer."""

  def empty(self, rows: int, width: int) -> Texts:
    """R = `rows` texts that have read nothing, with room for W = `width` tokens each."""

  def extend(self, texts: Texts, tokens: jax.Array, lengths: jax.Array, own: jax.Array) -> Scored:
    """Reads new tokens.

    Args:
      texts: what was read before.
      tokens: int32 [R, n].
      lengths: int32 [R], how many of them are real: the first ones.
      own: bool [R], whether a generator wrote them; else they are a question's.
    """


# Parameters --> a model's functions. Called inside a compiled program, static there: hashable, and
# equal ones share their programs.
Make: TypeAlias = Callable[[Params], Generator | Verifier]
MakeGenerator: TypeAlias = Callable[[Params], Generator]
MakeVerifier: TypeAlias = Callable[[Params], Verifier]
