"""What a question gives does not depend on anything but the question: the same bytes, exactly.

Small decoders in float32, a verifier with a surprise, windows in both; searches, samples, chains
and scores all at once.
"""

import collections
import dataclasses
import functools
from unittest import mock

import jax
import numpy as np
import pytest

from tests import toy
from tts import methods
from tts.engine import all_programs, shape as shape_lib
from tts.engine.coroutines import together
from tts.engine.reader import Read, Reader
from tts.engine.shape import Shape
from tts.revision import chains
from tts.sampling import decode, pool
from tts.searching.search import Question, Search
from tts.stages import scoring

B, N = 7, 4
SHAPE = Shape(lanes=16, write=3, readers=8, tile=4, least=8, long=24, few=2)
LIMITS = decode.Limits(max_tokens=22, max_steps=4, max_step_tokens=9, roles=toy.ROLES)
WRITER = dataclasses.replace(toy.ARCH, windows=(0, 5))
JUDGE = dataclasses.replace(toy.JUDGE, windows=(7, 0))
PARAMS = toy.decoder_params(WRITER, seed=3), toy.decoder_params(JUDGE, seed=4)


def prompt(b):
  """Of very different lengths: the first question's is longer than a lane's least room."""
  length = 140 if not b else 1 + (13 * b) % 40
  return [1, *np.random.default_rng(b).integers(5, 13, length).tolist()]


@functools.cache
def keys(b):
  return np.asarray(jax.random.key_data(toy.slot_keys(B, N)))[b]


async def question(generator, verifier, group, b):
  """All that a question can be asked for, as bytes by name."""
  search = lambda config: Search(
      generator, verifier, Question(prompt(b), prompt(b), keys(b), keys(b)[0]), config, group).run()
  beam, ahead, samples, revised = await together([
      search(methods.Beam(2)), search(methods.Lookahead(2, 2)),
      pool.samples(generator, group, prompt(b), keys(b)),
      chains.chains(generator, group, prompt(b), keys(b)[:2], 6)])
  values = await scoring.values(verifier, group, prompt(b), [s.tokens for s in samples])
  of_tree = lambda tree: [
      (n.parent, n.slot, n.tokens.tobytes(), n.score, n.logprob,
       n.simulation and (n.simulation.tokens.tobytes(), n.simulation.score)) for n in tree.nodes]
  of_sample = lambda s: (s.tokens.tobytes(), s.logprob.tobytes(), s.entered, s.attended)
  return dict(
      beam=of_tree(beam), ahead=of_tree(ahead), samples=[*map(of_sample, samples)],
      chains=[[of_sample(r.sample) for r in chain] for chain in revised],
      values=[v.tobytes() for v in values])


def ask(order, *, shape=SHAPE, in_flight=3, groups=1, limits=LIMITS):
  """What the questions give, in that order, by a new generator and verifier."""
  generator = toy.generator(toy.writes(WRITER), PARAMS[0], limits, shape=shape, groups=groups)
  verifier = toy.verifier(toy.judges(JUDGE), PARAMS[1], shape=shape, groups=groups)
  begin = lambda b: lambda group: question(generator, verifier, group, b)
  return toy.run([begin(b) for b in order], [generator, verifier], in_flight=in_flight)


@functools.cache
def asked():
  """What all questions give, and how often they were cut in which way."""
  called, read, resize = collections.Counter(), Reader._read, all_programs.resize

  def counted(self, which, count, size):
    called[count, size] += 1
    return read(self, which, count, size)

  with mock.patch.object(Reader, '_read', counted), mock.patch.object(
      all_programs, 'resize', lambda mesh: called.update(['resize']) or resize(mesh)):
    return ask(range(B)), called


def base():
  return asked()[0]


def assert_same(order, got):
  for b, found in zip(order, got, strict=True):
    for name, want in base()[b].items():
      assert found[name] == want, (b, name)


