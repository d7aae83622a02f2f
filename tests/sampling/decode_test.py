"""Samples against a plain python decode, and what a sample may not depend on."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from tests import reference, toy
from tts.engine.coroutines import together
from tts.engine.reader import Read
from tts.engine.shape import Shape
from tts.roles import Roles
from tts.sampling import decode, pool
from tts.sampling.logits import SamplingConfig
from tts.types import EOS_ID

LIMITS = decode.Limits(max_tokens=11, max_steps=4, max_step_tokens=5, roles=toy.ROLES)
B, J, P = 6, 9, 5


async def drawn(generator, group, prefix, lengths, keys):
  """A question's samples, each behind so many of the prefix's tokens, as rollouts are."""
  async def one(length, key):
    node = (await Read(generator.reader, group, None, prefix[:length])).node
    sample = await pool.draw(generator, group, node, key)
    generator.release(group, node)
    return sample

  return await together([one(*each) for each in zip(lengths, keys)])


def queue(table, prefix, lengths, keys, num_jobs, make=toy.TableGenerator, limits=LIMITS, **how):
  """Samples of each problem, the first num_jobs [B] of its jobs. keys [B, J]; how: of `generator`."""
  generator, data = toy.generator(make, table, limits, **how), np.asarray(jax.random.key_data(keys))
  begin = lambda b: lambda group: drawn(
      generator, group, prefix[b], lengths[b, :num_jobs[b]], data[b, :num_jobs[b]])
  return toy.run([begin(b) for b in range(len(num_jobs))], [generator])


@pytest.fixture(scope='module')
def inputs():
  """Six problems; jobs of a problem continue different lengths of its prefix, as rollouts do."""
  prefix, _ = toy.prompts(0, B, P)
  lengths = np.random.default_rng(1).integers(1, P + 1, (B, J)).astype(np.int32)
  num_jobs = np.array([9, 5, 2, 0, 4, 8], np.int32)  # more than lanes, as many, fewer; none
  return toy.random_tables(0, B), prefix, lengths, toy.slot_keys(B, J), num_jobs


@pytest.fixture(scope='module')
def expected(inputs):
  table, prefix, lengths, keys, num_jobs = inputs
  uniforms = toy.uniforms(keys, LIMITS.max_steps, LIMITS.max_tokens)
  return [[reference.sample(table[b], prefix[b, :lengths[b, j]], uniforms[b, j], LIMITS)
           for j in range(J)] for b in range(B)]


def assert_same(got, want):
  """Samples of a problem, bit for bit."""
  for mine, theirs in zip(got, want, strict=True):
    np.testing.assert_array_equal(mine.tokens, theirs.tokens)
    np.testing.assert_array_equal(mine.logprob, theirs.logprob)
    assert (mine.entered, mine.attended) == (theirs.entered, theirs.attended)


def test_reference(inputs, expected):
  samples, num_jobs = queue(*inputs), inputs[-1]
  for b in range(B):
    assert len(samples[b]) == num_jobs[b]
    for job, got in enumerate(samples[b]):
      want = expected[b][job]
      np.testing.assert_array_equal(got.tokens, want.own)
      np.testing.assert_allclose(got.logprob, want.logprobs, atol=1e-5)
      assert toy.ROLES.finished(got.tokens) == (want.status == 'finished')
      # The last token never enters; each that does sees the prompt, what came before, itself.
      assert got.entered == want.entered == len(want.own) - 1
      assert got.attended == want.attended == sum(
          range(want.num_prompt + 1, want.num_prompt + len(want.own)))
  rules = [row.rule for row in sum(expected, [])]
  assert {'', 'steps', 'step_tokens', 'tokens'} == set(rules), 'the tables must show every rule'
  assert any(0 in row.own for row in sum(expected, [])), 'a sampled PAD_ID is a token like others'


# Ten and more ids are looked up in a table; halves and blank lines are not of one format.
MANY = tuple(range(20, 30))


@pytest.mark.parametrize('roles', [
    Roles((EOS_ID, 8), (toy.DELIMITER, 6)), Roles((EOS_ID,), (toy.DELIMITER, 6, *MANY)),
    Roles((EOS_ID,), (toy.DELIMITER,), (5, 6, 7), (6, 7, *MANY)),
    Roles((EOS_ID,), (8,), (5, 7), (6, 7)),
    Roles((EOS_ID, *MANY), (toy.DELIMITER, 6), blank_ends=(6, 8))])
def test_reference_with_the_roles_of_open_vocabularies(inputs, roles):
  table, prefix, lengths, keys, num_jobs = inputs
  limits = dataclasses.replace(LIMITS, roles=roles)
  samples = queue(*inputs, limits=limits)
  uniforms = toy.uniforms(keys, LIMITS.max_steps, LIMITS.max_tokens)
  seen = set()
  for b in range(B):
    for job in range(num_jobs[b]):
      want = reference.sample(table[b], prefix[b, :lengths[b, job]], uniforms[b, job], limits)
      got = samples[b][job].tokens
      np.testing.assert_array_equal(got, want.own)
      assert roles.finished(got) == (want.status == 'finished')
      assert roles.step_ends(got)[:len(want.ends)] == want.ends
      assert len(roles.step_ends(got)) - len(want.ends) in (0, 1)  # where the sample does
      seen |= {want.status, len(want.ends) > 1}
  assert {'finished', 'truncated', True} <= seen


@pytest.mark.parametrize('shape', [Shape(1, 1, 1, 1), Shape(2, 16, 7, 3), Shape(64, 4, 32, 8)])
def test_samples_do_not_depend_on_lanes(inputs, shape):
  for got, want in zip(queue(*inputs, shape=shape), queue(*inputs)):
    assert_same(got, want)


def test_first_samples_do_not_depend_on_how_many_there_are(inputs):
  table, prefix, lengths, keys, num_jobs = inputs
  few = queue(table, prefix, lengths, keys, np.minimum(num_jobs, 3))
  for got, want in zip(few, queue(*inputs)):
    assert_same(got, want[:3])


def test_samples_do_not_depend_on_their_order(inputs):
  table, prefix, lengths, keys, _ = inputs
  order = np.random.default_rng(2).permutation(J)
  every = np.full(B, J, np.int32)
  want = queue(*inputs[:-1], every)
  moved = queue(table, prefix, lengths[:, order], keys[:, order], every)
  for got, base in zip(moved, want):
    assert_same(got, [base[job] for job in order])


def test_samples_do_not_depend_on_the_batch(inputs):
  want = queue(*inputs)
  order = np.array([4, 1, 1, 5, 0, 1])  # others gone, one there three times
  table, *block = inputs
  got = queue(table, *(x[order] for x in block))
  for place, problem in enumerate(order):
    assert_same(got[place], want[problem])


def test_same_key_same_sample_other_key_other_sample(inputs):
  table, prefix, lengths, keys, _ = inputs
  every = np.full(B, J, np.int32)
  same_len = np.broadcast_to(lengths[:, :1], lengths.shape)
  got = queue(table, prefix, same_len, jnp.repeat(keys[:, :1], J, 1), every)
  assert all(np.array_equal(s.tokens, of_problem[0].tokens) for of_problem in got
             for s in of_problem)
  got = queue(table, prefix, same_len, keys, every)
  assert len({tuple(s.tokens) for s in got[0]}) > 1


def test_a_greedy_sample_is_the_likeliest_text(inputs):
  """Whatever the temperature is, and the key."""
  table, prefix, lengths, keys, _ = inputs
  generator, data = toy.generator(toy.TableGenerator, table, LIMITS), np.asarray(
      jax.random.key_data(keys))
  begin = lambda b: lambda group: pool.samples(
      generator, group, prefix[b, :lengths[b, 0]], data[b, :2], greedy=True)
  for b, found in enumerate(toy.run([begin(b) for b in range(B)], [generator])):
    want = reference.sample(table[b], prefix[b, :lengths[b, 0]], None, LIMITS)
    assert [s.tokens.tolist() for s in found] == [want.own] * 2
    np.testing.assert_allclose(found[0].logprob, want.logprobs, atol=1e-5)
    assert (found[0].entered, found[0].attended) == (want.entered, want.attended)


# A stands for a plain token, D for the delimiter.
A, D = 6, toy.DELIMITER


@pytest.mark.parametrize('name,edges,tokens,finished', [
    ('max_step_tokens', [(1, A), (A, A)], [A] * 5, False),
    ('max_steps', [(1, A), (A, D), (D, A)], [A, D] * 4, False),
    ('max_tokens', [(1, 5), (5, 6), (6, 7), (7, D), (D, 5)], [5, 6, 7, D] * 2 + [5, 6, 7], False),
    ('end', [(1, 5), (5, 6), (6, 7), (7, 8), (8, D), (D, 3), (3, 0), (0, EOS_ID)],
     [5, 6, 7, 8, D, 3, 0, EOS_ID], True),
    ('only_delimiters', [(1, D), (D, D)], [D] * 4, False),
    ('at_once', [(1, EOS_ID)], [EOS_ID], True),
])
def test_truncation(inputs, name, edges, tokens, finished):
  del name
  _, prefix, _, keys, _ = inputs
  table = np.broadcast_to(toy.chain_table(*edges, period=3), (B, 3, toy.VOCAB, toy.VOCAB))
  samples = queue(table, prefix, np.ones((B, J), np.int32), keys, np.full(B, J, np.int32))
  for sample in sum(samples, []):
    np.testing.assert_array_equal(sample.tokens, tokens)
    np.testing.assert_array_equal(sample.logprob, 0.0)
    assert toy.ROLES.finished(sample.tokens) == finished and sample.entered == len(tokens) - 1


def test_end_of_sequence_wins_over_every_limit():
  """As the last token of eleven, after the third delimiter of four, as a step's last of five."""
  for position, step, in_step in ((10, 0, 0), (0, 3, 0), (0, 0, 4), (10, 3, 4)):
    scalar, none = lambda x: jnp.full(2, x, jnp.int32), jnp.zeros(2, bool)
    rows = decode.Rows(
        key=jnp.zeros((2, 2), jnp.uint32), step=scalar(step), position=scalar(position),
        past_steps=scalar(0), past_positions=scalar(0), in_step=scalar(in_step), live=~none,
        finished=none, half=none, until=scalar(-1), most=scalar(99))
    token = jnp.array([EOS_ID, toy.DELIMITER])
    after = decode.advance(rows, token, rows.live, LIMITS)
    np.testing.assert_array_equal(after.finished, [True, False])
    # A delimiter that fills a step ends it well; one that fills the tokens or steps is too late.
    np.testing.assert_array_equal(after.live, [False, (position, step) == (0, 0)])
    np.testing.assert_array_equal(after.in_step, [in_step + 1, 0])
    idle = decode.advance(rows, token, ~rows.live, LIMITS)
    jax.tree.map(np.testing.assert_array_equal, idle.replace(key=None), rows.replace(key=None))


