"""Whatever the cache was through, what is read with it equals a forward pass from scratch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import reference, toy
from tts.models import cache as cache_lib
from tts.models.generator import Generator
from tts.models.transformer import Decoder
from tts.models.verifier import Verifier

B, N, P = 3, 4, 6
RING = 7           # columns of a chunk that is decoded into
C, T = 5, 14       # tokens of a round, of a candidate
ATOL = 1e-5


def build(params):
  return Generator(Decoder(toy.ARCH), params), Verifier(Decoder(toy.ARCH), params)


@functools.partial(jax.jit, static_argnums=(3, 4))
def start(params, prefix, prefix_len, past, chunk):
  generator, verifier = build(params)
  sizes = (prefix, prefix_len, past, chunk)
  return generator.start(*sizes), verifier.start(*sizes)


logits = jax.jit(lambda params, state: build(params)[0].logits(state))
extend = jax.jit(lambda params, *args: build(params)[0].extend(*args))
restart = jax.jit(lambda params, *args: build(params)[0].restart(*args))
read = jax.jit(lambda params, *args: build(params)[1].extend(*args))
gather = jax.jit(lambda params, states, parent: tuple(
    model.gather(state, parent) for model, state in zip(build(params), states)))


@pytest.fixture(scope='module')
def params():
  return toy.decoder_params()


@pytest.fixture(scope='module')
def prefix():
  return toy.prompts(0, B, P, toy.ARCH.vocab_size)[0]


def scratch(params, texts):
  """Texts (any nesting of token lists) from scratch: (logits, values) at every token of each."""
  whole = toy.full_forward(toy.ARCH, params, reference.padded(texts, P + T))
  return [(whole[0][i, :len(t)], whole[1][i, :len(t)]) for i, t in enumerate(texts)]


def test_decoding_through_a_wrapping_ring_with_restarts(params, prefix):
  """Token by token; rows end and others begin in their places at different times."""
  gen = np.random.default_rng(0)
  prefix_len = gen.integers(1, P + 1, (B, N)).astype(np.int32)
  state, _ = start(params, prefix, jnp.asarray(prefix_len), 0, RING)
  texts = [[*prefix[b, :prefix_len[b, n]]] for b in range(B) for n in range(N)]
  own = np.zeros(B * N, int)
  ended = []  # texts, and the logits seen at each of their own places
  seen = [[row] for row in np.asarray(logits(params, state)).reshape(B * N, -1)]
  alive = np.ones(B * N, bool)
  for _ in range(4 * RING):
    # A row ends when the ring has no room for another token, or before, by chance.
    alive &= (own < RING) & (gen.random(B * N) > 0.1)
    new = gen.integers(0, toy.ARCH.vocab_size, B * N)
    state, attended = extend(params, state, jnp.asarray(new.reshape(B, N)),
                             jnp.asarray(alive.reshape(B, N)))
    out = np.asarray(logits(params, state)).reshape(B * N, -1)
    for i in np.flatnonzero(alive):
      texts[i].append(new[i])
      own[i] += 1
      seen[i].append(out[i])
    np.testing.assert_array_equal(
        np.ravel(attended), [len(t) if a else 0 for t, a in zip(texts, alive)])
    for i in np.flatnonzero(~alive):  # an ended row's logits stay as they were
      np.testing.assert_array_equal(out[i], seen[i][-1])
    begins = ~alive & (gen.random(B * N) < 0.5)
    fresh = gen.integers(1, P + 1, B * N)
    state = restart(params, state, jnp.asarray(begins.reshape(B, N)),
                    jnp.asarray(fresh.reshape(B, N)))
    out = np.asarray(logits(params, state)).reshape(B * N, -1)
    for i in np.flatnonzero(begins):
      ended.append((texts[i], seen[i]))
      texts[i], seen[i], own[i] = [*prefix[i // N, :fresh[i]]], [out[i]], 0
    alive |= begins
  ended += zip(texts, seen)
  assert max(len(s) for _, s in ended) == RING + 1 and len(ended) > 2 * B * N
  for (text, out), (want, _) in zip(ended, scratch(params, [t for t, _ in ended])):
    np.testing.assert_allclose(out, want[len(text) - len(out):], atol=ATOL)


def play(params, prefix, prefix_len, rounds, seed):
  """Random rounds of a search: chunks, then parents. Checks every value; returns the texts."""
  gen = np.random.default_rng(seed)
  states = start(params, prefix, jnp.asarray(np.repeat(prefix_len[:, None], N, 1)), T, C)
  texts = [[[*prefix[b, :prefix_len[b]]] for _ in range(N)] for b in range(B)]
  for _ in range(rounds):
    room = T + prefix_len[:, None] - np.array([[len(t) for t in row] for row in texts])
    lengths = np.minimum(gen.integers(0, C + 1, (B, N)), room).astype(np.int32)
    chunk = gen.integers(0, toy.ARCH.vocab_size, (B, N, C)).astype(np.int32)
    state, ver_state = states
    for column in range(C):
      state, attended = extend(params, state, chunk[..., column], column < lengths)
      np.testing.assert_array_equal(attended, np.where(column < lengths, column + 1 + np.array(
          [[len(t) for t in row] for row in texts]), 0))
    values, ver_state, counts = read(params, ver_state, chunk, lengths)
    flat = [t + [*chunk[b, n, :lengths[b, n]]]
            for b, row in enumerate(texts) for n, t in enumerate(row)]
    want = scratch(params, flat)
    np.testing.assert_allclose(np.asarray(logits(params, state)).reshape(B * N, -1),
                               [w[0][-1] for w in want], atol=ATOL)
    for i, (text, (_, want_values)) in enumerate(zip(flat, want)):
      new = lengths.ravel()[i]
      np.testing.assert_allclose(np.asarray(values)[i // N, i % N, :new],
                                 want_values[len(text) - new:], atol=ATOL)
      assert counts[i // N, i % N].tolist() == [
          new, sum(range(len(text) - new + 1, len(text) + 1))]
    parent = np.sort(gen.integers(0, N, (B, N)), axis=1).astype(np.int32)
    states = gather(params, (state, ver_state), parent)
    texts = [[list(flat[b * N + p]) for p in parent[b]] for b in range(B)]
    np.testing.assert_allclose(np.asarray(logits(params, states[0])).reshape(B * N, -1),
                               [want[b * N + p][0][-1] for b in range(B) for p in parent[b]],
                               atol=ATOL)
  return texts


def test_branching_equals_recomputing(params, prefix):
  """Ragged prompts; rounds of 0 to 5 tokens; rows copied and dropped; until candidates are full."""
  texts = play(params, prefix, np.array([4, 1, P]), rounds=7, seed=1)
  assert max(len(t) - n for n, row in zip([4, 1, P], texts) for t in row) == T


def test_what_stands_behind_a_prefix_does_not_matter(params, prefix):
  lengths = jnp.asarray(np.array([[2, 3, 1, 4]] * B, np.int32))
  other = np.array(prefix)
  other[:, 4:] = 0
  chunk, every = np.full((B, N, C), 5, np.int32), np.ones((B, N), bool)
  seen = []
  for each in (prefix, other):
    state, ver_state = start(params, each, lengths, T, C)
    after = extend(params, state, chunk[..., 0], every)[0]
    values = read(params, ver_state, chunk, every * np.int32(C))[0]
    seen.append((logits(params, state), logits(params, after), values))
  for here, there in zip(*seen):
    np.testing.assert_allclose(here, there, atol=ATOL)


def test_rows_do_not_see_each_other(params, prefix):
  """A token moves the values of its own row alone, from its own place on."""
  _, state = start(params, prefix, jnp.full((B, N), P), T, C)
  chunk = np.random.default_rng(2).integers(0, toy.ARCH.vocab_size, (B, N, C)).astype(np.int32)
  lengths = jnp.full((B, N), C, jnp.int32)
  base = np.asarray(read(params, state, chunk, lengths)[0])
  changed = np.array(chunk)
  changed[1, 2, 3] = (changed[1, 2, 3] + 1) % toy.ARCH.vocab_size
  moved = np.asarray(read(params, state, changed, lengths)[0]) != base
  assert moved[1, 2, 3:].all()
  moved[1, 2, 3:] = False
  assert not moved.any()


def test_pad_problems_stay_finite(params, prefix):
  """Rows that only fill a block are never fed, and nothing that they hold is NaN."""
  state, ver_state = start(params, prefix, jnp.ones((B, N), jnp.int32), T, C)
  nothing = jnp.zeros((B, N), jnp.int32)
  state, _ = extend(params, state, nothing, nothing > 0)
  values, ver_state, attended = read(params, ver_state, jnp.zeros((B, N, C), jnp.int32), nothing)
  assert np.isfinite(values).all() and not np.asarray(attended).any()
  for leaf in jax.tree.leaves(gather(params, (state, ver_state), nothing)):
    assert np.isfinite(leaf).all()


def test_commit_by_hand():
  """One layer, one head of one: the numbers in the cache are the tokens that they came from."""
  column = lambda *rows: jnp.asarray(rows, jnp.float32)[None, :, None, :, None]
  past, chunk = column([1, 2, 0, 0], [3, 0, 0, 0], [0] * 4), column([7, 0], [8, 9], [6, 0])
  ints = lambda *x: jnp.asarray([x], jnp.int32)
  cache = cache_lib.Cache(
      prefix=(), past=((past, past + 10),), chunk=((chunk, chunk + 10),),
      prefix_len=ints(4, 4, 4), past_len=ints(2, 1, 0), chunk_len=ints(1, 2, 0),
      column=jnp.asarray(2))
  after = cache_lib.commit(cache, ints(1, 1, 0))
  np.testing.assert_array_equal(after.past_len, [[3, 3, 3]])
  np.testing.assert_array_equal(after.chunk_len, [[0, 0, 0]])
  assert int(after.column) == 0
  for kept, shift in zip(after.past[0], (0, 10)):
    np.testing.assert_array_equal(kept[0, :, 0, :3, 0] - shift, [[3, 8, 9], [3, 8, 9], [1, 2, 7]])
