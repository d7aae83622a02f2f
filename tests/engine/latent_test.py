"""A generator that scores what it writes: values by hand, the same bytes anywhere, nothing read.

The reference forward pass has the whole text before it and sums in float64.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import device_programs, toy
from tests.engine.same_bytes_test import keys, prompt
from tts import methods, parallel
from tts.engine import all_programs, lanes as lanes_lib
from tts.engine.coroutines import together
from tts.engine.engine_models import EngineGenerator, EngineVerifier
from tts.engine.reader import Read
from tts.engine.shape import Shape
from tts.models import generator as generator_lib, latent, texts as texts_lib
from tts.models.functions import Functions
from tts.models.transformer import Decoder
from tts.sampling import decode, pool
from tts.sampling.logits import SamplingConfig
from tts.searching.search import Question, Search

B, N = 6, 4
SHAPE = Shape(lanes=16, write=3, readers=8, tile=4, least=8, long=24, few=2)
LIMITS = decode.Limits(max_tokens=22, max_steps=4, max_step_tokens=9, roles=toy.ROLES)
ARCH = dataclasses.replace(toy.ARCH, num_layers=3, windows=(0, 5, 0), heads=('lm',))
HEADS = {'alone': latent.Head((2,)), 'beside': latent.Head((1, 3), latent.BESIDE)}


@functools.cache
def params(name):
  gen = np.random.default_rng(7)
  head = {k: gen.normal(0, 0.6, x.shape).astype(np.float32)
          for k, x in latent.zeros(HEADS[name], ARCH.width).items()}
  return toy.decoder_params(ARCH, seed=3) | {latent.NAME: head}


def makes(name):
  return [Functions(kind, ARCH, HEADS[name]) for kind in (latent.Generator, latent.Verifier)]


@jax.jit
def forward(tokens):
  """States behind all layers, and logits; nothing looks ahead."""
  of = toy.decoder_params(ARCH, seed=3)
  hidden, _ = Decoder(ARCH).apply(
      of, tokens, jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape), chosen=(1, 2, 3))
  return [*hidden.states], Decoder(ARCH).apply(of, hidden.lm, method='logits')


def by_hand(name, prompt, tokens):
  """Scores of a solution's prefixes, of one forward pass over all of it: float64 [n]."""
  text = [*prompt, *tokens]
  states, logits = forward(np.pad(text, (0, -len(text) % 64))[None])
  head, own = HEADS[name], params(name)[latent.NAME]
  logits = np.asarray(logits, np.float64)[0]
  logprob = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
  total, weighted, found = 0.0, 0.0, []
  for i in range(len(prompt), len(text)):  # token i is judged by what it was drawn from
    x = own['bias'].astype(np.float64)
    for layer, w in zip(head.layers, own['states']):
      x = x + np.asarray(states[layer - 1][0, i - 1], np.float64) @ w
    beside = {'logprob': logprob[i - 1, text[i]],
              'entropy': -(np.exp(logprob[i - 1]) * logprob[i - 1]).sum()}
    x = x + sum(beside[of] * w for of, w in zip(head.beside, own.get('beside', ())))
    gate = 1 / (1 + np.exp(-x[0]))
    total, weighted = total + gate, weighted + gate * x[1]
    found.append(1 / (1 + np.exp(-weighted / total)))
  return np.array(found)


def at_work(name, shape=SHAPE, groups=1, limits=LIMITS):
  writes, reads = makes(name)
  return EngineGenerator(parallel.make_mesh(groups), writes, params(name), shape, SamplingConfig(),
                         limits, judge=reads)


async def question(generator, group, b):
  """Everything that a question can be asked for, as bytes by name."""
  search = lambda method: Search(
      generator, None, Question(prompt(b), [], keys(b), keys(b)[0]), method, group).run()
  beam, ahead, samples = await together([
      search(methods.Beam(2)), search(methods.Lookahead(2, 2)),
      pool.samples(generator, group, prompt(b), keys(b))])
  of_tree = lambda tree: [
      (n.parent, n.slot, n.tokens.tobytes(), n.score, n.logprob,
       n.simulation and (n.simulation.tokens.tobytes(), n.simulation.score)) for n in tree.nodes]
  return dict(trees=(beam, ahead), drawn=samples, beam=of_tree(beam), ahead=of_tree(ahead),
              samples=[(s.tokens.tobytes(), s.values.tobytes()) for s in samples])


def ask(order, name='beside', *, in_flight=3, **how):
  generator = at_work(name, **how)
  begin = lambda b: lambda group: question(generator, group, b)
  return toy.run([begin(b) for b in order], [generator], in_flight=in_flight)


base = functools.cache(lambda name: ask(range(B), name))


def assert_same(order, got, name='beside'):
  for b, found in zip(order, got, strict=True):
    for part in ('beam', 'ahead', 'samples'):
      assert found[part] == base(name)[b][part], (b, part)


@pytest.mark.parametrize('name', [
    name if name == 'beside' else pytest.param(name, marks=pytest.mark.slow) for name in HEADS])
def test_samples_have_the_scores_of_their_prefixes(name):
  of_last = []
  for b, found in enumerate(base(name)):
    for sample in found['drawn']:
      np.testing.assert_allclose(sample.values, by_hand(name, prompt(b), sample.tokens), atol=3e-6)
      of_last.append(sample.values[-1])
  assert np.std(of_last) > 0.02


