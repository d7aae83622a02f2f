"""Copies between lanes and pages, by hand; and room that grows while texts are in it."""

import jax
import numpy as np

from tests import toy
from tts.engine import pages
from tts.engine.coroutines import together
from tts.engine.pages import SIZE
from tts.engine.reader import Read
from tts.engine.shape import Shape
from tts.models.texts import Texts


def column(count, width, first):
  """[1, count, 1, width, 1] with its own number in each place."""
  return np.arange(first, first + count * width, dtype=np.float32).reshape(1, count, 1, width, 1)


def copies(*rows):
  """(lane, page, column) and one behind that is none."""
  return np.array([*rows, (-1, 0, 0)], np.int32)


def test_load_and_save_by_hand():
  width, load, save = 3 * SIZE, jax.jit(pages.load), jax.jit(pages.save)
  texts = Texts(columns=((column(2, width, 0),),), length=np.array([20, 7], np.int32),
                carry=np.array([[1.0], [2.0]]))
  kept = pages.Pages(columns=((column(4, SIZE, 1000),),), carry=np.arange(4.0)[:, None] + 10)
  # Lane 1 takes a text of 18 tokens: a node of 15, and one of three behind it.
  after = load(texts, kept, copies((1, 3, 0), (1, 1, 15)), np.array([False, True]),
                     np.array([0, 18], np.int32), np.array([-1, 1], np.int32))
  np.testing.assert_array_equal(after.length, [20, 18])
  np.testing.assert_array_equal(after.carry, [[1], [11]])
  (got,), (old,), (page,) = after.columns[0], texts.columns[0], kept.columns[0]
  np.testing.assert_array_equal(got[0, 0], old[0, 0])
  np.testing.assert_array_equal(got[0, 1, 0, :15], page[0, 3, 0, :15])
  np.testing.assert_array_equal(got[0, 1, 0, 15:18], page[0, 1, 0, :3])
  # A text that has read nothing carries zeros.
  none = load(texts, kept, copies(), np.array([True, False]), np.zeros(2, np.int32),
                    np.full(2, -1, np.int32))
  np.testing.assert_array_equal(none.length, [0, 7])
  np.testing.assert_array_equal(none.carry, [[0], [2]])

  saved = save(kept, texts, np.array([[5.0], [6.0]]), copies((0, 2, 4), (1, 0, 20)))
  (got,) = saved.columns[0]
  np.testing.assert_array_equal(got[0, 2, 0], old[0, 0, 0, 4:4 + SIZE])
  np.testing.assert_array_equal(got[0, 0, 0], old[0, 1, 0, 20:20 + SIZE])
  np.testing.assert_array_equal(got[0, 1::2], page[0, 1::2])
  np.testing.assert_array_equal(saved.carry, [[6], [11], [5], [13]])


def test_room_grows_while_texts_are_in_it():
  """Longer texts than lanes had room for, more pages than there were: values stay the same."""
  arch = toy.ARCH
  params = toy.decoder_params(arch)
  verifier = toy.verifier(toy.judges(arch), params, shape=Shape(8, 3, 8, 4))
  gen = np.random.default_rng(0)
  texts = [gen.integers(5, arch.vocab_size, n).tolist() for n in (5, 40, 90, 300, 20, 260)]
  widths, counts = [], []

  async def read(group, tokens):
    node, values = None, []
    for begin in range(0, len(tokens), 23):  # in pieces, each kept until the end
      seen = await Read(verifier.reader, group, node, tokens[begin:begin + 23], own=True)
      verifier.release(group, node)
      node = seen.node
      values += seen.values.tolist()
      widths.append(verifier.reader._width)  # pylint: disable=protected-access
      counts.append(verifier._store._count)  # pylint: disable=protected-access
    verifier.release(group, node)
    return values

  async def twice(group, tokens):
    return await together([read(group, tokens), read(group, tokens)])

  begin = lambda tokens: lambda group: twice(group, tokens)
  found = toy.run([begin(t) for t in texts], [verifier], in_flight=4)
  assert len(set(widths)) >= 3 and len(set(counts)) >= 2, 'nothing grew'
  for tokens, (one, other) in zip(texts, found):
    assert one == other
    want = toy.full_forward(arch, params, np.array([tokens]))[1][0]
    np.testing.assert_allclose(one, want, atol=1e-5)


def test_widths_are_few_and_near_what_is_needed():
  found = [Shape(1, 1, 1, 1).to_write(tokens) for tokens in range(5000)]
  assert all(tokens + SIZE <= width for tokens, width in enumerate(found))
  assert len(set(found)) < 16 and found == sorted(found)
  assert all(width <= 1.5 * (tokens + SIZE) for tokens, width in enumerate(found) if tokens > 300)
  assert Shape(1, 1, 1, 1).to_read(450) == 512 and Shape(1, 1, 1, 1, long=300).to_read(450) == 768
  assert Shape(1, 1, 1, 1, room=256).to_write(500) == 768
