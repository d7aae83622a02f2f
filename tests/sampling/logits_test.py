"""From logits to a token, against tables worked out by hand."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from tests import toy
from tests.reference import distribution
from tts.sampling.logits import GROUP, SamplingConfig, num_uniforms, sample

LARGEST = np.float32(1.0 - 2.0**-23)
# Out of order, so that a forgotten inverse permutation shows.
P = np.array([0.125, 0.5, 0.125, 0.25])


@pytest.mark.parametrize('config,expected', [
    (dict(), [1, 4, 1, 2]),
    (dict(temperature=0.5), [1, 16, 1, 4]),
    (dict(temperature=2.0), [8**-0.5, 2**-0.5, 8**-0.5, 4**-0.5]),
    (dict(temperature=0.0), [0, 1, 0, 0]),
    (dict(temperature=0.0, top_k=3, top_p=0.1), [0, 1, 0, 0]),
    (dict(top_k=1), [0, 1, 0, 0]),
    (dict(top_k=2), [0, 2, 0, 1]),
    (dict(top_k=3), [1, 4, 1, 2]),  # the third and the fourth are equal: both stay
    (dict(top_k=40), [1, 4, 1, 2]),  # more than there are
    (dict(top_p=0.4), [0, 1, 0, 0]),
    (dict(top_p=0.6), [0, 2, 0, 1]),  # the token that crosses it stays
    (dict(top_p=0.9), [1, 4, 1, 2]),
    (dict(top_p=1e-6), [0, 1, 0, 0]),
    (dict(top_k=2, top_p=0.6), [0, 1, 0, 0]),  # 0.5 of what top-k left is 2/3
    (dict(temperature=0.5, top_p=0.75), [0, 4, 0, 1]),  # 16/22 is 0.73
])
def test_distribution(config, expected):
  """What is drawn, over draws that cover the unit interval evenly, and others again at random."""
  config, num = SamplingConfig(**config), 16_384
  logits = jnp.asarray(np.log(P) + 7.0, jnp.float32)
  for row, shares in ((logits, expected), (logits[::-1], expected[::-1])):
    token, _ = jitted(jnp.broadcast_to(row, (num, 4)), (jnp.arange(num) + 0.5)[None] / num, config)
    shares = np.array(shares, np.float64) / np.sum(shares)
    counts = np.bincount(token, minlength=4)
    assert (counts[shares == 0] == 0).all()
    np.testing.assert_allclose(counts / num, shares, atol=0.015 if config.top_p < 1 else 1e-3)


# One program for several draws, so that each configuration is compiled once.
@functools.partial(jax.jit, static_argnums=2)
def jitted(logits, uniform, config):
  keys = jax.random.split(jax.random.key(3), 64)
  again = lambda attempt: jax.random.uniform(keys[attempt % 64], uniform.shape)
  return sample(logits, uniform, config, again=again)


def random_logits(seed, rows, vocab, scale=2.0):
  return jnp.asarray(np.random.default_rng(seed).normal(0.0, scale, (rows, vocab)), jnp.float32)


def test_top_one_is_greedy():
  logits = random_logits(0, 50, 11)
  uniform = jnp.linspace(0.0, LARGEST, 50)[None]
  greedy, greedy_logprob = jitted(logits, uniform, SamplingConfig(temperature=0.0))
  np.testing.assert_array_equal(greedy, np.argmax(logits, axis=-1))
  for config in (SamplingConfig(top_k=1), SamplingConfig(top_p=1e-6),
                 SamplingConfig(temperature=1e-4)):
    token, logprob = jitted(logits, uniform, config)
    np.testing.assert_array_equal(token, greedy)
    np.testing.assert_array_equal(logprob, greedy_logprob)


def test_greedy_takes_the_first_of_equals():
  token, _ = jitted(jnp.array([[1.0, 3.0, 3.0]]), jnp.array([[0.9]]), SamplingConfig(temperature=0.0))
  assert int(token[0]) == 1


@pytest.mark.parametrize('config', [
    SamplingConfig(), SamplingConfig(temperature=0.0), SamplingConfig(temperature=0.5),
    SamplingConfig(temperature=1.7, top_k=3), SamplingConfig(top_p=0.7)])
def test_logprob_is_the_models_own(config):
  """At temperature 1 and over all tokens, whatever the draw was restricted to."""
  logits = random_logits(1, 30, 7)
  token, logprob = jitted(logits, jnp.linspace(0.0, LARGEST, 30)[None], config)
  assert token.dtype == jnp.int32 and logprob.dtype == jnp.float32
  x = np.asarray(logits, np.float64)
  expected = x - np.log(np.exp(x).sum(-1, keepdims=True))
  np.testing.assert_allclose(
      logprob, np.take_along_axis(expected, np.asarray(token)[:, None], 1)[:, 0], atol=1e-5)


def test_draw_inverts_the_cumulative_distribution():
  logits = jnp.asarray(np.log(P), jnp.float32)
  uniform = jnp.array([0.0, 0.124, 0.126, 0.624, 0.626, 0.749, 0.751, LARGEST])
  token, _ = jitted(jnp.broadcast_to(logits, (8, 4)), uniform[None], SamplingConfig())
  np.testing.assert_array_equal(token, [0, 0, 1, 1, 2, 2, 3, 3])


def test_top_p_keeps_the_first_of_equals():
  logits = jnp.broadcast_to(jnp.log(jnp.asarray(P, jnp.float32)), (8000, 4))
  token, _ = jitted(logits, jnp.linspace(0.0, LARGEST, 8000)[None], SamplingConfig(top_p=0.8))
  np.testing.assert_allclose(np.bincount(token, minlength=4) / 8000, np.array([1, 4, 0, 2]) / 7,
                             atol=0.02)


def test_top_p_draws_what_all_would_give_first():
  """A draw is another than without top-p only where that is none of the likeliest."""
  logits = random_logits(6, 500, 300)
  uniform = jnp.asarray(np.random.default_rng(1).uniform(size=(2, 500)), jnp.float32)
  config = SamplingConfig(top_p=0.7)
  some, _ = jitted(logits, uniform, config)
  every, _ = jitted(logits, uniform, SamplingConfig())
  inside = np.take_along_axis(distribution(logits, config), np.asarray(every)[:, None], 1)[:, 0] > 0
  assert 300 < inside.sum() < 400
  np.testing.assert_array_equal(np.asarray(some)[inside], np.asarray(every)[inside])


@pytest.mark.parametrize('vocab,config', [
    (7, SamplingConfig(top_k=5)), (1000, SamplingConfig(top_p=0.6)),
    (1000, SamplingConfig(temperature=0.7, top_k=40))])
def test_impossible_tokens_are_never_drawn(vocab, config):
  """At both ends of the unit interval, and at the edges of the tokens' shares of it."""
  rows = 300
  logits = random_logits(vocab, rows, vocab).at[:, 3].set(-jnp.inf)
  probs = distribution(logits, config)
  shares = -np.sort(-probs, axis=-1)[:, :20].cumsum(axis=-1).T
  uniform = np.minimum([np.zeros(rows), np.full(rows, LARGEST), *shares], LARGEST)
  uniform = np.asarray(uniform, np.float32)
  for each in ([uniform] * num_uniforms(vocab), [uniform, uniform[::-1]][:num_uniforms(vocab)]):
    token, _ = jitted(jnp.broadcast_to(logits, (len(uniform), rows, vocab)), jnp.stack(each),
                      config)
    assert (np.take_along_axis(probs, np.asarray(token).T, axis=1) > 0).all()