@pytest.mark.parametrize('name', HEADS)
def test_searches_have_the_scores_of_their_steps(name):
  """Of steps behind branches, by beam search, and of what lookahead selects by."""
  branched = simulated = 0
  for b, found in enumerate(base(name)):
    for tree in found['trees']:
      assert tree.entered[1] == tree.attended[1] == 0 < tree.entered[0]
      for i, node in enumerate(tree.nodes):
        before = np.concatenate([tree.nodes[j].tokens for j in tree.path(i)])
        want = by_hand(name, prompt(b), before)
        assert node.score == pytest.approx(want[-1], abs=3e-6)
        branched += node.parent >= 0 and node.slot != tree.nodes[node.parent].slot
        if node.simulation:
          simulated += len(node.simulation.tokens)
          want = by_hand(name, prompt(b), [*before, *node.simulation.tokens])
          assert node.simulation.score == pytest.approx(want[-1], abs=3e-6)
  assert branched > 10 and simulated > 20


@pytest.mark.parametrize('name', HEADS)
def test_what_is_read_has_the_scores_of_what_is_written(name):
  """By the verifier alone, a solution cut anywhere; and a question behind it begins anew."""
  writes, reads = makes(name)
  verifier = EngineVerifier(parallel.make_mesh(1), reads, params(name), SHAPE)

  async def read(group, b, cut):
    text, values = await verifier.opened(group, prompt(b)), []
    tokens = base(name)[b]['drawn'][0].tokens
    for part in (tokens[:cut], tokens[cut:]):
      if len(part):
        seen = await Read(verifier.reader, group, text, part, own=True)
        verifier.release(group, text)
        text, values = seen.node, [*values, *seen.values]
    again = await Read(verifier.reader, group, text, [5, 6, 7])
    own = await Read(verifier.reader, group, again.node, [8, 4], own=True)
    for node in (text, again.node, own.node):
      verifier.release(group, node)
    return tokens, values, again.values, own.values

  for b in range(B):
    for cut in (0, 1, 5):
      (tokens, values, again, own), = toy.run([functools.partial(read, b=b, cut=cut)], [verifier])
      np.testing.assert_allclose(values, base(name)[b]['drawn'][0].values, atol=3e-6)
      assert (again == 0.5).all()
      np.testing.assert_allclose(
          own, by_hand(name, [*prompt(b), *tokens, 5, 6, 7], [8, 4]), atol=3e-6)


@pytest.mark.parametrize('name', HEADS)
def test_in_another_order(name):
  order = [4, 0, 2, 5, 1, 3]
  assert_same(order, ask(order, name), name)


@pytest.mark.parametrize('b', [0, 1, 5])
def test_alone(b):
  assert_same([b], ask([b]))


@pytest.mark.parametrize('in_flight', [1, B])
def test_in_flight(in_flight):
  assert_same(range(B), ask(range(B), in_flight=in_flight))


@pytest.mark.slow
def test_groups():
  assert_same(range(B), ask(range(B), groups=3))


def test_what_is_written_does_not_depend_on_the_head():
  generator = toy.generator(toy.writes(ARCH), toy.decoder_params(ARCH, seed=3), LIMITS, shape=SHAPE)

  async def draw(group, b):
    return await pool.samples(generator, group, prompt(b), keys(b))

  for found, b in zip(toy.run([functools.partial(draw, b=b) for b in range(B)], [generator]),
                      range(B)):
    for plain, judged in zip(found, base('beside')[b]['drawn'], strict=True):
      assert plain.tokens.tobytes() == judged.tokens.tobytes() and plain.values is None


def test_without_a_head_programs_are_those_of_before():
  """To the letter, a token's forward pass written as it was before."""
  class Before(generator_lib.Generator):
    def extend(self, writing, tokens, live):
      tokens, lengths = tokens[:, None], live.astype(jnp.int32)
      real = jnp.arange(1)[None] < lengths[:, None]
      own = jnp.zeros_like(real)
      views = texts_lib.views(writing.texts, writing.chunk, 1, [None] * toy.ARCH.num_layers)
      hidden, columns = self._decoder.apply(
          self._params, tokens, texts_lib.positions(writing.texts, writing.chunk, 1),
          views=views, own=own, before=None)
      chunk = texts_lib.written(writing.chunk, columns, 1, lengths)
      carry = jnp.where(live[:, None], hidden.lm[:, 0], writing.texts.carry)
      return generator_lib.Writing(texts=writing.texts.replace(carry=carry), chunk=chunk)

  shape = device_programs.SHAPE
  def text(make, of):
    block = all_programs.writes(make, of, shape, device_programs.WIDTH)
    return jax.jit(lambda params, lanes: lanes_lib.write(
        make(params), lanes, shape.write, device_programs.DRAWN, device_programs.LIMITS)).lower(
            of, *block).as_text()

  plain, before = (text(Functions(kind, toy.ARCH), toy.decoder_params())
                   for kind in (generator_lib.Generator, Before))
  assert plain == before
  of = params('alone')
  assert 'dot_general' in text(makes('alone')[0], of)
