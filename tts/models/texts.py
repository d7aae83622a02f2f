"""What a decoder keeps of R texts: keys and values, a column a token, each text's own.

  columns  [R, W]  what a text has read; text r fills its first `length[r]` columns
  chunk    [R, C]  what is being written now; every text writes the same column, in place

Texts are of different lengths, and a write at a place of its own for each row is slow, so a loop
that writes a token at a time fills a chunk, and `append` puts it behind the columns at its end. A
tile of tokens that is read at once is a chunk that is full from the start.

An array has the columns of as many layers as a loop computes, of one where there is none
(`tts.models.stacks`), one behind the other: a TPU's compiler copied a cache of which a layer was no
single piece. Heads stand before columns: the other way round XLA transposes the cache for
every token, which on a CPU makes attention five times slower.
"""

from __future__ import annotations

from collections.abc import Sequence
import functools

import flax.struct
import jax
import jax.numpy as jnp

from tts import in_place, parallel, placement
from tts.models import stacks
from tts.models.attention import MASKED, softcap
from tts.models.transformer import Decoder
from tts.protocols import Carry, Params, Texts

# Logical axes of columns, for `parallel`: devices share the heads.
AXES = (None, None, 'kv_heads', None, None)


@flax.struct.dataclass
class Chunk:
  """Tokens that are being written behind R texts."""

  columns: tuple     # per place (keys, values), each [Y, R, K_kv, C, E]
  length: jax.Array  # [R] int32, tokens of the chunk that belong to the text: its first ones
  column: jax.Array  # [] int32, the next column to write


def empty(decoder: Decoder, params: Params, rows: int, width: int, carry: Carry) -> Texts:
  """Texts that have read nothing, with room for `width` tokens each. carry: see `Texts`."""
  arch = decoder.arch
  columns = tuple(
      tuple(placement.constrain(jnp.zeros(
          (count, rows, arch.num_kv_heads, width, arch.head_size), arch.dtype), *AXES)
            for _ in ('keys', 'values'))
      for _, count in stacks.places(decoder.stacks_of(params)))
  return Texts(columns=columns, length=jnp.zeros(rows, jnp.int32), carry=carry)


def chunk(texts: Texts, size: int) -> Chunk:
  """A chunk of `size` columns behind texts, in which nothing stands."""
  blank = lambda x: placement.constrain(
      jnp.zeros((*x.shape[:-2], size, x.shape[-1]), x.dtype), *AXES)
  return Chunk(columns=jax.tree.map(blank, texts.columns), length=jnp.zeros_like(texts.length),
               column=jnp.zeros((), jnp.int32))


@flax.struct.dataclass
class View:
  """What one of a stack's layers sees during a forward pass over n new tokens a text."""

  past: tuple        # keys and values [Y, R, K_kv, W, E]
  chunk: tuple       # keys and values [Y, R, K_kv, C, E]
  masks: tuple       # what is seen of each: bool [R, n, W] and [R or 1, n, C]
  column: jax.Array
  place: jax.Array   # [] int32, which of the Y layers it is

  def attend(self, q, k, v, cap=None):
    """Writes k, v [R, n, K_kv, E] at `column`; attends q [R, n, K_kv, G, E] to all that is seen.

    Returns:
      ([R, n, K_kv, G, E], the stack's chunk after it). cap: of `softcap`.
    """
    chunk = tuple(
        in_place.put(old, jnp.swapaxes(new, 1, 2)[None].astype(old.dtype),
                     (self.place, 0, 0, self.column, 0))
        for old, new in zip(self.chunk, (k, v)))
    own = lambda x: jax.lax.dynamic_index_in_dim(x, self.place, keepdims=False)
    rows, num, heads, group, size = q.shape
    # Queries of a head side by side, and results in these orders: a CPU reads the cache once for
    # each product then, twice to six times as fast.
    q = jnp.moveaxis(q, 1, 3).reshape(rows, heads, group * num, size)
    parts = [tuple(map(own, part)) for part in (self.past, chunk)]
    product = functools.partial(jnp.einsum, preferred_element_type=jnp.float32)
    scores = [jnp.swapaxes(_apart(product('rkqe,rkte->rktq', q, keys)), 2, 3)
              for keys, _ in parts]
    weights = _softmax([
        jnp.where(mask[:, None, None],
                  softcap(s, cap).reshape(rows, heads, group, num, -1), MASKED)
        for s, mask in zip(scores, self.masks)])
    out = sum(product('rkqt,rkte->rkqe',
                      w.reshape(rows, heads, group * num, -1).astype(q.dtype), values)
              for w, (_, values) in zip(weights, parts)).astype(q.dtype)
    return jnp.moveaxis(out.reshape(rows, heads, group, num, size), 3, 1), chunk


