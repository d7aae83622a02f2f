"""Searches by every method against plain python ones, and the limits that tie them together."""

import collections
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import reference, toy
from tests.searching import allocate_test
from tests.searching.search_test import assert_sampled, samples
from tts import methods, rng
from tts.engine.shape import Shape
from tts.sampling import decode

LIMITS = decode.Limits(max_tokens=11, max_steps=4, max_step_tokens=5, roles=toy.ROLES)
B, N, P = 32, 6, 5
WIDE = Shape(lanes=64, write=4, readers=32, tile=8)  # few calls
STATUS = {'live': allocate_test.LIVE, 'finished': allocate_test.FINISHED,
          'truncated': allocate_test.TRUNCATED, 'gone': allocate_test.GONE}


@pytest.fixture(scope='module')
def inputs():
  """Tables and prompts of 32 problems, and the draws of their slots."""
  return toy.random_tables(0, B), toy.ragged(*toy.prompts(0, B, P)), toy.uniforms(
      toy.slot_keys(B, N), LIMITS.max_steps, LIMITS.max_tokens)


def search(inputs, method, num=N):
  table, prompts, _ = inputs
  return toy.search(toy.generator(toy.TableGenerator, table, LIMITS, shape=WIDE),
                    toy.verifier(toy.TableVerifier, np.zeros(()), shape=WIDE), prompts,
                    toy.slot_keys(B, num), method, in_flight=16)


def filtered(temperature, entropic):
  """The particle filter in plain python; its draws are JAX's, of weights that are its own."""
  def allocate(key, index, score, status):
    num = len(score)
    if 'live' not in status:
      return list(range(num)), True
    odds = [min(max(x, 1e-6), 1 - 1e-6) for x in score]
    weight = [math.log(p / (1 - p)) if s in ('live', 'finished') else -math.inf
              for p, s in zip(odds, status)]
    heat = 1.0
    if entropic:
      theta = np.exp([w / temperature for w in weight])
      effective = theta.sum()**2 / (theta**2).sum()
      if effective < num / 2 and index < LIMITS.max_steps / 2:
        heat = max(1.0, num / effective * (1 - index / LIMITS.max_steps))
    parent = np.asarray(jax.random.categorical(
        rng.round_key(key, index), jnp.array(weight, jnp.float32) / (temperature * heat),
        shape=(num,))).tolist()
    return parent, all(status[p] != 'live' for p in parent)
  return allocate


def unkeyed(rule, parameter):
  return lambda key, index, score, status: rule(
      np.array(score, np.float32), np.array([STATUS[s] for s in status]), parameter)


CASES = {
    'dvts': (methods.dvts(2), unkeyed(allocate_test.dvts, 2)),
    'uneven dvts': (methods.dvts(4), unkeyed(allocate_test.dvts, 4)),
    'rebase': (methods.rebase(0.3), unkeyed(allocate_test.rebase, 0.3)),
    'sharp rebase': (methods.rebase(0.05), unkeyed(allocate_test.rebase, 0.05)),
    'filter': (methods.particle_filter(1.0), filtered(1.0, False)),
    'entropic filter': (methods.particle_filter_entropic(0.2), filtered(0.2, True))}


@functools.cache
def references(name):
  table, prompts = toy.random_tables(0, B), toy.ragged(*toy.prompts(0, B, P))
  keys = toy.slot_keys(B, N)
  uniforms = toy.uniforms(keys, LIMITS.max_steps, LIMITS.max_tokens)
  data, allocate = np.asarray(jax.random.key_data(keys)), CASES[name][1]
  return [reference.method_search(
      table[b], prompts[b], uniforms[b], functools.partial(allocate, data[b, 0] + 1), LIMITS)
          for b in range(B)]


@pytest.mark.parametrize('name', CASES)
def test_reference(inputs, name):
  for got, want in zip(search(inputs, CASES[name][0]), references(name), strict=True):
    reference.assert_tree(got, want, simulations=False)


def test_the_references_show_every_case():
  """Rows that are gone, answers carried along, particles that are copied, all that are cut off."""
  seen = collections.Counter()
  for name in CASES:
    for found in references(name):
      nodes, candidates, _, _ = reference.tree_of(found)
      seen[name, 'copied'] += len({last for _, last in candidates}) < len(candidates)
      seen[name, 'cut off'] += any(row and row.status == 'truncated' for row in found.rows)
      seen[name, 'gone'] += any(row is None for row in found.rows)
      seen[name, 'carried'] += any(
          not tokens and finished for each in found.rounds[1:]
          for tokens, finished in zip(each['token'], each['finished']))
  for name in CASES:
    for case in ('cut off', 'carried'):
      assert seen[name, case] > 3, (name, case, seen)
    assert (seen[name, 'copied'] > 3) == ('filter' in name), (name, seen)
    assert (seen[name, 'gone'] > 3) == ('dvts' in name), (name, seen)


