"""Whatever lanes and pages were through, what is read with them equals a pass from scratch."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import reference, toy
from tts.engine.coroutines import together
from tts.engine.reader import Read
from tts.engine.writer import Write
from tts.models import stacks, texts as texts_lib
from tts.models.generator import Generator
from tts.models.transformer import Decoder
from tts.sampling import decode

B, P, C, T = 4, 6, 7, 40  # questions, tokens of a prompt, of a step, of a text
ATOL = 1e-5
LIMITS = decode.Limits(max_tokens=T, max_steps=T, max_step_tokens=C, roles=toy.ROLES)
ARCHS = {
    'plain': toy.ARCH,
    'windows': dataclasses.replace(toy.ARCH, windows=(3, 9)),
    'gemma': dataclasses.replace(toy.ARCH, windows=(5, 0), attn_softcap=0.7, final_softcap=2.0),
    'surprise': toy.JUDGE,
    'surprise between windows': dataclasses.replace(
        toy.ARCH, num_layers=3, surprise_layer=2, windows=(0, 4, 6)),
    'loop of periods': dataclasses.replace(toy.ARCH, num_layers=5, windows=(5, 0, 5, 0, 5)),
    'loops': dataclasses.replace(toy.JUDGE, num_layers=4, surprise_layer=2)}


def scratch(arch, params, texts, num_prompt):
  """Log-probabilities [T, V] and values [T] of each text, whole; the first tokens are given."""
  tokens = reference.padded(texts, P + T + C)
  position = np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape)
  decoder = Decoder(arch)

  @jax.jit
  def both(params, own):
    hidden, _ = decoder.apply(params, tokens, position, own=own)
    return (jax.nn.log_softmax(decoder.apply(params, hidden.lm, method='logits')),
            jax.nn.sigmoid(decoder.apply(params, hidden.top, method='values')))

  return [*map(np.asarray, both(params, position >= np.array(num_prompt)[:, None]))]


@pytest.mark.parametrize('name', ARCHS)
def test_writing_reading_and_branching_equal_recomputing(name):
  """A random tree of texts of every question: children are written or read, or both, in turn."""
  arch, params = ARCHS[name], toy.decoder_params(ARCHS[name])
  held = stacks.stacked(params, arch) if 'loop' in name else params
  generator = toy.generator(toy.writes(arch), held, LIMITS)
  verifier = toy.verifier(toy.judges(arch), held)
  prompts = toy.ragged(*toy.prompts(0, B, P, arch.vocab_size))
  keys = np.asarray(jax.random.key_data(toy.slot_keys(B, 200)))
  checks = []  # question, text, where it begins to be checked, log-probabilities, values

  async def grown(group, b, gen, slots, texts, depth):
    """Children of a text, (tokens, generator's node, verifier's node): the caller holds both nodes."""
    tokens, written, read = texts
    for _ in range(gen.integers(1, 4) if depth < 5 else 0):
      key, logprob = keys[b, next(slots)], None
      if gen.random() < 0.6:
        found = await Write(generator.writer, group, written, key, steps=1,
                            ahead=int(gen.integers(0, 3)), keep=True)
        new, logprob, node = found.tokens[:found.own], found.logprob[:found.own], found.node
      else:
        new = gen.integers(5, arch.vocab_size, gen.integers(1, C + 1))
        node = (await Read(generator.reader, group, written, new)).node
      seen = await Read(verifier.reader, group, read, new, own=True)
      checks.append((b, [*tokens, *new.tolist()], len(tokens), logprob, seen.values))
      if node is not None:
        await grown(group, b, gen, slots, (checks[-1][1], node, seen.node), depth + 1)
      generator.release(group, node)
      verifier.release(group, seen.node)

  def question(b):
    async def run(group):
      first, second = await together([
          begun(generator, group, prompts[b]), begun(verifier, group, prompts[b])])
      await grown(group, b, np.random.default_rng(b), iter(range(200)),
                  (prompts[b], first, second), 0)
      generator.release(group, first)
      verifier.release(group, second)
    return run

  async def begun(model, group, tokens):
    return (await Read(model.reader, group, None, tokens)).node

  toy.run([question(b) for b in range(B)], [generator, verifier], in_flight=B)
  assert len(checks) >= 60 and max(len(text) for _, text, *_ in checks) > 25
  log_probs, values = scratch(arch, params, [text for _, text, *_ in checks],
                              [len(prompts[b]) for b, *_ in checks])
  written = 0
  for i, (_, text, begin, logprob, seen) in enumerate(checks):
    own = np.arange(begin, len(text))
    np.testing.assert_allclose(seen, values[i, own], atol=ATOL)
    if logprob is not None:
      np.testing.assert_allclose(
          logprob, log_probs[i, own - 1, np.array(text)[own]], atol=10 * ATOL)
      written += 1
  assert 15 < written < len(checks) - 15


@pytest.fixture(scope='module')
def generator():
  return Generator(Decoder(toy.ARCH), toy.decoder_params())


def test_tiles_and_chunks_of_texts_that_begin_and_end_at_will(generator):
  """Rows of all lengths, real tokens or none in a tile; live and idle rows in a chunk."""
  rows, width, gen = 5, 64, np.random.default_rng(0)
  read, extend, logits = map(jax.jit, (generator.read, generator.extend, generator.logits))
  texts, whole = generator.empty(rows, width), [[] for _ in range(rows)]
  for turn in range(5):
    tile = gen.integers(0, toy.ARCH.vocab_size, (rows, 4)).astype(np.int32)
    lengths = gen.integers(0 if turn else 1, 5, rows).astype(np.int32)
    texts = read(texts, tile, lengths)
    for row, new, n in zip(whole, tile.tolist(), lengths):
      row += new[:n]
    writing, live = generator.begin(texts, 3), np.ones(rows, bool)
    for _ in range(3):
      live &= gen.random(rows) > 0.3
      new = gen.integers(0, toy.ARCH.vocab_size, rows).astype(np.int32)
      before = np.asarray(logits(writing))
      writing = extend(writing, new, live)
      after = np.asarray(logits(writing))
      np.testing.assert_array_equal(after[~live], before[~live])
      for r in np.flatnonzero(live):
        whole[r].append(int(new[r]))
      want = toy.full_forward(toy.ARCH, toy.decoder_params(), reference.padded(whole, width))[0]
      np.testing.assert_allclose(
          after, [want[r, len(row) - 1] for r, row in enumerate(whole)], atol=ATOL)
    texts = generator.end(writing)
    np.testing.assert_array_equal(texts.length, [len(row) for row in whole])


def test_what_stands_behind_a_text_does_not_matter(generator):
  """Columns that others left there: the same bytes."""
  tokens = np.random.default_rng(1).integers(0, 13, (3, 4)).astype(np.int32)
  lengths = np.array([4, 2, 3], np.int32)
  read = jax.jit(generator.read)
  clean = generator.empty(3, 16)
  dirty = clean.replace(columns=jax.tree.map(lambda x: x + 7.5, clean.columns))
  found = [read(read(texts, tokens, lengths), tokens, lengths[::-1]) for texts in (clean, dirty)]
  np.testing.assert_array_equal(found[0].carry, found[1].carry)
  np.testing.assert_array_equal(found[0].length, [7, 4, 7])
  for a, b in zip(*(jax.tree.leaves(texts.columns) for texts in found)):
    for r, n in enumerate(found[0].length.tolist()):
      np.testing.assert_array_equal(a[0, r, :, :n], b[0, r, :, :n])


def test_rows_do_not_see_each_other(generator):
  """A token moves what its own row says alone."""
  tokens = np.random.default_rng(2).integers(0, 13, (4, 5)).astype(np.int32)
  read = jax.jit(lambda tokens: generator.read(
      generator.empty(4, 16), tokens, jnp.full(4, 5, jnp.int32)).carry)
  changed = tokens.copy()
  changed[2, 3] = (changed[2, 3] + 1) % 13
  moved = (np.asarray(read(tokens)) != np.asarray(read(changed))).any(axis=1)
  assert moved.tolist() == [False, False, True, False]


def test_nothing_to_read_leaves_texts_as_they_are(generator):
  texts = jax.jit(generator.read)(generator.empty(3, 16), np.full((3, 4), 5, np.int32),
                                  np.array([4, 1, 2], np.int32))
  after = jax.jit(generator.read)(texts, np.full((3, 4), 9, np.int32), np.zeros(3, np.int32))
  np.testing.assert_array_equal(after.length, texts.length)
  np.testing.assert_array_equal(after.carry, texts.carry)
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(after))


def test_append_by_hand():
  """One layer, one head of one: the numbers are the tokens that they came from."""
  column = lambda *rows: jnp.asarray(rows, jnp.float32)[None, :, None, :, None]
  past, chunk = column([1, 2, 0, 0], [3, 0, 0, 0], [0] * 4), column([7, 0], [8, 9], [6, 0])
  ints = lambda *x: jnp.asarray(x, jnp.int32)
  texts = texts_lib.Texts(columns=((past, past + 10),), length=ints(2, 1, 0), carry=None)
  after = texts_lib.append(texts, texts_lib.Chunk(
      columns=((chunk, chunk + 10),), length=ints(1, 2, 0), column=jnp.asarray(2)))
  np.testing.assert_array_equal(after.length, [3, 3, 0])
  for kept, shift in zip(after.columns[0], (0, 10)):
    for row, want in zip(np.asarray(kept)[0, :, 0, :, 0] - shift, ([1, 2, 7], [3, 8, 9], [])):
      np.testing.assert_array_equal(row[:len(want)], want)
