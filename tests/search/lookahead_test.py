"""Lookahead against a plain python one, round by round; against beam; against reading afresh."""

import collections
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import reference, toy
from tests.device_programs import JUDGE
from tests.search.search_test import Kept
from tts.models.generator import Generator
from tts.models.transformer import Decoder
from tts.models.verifier import Verifier
from tts.sampling import decode
from tts.sampling.logits import SamplingConfig
from tts.search import search, tree
from tts.search.search import BeamConfig
from tts.types import EOS_ID

LIMITS = decode.Limits(max_tokens=13, max_steps=5, max_step_tokens=5, roles=toy.ROLES)
B, N, P = 40, 6, 5
SETTINGS = [(m, k) for k in (0, 1, 2, 3) for m in (1, 2, 3, 6)]
BEAM_FIELDS = ('parent', 'token', 'length', 'logprob', 'score', 'live', 'finished', 'kept',
               'entered', 'attended')


def program(models, prefix, prefix_len, keys, num_kept, k, limits=LIMITS):
  state = search.init(*models, prefix, prefix_len, keys, np.ones(len(prefix_len), bool), limits)
  return search.run(*models, state, Kept(num_kept, k), SamplingConfig(), limits)[0]


@functools.partial(jax.jit, static_argnames='k')
def table_search(table, prefix, prefix_len, keys, num_kept, k):
  return program((toy.TableGenerator(table), toy.TableVerifier()), prefix, prefix_len, keys,
                 num_kept, k)


@pytest.fixture(scope='module')
def inputs():
  return toy.random_tables(5, B), *toy.prompts(5, B, P)


@pytest.fixture(scope='module')
def found(inputs):
  """Rounds of a setting, numpy; made once."""

  @functools.cache
  def of(width, k):
    return jax.device_get(table_search(
        *inputs, toy.slot_keys(B, N), BeamConfig(N, width).num_kept, k))
  return of


@pytest.fixture(scope='module')
def expected(inputs):
  table, prefix, prefix_len = inputs
  uniforms = toy.uniforms(toy.slot_keys(B, N), LIMITS.max_steps, LIMITS.max_tokens)

  @functools.cache
  def of(width, k):
    return [reference.beam_search(table[b], prefix[b, :prefix_len[b]], uniforms[b], width,
                                  LIMITS, k) for b in range(B)]
  return of


@pytest.mark.parametrize('width,k', SETTINGS)
def test_reference(found, expected, width, k):
  history = found(width, k)
  for b, want in enumerate(expected(width, k)):
    for r, each in enumerate(want.rounds):
      for field in ('parent', 'length', 'live', 'finished', 'kept', 'score', 'entered',
                    'attended'):
        assert getattr(history, field)[r, b].tolist() == each[field], (b, r, field)
      np.testing.assert_array_equal(
          history.token[r, b], reference.padded(each['token'], LIMITS.max_step_tokens))
      if not k:
        continue
      ahead = jax.tree.map(lambda x, r=r, b=b: x[r, b], history.simulation)
      assert ahead.score.tolist() == each['judged']
      for n, steps in enumerate(each['simulated']):
        steps = steps + [[]] * (k - len(steps))
        assert ahead.length[n].tolist() == list(map(len, steps))
        np.testing.assert_array_equal(
            ahead.token[n], reference.padded(steps, LIMITS.max_step_tokens))
      assert ahead.ended.tolist() == [by not in ('', 'live') for by in each['stopped_by']]
      assert ahead.entered.tolist() == each['sim_entered']
      assert ahead.attended.tolist() == each['sim_attended']
    assert not k or not history.simulation.entered[len(want.rounds):, b].any()
  assert bool(k) == (history.simulation is not None)