@pytest.mark.parametrize('method', [methods.dvts(1), methods.best_of_n(), methods.beam(1),
                                    methods.lookahead(1, 0)])
def test_a_child_each_is_plain_sampling(inputs, method):
  table, prompts, _ = inputs
  generator = toy.generator(toy.TableGenerator, table, LIMITS)
  assert_sampled(search(inputs, method), samples(generator, prompts, toy.slot_keys(B, N)))


@pytest.mark.parametrize('method', [methods.particle_filter(), methods.rebase(), methods.dvts(4)])
def test_one_row_is_plain_sampling(inputs, method):
  table, prompts, _ = inputs
  generator = toy.generator(toy.TableGenerator, table, LIMITS)
  assert_sampled(search(inputs, method, 1), samples(generator, prompts, toy.slot_keys(B, 1)))


def facts(trees):
  return [([(n.parent, n.round, n.slot, n.tokens.tolist(), n.score) for n in tree.nodes],
           sorted(last for _, last in tree.candidates)) for tree in trees]


def test_dvts_of_one_subtree_is_beam_search_that_keeps_one(inputs):
  steps = lambda trees: [nodes for nodes, _ in facts(trees)]
  assert steps(search(inputs, methods.dvts(N))) == steps(search(inputs, methods.beam(N)))


def test_lookahead_of_no_step_is_beam_search(inputs):
  assert facts(search(inputs, methods.lookahead(2, 0))) == facts(search(inputs, methods.beam(2)))


STEPS = 3  # of a text of the next tests: tokens A or B, each a step


def coin_search(problems, num, method):
  """Texts of three steps, A or B at odds 3 to 1, and an end; the value counts the A, of 64."""
  a, b, d = 6, 7, toy.DELIMITER
  table = toy.chain_table((1, a, b), (a, d), (b, d), (d, a, b), period=2 * STEPS + 2)
  table[:, [1, d], a] += np.where(table[:, [1, d], a] == 0, np.log(3.0), 0.0)
  table[2 * STEPS + 1, d] = toy.chain_table((d, 2))[0, d]
  limits = decode.Limits(2 * STEPS + 1, STEPS + 1, 2, toy.ROLES)
  return toy.search(toy.generator(toy.TableGenerator, table[None], limits, shape=WIDE),
                    toy.verifier(toy.ShareVerifier, np.int32(a), shape=WIDE), [[1]] * problems,
                    toy.slot_keys(problems, num), method, in_flight=32), a


def test_one_particle_draws_texts_as_often_as_the_model_does():
  """Chi-square over independent seeds: eight texts, of known probabilities."""
  trees, a = coin_search(2000, 1, methods.particle_filter())
  counts = collections.Counter(tuple(int(t) == a for t in tree.tokens(tree.candidates[0][1])[::2])
                               for tree in trees)
  texts = [tuple(bool(i >> j & 1) for j in range(STEPS)) for i in range(2**STEPS)]
  expected = [2000 * math.prod(0.75 if x else 0.25 for x in text) for text in texts]
  found = [sum(n for text, n in counts.items() if text[:STEPS] == want) for want in texts]
  assert sum((f - e)**2 / e for f, e in zip(found, expected)) < 24.3  # 7 degrees, p = 0.001


@pytest.mark.slow
def test_a_filter_s_estimate_of_its_normaliser_has_no_bias():
  """The product over rounds of the mean of exp(w / T) has the expectation that is enumerated."""
  problems, num, temperature = 3000, 3, 0.7
  trees, _ = coin_search(problems, num, methods.particle_filter(temperature))
  weight = lambda score: (min(max(score, 1e-6), 1 - 1e-6) / (1 - min(max(score, 1e-6), 1 - 1e-6))
                          )**(1 / temperature)
  estimates = [math.prod(np.mean([weight(n.score) for n in tree.nodes if n.round == r])
                         for r in range(STEPS)) for tree in trees]
  exact = 0.0
  for i in range(2**STEPS):
    text = [i >> j & 1 for j in range(STEPS)]
    chance = math.prod(0.75 if x else 0.25 for x in text)
    exact += chance * math.prod(weight(sum(text[:r + 1]) / 64) for r in range(STEPS))
  error = np.std(estimates) / math.sqrt(problems)
  assert abs(np.mean(estimates) - exact) < 4 * error and error < 0.05 * exact