def test_frequencies_match_probabilities(inputs):
  """First tokens of many samples, tempered and cut by top-k, through the whole sampler."""
  sampling = SamplingConfig(temperature=0.7, top_k=6)
  jobs, period = 256, 3
  table = np.broadcast_to(inputs[0][:1], (B, period, toy.VOCAB, toy.VOCAB))
  prefix = np.broadcast_to(inputs[1][:1], (B, P))
  found = queue(table, prefix, np.ones((B, jobs), np.int32), toy.slot_keys(B, jobs),
                np.full(B, jobs, np.int32), sampling=sampling, shape=Shape(256, 3, 256, 4),
                limits=decode.Limits(3, 4, 5, toy.ROLES))
  texts = [[int(prefix[0, 0]), *s.tokens] for samples in found for s in samples]
  assert len(texts) == B * jobs
  pairs = np.zeros((period, toy.VOCAB, toy.VOCAB), int)  # by place, token, next token
  for text in texts:
    for i, (now, after) in enumerate(zip(text, text[1:])):
      pairs[(i + 1) % period, now, after] += 1
  probs = reference.distribution(table[0], sampling)
  assert pairs[probs == 0].sum() == 0 and (probs == 0).any()
  tested = 0
  for counts, p in zip(pairs.reshape(-1, toy.VOCAB), probs.reshape(-1, toy.VOCAB)):
    if counts.sum() > 100:
      wanted = p[p > 0] / p.sum() * counts.sum()
      assert stats.chisquare(counts[p > 0], wanted).pvalue > 1e-4
      tested += 1
  assert tested >= 5


