"""A verifier that reads its generator's hidden states: what is scored has been computed already.

A head has a linear gate and a linear value of each token (SWIFT, arXiv 2505.12225). A token is
judged by the states that it was drawn from: those of the token before it, in chosen layers. So a
solution's last token, which never enters the generator, counts as any other does, and a score is of
the text alone, whoever wrote it and however it was cut. Of the solution's tokens 1 to t,

  gate_i, value_i = (states that token i was drawn from; its log-probability ...) . weights + bias
  score_t = sigmoid(sum_i sigmoid(gate_i) value_i / sum_i sigmoid(gate_i)),

a prefix of the same sums for every t. What nobody wrote, a question, begins them anew.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from tts.models import generator as generator_lib, texts as texts_lib
from tts.models.transformer import Decoder
from tts.protocols import Params, Scored, Texts
from tts.types import InputError

BESIDE = ('logprob', 'entropy')  # of the distribution at temperature 1, in nats
OUTPUTS = 2  # gate and value
_SLOPE = 10.0
NAME = 'latent'  # of a head's parameters, beside `params`, those of the decoder


@dataclasses.dataclass(frozen=True)
class Head:
  """What a head reads of a token.

  Its parameters are float32: `states` [layers, D, 2], `bias` [2], and with something beside
  `beside` [len(beside), 2]; of gate and value each.

  Attributes:
    layers: ascending numbers from 1, as of `Decoder`: the streams behind them; the last layer's is
      what the language-model head reads.
    beside: some of `BESIDE`, of the token itself.
  """

  layers: tuple[int, ...]
  beside: tuple[str, ...] = ()

  def __post_init__(self):
    if not self.layers or sorted(set(self.layers)) != list(self.layers) or self.layers[0] < 1:
      raise InputError(f'layers is {self.layers}: they are to ascend, from 1 or more')
    if unknown := [name for name in self.beside if name not in BESIDE]:
      raise InputError(f'beside has {unknown[0]!r}: it may have {", ".join(BESIDE)}')

  def check_fits(self, num_layers: int) -> None:
    """Raises InputError where a generator of so many layers has no such one."""
    if self.layers[-1] > num_layers:
      raise InputError(f'layers has {self.layers[-1]}, and the generator {num_layers}: '
                       'choose among these')


@flax.struct.dataclass
class Carry:
  """What else follows from a text, beside its columns; R texts."""

  hidden: jax.Array  # [R, D] final hidden state of the newest token
  read: jax.Array    # [R, 2] float32, what its states are to gate and value
  sums: jax.Array    # [R, 2] float32, of the solution's tokens: gates, gates times values


@flax.struct.dataclass
class Writing(generator_lib.Writing):
  """Texts to which tokens are being added, one at a time."""

  sums: jax.Array  # [R, 2] float32, with the token that was drawn and has not entered


def num_features(head: Head, width: int) -> int:
  """F, numbers that a token is judged by."""
  return len(head.layers) * width + len(head.beside)


def zeros(head: Head, width: int) -> dict[str, jax.Array]:
  """Parameters of a head that says 0.5 of everything. width: D."""
  shape = {'states': (len(head.layers), width), 'beside': (len(head.beside),), 'bias': ()}
  return {name: jnp.zeros((*of, OUTPUTS), jnp.float32) for name, of in shape.items() if all(of)}


LOGPROB = Head((1,), ('logprob',))


def of_logprob(width: int) -> tuple[Head, dict[str, jax.Array]]:
  """A head that nobody has to fit, and its parameters: every token counts the same.

  A score is sigmoid(10 m), m the mean log-probability of the tokens so far: it orders solutions as
  m does, and the factor says how much more a likelier one counts in a weighted vote. width: D.
  """
  params = zeros(LOGPROB, width)
  return LOGPROB, params | {'beside': params['beside'].at[0, 1].set(_SLOPE)}  # of gate and value


def read_states(params: dict[str, Any], states: jax.Array) -> jax.Array:
  """What states [n, ..., D] are to gate and value, float32 [..., 2]."""
  read = _dot(side_by_side(states), params['states'].reshape(-1, OUTPUTS))
  return read + jnp.broadcast_to(params['bias'], read.shape)


def side_by_side(states: jax.Array) -> jax.Array:
  """States [n, ..., D] as float32 [..., n D]."""
  side = jnp.moveaxis(states.astype(jnp.float32), 0, -2)
  return side.reshape(*side.shape[:-2], side.shape[-2] * side.shape[-1])


def _dot(x: jax.Array, weights: jax.Array) -> jax.Array:
  return jnp.dot(x, weights, precision=jax.lax.Precision.HIGHEST)  # a TPU's default is bfloat16


def observed(head: Head, logits: jax.Array, tokens: jax.Array) -> jax.Array:
  """`Head.beside` of tokens int32 [...] drawn from logits [..., V]: float32 [..., len(beside)]."""
  total = jax.nn.logsumexp(logits, axis=-1)
  of = {'logprob': lambda: jnp.take_along_axis(logits, tokens[..., None], axis=-1)[..., 0] - total,
        'entropy': lambda: total - jnp.sum(jax.nn.softmax(logits, axis=-1) * logits, axis=-1)}
  return jnp.stack([of[name]() for name in head.beside], axis=-1)


def added(params: dict[str, Any], read: jax.Array, beside: jax.Array | None) -> jax.Array:
  """What tokens add to the sums, float32 [..., 2].

  Args:
    params: of a head.
    read: float32 [..., 2], `read_states` of the tokens before them.
    beside: `observed` of them, or None.
  """
  if beside is not None:
    read = read + _dot(beside, params['beside'])
  gate = jax.nn.sigmoid(read[..., 0])
  return jnp.stack([gate, gate * read[..., 1]], axis=-1)


def logits_of(sums: jax.Array) -> jax.Array:
  """Logits of the scores that sums float32 [..., 2] come to, float32 [...]; 0 of no token."""
  total = sums[..., 0]
  return jnp.where(total > 0, sums[..., 1] / jnp.where(total > 0, total, 1.0), 0.0)


def observed_own(decoder: Decoder, params: Params, head: Head, hidden: jax.Array, tokens: jax.Array,
                 own: jax.Array) -> jax.Array:
  """`observed` of tokens int32 [R, n] behind hidden states [R, n, D], some of which are own [R].

  A question's tokens do not count, and cost no logits where they are alone.
  """
  return jax.lax.cond(
      jnp.any(own),
      lambda hidden: observed(head, decoder.apply(params, hidden, method='logits'), tokens),
      lambda hidden: jnp.zeros((*tokens.shape, len(head.beside)), jnp.float32), hidden)


def before(old: jax.Array, new: jax.Array) -> jax.Array:
  """What stands before each of n tokens: old [R, ...] before the first, of new [R, n, ...]."""
  return jnp.concatenate([old[:, None], new[:, :-1]], axis=1)


def newest(new: Any, old: Any, lengths: jax.Array) -> Any:
  """Of trees of arrays [R, n, ...] what the newest real token has; old [R, ...] where none is."""
  last = jnp.maximum(lengths - 1, 0)[:, None, None]
  return jax.tree.map(
      lambda new, old: jnp.where((lengths > 0)[:, None],
                                 jnp.take_along_axis(new, last, axis=1)[:, 0], old), new, old)


def with_newest(writing: Any, new: Any, chunk: Any, live: jax.Array) -> Any:
  """Texts to which a token has been added, bool [R]: what its text carries now is `new`."""
  carry = jax.tree.map(lambda new, old: jnp.where(live[:, None], new, old), new,
                       writing.texts.carry)
  return writing.replace(texts=writing.texts.replace(carry=carry), chunk=chunk)


class Writes:
  """What generators have whose texts carry a hidden state: `_decoder`, `_params`."""

  _decoder: Decoder
  _params: Params

  def logits(self, writing: generator_lib.Writing) -> jax.Array:
    """Next-token logits of each text, float32 [R, V]."""
    return self._decoder.apply(self._params, writing.texts.carry.hidden, method='logits')

  def end(self, writing: generator_lib.Writing) -> Texts:
    """The texts with what has been added to them."""
    return texts_lib.append(writing.texts, writing.chunk)


class _WithHead:
  """A decoder with a head; the parameters have both. Built inside a compiled program."""

  def __init__(self, decoder: Decoder, params: Params, head: Head):
    self._decoder, self._head = decoder, head
    self._params, self._own = {'params': params['params']}, params[NAME]

  def empty(self, rows: int, width: int) -> Texts:
    """Texts that have read nothing, with room for `width` tokens each."""
    arch = self._decoder.arch
    nothing = jnp.zeros((rows, OUTPUTS), jnp.float32)
    carry = Carry(jnp.zeros((rows, arch.width), arch.dtype), nothing, nothing)
    return texts_lib.empty(self._decoder, self._params, rows, width, carry)


class Verifier(_WithHead):
  """The head as a verifier that reads given tokens, on its generator's texts."""

  def extend(self, texts: Texts, tokens: jax.Array, lengths: jax.Array, own: jax.Array) -> Scored:
    """Reads new tokens; see `tts.protocols.Verifier`. Those of a question have the value 0.5."""
    carry = texts.carry
    hidden, texts = generator_lib.read(self._decoder, self._params, texts, tokens, lengths,
                                       chosen=self._head.layers)
    read = read_states(self._own, hidden.states)  # [R, n, 2]
    beside = None
    if self._head.beside:
      beside = observed_own(self._decoder, self._params, self._head,
                            before(carry.hidden, hidden.lm),
                         tokens, own & (lengths > 0))
    sums = carry.sums[:, None] + jnp.cumsum(
        added(self._own, before(carry.read, read), beside), axis=1)
    sums = jnp.where(own[:, None, None], sums, 0.0)
    carry = newest(Carry(hidden.lm, read, sums), carry, lengths)
    return Scored(jax.nn.sigmoid(logits_of(sums)), texts.replace(carry=carry))