def _apart(scores: jax.Array) -> jax.Array:
  """Scores that a CPU's compiler may not make again for each of the softmax's three uses."""
  return jax.lax.optimization_barrier(scores) if parallel.for_cpu() else scores


def _softmax(scores: Sequence[jax.Array]) -> list[jax.Array]:
  """One softmax over the columns of all parts, in float32. scores [..., columns] per part."""
  # The chunk has the token itself, so the sum is never zero.
  top = functools.reduce(jnp.maximum, (jnp.max(s, axis=-1, keepdims=True) for s in scores))
  weights = [jnp.exp(s - top) for s in scores]
  # A reciprocal by hand: where XLA chooses, it chooses otherwise for one device than for two.
  scale = 1.0 / sum(jnp.sum(w, axis=-1, keepdims=True) for w in weights)
  return [w * scale for w in weights]


def positions(texts: Texts, chunk: Chunk, num_new: int) -> jax.Array:
  """Where the next `num_new` tokens of each text stand, int32 [R, n]."""
  first = texts.length + chunk.length
  return first[:, None] + jnp.arange(num_new, dtype=jnp.int32)[None]


def views(texts: Texts, chunk: Chunk, num_new: int, windows: Sequence[int | None]) -> list[View]:
  """What a forward pass over `num_new` tokens a text needs, of each stack's first layer.

  Args:
    texts: what was read before.
    chunk: with room for them.
    num_new: n.
    windows: of each place how many tokens its layers see, itself among them; None for all.
  """
  past = jnp.arange(texts.columns[0][0].shape[-2])
  own = jnp.arange(chunk.columns[0][0].shape[-2])
  newest = chunk.column + jnp.arange(num_new)
  whole = ((past[None, None] < texts.length[:, None, None]),
           (own[None, None] <= newest[None, :, None]))

  def masks(window):
    if window is None:
      return whole
    oldest = positions(texts, chunk, num_new)[..., None] - window  # [R, n, 1], the newest not seen
    return (whole[0] & (past[None, None] > oldest),
            whole[1] & (texts.length[:, None, None] + own[None, None] > oldest))

  made = {window: masks(window) for window in set(windows)}
  return [View(past=past, chunk=new, masks=made[window], column=chunk.column,
               place=jnp.zeros((), jnp.int32))
          for past, new, window in zip(texts.columns, chunk.columns, windows, strict=True)]


def written(chunk: Chunk, columns: tuple, num_new: int, lengths: jax.Array) -> Chunk:
  """The chunk after a forward pass. lengths int32 [R], how many of the new tokens are real.

  A text may write no real token after one that is not: those in a chunk are its first ones.
  """
  return Chunk(columns=columns, length=chunk.length + lengths, column=chunk.column + num_new)


def append(texts: Texts, chunk: Chunk) -> Texts:
  """Puts each text's chunk behind what it has read. There must be room for the whole chunk."""
  # A CPU's scatter takes 50 times as long as a loop of copies, and a loop for each array longer
  # than one for all.
  def one(r, columns):
    return jax.tree.map(
        lambda old, new: in_place.put(old, in_place.cut_row(new, r, 1),
                                      (0, r, 0, texts.length[r], 0)),
        columns, chunk.columns)

  columns = jax.lax.fori_loop(0, texts.length.shape[0], one, texts.columns)
  return texts.replace(columns=columns, length=texts.length + chunk.length)