@pytest.fixture(scope='module')
def real(inputs):
  """What a small decoder's samples are made from."""
  prefix, _ = toy.prompts(3, B, P, toy.ARCH.vocab_size)
  return toy.decoder_params(), prefix, *inputs[2:]


real_queue = functools.partial(queue, make=toy.writes())


def test_real_decoder_is_scored_as_by_a_full_forward(real):
  """Refilled lanes and rollout prefixes of many lengths, all at once."""
  params, prefix, lengths, _, _ = real
  samples = real_queue(*real)
  width = P + LIMITS.max_tokens
  jobs = [(b, j) for b in range(B) for j in range(len(samples[b]))]
  assert len(jobs) > 5 * toy.SHAPE.lanes
  texts = reference.padded(
      [[*prefix[b, :lengths[b, j]], *samples[b][j].tokens] for b, j in jobs], width)
  logits = toy.full_forward(toy.ARCH, params, texts)[0]
  log_probs = np.asarray(jax.nn.log_softmax(logits))
  for text, row, (b, j) in zip(texts, log_probs, jobs):
    own = np.arange(lengths[b, j], lengths[b, j] + len(samples[b][j].tokens))
    np.testing.assert_allclose(samples[b][j].logprob, row[own - 1, text[own]], atol=1e-4)


def test_real_decoder_does_not_depend_on_lanes(real):
  other = real_queue(*real, shape=Shape(lanes=2, write=7, readers=4, tile=2))
  for of_problem, base in zip(other, real_queue(*real), strict=True):
    for got, want in zip(of_problem, base, strict=True):
      np.testing.assert_array_equal(got.tokens, want.tokens)
      np.testing.assert_allclose(got.logprob, want.logprob, atol=1e-4)
      assert got.attended == want.attended
