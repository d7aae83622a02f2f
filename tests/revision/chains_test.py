"""Chains against plain python, which builds every context afresh."""

import functools

import jax
import numpy as np
import pytest

from tests import reference, toy
from tts.revision import chains
from tts.revision.trajectories import MAX_CONTEXT
from tts.sampling import decode, pool
from tts.types import EOS_ID

LIMITS = decode.Limits(max_tokens=6, max_steps=3, max_step_tokens=5, roles=toy.ROLES)
B, N, P, L = 5, 3, 4, 9


def run(generator, prompts, keys, length=L):
  """Chains of every problem; keys [B, N]."""
  data = np.asarray(jax.random.key_data(keys))
  begin = lambda prompt, own: lambda group: chains.chains(generator, group, prompt, own, length)
  return toy.run([begin(*each) for each in zip(prompts, data, strict=True)], [generator])


@pytest.fixture(scope='module')
def table():
  return toy.random_tables(1, B)


@pytest.fixture(scope='module')
def prompts():
  return toy.ragged(*toy.prompts(0, B, P))


@pytest.fixture(scope='module')
def of_length(table, prompts):
  """Chains of a length, made once."""
  return functools.cache(lambda length: run(
      toy.generator(toy.TableGenerator, table, LIMITS), prompts, toy.slot_keys(B, N), length))


def plain_chain(table, prompt, uniform):
  """L answers, as `reference.Row`s, and the context of each. uniform [steps, positions]."""
  answers, contexts, steps, positions = [], [], 0, 0
  for _ in range(L):
    recent = [a.own + [EOS_ID] * (a.status != 'finished') for a in answers[-MAX_CONTEXT:]]
    contexts.append([*prompt, *(t for own in recent for t in [*own, *prompt])])
    answers.append(reference.sample(table, contexts[-1], uniform[steps:, positions:], LIMITS))
    steps += answers[-1].own.count(toy.DELIMITER)
    positions += len(answers[-1].own)
  return answers, contexts


def test_reference(table, prompts, of_length):
  uniform = toy.uniforms(toy.slot_keys(B, N), L * LIMITS.max_steps, L * LIMITS.max_tokens)
  seen = set()
  for b, found in enumerate(of_length(L)):
    assert len(found) == N
    for n, chain in enumerate(found):
      answers, contexts = plain_chain(table[b], prompts[b], uniform[b, n])
      for t, (got, want, before) in enumerate(zip(chain, answers, contexts, strict=True)):
        assert before == chains.context(prompts[b], [a.own for a in answers[:t]], toy.ROLES)
        assert got.sample.tokens.tolist() == want.own
        np.testing.assert_allclose(got.sample.logprob, want.logprobs, atol=1e-5)
        assert (got.sample.entered, got.sample.attended) == (want.entered, want.attended)
        assert got.context == tuple(range(t))[-MAX_CONTEXT:]
        # What was read before: all after the first question, or what the cache lacks.
        known = len(prompts[b]) if t > MAX_CONTEXT else (
            len(contexts[t - 1]) + len(answers[t - 1].own) - 1 if t else len(before))
        assert got.reencoded == len(before) - known
        assert got.reencoded_attended == sum(range(known + 1, len(before) + 1))
        seen.add((want.status, t > MAX_CONTEXT))
  assert len(seen) == 4, 'the tables must show finished and cut off answers, early and late'


def test_a_chain_of_one_answer_is_a_plain_sample(table, prompts, of_length):
  generator = toy.generator(toy.TableGenerator, table, LIMITS)
  data = np.asarray(jax.random.key_data(toy.slot_keys(B, N)))
  begin = lambda b: lambda group: pool.samples(generator, group, prompts[b], data[b])
  samples = toy.run([begin(b) for b in range(B)], [generator])
  for of_problem, found in zip(samples, of_length(1), strict=True):
    for sample, (only,) in zip(of_problem, found, strict=True):
      assert only.reencoded == 0
      assert_same(only.sample, sample)


def assert_same(got, want):
  """Samples, bit for bit."""
  np.testing.assert_array_equal(got.tokens, want.tokens)
  np.testing.assert_array_equal(got.logprob, want.logprob)
  assert (got.entered, got.attended) == (want.entered, want.attended)


def assert_same_chains(got, want):
  for mine, theirs in zip(got, want, strict=True):
    assert_same(mine.sample, theirs.sample)
    assert (mine.context, mine.reencoded, mine.reencoded_attended) == (
        theirs.context, theirs.reencoded, theirs.reencoded_attended)


@pytest.mark.parametrize('length', [1, 3, MAX_CONTEXT + 1, MAX_CONTEXT + 2])
def test_first_answers_do_not_depend_on_how_many_there_are(of_length, length):
  for few, many in zip(of_length(length), of_length(L), strict=True):
    for short, chain in zip(few, many, strict=True):
      assert_same_chains(short, chain[:length])


def test_chains_do_not_depend_on_the_batch_nor_on_each_other(table, prompts, of_length):
  order, few = [3, 0, 0, 4, 1], [2, 0]
  got = run(toy.generator(toy.TableGenerator, table, LIMITS), [prompts[b] for b in order],
            toy.slot_keys(B, N)[np.array(order)][:, np.array(few)])
  for b, found in zip(order, got, strict=True):
    for n, chain in zip(few, found, strict=True):
      assert_same_chains(chain, of_length(L)[b][n])


def test_a_real_decoder_sees_the_context_built_afresh(prompts):
  params = toy.decoder_params()
  prompts = [[1, *prompt[1:]] for prompt in prompts]
  found = run(toy.generator(toy.writes(), params, LIMITS), prompts, toy.slot_keys(B, N))
  texts, starts, wanted = [], [], []
  for prompt, of_problem in zip(prompts, found):
    for chain in of_problem:
      own = [r.sample.tokens.tolist() for r in chain]
      for t, revision in enumerate(chain):
        before = chains.context(prompt, own[:t], toy.ROLES)
        texts.append([*before, *own[t]])
        starts.append(len(before))
        wanted.append(revision.sample.logprob)
  width = max(map(len, texts))
  logits, _ = toy.full_forward(toy.ARCH, params, reference.padded(texts, width))
  log_probs = np.asarray(jax.nn.log_softmax(logits, axis=-1))
  for i, (text, begin, want) in enumerate(zip(texts, starts, wanted)):
    places = np.arange(begin, len(text))
    np.testing.assert_allclose(log_probs[i, places - 1, np.array(text)[places]], want, atol=1e-4)
  assert max(starts) > 4 * P, 'contexts must be long enough to be cut'