class Generator(_WithHead, Writes):
  """The decoder as a generator that scores what it writes: a `tts.protocols.JudgingGenerator`."""

  def read(self, texts: Texts, tokens: jax.Array, lengths: jax.Array) -> Texts:
    """Reads tokens that nobody wrote, int32 [R, n], of which the first `lengths` are real."""
    own = jnp.zeros(lengths.shape, bool)
    return Verifier(self._decoder, self._params | {NAME: self._own}, self._head).extend(
        texts, tokens, lengths, own).texts

  def begin(self, texts: Texts, size: int) -> Writing:
    """Texts as they are, with room for `size` tokens to be written."""
    return Writing(texts=texts, chunk=texts_lib.chunk(texts, size), sums=texts.carry.sums)

  def judge(self, writing: Writing, logits: jax.Array,
            tokens: jax.Array) -> tuple[Writing, jax.Array]:
    """Counts tokens int32 [R] drawn from logits [R, V]; (the texts, scores float32 [R] with them).

    A text has its token's share from then on that `extend` adds the token.
    """
    carry = writing.texts.carry
    beside = observed(self._head, logits, tokens) if self._head.beside else None
    sums = carry.sums + added(self._own, carry.read, beside)
    return writing.replace(sums=sums), jax.nn.sigmoid(logits_of(sums))

  def extend(self, writing: Writing, tokens: jax.Array, live: jax.Array) -> Writing:
    """Adds the token int32 [R] that was judged to the texts that are live, bool [R]."""
    hidden, chunk = generator_lib.advance(
        self._decoder, self._params, writing.texts, writing.chunk, tokens[:, None],
        live.astype(jnp.int32), chosen=self._head.layers)
    new = Carry(hidden.lm[:, 0], read_states(self._own, hidden.states)[:, 0], writing.sums)
    return with_newest(writing, new, chunk, live)
