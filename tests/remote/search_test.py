"""Searches and samples by a server that draws with our keys, against the same ones in here."""

import dataclasses

import jax
import numpy as np
import pytest

from tests import toy
from tests.remote.server import Server
from tests.remote.serving import assert_equal, KEYS, LIMITS, NUM, PROMPTS, searched, SHAPE
from tts import methods
from tts.engine import engine
from tts.remote import cut
from tts.roles import Roles
from tts.sampling import decode, pool
from tts.sampling.logits import SamplingConfig

METHODS = [methods.beam(2), methods.beam(1), methods.dvts(4), methods.rebase(temperature=0.2),
           methods.particle_filter(), methods.particle_filter_entropic(), methods.best_of_n(),
           methods.lookahead(2, 2)]


@pytest.mark.parametrize('method', METHODS, ids=methods.name_of)
def test_a_search_is_the_same_as_inside(method, params, verifier, served):
  inside = toy.search(toy.generator(toy.writes(), params, LIMITS, shape=SHAPE), verifier, PROMPTS,
                      KEYS, method)
  with Server(params, LIMITS) as server:
    found = searched(served(server), verifier, method)
  assert_equal(found, inside)
  assert sum(len(tree.nodes) for tree in inside) > 3 * len(PROMPTS)


def sampled(generator, num=NUM, greedy=False):
  data = np.asarray(jax.random.key_data(KEYS[:, :num]))
  begin = lambda prompt, key: lambda group: pool.samples(generator, group, prompt, key, greedy)
  return engine.run([begin(*each) for each in zip(PROMPTS, data)], [generator], 3)


@pytest.mark.parametrize('limits', [dataclasses.replace(LIMITS, max_steps=16, max_step_tokens=16),
                                    dataclasses.replace(LIMITS, max_steps=2),
                                    dataclasses.replace(LIMITS, max_step_tokens=2)])
@pytest.mark.parametrize('how', [{}, {'temperature': 0.0}, {'temperature': 0.7, 'top_p': 0.8},
                                 {'top_k': 4}, {'min_p': 0.1}], ids=str)
def test_samples_are_the_same_as_inside(how, limits, params, served):
  """And what is thrown away is what a server wrote behind a limit that it does not know."""
  how = SamplingConfig(**how)
  inside = sampled(toy.generator(toy.writes(), params, limits, shape=SHAPE, sampling=how),
                   greedy=how.temperature == 0)
  with Server(params, limits) as server:
    found = sampled(served(server, how, limits), greedy=how.temperature == 0)
  for ours, theirs in zip(found, inside, strict=True):
    for a, b in zip(ours, theirs, strict=True):
      np.testing.assert_array_equal(a.tokens, b.tokens)
      np.testing.assert_allclose(a.logprob, b.logprob, atol=1e-4)
  each = [s for of in found for s in of]
  discarded = sum(s.discarded for s in each)
  assert server.written == sum(len(s.tokens) for s in each) + discarded
  assert server.entered == sum(s.entered for s in each) + sum(map(len, PROMPTS))
  # The server knows of ends and of `max_tokens`.
  assert (discarded > 0) == any(not limits.roles.finished(s.tokens)
                                and len(s.tokens) < limits.max_tokens for s in each)


def test_what_a_server_does_not_say_is_not_known(params, verifier, served):
  with Server(params, LIMITS, caches=False) as server:
    tree = searched(served(server), verifier, methods.beam(2))[0]
    sample = sampled(served(server), 2)[0][0]
  assert tree.entered[0] is tree.attended[0] is sample.entered is sample.attended is None
  assert tree.entered[1] == sum(len(node.tokens) for node in tree.nodes)


def test_a_search_counts_what_the_server_counts(params, verifier, served):
  with Server(params, LIMITS) as server:
    trees = searched(served(server), verifier, methods.lookahead(2, 2))
  assert server.entered == sum(t.entered[0] for t in trees) + sum(map(len, PROMPTS))
  assert server.written == sum(len(n.tokens) + len(n.simulation.tokens if n.simulation else ())
                               for t in trees for n in t.nodes)
  assert all(tree.discarded == 0 for tree in trees), 'the stops that are asked for agree'


# Steps that end by two tokens, or at an empty line: a server is not asked to know of the first.
PAIRS = Roles(ends=(2,), delimiters=(4,), first_halves=(5, 6, 9, 4), second_halves=(6, 7, 9, 8),
              size=13)
BLANKS = Roles(ends=(2, 9), delimiters=(4, 5, 9), blank_ends=(5, 9), size=13)


@pytest.mark.parametrize('roles', [PAIRS, BLANKS], ids=['pairs', 'blanks'])
def test_steps_of_two_tokens_and_ends_at_an_empty_line(roles, params, verifier, served):
  limits = dataclasses.replace(LIMITS, roles=roles)
  inside = toy.search(toy.generator(toy.writes(), params, limits, shape=SHAPE), verifier, PROMPTS,
                      KEYS, methods.beam(2))
  with Server(params, limits) as server:
    found = searched(served(server, limits=limits), verifier, methods.beam(2))
  assert_equal(found, inside)
  thrown = sum(tree.discarded for tree in found)
  assert (thrown > 0) == (roles is PAIRS)
  assert server.written == thrown + sum(len(node.tokens) for tree in found for node in tree.nodes)


@pytest.mark.parametrize('roles', [PAIRS, BLANKS, LIMITS.roles], ids=['pairs', 'blanks', 'plain'])
def test_the_rule_is_the_sampler_s(roles):
  limits = decode.Limits(9, 3, 4, roles)
  tokens = np.random.default_rng(0).integers(2, 10, (400, 9)).astype(np.int32)
  zeros, none = np.zeros(400, np.int32), np.zeros(400, bool)
  state = decode.Rows(key=np.zeros((400, 2), np.uint32), step=zeros, position=zeros,
                      past_steps=zeros, past_positions=zeros, in_step=zeros, live=~none,
                      finished=none, half=none, until=zeros - 1, most=zeros + 1000)
  rows = [cut.Row(limits, 0, 0) for _ in range(400)]
  advance = jax.jit(decode.advance, static_argnums=3)
  for column in tokens.T:
    before, state = state, advance(state, column, state.live, limits)
    for i, row in enumerate(rows):
      if before.live[i]:
        assert row.add(int(column[i])) == (state.step[i] > before.step[i])
        assert (row.live, row.finished, row.step, row.position) == tuple(
            x[i].item() for x in (state.live, state.finished, state.step, state.position))
  assert not any(row.live for row in rows) and 20 < sum(row.finished for row in rows) < 380
