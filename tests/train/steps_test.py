"""Losses: what they count, what they ignore, and that packing does not change them."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import toy
from tts.models.transformer import Decoder
from tts.train import steps
from tts.train.packed import Packed
from tts.types import InputError

DECODER = Decoder(toy.ARCH)
# (prompt, own tokens, {index of an own token: label})
TEXTS = [([1, 5, 6], [7, 4, 2], {1: 0.25, 2: 0.75}), ([1, 8], [9, 10, 4, 11, 2], {2: 1.0, 4: 0.5}),
         ([1, 3, 3, 12], [4, 2], {0: 0.0})]


def pack(texts, width):
  """All texts in one row, by hand."""
  fields = {f.name: [] for f in dataclasses.fields(Packed)}
  for segment, (prompt, own, labels) in enumerate(texts, 1):
    n, p = len(prompt) + len(own), len(prompt)
    fields['tokens'] += prompt + own
    fields['segments'] += [segment] * n
    fields['positions'] += range(n)
    fields['loss_mask'] += [i >= p for i in range(n)]
    fields['label'] += [labels.get(i - p, 0.0) for i in range(n)]
    fields['label_mask'] += [i - p in labels for i in range(n)]
  dtype = {'label': np.float32, 'loss_mask': bool, 'label_mask': bool}
  return {k: np.array([v + [0] * (width - len(v))], dtype.get(k, np.int32))
          for k, v in fields.items()}


@pytest.fixture(scope='module')
def params():
  params = steps.init_params(DECODER, 3)
  # The value head starts at zero, where every value is the same.
  head = params['params']['value']
  head['kernel'] = jax.random.normal(jax.random.key(0), head['kernel'].shape)
  return params


LOSSES = [steps.lm_loss, functools.partial(steps.value_loss, lm_loss_weight=0.5)]


@pytest.mark.parametrize('loss', LOSSES)
def test_packed_row_sums_to_its_texts_alone(params, loss):
  _, together = loss(DECODER, params, pack(TEXTS, 23))
  alone = [loss(DECODER, params, pack([t], 9))[1] for t in TEXTS]
  for name, value in together.items():
    np.testing.assert_allclose(value, sum(a[name] for a in alone), rtol=1e-5)


def test_lm_loss_is_the_log_probability_of_the_own_tokens(params):
  prompt, own, _ = TEXTS[1]
  tokens = jnp.array([prompt + own])
  hidden, _ = DECODER.apply(params, tokens, jnp.arange(7)[None])
  logp = jax.nn.log_softmax(DECODER.apply(params, hidden.lm, method='logits'))[0]
  expected = -sum(logp[i - 1, tokens[0, i]] for i in range(2, 7))
  loss, sums = steps.lm_loss(DECODER, params, pack(TEXTS[1:2], 11))
  assert sums['tokens'] == 5
  np.testing.assert_allclose(sums['nll'], expected, rtol=1e-5)
  np.testing.assert_allclose(loss, expected / 5, rtol=1e-5)


def test_value_loss_is_cross_entropy_with_soft_labels(params):
  batch = pack(TEXTS[1:2], 11)
  hidden, _ = DECODER.apply(params, batch['tokens'], batch['positions'])
  p = np.asarray(jax.nn.sigmoid(DECODER.apply(params, hidden.top, method='values')))[0]
  expected = -np.log(p[4]) - 0.5 * np.log(p[6]) - 0.5 * np.log(1 - p[6])
  loss, sums = steps.value_loss(DECODER, params, batch)
  assert set(sums) == {'bce', 'labels'} and sums['labels'] == 2
  np.testing.assert_allclose(loss, expected / 2, rtol=1e-4)
  lm, _ = steps.lm_loss(DECODER, params, batch)
  both, _ = steps.value_loss(DECODER, params, batch, lm_loss_weight=0.5)
  np.testing.assert_allclose(both, loss + 0.5 * lm, rtol=1e-5)


@pytest.mark.parametrize('loss', LOSSES)
def test_padding_is_ignored(params, loss):
  batch = pack(TEXTS, 23)
  noisy = {k: np.where(batch['segments'] > 0, v, np.array(1 if v.dtype == bool else 5, v.dtype))
           if k in ('tokens', 'positions', 'label') else v for k, v in batch.items()}
  assert not np.array_equal(noisy['tokens'], batch['tokens'])
  assert loss(DECODER, params, noisy)[0] == loss(DECODER, params, batch)[0]


def test_prompt_is_read_but_not_predicted(params):
  def per_token_gradient(texts):
    """How much the logits of each place matter to the loss."""
    batch = pack(texts, 11)
    hidden = jax.random.normal(jax.random.key(1), (1, 11, toy.ARCH.width))
    probe = lambda h: steps._nll(DECODER, params, batch, h)['nll']
    return np.abs(jax.grad(probe)(hidden)).sum(-1)[0] > 0

  # Places 1..5 predict tokens 2..6; the first text ends at 7.
  np.testing.assert_array_equal(per_token_gradient(TEXTS[1:2]),
                                [False, True, True, True, True, True] + [False] * 5)
  prompt, own, labels = TEXTS[1]
  changed = [([prompt[0], 12], own, labels)]
  _, before = steps.lm_loss(DECODER, params, pack(TEXTS[1:2], 11))
  _, after = steps.lm_loss(DECODER, params, pack(changed, 11))
  assert after['tokens'] == before['tokens'] and after['nll'] != before['nll']


def test_first_token_of_a_text_is_never_predicted(params):
  batch = pack(TEXTS, 23)
  everywhere = batch | {'loss_mask': np.ones_like(batch['loss_mask'])}
  assert steps.lm_loss(DECODER, params, everywhere)[1]['tokens'] == 19 - len(TEXTS)


def test_a_batch_without_labels_is_finite(params):
  batch = pack(TEXTS, 23)
  batch['label_mask'][:] = False
  assert steps.value_loss(DECODER, params, batch)[0] == 0


def test_dropout_keeps_the_mean_and_is_absent_at_rate_zero():
  assert steps.make_dropout(0.0, jax.random.key(0)) is None
  dropout = steps.make_dropout(0.25, jax.random.key(0))
  a, b = (np.asarray(dropout(jnp.ones((100, 100)), i)) for i in range(2))
  assert set(np.unique(a)) == {0, np.float32(1 / 0.75)}
  assert abs(a.mean() - 1) < 0.03 and (a != b).any()


def test_dropout_of_an_update_depends_on_its_number(params):
  config = steps.TrainConfig(learning_rate=1e-3, steps=5, dropout=0.5)
  loss = steps.make_loss(DECODER, 'lm', config)
  update = jax.jit(steps.make_update(loss, steps.make_optimizer(config), config))
  opt_state = steps.make_optimizer(config).init(params)
  losses = [update(steps.TrainState(jnp.int32(i), params, opt_state), pack(TEXTS, 23))[1][0]
            for i in (0, 0, 1)]
  assert losses[0] == losses[1] != losses[2]


def test_layers_that_are_computed_again_drop_what_they_dropped(params):
  batch, found = pack(TEXTS, 23), []
  for remat in (False, True):
    def loss(params, decoder=Decoder(toy.ARCH, remat)):
      return steps.lm_loss(decoder, params, batch, steps.make_dropout(0.5, jax.random.key(0)))[0]
    found.append(jax.jit(jax.value_and_grad(loss))(params))
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6), *found)


def test_schedule_and_weight_decay():
  config = steps.TrainConfig(learning_rate=0.5, steps=100, warmup_fraction=0.1,
                             final_lr_fraction=0.1, weight_decay=0.0)
  params = {'matrix': jnp.ones((2, 2)), 'scale': jnp.ones((2,))}
  zero = jax.tree.map(jnp.zeros_like, params)

  def walk(config, grads):
    optimizer = steps.make_optimizer(config)
    state, sizes = optimizer.init(params), []
    for _ in range(101):
      updates, state = optimizer.update(grads, state, params)
      sizes.append(jax.tree.map(lambda x: -float(x.ravel()[0]), updates))
    return sizes

  # A constant gradient makes Adam's update the learning rate itself.
  sizes = [s['scale'] for s in walk(config, jax.tree.map(jnp.ones_like, params))]
  np.testing.assert_allclose([sizes[i] for i in (0, 5, 10, 100)], [0, 0.25, 0.5, 0.05], atol=1e-4)
  assert int(np.argmax(sizes)) == 10
  decayed = walk(dataclasses.replace(config, weight_decay=0.1), zero)[10]
  assert decayed['scale'] == 0
  np.testing.assert_allclose(decayed['matrix'], 0.05, rtol=1e-5)


def test_gradient_is_clipped(params):
  config = steps.TrainConfig(learning_rate=1e-2, steps=4, clip=1e-3)
  grads = jax.tree.map(lambda x: 100 * jnp.ones_like(x), params)
  state = steps.make_optimizer(config).init(params)
  _, state = steps.make_optimizer(config).update(grads, state, params)
  first_moment = next(s.mu for s in jax.tree.leaves(
      state, is_leaf=lambda s: hasattr(s, 'mu')) if hasattr(s, 'mu'))
  norm = np.linalg.norm([np.linalg.norm(x) for x in jax.tree.leaves(first_moment)])
  np.testing.assert_allclose(norm, 1e-3 * (1 - config.b1), rtol=1e-4)


@pytest.mark.parametrize('fields, name', [
    (dict(), 'tokens or steps'), (dict(steps=0), 'steps'), (dict(steps=3, dropout=1.0), 'dropout'),
    (dict(steps=3, batch_size=-1), 'batch_size'), (dict(steps=3, patience=-1), 'patience')])
def test_impossible_settings_are_named(fields, name):
  with pytest.raises(InputError, match=name):
    steps.TrainConfig(learning_rate=1e-3, **fields)


def test_tokens_become_whole_updates():
  config = steps.TrainConfig(learning_rate=1e-3, tokens=1000, batch_size=3, row_length=50)
  assert config.num_steps == 6
  assert dataclasses.replace(config, steps=4).num_steps == 4
