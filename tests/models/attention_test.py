"""Attention in blocks is the whole one, forward and backward, and both are what numpy says."""

import dataclasses
import re
from unittest import mock

import jax
from jax.extend import core
import jax.numpy as jnp
import numpy as np
import pytest

from configs import arithmetic, quickstart, smoke
from tests import toy
from tts import config, parallel
from tts.data import batching
from tts.models import attention, blockwise, texts as texts_lib
from tts.models.transformer import Decoder
from tts.revision.trajectories import MAX_CONTEXT
from tts.stages import whole_texts
from tts.train import steps

B, E = 2, 6


def blocks(size):
  """Everything in blocks of that size; 0 for whole."""
  return mock.patch.multiple(blockwise, BLOCK=size or 1 << 40, WHOLE=0 if size else 1 << 60)


@dataclasses.dataclass(frozen=True)
class Case:
  length: int = 13
  block: int = 4       # the last one is ragged
  kv_heads: int = 2
  group: int = 2
  segments: bool = True
  window: int | None = None
  cap: float | None = None
  dtype: str = 'float32'


CASES = {
    'packed': Case(), 'one text': Case(segments=False), 'even blocks': Case(length=12),
    'blocks of one': Case(block=1), 'one block and one token': Case(length=5),
    'multi-head': Case(kv_heads=4, group=1), 'one kv head': Case(kv_heads=1, group=4),
    'window': Case(window=3), 'window of itself': Case(window=1, segments=False),
    'softcap': Case(cap=0.7), 'gemma 2': Case(window=5, cap=0.5, kv_heads=1, group=2),
    'bfloat16': Case(dtype='bfloat16'),
}


def inputs(case, seed=0):
  """Random queries, keys and values; packed rows of random texts, some with padding behind."""
  rng = np.random.default_rng(seed)
  shape = (B, case.length, case.kv_heads)
  q, k, v = (jnp.asarray(rng.normal(size=s), case.dtype) for s in (
      (*shape, case.group, E), (*shape, E), (*shape, E)))
  positions = np.broadcast_to(np.arange(case.length, dtype=np.int32), shape[:2])
  if not case.segments:
    return q, k, v, positions, None
  segments, positions = np.zeros(shape[:2], np.int32), np.array(positions)
  for row in range(B):
    start, text = 0, 0
    while start < case.length - row:  # the second row ends in padding
      stop, text = start + rng.integers(1, 7), text + 1
      segments[row, start:stop] = text
      positions[row, start:stop] = np.arange(len(segments[row, start:stop]))
      start = stop
  segments[1, -2:] = 0
  return q, k, v, positions, segments


def numpy_attention(q, k, v, positions, segments, window, cap):
  """A query at a time, float64; zeros for padding."""
  q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
  out = np.zeros_like(q)
  for row, at in np.ndindex(q.shape[:2]):
    seen = [t for t in range(at + 1)
            if (segments is None or segments[row, t] == segments[row, at] > 0)
            and (window is None or positions[row, at] - positions[row, t] < window)]
    for head, member in np.ndindex(q.shape[2:4]) if seen else ():
      scores = k[row, seen, head] @ q[row, at, head, member]
      weights = np.exp(cap * np.tanh(scores / cap) if cap else scores)
      out[row, at, head, member] = weights @ v[row, seen, head] / weights.sum()
  return out


def outcome(case, given, size):
  """(output, gradients by q, k and v) of a weighted sum over the real tokens."""
  q, k, v, positions, segments = given
  real = jnp.ones((B, case.length)) if segments is None else jnp.asarray(segments > 0, jnp.float32)
  weight = np.random.default_rng(9).normal(size=q.shape) * np.asarray(real)[..., None, None, None]

  @jax.jit
  def both(q, k, v):
    with blocks(size):
      out, back = jax.vjp(lambda *x: attention.attend_self(
          *x, positions, segments, case.window, case.cap), q, k, v)
    return out * real[..., None, None, None].astype(out.dtype), back(jnp.asarray(weight, out.dtype))

  return both(q, k, v)


def close(got, want, tolerance):
  for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    assert np.abs(x - y).max() <= tolerance * np.abs(y).max()