def assert_drawn(config, logits, probs):
  """Tokens are drawn by probs [V] of logits [V], all of them and no others."""
  uniform = jnp.asarray(np.random.default_rng(0).uniform(size=(2, 20_000)), jnp.float32)
  token, _ = jitted(jnp.broadcast_to(logits, (20_000, len(logits))), uniform, config)
  counts = np.bincount(token, minlength=len(logits))
  np.testing.assert_array_equal(counts > 0, probs > 0)
  assert stats.chisquare(counts[probs > 0], probs[probs > 0] * 20_000).pvalue > 1e-3


@pytest.mark.parametrize('vocab', [9, 300])
@pytest.mark.parametrize('temperature,share', [(1.0, 0.05), (1.0, 0.2), (0.6, 0.1), (2.0, 0.4)])
def test_min_p_keeps_shares_of_the_likeliest(vocab, temperature, share):
  """An id at a time, by its odds at the temperature; all that is kept keeps its odds."""
  logits = random_logits(vocab, 1, vocab)[0]
  odds = np.exp((np.asarray(logits, np.float64) - float(max(logits))) / temperature)
  probs = np.array([x if x >= share else 0.0 for x in odds])
  assert 1 < np.count_nonzero(probs) < vocab
  config = SamplingConfig(temperature, min_p=share)
  assert_drawn(config, logits, probs / probs.sum())
  # With top-p the share is of what min-p has left.
  likeliest = probs.max() / probs.sum()
  uniform = jnp.linspace(0.0, LARGEST, 500)[None].repeat(2, 0)
  alone, _ = jitted(jnp.broadcast_to(logits, (500, vocab)), uniform,
                    dataclasses.replace(config, top_p=0.999 * float(likeliest)))
  np.testing.assert_array_equal(alone, np.argmax(logits))
  for wrong in (0.0, -0.1, 1.5, float('nan')):
    with pytest.raises(ValueError, match='min_p is .*above 0 and at most 1'):
      SamplingConfig(min_p=wrong)


