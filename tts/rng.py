"""Random keys by identity: nothing else splits or folds (parameter init and dropout apart).

A token's randomness is a function of (seed, stream, problem id, slot, step, position), never of
where a row happens to sit in a batch. So the first n samples are the same for every N, for every
batch, under refilling and on any number of devices.
"""

from __future__ import annotations

import functools
import hashlib
import zlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np


_ATTEMPTS = 64  # more than a token has uniforms
_PARITY, _TURNS = np.uint32(0x1BD11BDA), ((13, 15, 26, 6), (17, 29, 16, 24))  # of Threefry-2x32


def problem_words(problem_ids: list[str]) -> np.ndarray:
  """First 8 bytes of each id's SHA-256 as two words, uint32 [B, 2]."""
  digests = (hashlib.sha256(i.encode()).digest()[:8] for i in problem_ids)
  return np.stack([np.frombuffer(d, '>u4').astype(np.uint32) for d in digests])


def stream_key(seed: int, stream: str) -> jax.Array:
  """Root key of one purpose: `train_pool`, `rollout`, `difficulty`, `test`, ..."""
  return jax.random.fold_in(jax.random.key(seed), zlib.crc32(stream.encode()))


def problem_keys(root: jax.Array, words: jax.Array) -> jax.Array:
  """Keys [B] of the problems whose words are uint32 [B, 2]."""
  fold = jax.random.fold_in
  return jax.vmap(lambda w: fold(fold(root, w[0]), w[1]))(words)


def identity_keys(keys: jax.Array, identity: jax.Array) -> jax.Array:
  """Folds what names a candidate into its problem's key.

  Args:
    keys: problem keys [B].
    identity: int32 [B, N, I]: a slot (I = 1), or for a rollout (sample, step, rollout).

  Returns:
    keys [B, N].
  """

  def one(key, names):
    for i in range(names.shape[-1]):
      key = jax.random.fold_in(key, names[i])
    return key

  return jax.vmap(jax.vmap(one, in_axes=(None, 0)))(keys, identity)


def round_key(key: jax.Array, index: jax.Array) -> jax.Array:
  """The key of a search's round, int32 []; key: uint32 [2], of the question's method."""
  return jax.random.fold_in(jax.random.wrap_key_data(key), index)


def token_uniforms(keys: jax.Array, step: jax.Array, position: jax.Array,
                   num: int = 1, attempt: jax.Array | None = None) -> jax.Array:
  """Uniforms in [0, 1), `num` per row, for the token that a slot emits next.

  Args:
    keys: of the slots, uint32 [R, 2], not consumed: a (step, position) is never used twice.
    step: int32 [R], delimiters that the row has emitted.
    position: int32 [R], tokens that the row has emitted.
    num: U, static; the first one is the same for every U.
    attempt: int32 [], 1, 2, ... for further ones, of the same token; None for the first.

  Returns:
    float32 [U, R].
  """
  key = _threefry(_threefry((keys[:, 0], keys[:, 1]), step), position)
  if attempt is not None:
    key = _threefry(key, _ATTEMPTS + attempt)
  each = [_threefry(k, 0) for k in (key, *(_threefry(key, i) for i in range(1, num)))]
  # 23 bits: the largest draw times any float32 stays below it, so inverting a cumulative sum never
  # runs past its end.
  return jnp.stack([((high ^ low) >> 9).astype(jnp.float32) * 2.0**-23 for high, low in each])


def _threefry(key: tuple[jax.Array, jax.Array], count: jax.Array | int) -> tuple[jax.Array, ...]:
  """Threefry-2x32 of the counter (0, count) under a key, two words uint32 [R] as the result.

  It is `jax.random.fold_in`'s, and the words of `jax.random.bits` for a count of 0. JAX's own is a
  loop on a CPU, which takes longer than a toy's layer.
  """
  schedule = *key, key[0] ^ key[1] ^ _PARITY
  high, low = key[0], key[1] + jnp.asarray(count).astype(jnp.uint32)
  for i in range(5):
    for turn in _TURNS[i % 2]:
      high += low
      low = ((low << turn) | (low >> (32 - turn))) ^ high
    high, low = high + schedule[(i + 1) % 3], low + schedule[(i + 2) % 3] + np.uint32(i + 1)
  return high, low


@functools.cache
def _row_keys(seed: int, stream: str) -> Callable[..., jax.Array]:
  """Problems' words uint32 [B, 2], identity int32 [B, N, I] --> keys' data uint32 [B, N, 2]."""
  return jax.jit(lambda words, identity: jax.random.key_data(identity_keys(
      problem_keys(stream_key(seed, stream), words), identity)))


def row_keys(seed: int, stream: str, words: np.ndarray, identity: np.ndarray) -> np.ndarray:
  """Keys of rows on the host, uint32 [B, N, 2].

  Args:
    seed: of the run.
    stream: purpose.
    words: uint32 [B, 2], of the questions.
    identity: int32 [B, N, I], what names a row.
  """
  return np.asarray(_row_keys(seed, stream)(words, identity))


def slot_keys(seed: int, stream: str, words: np.ndarray, slots: range) -> np.ndarray:
  """`row_keys` of rows that a slot names, uint32 [B, N, 2]; a search's method has slot -1."""
  identity = np.broadcast_to(np.array(slots, np.int32)[:, None], (len(words), len(slots), 1))
  return row_keys(seed, stream, words, identity)