def test_the_reference_shows_every_case(expected):
  """Simulations of every length and end, ties at the cut, choices that beam would not make."""
  seen = collections.Counter()
  for width, k in SETTINGS:
    for want in expected(width, k):
      for each in want.rounds:
        seen.update(each['stopped_by'])
        seen.update(len(steps) for steps in each['simulated'])
        status = ['live' if l else 'finished' if f else 'truncated'
                  for l, f in zip(each['live'], each['finished'])]
        seen['tie'] += reference.tie_at_the_cut(each['judged'], status, max(1, N // width))
        own = [reference.Row([], 0, s, x) for s, x in zip(status, each['score'])]
        seen['other choice'] += each['kept'] != reference.best(
            own, each['score'], max(1, N // width))
  for case in ('finished', 'tokens', 'steps', 'step_tokens', 'live', 0, 1, 2, 3, 'tie',
               'other choice'):
    assert seen[case] > 10, (case, seen)


@pytest.mark.parametrize('k', [1, 3])
def test_simulations_leave_no_trace(found, k):
  """Where all are kept, what is simulated cannot matter: the rounds of beam, bit for bit."""
  plain, ahead = found(1, 0), found(1, k)
  assert ahead.simulation.length.any()
  for field in BEAM_FIELDS:
    np.testing.assert_array_equal(getattr(ahead, field), getattr(plain, field), field)


def test_the_first_step_has_the_keys_of_beam(found):
  """The steps that are drawn before the first choice are beam's, whatever k is."""
  for k in (1, 2, 3):
    for field in ('token', 'length', 'logprob', 'score', 'entered', 'attended'):
      np.testing.assert_array_equal(
          getattr(found(3, k), field)[0], getattr(found(3, 0), field)[0])


@pytest.mark.parametrize('width,k', [(1, 3), (2, 1), (3, 2), (6, 3)])
def test_trees(found, expected, width, k):
  """A node carries its simulation; counts are of all that was written."""
  for got, want in zip(tree.unroll(found(width, k)), expected(width, k)):
    at = {(node.round, node.slot): node for node in got.nodes}
    for r, each in enumerate(want.rounds):
      for n, steps in enumerate(each['simulated']):
        if each['length'][n]:
          node = at[r, n]
          assert node.score == each['score'][n]
          if each['live'][n]:
            assert node.simulation.tokens.tolist() == sum(steps, [])
            assert node.simulation.score == each['judged'][n]
            assert node.simulation.ended == (each['stopped_by'][n] != 'live')
          else:
            assert node.simulation is None
    for name in ('entered', 'attended'):
      assert getattr(got, name).tolist() == [
          sum(each[name][i] + each[f'sim_{name}'][i] for each in want.rounds) for i in range(2)]


def test_nan_at_the_end_of_a_simulation_is_an_error(found):
  history = found(3, 1)
  score = history.simulation.score.copy()
  score[tuple(np.argwhere(history.length > 0)[0])] = np.nan
  with pytest.raises(FloatingPointError, match='NaN'):
    tree.unroll(history.replace(simulation=history.simulation.replace(score=score)))


class TrapVerifier(toy.ShareVerifier):
  """Likes texts with a token in them, and a step later those without it."""

  def value(self, state):
    seen = state.digest > 0
    return jnp.where(state.count > 3, ~seen, seen).astype(jnp.float32)


def test_a_trap_that_shows_a_step_later():
  """Texts `T . x . end` or `G . x . end`; a T scores well until the x. One of four is kept.

  Beam falls for a T wherever one was drawn, lookahead only where nothing else was.
  """
  good, trap, x, d, problems, num = 6, 7, 5, toy.DELIMITER, 64, 4
  table = toy.chain_table((1, good, trap), (good, d), (trap, d), (d, x), (x, d), period=8)
  table[5, d] = toy.chain_table((d, EOS_ID))[0, d]
  models = (toy.TableGenerator(np.broadcast_to(table, (problems, *table.shape))),
            TrapVerifier(trap))
  one = np.ones(problems, np.int32)
  limits = decode.Limits(max_tokens=6, max_steps=3, max_step_tokens=2, roles=toy.ROLES)
  caught = {}
  for k in (0, 1):
    history = jax.jit(lambda keys: program(  # pylint: disable=cell-var-from-loop
        models, one[:, None], one, keys, 1, k, limits))(toy.slot_keys(problems, num))
    drawn = np.asarray(history.token[0, :, :, 0]) == trap
    trees = tree.unroll(history)
    assert all(len(t.candidates) == num for t in trees)
    caught[k] = np.array([trap in t.nodes[t.path(t.candidates[0][1])[0]].tokens for t in trees])
    np.testing.assert_array_equal(caught[k], drawn.all(axis=1) if k else drawn.any(axis=1))
  assert caught[0].mean() > 0.8 and 0 < caught[1].mean() < 0.2


def test_real_models_equal_reading_every_simulation_from_scratch():
  """Tokens are the likeliest ones, scores those of the whole text; the verifier has a surprise."""
  problems, num, k = 3, 4, 2
  generator_params, verifier_params = toy.decoder_params(), toy.decoder_params(JUDGE, seed=1)
  prefix, prefix_len = toy.prompts(1, problems, P, toy.ARCH.vocab_size)
  trees = tree.unroll(jax.jit(lambda: program(
      (Generator(Decoder(toy.ARCH), generator_params), Verifier(Decoder(JUDGE), verifier_params)),
      prefix, prefix_len, toy.slot_keys(problems, num), 2, k))())
  texts, own, begins, scores = [], [], [], []
  for b, found in enumerate(trees):
    for i, node in enumerate(found.nodes):
      prompt = prefix[b, :prefix_len[b]].tolist()
      text = prompt + [int(t) for j in found.path(i) for t in found.nodes[j].tokens]
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
  decoder = Decoder(JUDGE)
  position = jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape)
  hidden, _ = decoder.apply(params, tokens, position,
                            own=position >= num_prompt[:, None])
  return jax.nn.sigmoid(decoder.apply(params, hidden.top, method='values'))