@pytest.mark.parametrize('name', CASES)
def test_blocks_are_the_whole(name):
  case = CASES[name]
  given = inputs(case)
  whole, some = outcome(case, given, 0), outcome(case, given, case.block)
  close(some, whole, 1e-6 if case.dtype == 'float32' else 2e-2)
  close(whole[0], numpy_attention(*given, case.window, case.cap),
        2e-6 if case.dtype == 'float32' else 2e-2)


def test_gradients_of_half_precision_are_added_up_in_float32():
  """A sum of many small parts in bfloat16 stops growing long before its end."""
  case = Case(length=600, kv_heads=1, group=1, dtype='bfloat16', segments=False)
  q, k, v, positions, _ = inputs(case)

  def summed(v):
    with blocks(1):
      return jnp.sum(attention.attend_self(q * 0, k, v, positions).astype(jnp.float32))

  # Every query weighs all that it sees alike: the first key gets 1 + 1/2 + ... + 1/600.
  got = np.asarray(jax.jit(jax.grad(summed))(v), np.float64)[0, 0, 0]
  np.testing.assert_allclose(got, (1 / np.arange(1, 601)).sum(), rtol=2**-8)


def test_a_packed_training_is_the_whole_one():
  """Loss and gradient of every parameter: attention and the vocabulary's loss both in blocks."""
  arch = dataclasses.replace(
      toy.ARCH, heads=('lm',), windows=(4, 0), attn_softcap=2.0, final_softcap=3.0)
  rng = np.random.default_rng(1)
  texts = [(rng.integers(1, 13, n), np.arange(n) >= 2) for n in (9, 4, 11, 6, 3, 12)]
  rows = batching.pack(texts, 19, seed=0)
  batch = {'tokens': rows.tokens, 'segments': rows.segments, 'positions': rows.positions,
           'loss_mask': np.asarray(rows.loss_mask, bool)}
  params = toy.decoder_params(arch)

  def found(size):
    with blocks(size):
      loss = lambda params: steps.lm_loss(Decoder(arch, remat=True), params, batch)[0]
      return jax.jit(jax.value_and_grad(loss))(params)

  close(found(5), found(0), 2e-6)


@pytest.mark.parametrize('window', [None, 1, 4, 9])
@pytest.mark.parametrize('group', [1, 2])
def test_a_tile_behind_a_text_is_the_whole_one(window, group):
  """New tokens behind past and chunk, of rows of all lengths: each is as in its whole text.

  Of three layers in one array it is the second; the others' columns stay as they are.
  """
  rng, heads, cap, place = np.random.default_rng(2), 2, 0.8, 1
  rows, width, before, new = 5, 16, 3, 4
  normal = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
  lengths = np.array([0, 1, 5, 11, 16], np.int32)
  pair = lambda count: (normal(3, rows, heads, count, E), normal(3, rows, heads, count, E))
  past, chunk = pair(width), pair(before + new)
  q, k, v = normal(rows, new, heads, group, E), *(normal(rows, new, heads, E) for _ in range(2))
  texts = texts_lib.Texts(columns=(past,), length=jnp.asarray(lengths), carry=None)
  draft = texts_lib.Chunk(columns=(chunk,), length=jnp.full(rows, before),
                          column=jnp.asarray(before, jnp.int32))

  @jax.jit
  def attend(q, k, v):
    view, = texts_lib.views(texts, draft, new, [window])
    return view.replace(place=jnp.asarray(place)).attend(q, k, v, cap)

  got, after = attend(q, k, v)
  for r, n in enumerate(lengths.tolist()):
    keys, values = (
        np.concatenate([*(x.swapaxes(0, 1) for x in (old[place, r, :, :n], part[place, r, :, :before])), fresh[r]])
        for old, part, fresh in zip(past, chunk, (k, v)))
    whole = np.zeros((n + before + new, heads, group, E), np.float32)
    whole[n + before:] = q[r]
    positions = np.arange(len(whole), dtype=np.int32)[None]
    want = numpy_attention(whole[None], keys[None], values[None], positions, None, window, cap)
    np.testing.assert_allclose(got[r], want[0, n + before:], atol=2e-6)
    for part, old, fresh in zip(after, chunk, (k, v)):
      np.testing.assert_array_equal(part[place, r, :, before:], fresh[r].swapaxes(0, 1))
      np.testing.assert_array_equal(part[::2], old[::2])


