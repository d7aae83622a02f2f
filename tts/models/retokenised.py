"""A verifier that has a tokenizer of its own, as the verifier that a search calls.

Once a round the host writes the new steps in the verifier's ids, each on its own, and they are read
behind what was read before: its cache grows by a step, and nothing is read twice. The rest of the
search does not know. `tts.stages.driven` calls the host.
"""

from __future__ import annotations

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from tts.models.verifier import Verifier


@flax.struct.dataclass
class State:
  """What the verifier knows of N candidates of B problems."""

  inner: Any        # the verifier's
  steps: jax.Array  # [B, N] int32, that it has read
  used: jax.Array   # [B, N] int32, ids of these
  value: jax.Array  # [B, N] float32, at the end of the last of them


class Retokenised:
  """The functions of a verifier over steps in another's ids; see the file's own text."""

  def __init__(self, verifier: Verifier, width: int, past: int, ids: jax.Array | None = None,
               count: jax.Array | None = None):
    """Wraps a verifier.

    Args:
      verifier: reads its own ids.
      width: W, ids of a step at most.
      past: of a solution.
      ids: int32 [B, N, W], the step that `extend` is called with, in the verifier's ids.
      count: int32 [B, N], how many of them are real; a step without a text has none.
    """
    self._verifier, self._width, self._past = verifier, width, past
    self._ids, self._count = ids, count

  def start(self, prefix: jax.Array, prefix_len: jax.Array, past_size: int,
            chunk_size: int) -> State:
    """As `Verifier.start`, with the question in the verifier's ids; the sizes are its own."""
    del past_size, chunk_size
    none = jnp.zeros(prefix_len.shape, jnp.int32)
    return State(inner=self._verifier.start(prefix, prefix_len, self._past, self._width),
                 steps=none, used=none, value=jnp.full(prefix_len.shape, 0.5, jnp.float32))

  def extend(self, state: State, tokens: jax.Array, lengths: jax.Array) -> tuple:
    """As `Verifier.extend`; a step's value stands at every one of its tokens."""
    del lengths
    count = self._count
    values, inner, read = self._verifier.extend(state.inner, self._ids, count)
    last = jnp.take_along_axis(values, jnp.maximum(count - 1, 0)[..., None], axis=2)[..., 0]
    value = jnp.where(count > 0, last, state.value)
    new = State(inner=inner, steps=state.steps + (count > 0), used=state.used + count, value=value)
    return jnp.broadcast_to(value[..., None], tokens.shape), new, read

  def gather(self, state: State, parent: jax.Array) -> State:
    """As `Verifier.gather`."""
    move = lambda x: jnp.take_along_axis(x, parent, axis=1)
    return State(inner=self._verifier.gather(state.inner, parent), steps=move(state.steps),
                 used=move(state.used), value=move(state.value))
