"""Lookahead against a plain python one, round by round; against beam; against reading afresh."""

import collections
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import reference, toy
from tts.engine.shape import Shape
from tts.models.transformer import Decoder
from tts.sampling import decode
from tts import methods
from tts.types import EOS_ID

LIMITS = decode.Limits(max_tokens=13, max_steps=5, max_step_tokens=5, roles=toy.ROLES)
B, N, P = 40, 6, 5
SETTINGS = [(m, k) for k in (0, 1, 2, 3) for m in (1, 2, 3, 6)]
WIDE = Shape(lanes=64, write=4, readers=32, tile=8)  # few calls


@pytest.fixture(scope='module')
def inputs():
  return toy.random_tables(5, B), toy.ragged(*toy.prompts(5, B, P))


def table_search(inputs, width, k, shape=WIDE):
  table, prompts = inputs
  return toy.search(toy.generator(toy.TableGenerator, table, LIMITS, shape=shape),
                    toy.verifier(toy.TableVerifier, np.zeros(()), shape=shape), prompts,
                    toy.slot_keys(B, N), methods.Lookahead(width, k), in_flight=16)


@pytest.fixture(scope='module')
def found(inputs):
  """Trees of a setting, made once."""
  return functools.cache(lambda width, k: table_search(inputs, width, k))


@pytest.fixture(scope='module')
def expected(inputs):
  table, prompts = inputs
  uniforms = toy.uniforms(toy.slot_keys(B, N), LIMITS.max_steps, LIMITS.max_tokens)

  @functools.cache
  def of(width, k):
    return [reference.beam_search(table[b], prompts[b], uniforms[b], width, LIMITS, k)
            for b in range(B)]
  return of


@pytest.mark.parametrize('width,k', SETTINGS)
def test_reference(found, expected, width, k):
  """A node carries its simulation; counts are of all that was written."""
  for got, want in zip(found(width, k), expected(width, k), strict=True):
    reference.assert_tree(got, want, simulations=k > 0)


@pytest.mark.parametrize('shape', [toy.SHAPE, Shape(1, 1, 1, 1), Shape(7, 16, 2, 3)])
def test_the_reference_by_lanes_of_any_number_and_size(inputs, expected, shape):
  for got, want in zip(table_search(inputs, 2, 2, shape), expected(2, 2), strict=True):
    reference.assert_tree(got, want, simulations=True)


