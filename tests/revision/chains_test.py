"""`sample_chains` against plain python, which builds every context afresh."""

import functools

import jax
import numpy as np
import pytest

from tests import reference, toy
from tts.models.generator import Generator
from tts.models.transformer import Decoder
from tts.revision import chains, pool as revision_pool
from tts.revision.trajectories import MAX_CONTEXT
from tts.sampling import decode, pool
from tts.sampling.logits import SamplingConfig
from tts.types import EOS_ID

LIMITS = decode.Limits(max_tokens=6, max_steps=3, max_step_tokens=5, roles=toy.ROLES)
B, N, P, L = 5, 3, 4, 9


@functools.partial(jax.jit, static_argnames=('length', 'limits'))
def table_chains(table, prompt, prompt_len, keys, valid, length=L, limits=LIMITS):
  return chains.sample_chains(toy.TableGenerator(table), prompt, prompt_len, keys, valid,
                              length=length, sampling=SamplingConfig(), limits=limits)


@functools.partial(jax.jit, static_argnames='length')
def real_chains(params, prompt, prompt_len, keys, valid, length=L):
  return chains.sample_chains(Generator(Decoder(toy.ARCH), params), prompt, prompt_len, keys, valid,
                              length=length, sampling=SamplingConfig(), limits=LIMITS)


@pytest.fixture(scope='module')
def inputs():
  prompt, prompt_len = toy.prompts(0, B, P)
  return toy.random_tables(1, B), prompt, prompt_len, toy.slot_keys(B, N), np.ones(B, bool)


@pytest.fixture(scope='module')
def log(inputs):
  return jax.device_get(table_chains(*inputs))


def tokens(log, t, b, n):
  return log.token[t, b, n, :log.length[t, b, n]].tolist()


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


def test_reference(inputs, log):
  table, prompt, prompt_len, keys, _ = inputs
  uniform = toy.uniforms(keys, L * LIMITS.max_steps, L * LIMITS.max_tokens)
  seen = set()
  for b in range(B):
    question = prompt[b, :prompt_len[b]].tolist()
    for n in range(N):
      answers, contexts = plain_chain(table[b], question, uniform[b, n])
      for t, (want, before) in enumerate(zip(answers, contexts)):
        assert before == chains.context(question, [a.own for a in answers[:t]], toy.ROLES)
        assert tokens(log, t, b, n) == want.own
        assert log.finished[t, b, n] == (want.status == 'finished')
        own = log.attended[t, b, n]
        assert (np.count_nonzero(own), own.sum()) == (want.entered, want.attended)
        # What was read before: all after the first question, or what the cache lacks.
        known = len(question) if t > MAX_CONTEXT else (
            len(contexts[t - 1]) + len(answers[t - 1].own) - 1 if t else len(before))
        assert log.read[t, b, n] == len(before) - known
        assert log.read_attended[t, b, n] == sum(range(known + 1, len(before) + 1))
        seen.add((want.status, t > MAX_CONTEXT))
  assert len(seen) == 4, 'the tables must show finished and cut off answers, early and late'


def test_collected_chains_and_their_counts(inputs, log):
  _, prompt, prompt_len, *_ = inputs
  found = revision_pool.collect(log)
  assert [len(chain) for of_problem in found for chain in of_problem] == [L] * B * N
  for b, of_problem in enumerate(found):
    for n, chain in enumerate(of_problem):
      own = [r.sample.tokens.tolist() for r in chain]
      assert own == [tokens(log, t, b, n) for t in range(L)]
      question = prompt[b, :prompt_len[b]].tolist()
      for t, r in enumerate(chain):
        assert r.context == tuple(range(t))[-MAX_CONTEXT:]
        before = chains.context(question, [own[i] for i in r.context], toy.ROLES)
        # All but the newest token enters.
        assert r.sample.entered == len(own[t]) - 1 and r.reencoded == log.read[t, b, n]
        first = len(before) - r.reencoded + 1
        assert r.sample.attended + r.reencoded_attended == sum(
            range(first, len(before) + len(own[t])))


def test_a_chain_of_one_answer_is_a_plain_sample(inputs):
  table, prompt, prompt_len, keys, valid = inputs
  log = jax.device_get(table_chains(*inputs, length=1))
  lengths = np.repeat(prompt_len[:, None], N, 1)
  queue = jax.jit(lambda *args: decode.sample_queue(
      toy.TableGenerator(table), *args, num_slots=N, sampling=SamplingConfig(), limits=LIMITS))
  samples = pool.collect(queue(prompt, lengths, keys, np.full(B, N, np.int32)))
  for b in range(B):
    for n in range(N):
      assert tokens(log, 0, b, n) == samples[b][n].tokens.tolist()
      length = log.length[0, b, n]
      np.testing.assert_array_equal(log.logprob[0, b, n, :length], samples[b][n].logprob)
      assert log.attended[0, b, n].sum() == samples[b][n].attended
  assert not log.read.any()


@pytest.mark.parametrize('length', [1, 3, MAX_CONTEXT + 1, MAX_CONTEXT + 2])
def test_first_answers_do_not_depend_on_how_many_there_are(inputs, log, length):
  short = jax.device_get(table_chains(*inputs, length=length))
  jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[:length]), short, log)


def test_chains_do_not_depend_on_the_batch_nor_on_each_other(inputs, log):
  order, few = np.array([3, 0, 0, 4, 1]), [2, 0]
  table, prompt, prompt_len, keys, _ = (x[order] for x in inputs)
  valid = np.array([True, True, False, True, True])
  got = jax.device_get(table_chains(table, prompt, prompt_len, keys[:, np.array(few)], valid))
  jax.tree.map(lambda a, b: np.testing.assert_array_equal(
      a[:, valid], b[:, order[valid]][:, :, few]), got, log)
  assert not got.length[:, 2].any() and not got.read[:, 2].any()


def test_a_real_decoder_sees_the_context_built_afresh(inputs):
  _, prompt, prompt_len, keys, valid = inputs
  params = toy.decoder_params()
  log = jax.device_get(real_chains(params, prompt, prompt_len, keys, valid))
  texts, starts, wanted = [], [], []
  for b in range(B):
    for n in range(N):
      own = [tokens(log, t, b, n) for t in range(L)]
      for t in range(L):
        before = chains.context(prompt[b, :prompt_len[b]].tolist(), own[:t], toy.ROLES)
        texts.append([*before, *own[t]])
        starts.append(len(before))
        wanted.append(log.logprob[t, b, n, :len(own[t])])
  width = max(map(len, texts))
  logits, _ = toy.full_forward(toy.ARCH, params, reference.padded(texts, width))
  log_probs = np.asarray(jax.nn.log_softmax(logits, axis=-1))
  for i, (text, begin, want) in enumerate(zip(texts, starts, wanted)):
    places = np.arange(begin, len(text))
    np.testing.assert_allclose(log_probs[i, places - 1, np.array(text)[places]], want, atol=1e-4)
  assert max(starts) > 4 * P, 'contexts must be long enough to be cut'