@pytest.mark.parametrize('vocab', [9, 300])
@pytest.mark.parametrize('temperature,num', [(1.0, 0.7), (1.0, 1.5), (0.5, 1.5), (3.0, 1.5)])
def test_top_n_sigma_keeps_what_is_near_the_largest(vocab, temperature, num):
  """The same ids at every temperature, an id at a time; padding counts for none."""
  logits = random_logits(vocab, 1, vocab)[0]
  values = np.asarray(logits, np.float64)
  least = values.max() - num * np.sqrt(np.mean((values - values.mean())**2))
  kept = np.array([x >= least for x in values])
  assert 1 < kept.sum() < vocab
  probs = np.where(kept, np.exp((values - values.max()) / temperature), 0.0)
  config = SamplingConfig(temperature, top_n_sigma=num)
  assert_drawn(config, jnp.append(logits, -jnp.inf), np.append(probs, 0.0) / probs.sum())
  padded = jnp.broadcast_to(jnp.append(logits, 99.0), (1000, vocab + 1))
  token, _ = sample(padded, jnp.linspace(0, LARGEST, 1000)[None].repeat(2, 0), config, size=vocab)
  assert set(np.asarray(token).tolist()) <= set(np.flatnonzero(kept).tolist())
  for wrong in (0.0, -1.0, float('nan')):
    with pytest.raises(ValueError, match='top_n_sigma is .*above 0'):
      SamplingConfig(top_n_sigma=wrong)


def test_a_large_vocabulary_is_drawn_group_by_group():
  """Worked out in numpy: a group by its sum, an id by its share; and by groups of groups."""
  vocab = GROUP * GROUP + 3
  assert [num_uniforms(v) for v in (2, GROUP, GROUP + 1, vocab - 3, vocab)] == [1, 1, 2, 2, 3]
  probs = np.random.default_rng(0).dirichlet(np.full(vocab, 0.1))
  uniform = np.random.default_rng(1).integers(0, 2**23, (3, 200)) * 2.0**-23
  token, _ = jitted(jnp.broadcast_to(jnp.log(jnp.asarray(probs, jnp.float32)), (200, vocab)),
                    jnp.asarray(uniform, jnp.float32), SamplingConfig())
  whole = np.pad(probs, (0, GROUP**3 - vocab)).reshape(GROUP, GROUP, GROUP)
  invert = lambda p, u: int(np.searchsorted(np.cumsum(p) / p.sum(), u, side='right'))
  for t, (u, v, w) in zip(np.asarray(token), uniform.T):
    i = invert(whole.sum((1, 2)), w)
    j = invert(whole[i].sum(1), v)
    assert t == (i * GROUP + j) * GROUP + invert(whole[i, j], u)


@pytest.mark.slow
def test_rounding_of_logits_moves_few_draws():
  """A large vocabulary's tail is below the rounding of a sum over all of it."""
  rows, vocab = 4000, 30_000
  logits = random_logits(2, 1, vocab, scale=3.0)
  noise = 1e-5 * random_logits(3, rows, vocab, scale=1.0)
  uniform = jnp.asarray(np.random.default_rng(4).integers(0, 2**23, (3, rows)) * 2.0**-23,
                        jnp.float32)
  one, _ = jitted(jnp.broadcast_to(logits, (rows, vocab)), uniform, SamplingConfig())
  other, _ = jitted(logits + noise, uniform, SamplingConfig())
  assert np.unique(one).size > 1000
  assert np.count_nonzero(np.asarray(one) != np.asarray(other)) <= 8


def test_frequencies():
  uniform = toy.uniforms(toy.slot_keys(3, 50), 10, 20).ravel()
  for config in (SamplingConfig(), SamplingConfig(temperature=0.6, top_k=3),
                 SamplingConfig(temperature=1.5, top_p=0.9)):
    logits = random_logits(5, 1, 9)
    token, _ = jitted(jnp.broadcast_to(logits, (uniform.size, 9)), uniform[None], config)
    probs = distribution(logits, config)[0]
    counts = np.bincount(token, minlength=9)
    assert counts[probs == 0].sum() == 0
    expected = probs[probs > 0] / probs.sum() * uniform.size
    assert stats.chisquare(counts[probs > 0], expected).pvalue > 1e-3


@pytest.mark.parametrize('config', [
    dict(), dict(temperature=0.0), dict(temperature=0.7, top_k=5), dict(top_p=0.8)])
def test_rows_of_padding_are_never_drawn(config):
  """The likeliest rows are padding: draws are those without them, log-probabilities those with."""
  config, size = SamplingConfig(**config), 11
  logits = random_logits(5, 200, 14).at[:, size:].add(6.0)
  uniform = jnp.concatenate([jnp.linspace(0.0, LARGEST, 198), jnp.array([0.0, LARGEST])])[None]
  again = lambda attempt: (uniform + 0.37 * attempt) % 1.0
  draw = jax.jit(lambda logits, size: sample(logits, uniform, config, size, again=again),
                 static_argnums=1)
  token, logprob = draw(logits, size)
  alone, _ = draw(logits[:, :size], None)
  np.testing.assert_array_equal(token, alone)
  whole = jax.nn.log_softmax(logits, axis=-1)[jnp.arange(200), token]
  np.testing.assert_allclose(logprob, whole, atol=1e-5)
  assert (np.asarray(jitted(logits, uniform, config)[0]) >= size).any()