def test_the_reference_shows_every_case(expected):
  """Simulations of every length and end, ties at the cut, choices that beam would not make."""
  seen = collections.Counter()
  for width, k in SETTINGS:
    for want in expected(width, k):
      for each in want.rounds:
        seen.update(each['stopped_by'])
        seen.update(len(steps) for steps in each['simulated'])
        status = ['live' if x else 'finished' if f else 'truncated'
                  for x, f in zip(each['live'], each['finished'])]
        seen['tie'] += reference.tie_at_the_cut(each['judged'], status, max(1, N // width))
        own = [reference.Row([], 0, s, x) for s, x in zip(status, each['score'])]
        seen['other choice'] += each['kept'] != reference.best(
            own, each['score'], max(1, N // width))
  for case in ('finished', 'tokens', 'steps', 'step_tokens', 'live', 0, 1, 2, 3, 'tie',
               'other choice'):
    assert seen[case] > 10, (case, seen)


def facts(node):
  """All of a node but its simulation."""
  return (node.parent, node.round, node.slot, node.tokens.tolist(), node.score, node.logprob,
          node.live, node.finished)


@pytest.mark.parametrize('k', [1, 3])
def test_simulations_leave_no_trace(found, k):
  """Where all are kept, what is simulated cannot matter: the nodes of beam, bit for bit."""
  seen = 0
  for plain, ahead in zip(found(1, 0), found(1, k), strict=True):
    seen += sum(len(node.simulation.tokens) for node in ahead.nodes if node.simulation)
    assert [*map(facts, ahead.nodes)] == [*map(facts, plain.nodes)]
    assert ahead.candidates == plain.candidates
    assert ahead.entered[1] == plain.entered[1] + sum(
        len(node.simulation.tokens) for node in ahead.nodes if node.simulation)
  assert seen > 100


def test_the_first_step_has_the_keys_of_beam(found):
  """The steps that are drawn before the first choice are beam's, whatever k is."""
  first = lambda trees: [[facts(n) for n in tree.nodes if n.round == 0] for tree in trees]
  for k in (1, 2, 3):
    assert first(found(3, k)) == first(found(3, 0))


class BrokenLater(toy.TableVerifier):
  """Gives NaN from the third token of a solution on."""

  def mix(self, digest, token, own):
    del token
    return digest + own

  def value(self, digest):
    return jnp.where(digest > 2, jnp.nan, 0.5)


def test_nan_at_the_end_of_a_simulation_is_an_error():
  """Steps of two tokens: the first is scored well, what is written ahead of it is not."""
  table = toy.chain_table((1, 5), (5, toy.DELIMITER), (toy.DELIMITER, 5))
  generator = toy.generator(toy.TableGenerator, table[None], LIMITS)
  verifier = toy.verifier(BrokenLater, np.zeros(()))
  with pytest.raises(FloatingPointError, match='NaN'):
    toy.search(generator, verifier, [[1]], toy.slot_keys(1, 2), methods.Lookahead(2, 1))
  assert generator.writer.entered == 2 * (2 + 2), 'nobody has written a second step of its own'


class TrapVerifier(toy.TableVerifier):
  """Likes texts with a token in them, and a step later those without it."""

  def __init__(self, params):
    super().__init__()
    self._token = params

  def mix(self, digest, token, own):
    return digest + own * (1 + 1024 * (token == self._token))

  def value(self, digest):
    seen, count = digest >= 1024, digest % 1024
    return jnp.where(count > 2, ~seen, seen).astype(jnp.float32)


def test_a_trap_that_shows_a_step_later():
  """Texts `T . x . end` or `G . x . end`; a T scores well until the x. One of four is kept.

  Beam falls for a T wherever one was drawn, lookahead only where nothing else was.
  """
  good, trap, x, d, problems, num = 6, 7, 5, toy.DELIMITER, 64, 4
  table = toy.chain_table((1, good, trap), (good, d), (trap, d), (d, x), (x, d), period=8)
  table[5, d] = toy.chain_table((d, EOS_ID))[0, d]
  limits = decode.Limits(max_tokens=6, max_steps=3, max_step_tokens=2, roles=toy.ROLES)
  caught = {}
  for k in (0, 1):
    trees = toy.search(toy.generator(toy.TableGenerator, table[None], limits),
                       toy.verifier(TrapVerifier, np.int32(trap)), [[1]] * problems,
                       toy.slot_keys(problems, num), methods.Lookahead(num, k))
    drawn = np.array([[n.tokens[0] == trap for n in t.nodes if n.round == 0] for t in trees])
    assert all(len(t.candidates) == num for t in trees)
    caught[k] = np.array([trap in t.nodes[t.path(t.candidates[0][1])[0]].tokens for t in trees])
    np.testing.assert_array_equal(caught[k], drawn.all(axis=1) if k else drawn.any(axis=1))
  assert caught[0].mean() > 0.8 and 0 < caught[1].mean() < 0.2


def test_real_models_equal_reading_every_simulation_from_scratch():
  """Tokens are the likeliest ones, scores those of the whole text; the verifier has a surprise."""
  problems, num, k = 3, 4, 2
  generator_params, verifier_params = toy.decoder_params(), toy.decoder_params(toy.JUDGE, seed=1)
  prompts = toy.ragged(*toy.prompts(1, problems, P, toy.ARCH.vocab_size))
  trees = toy.search(toy.generator(toy.writes(), generator_params, LIMITS),
                     toy.verifier(toy.judges(), verifier_params), prompts,
                     toy.slot_keys(problems, num), methods.Lookahead(2, k))
  texts, own, begins, scores = [], [], [], []
  for prompt, tree in zip(prompts, trees):
    for i, node in enumerate(tree.nodes):
      text = prompt + [int(t) for j in tree.path(i) for t in tree.nodes[j].tokens]
      ahead = node.simulation.tokens.tolist() if node.simulation else []
      for length, score in ((len(text), node.score),
                            (len(text + ahead), node.simulation and node.simulation.score)):
        if score is not None:
          texts.append((text + ahead)[:length])
          own.append(len(prompt))
          begins.append(len(text))
          scores.append(score)
  assert sum(len(t) > begin for t, begin in zip(texts, begins)) > 15
  whole = reference.padded(texts, P + LIMITS.max_tokens)
  logits = toy.full_forward(toy.ARCH, generator_params, whole)[0]
  values = np.asarray(whole_values(verifier_params, whole, np.array(own)))
  for i, (text, begin, score) in enumerate(zip(texts, begins, scores)):
    assert score == pytest.approx(values[i, len(text) - 1], abs=1e-5)
    assert text[begin:] == logits[i, begin - 1:len(text) - 1].argmax(axis=-1).tolist()


@jax.jit
def whole_values(params, tokens, num_prompt):
  """Values of whole texts int32 [R, T], their first num_prompt [R] tokens given."""
  decoder = Decoder(toy.JUDGE)
  position = jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape)
  hidden, _ = decoder.apply(params, tokens, position,
                            own=position >= num_prompt[:, None])
  return jax.nn.sigmoid(decoder.apply(params, hidden.top, method='values'))
