"""A verifier that is told how likely a language model found each token."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import toy
from tts.engine.reader import Read
from tts.models import surprise
from tts.models.arch import below_surprise
from tts.models.transformer import Decoder
from tts.train import steps

ARCH = dataclasses.replace(toy.ARCH, num_layers=3, surprise_layer=2, heads=('lm', 'value'))
ATOL = 1e-5
VOCAB = ARCH.vocab_size


@pytest.fixture(scope='module', name='params')
def fixture_params():
  return toy.decoder_params(ARCH)


@jax.jit
def _values(params, tokens, positions, segments, own):
  hidden, _ = Decoder(ARCH).apply(params, tokens, positions, segments, own=own)
  return Decoder(ARCH).apply(params, hidden.top, method='values')


def whole(params, tokens, prompt_len):
  """Logits of values of one text [T], all at once. One shape, so one program."""
  padded = np.zeros((1, 32), np.int32)
  padded[0, :len(tokens)] = tokens
  positions = jnp.arange(32)[None]
  return np.asarray(_values(params, padded, positions, jnp.ones_like(positions),
                            positions >= prompt_len))[0, :len(tokens)]


def test_the_numbers_by_hand():
  """Two texts in one row; of the first the first two tokens are the prompt's."""
  probs = np.array([[.5, .5], [.25, .75], [.9, .1], [.5, .5], [.2, .8], [.6, .4]])
  tokens, positions = np.array([0, 1, 1, 0, 0, 1]), np.array([0, 1, 2, 0, 1, 2])
  own = np.array([False, False, True, False, True, True])
  zero = surprise.Account(total=jnp.zeros(()), largest=jnp.zeros(()))
  features, account = surprise.measure(jnp.log(probs), tokens, positions, own, zero)
  np.testing.assert_allclose(np.exp(-np.asarray(account.total)), [1, 1, .1, 1, .2, .08], rtol=1e-5)
  np.testing.assert_allclose(np.exp(-np.asarray(account.largest)), [1, 1, .1, 1, .2, .2], rtol=1e-5)
  np.testing.assert_allclose(features[:, 0], [0, .75, .1, 0, .2, .4], rtol=1e-5)
  np.testing.assert_allclose(features[[1, 2, 4, 5], 2], np.log([1, 9, 4, 1.5]) / 2, atol=1e-6)
  np.testing.assert_allclose(features[2, 3], -(.9 * np.log(.9) + .1 * np.log(.1)), rtol=1e-5)
  going_on = surprise.Account(total=jnp.asarray(2.0), largest=jnp.asarray(1.5))
  _, account = surprise.measure(jnp.log(probs[1:3]), tokens[1:3], positions[1:3], own[1:3],
                                going_on)
  np.testing.assert_allclose(account.total, [2, 2 - np.log(.1)], rtol=1e-5)
  np.testing.assert_allclose(account.largest, [1.5, -np.log(.1)], rtol=1e-5)


def test_reading_step_by_step_with_branching_equals_reading_again(params):
  """Ragged prompts and steps, texts that branch and end; every value against the whole text's."""
  rng = np.random.default_rng(0)
  verifier = toy.verifier(toy.judges(ARCH), params)
  prompts = [rng.integers(0, VOCAB, n).tolist() for n in (6, 3)]

  async def read(group, text, node, depth):
    for n in rng.integers(1, 6, 4 - depth).tolist():
      new = rng.integers(0, VOCAB, n).tolist()
      seen = await Read(verifier.reader, group, node, new, own=True)
      found.append((text + new, n, seen.values))
      if depth < 3:
        await read(group, text + new, seen.node, depth + 1)
      verifier.release(group, seen.node)

  for prompt in prompts:
    found = []

    async def question(group, prompt=prompt):
      node = (await Read(verifier.reader, group, None, prompt)).node
      await read(group, prompt, node, 0)
      verifier.release(group, node)

    toy.run([question], [verifier])
    assert len(found) == 4 + 12 + 24 + 24
    for text, n, values in found:
      again = whole(params, text, len(prompt))[-n:]
      np.testing.assert_allclose(values, 1 / (1 + np.exp(-again)), atol=ATOL)


def test_a_text_in_a_packed_row_is_read_as_if_alone(params):
  rng = np.random.default_rng(1)
  texts, prompt = [rng.integers(0, VOCAB, n).tolist() for n in (5, 7, 4)], 2
  tokens = jnp.asarray([sum(texts, [])], jnp.int32)
  segments = jnp.asarray([np.repeat([1, 2, 3], [5, 7, 4])])
  positions = jnp.asarray([np.concatenate([np.arange(len(t)) for t in texts])])
  values = _values(params, tokens, positions, segments, positions >= prompt)[0]
  alone = np.concatenate([whole(params, t, prompt) for t in texts])
  np.testing.assert_allclose(values, alone, atol=ATOL)


def test_surprise_is_told_apart_from_the_text(params):
  """The last token's value depends on what was expected in its place, and on whose token it is."""
  text = np.random.default_rng(2).integers(0, VOCAB, 9)
  assert not np.allclose(whole(params, text, 3)[-1], whole(params, text, 8)[-1])
  plain = jax.tree.map(jnp.array, params)
  plain['params']['surprise']['kernel'] = jnp.zeros_like(plain['params']['surprise']['kernel'])
  assert not np.allclose(whole(plain, text, 3)[-1], whole(params, text, 3)[-1])


def batch():
  rng = np.random.default_rng(3)
  tokens = rng.integers(0, VOCAB, (2, 8)).astype(np.int32)
  own = np.broadcast_to(np.arange(8) >= 3, (2, 8))
  return {'tokens': tokens, 'segments': np.ones_like(tokens),
          'positions': np.broadcast_to(np.arange(8, dtype=np.int32), (2, 8)), 'loss_mask': own,
          'label': rng.random((2, 8), np.float32), 'label_mask': own, 'own_mask': own}


@pytest.mark.parametrize('lm_weight', [0.0, 1.0])
def test_values_do_not_reach_the_language_model(params, lm_weight):
  """Only its own loss does; what no gradient reaches is what the optimizer leaves alone."""
  loss = lambda p: steps.value_loss(Decoder(ARCH), p, batch(), lm_loss_weight=lm_weight)[0]
  grads = jax.jit(jax.grad(loss))(params)['params']
  reached = {name for name, group in grads.items()
             if any(np.asarray(g).any() for g in jax.tree.leaves(group))}
  assert reached >= {'attn_2', 'mlp_2', 'surprise', 'value', 'final_norm'}
  assert below_surprise(ARCH) - {'unembed'} == set(grads) - {
      'attn_2', 'mlp_2', 'attn_norm_2', 'mlp_norm_2', 'surprise', 'value', 'final_norm'}
  assert bool(reached & below_surprise(ARCH)) == bool(lm_weight)


def test_a_frozen_language_model_stays_bit_for_bit(params):
  config = steps.TrainConfig(learning_rate=0.1, steps=3, weight_decay=0.1)
  optimizer = steps.make_optimizer(config, below_surprise(ARCH))
  update = jax.jit(steps.make_update(
      steps.make_loss(Decoder(ARCH), 'value', config), optimizer, config))
  state = steps.TrainState(step=jnp.zeros((), jnp.int32), params=params,
                           opt_state=optimizer.init(params))
  for _ in range(2):
    state = update(state, batch())[0]
  for name, group in state.params['params'].items():
    same = all(np.array_equal(a, b) for a, b in zip(
        jax.tree.leaves(group), jax.tree.leaves(params['params'][name])))
    assert same == (name in below_surprise(ARCH)), name
