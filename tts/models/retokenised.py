"""A verifier that has a tokenizer of its own, as the verifier that a search calls.

Once a round the new steps cross over to the host, are written in the verifier's ids, each on its
own, and read behind what it has read before: its cache grows by a step, and nothing is read twice.
The rest of the search does not know. The mesh's `model` axis must be 1: a program that the
compiler partitions cannot call the host.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from tts.models.verifier import Verifier

# (tokens int32 [R, C], lengths [R], steps read before [R], room [R]) --> (ids int32 [R, W], their
# numbers [R], at most `room`); a step without a text has none.
Rewrite = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@flax.struct.dataclass
class State:
  """What the verifier knows of N candidates of B problems."""

  inner: Any        # the verifier's
  steps: jax.Array  # [B, N] int32, that it has read
  used: jax.Array   # [B, N] int32, ids of these
  value: jax.Array  # [B, N] float32, at the end of the last of them


class Retokenised:
  """The functions of a verifier over steps in another's ids; see the file's own text."""

  def __init__(self, verifier: Verifier, rewrite: Rewrite, width: int, past: int):
    """width: W, ids of a step at most; past: of a solution."""
    self._verifier, self._rewrite = verifier, rewrite
    self._width, self._past = width, past

  def start(self, prefix: jax.Array, prefix_len: jax.Array, past_size: int,
            chunk_size: int) -> State:
    """As `Verifier.start`, with the question in the verifier's ids; the sizes are its own."""
    del past_size, chunk_size
    none = jnp.zeros(prefix_len.shape, jnp.int32)
    return State(inner=self._verifier.start(prefix, prefix_len, self._past, self._width),
                 steps=none, used=none, value=jnp.full(prefix_len.shape, 0.5, jnp.float32))

  def extend(self, state: State, tokens: jax.Array, lengths: jax.Array) -> tuple:
    """As `Verifier.extend`; a step's value stands at every one of its tokens."""
    shape = lengths.shape
    room = jnp.minimum(self._width, self._past - state.used)
    flat = lambda x: x.reshape(-1, *x.shape[2:])
    ids, count = jax.pure_callback(
        self._rewrite, (jax.ShapeDtypeStruct((lengths.size, self._width), jnp.int32),
                        jax.ShapeDtypeStruct((lengths.size,), jnp.int32)),
        *map(flat, (tokens, lengths, state.steps, room)))
    ids, count = ids.reshape(*shape, -1), count.reshape(shape)
    values, inner, read = self._verifier.extend(state.inner, ids, count)
    last = jnp.take_along_axis(values, jnp.maximum(count - 1, 0)[..., None], axis=2)[..., 0]
    value = jnp.where(count > 0, last, state.value)
    new = State(inner=inner, steps=state.steps + (count > 0), used=state.used + count, value=value)
    return jnp.broadcast_to(value[..., None], tokens.shape), new, read

  def gather(self, state: State, parent: jax.Array) -> State:
    """As `Verifier.gather`."""
    move = lambda x: jnp.take_along_axis(x, parent, axis=1)
    return State(inner=self._verifier.gather(state.inner, parent), steps=move(state.steps),
                 used=move(state.used), value=move(state.value))