def test_devices_that_share_rows_and_heads_say_nothing_to_each_other():
  case, mesh = Case(segments=False), parallel.make_mesh(2, 2)
  q, k, v, positions, _ = inputs(case)

  def found(spread):
    with blocks(case.block):
      loss = lambda *x: jnp.sum(attention.attend_self(*x, positions)**2)
      compiled = jax.jit(jax.grad(loss, argnums=(0, 1, 2))).lower(*spread).compile()
    return compiled.as_text(), compiled(*spread)

  rows_and_heads = jax.NamedSharding(
      mesh, jax.sharding.PartitionSpec(parallel.DATA, None, parallel.MODEL))
  text, shared = found([jax.device_put(x, rows_and_heads) for x in (q, k, v)])
  assert not re.findall('all-gather|all-reduce|all-to-all|collective-permute', text)
  assert shared[0].sharding.spec[:3] == (parallel.DATA, None, parallel.MODEL)
  close(jax.device_get(shared), found([q, k, v])[1], 1e-6)


def test_log_probabilities_of_long_texts_are_the_whole_ones():
  params, tokens = toy.decoder_params(), np.random.default_rng(3).integers(0, 13, (2, 10))

  def found(size):
    with blocks(size):
      return jax.jit(whole_texts.forward_step(toy.ARCH))(params, tokens, np.array([2, 3]))

  some, whole = found(4), found(0)
  assert set(some) == {'logprobs', 'values'} and some['logprobs'].shape == (2, 9)
  close(some, whole, 2e-6)


def largest(jaxpr):
  """Elements of the largest array that any operation makes, inside loops too."""
  sizes = [v.aval.size for eqn in jaxpr.eqns for v in eqn.outvars]
  inner = [largest(j) for eqn in jaxpr.eqns for j in core.jaxprs_in_params(eqn.params)]
  return max(sizes + inner, default=0)


@pytest.mark.parametrize('back', [False, True])
def test_nothing_is_as_large_as_the_square_of_a_long_row(back):
  length, heads = 4096, 2
  shape = lambda *x: jax.ShapeDtypeStruct((1, length, *x), jnp.float32)
  places = jax.ShapeDtypeStruct((1, length), jnp.int32)

  def most():
    def attend(q, k, v, positions, segments):
      return jnp.sum(attention.attend_self(q, k, v, positions, segments, 1000, 50.0)**2)

    function = jax.grad(attend, argnums=(0, 1, 2)) if back else attend
    return largest(jax.make_jaxpr(function)(
        shape(1, heads, E), shape(1, E), shape(1, E), places, places).jaxpr)

  assert most() == heads * blockwise.BLOCK * length
  with blocks(0):
    assert most() == heads * length * length


@pytest.mark.parametrize('module', [smoke, quickstart, arithmetic])
def test_runs_that_there_are_stay_as_they_are(module):
  """Their records are committed: no row of theirs may be cut into blocks."""
  e = config.from_config_dict(module.get_config(*(['revisions'] if module is smoke else [])))
  turn = e.limits.max_prompt_tokens + e.limits.max_tokens + 1
  trained = [model.train.row_length for model in e.models.values() if model.train]
  longest = max(*trained, (MAX_CONTEXT + 1) * turn)
  assert len(trained) > 5 and blockwise.size(longest, longest) == longest
  assert blockwise.size(longest, e.tokenizer.vocab_size) == longest


@pytest.mark.parametrize('count, each, expected', [
    (1, 1 << 40, 1), (blockwise.BLOCK, 1 << 40, blockwise.BLOCK), (1024, 1024, 1024),
    (1025, 1024, blockwise.BLOCK), (7680, 7680, blockwise.BLOCK)])
def test_what_is_cut(count, each, expected):
  """A decoding step never is, whatever it has read."""
  assert blockwise.size(count, each) == expected