@pytest.mark.slow
def test_questions_differ():
  """And write enough to be cut in several calls, or what follows would show nothing."""
  assert len({str(found) for found in base()}) == B
  tokens = [len(s[0]) // 4 for found in base() for s in found['samples']]
  assert min(tokens) < 4 and max(tokens) > 3 * SHAPE.write
  assert sum(n[-1] is not None for found in base() for n in found['ahead']) > 10
  assert max(len(found['beam']) for found in base()) > 2 * N


def test_questions_are_cut_in_all_ways():
  """Or what follows would show nothing: more lanes and fewer, many texts read and few and one."""
  called = asked()[1]
  assert min(called[each] for each in ('resize', (8, 4), (2, 4), (1, 24))) > 3, called


def test_in_another_order():
  order = [4, 0, 6, 2, 5, 1, 3]
  assert_same(order, ask(order))


@pytest.mark.parametrize('b', [0, 1, 5])
def test_alone(b):
  """Narrow lanes, too: the first one alone is long."""
  assert_same([b], ask([b]))


def test_beside_itself():
  assert_same([2, 2, 3, 2], ask([2, 2, 3, 2], in_flight=4))


@pytest.mark.parametrize('in_flight', [
    pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(B, marks=pytest.mark.slow)])
def test_in_flight(in_flight):
  assert_same(range(B), ask(range(B), in_flight=in_flight))


@pytest.mark.slow
def test_groups():
  assert_same(range(B), ask(range(B), groups=3))


@pytest.mark.slow
def test_shape_of_calls_changes_rounding_alone():
  """The same tokens, and numbers within rounding."""
  found = ask(range(B), shape=Shape(lanes=5, write=8, readers=3, tile=16))
  for got, want in zip(found, base()):
    for mine, theirs in zip(got['samples'], want['samples'], strict=True):
      assert mine[0] == theirs[0] and mine[2:] == theirs[2:]
      np.testing.assert_allclose(np.frombuffer(mine[1], np.float32),
                                 np.frombuffer(theirs[1], np.float32), atol=1e-5)
    for mine, theirs in zip(got['beam'], want['beam'], strict=True):
      assert mine[:3] == theirs[:3]
      np.testing.assert_allclose(mine[3:5], theirs[3:5], atol=1e-5)


@pytest.mark.slow
def test_generous_limits():
  """Five times what is needed: who is not cut off writes what it did before.

  What is written ahead is the likeliest, and that goes on in circles up to any limit.
  """
  enough, more = (ask(range(3), limits=decode.Limits(n, 4, n, toy.ROLES)) for n in (200, 1000))
  tokens = lambda found: [
      len(x) // 4 for x in [*(s[0] for s in found['samples']), *(n[2] for n in found['beam']),
                            *(s[0] for chain in found['chains'] for s in chain)]]
  longest = max(n for found in enough for n in tokens(found))
  assert LIMITS.max_tokens < longest < 200
  for got, want in zip(more, enough, strict=True):
    assert [got[n] for n in ('samples', 'beam', 'chains', 'values')] == [
        want[n] for n in ('samples', 'beam', 'chains', 'values')]


def test_texts_that_are_read_beside_others():
  verifier = toy.verifier(toy.judges(JUDGE), PARAMS[1], shape=SHAPE)

  async def read(group, b):
    seen = await Read(verifier.reader, group, None, prompt(b), own=True)
    verifier.release(group, seen.node)
    return seen.values.tobytes()

  found = toy.run([functools.partial(read, b=b) for b in range(B)], [verifier], in_flight=B)
  assert found == [toy.run([functools.partial(read, b=b)], [verifier])[0] for b in range(B)]


@pytest.mark.parametrize('width', [1, 16, 96, 192, 320, 384, 576, 896, 4096])
def test_shapes_of_models_have_no_rows_left_over(width):
  """With 21 lanes, or 5, a text's bytes depend on the lane that it came to."""
  found = shape_lib.of(dataclasses.replace(toy.ARCH, width=width))
  assert found.lanes % 8 == found.readers % 8 == 0 < found.readers <= found.lanes <= 128
