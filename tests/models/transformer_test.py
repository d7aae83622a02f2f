"""The decoder against a plain numpy forward pass, and what each position may depend on."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from tests import toy
from tts.models import rotary, transformer
from tts.models.arch import Arch
from tts.models.transformer import Decoder

B, T = 3, 7

VARIANTS = {
    'grouped': toy.ARCH,
    'multi_head': dataclasses.replace(toy.ARCH, num_kv_heads=4),
    'one_kv_head': dataclasses.replace(toy.ARCH, num_kv_heads=1),
    'gated_untied': dataclasses.replace(
        toy.ARCH, activation='silu', gated=True, tied=False, head_size=10, rope_theta=500.0),
    'gelu': dataclasses.replace(toy.ARCH, activation='gelu_tanh', norm_eps=1e-2, num_layers=3),
}


def numpy_forward(arch: Arch, params, tokens):
  """One text int [T], float64, heads one by one: (logits [T, V], value logits [T])."""
  p = jax.tree.map(lambda x: np.asarray(x, np.float64), params['params'])
  activation = {
      'relu2': lambda x: np.maximum(x, 0) ** 2,
      'silu': lambda x: x * special.expit(x),
      'gelu_tanh': lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
  }[arch.activation]

  def norm(x, name):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + arch.norm_eps) * p[name]['scale']

  def rope(x):  # [T, E]: the pair (i, i + E/2) turns by position * theta**(-2i/E)
    half = arch.head_size // 2
    angle = np.arange(len(x))[:, None] * arch.rope_theta ** (-2 * np.arange(half) / arch.head_size)
    turned = (x[:, :half] + 1j * x[:, half:]) * np.exp(1j * angle)
    return np.concatenate([turned.real, turned.imag], axis=-1)

  x = p['embed'][tokens]
  for i in range(arch.num_layers):
    attn, mlp, y = p[f'attn_{i}'], p[f'mlp_{i}'], norm(x, f'attn_norm_{i}')
    heads = []
    for h in range(arch.num_heads):
      kv = h // (arch.num_heads // arch.num_kv_heads)
      q, k = rope(y @ attn['q']['kernel'][:, h]), rope(y @ attn['k']['kernel'][:, kv])
      scores = np.where(np.tri(len(x)), q @ k.T / np.sqrt(arch.head_size), -np.inf)
      heads.append(special.softmax(scores, axis=-1) @ (y @ attn['v']['kernel'][:, kv]))
    x = x + np.concatenate(heads, axis=-1) @ attn['o']['kernel']
    y = norm(x, f'mlp_norm_{i}')
    up = y @ mlp['up']['kernel']
    inner = up * activation(y @ mlp['gate']['kernel']) if arch.gated else activation(up)
    x = x + inner @ mlp['down']['kernel']
  x = norm(x, 'final_norm')
  table = p['embed'] if arch.tied else p['unembed']
  return x @ table.T, (x @ p['value']['kernel'] + p['value']['bias'])[:, 0]


@pytest.fixture(scope='module')
def tokens():
  return np.random.default_rng(0).integers(0, toy.ARCH.vocab_size, (B, T)).astype(np.int32)


@pytest.mark.parametrize('name', VARIANTS)
def test_numpy_forward(name, tokens):
  arch = VARIANTS[name]
  params = toy.decoder_params(arch)
  logits, values = toy.full_forward(arch, params, tokens)
  for b in range(B):
    want_logits, want_values = numpy_forward(arch, params, tokens[b])
    np.testing.assert_allclose(logits[b], want_logits, atol=2e-5, rtol=2e-5)
    np.testing.assert_allclose(values[b], special.expit(want_values), atol=2e-5)
  # The variant has the parameters that it names, and no others.
  names = set(params['params'])
  assert ('unembed' in names) == (not arch.tied)
  assert ('gate' in params['params']['mlp_0']) == arch.gated
  assert transformer.num_params(params) == num_params(arch)


def num_params(a: Arch) -> int:
  attention = a.width * a.head_size * (2 * a.num_heads + 2 * a.num_kv_heads)
  mlp = a.width * a.mlp_width * (3 if a.gated else 2)
  embeddings = a.vocab_size * a.width * (1 if a.tied else 2)
  return embeddings + a.num_layers * (attention + mlp + 2 * a.width) + a.width + a.width + 1


def test_heads_that_are_not_asked_for_have_no_parameters():
  arch = dataclasses.replace(toy.ARCH, heads=('lm',))
  assert 'value' not in toy.decoder_params(arch)['params']
  arch = dataclasses.replace(toy.ARCH, heads=('value',), tied=False)
  assert 'unembed' not in toy.decoder_params(arch)['params']


def test_half_precision_is_close(tokens):
  params = toy.decoder_params()
  logits, values = toy.full_forward(toy.ARCH, params, tokens)
  half = dataclasses.replace(toy.ARCH, dtype='bfloat16')
  half_logits, half_values = toy.full_forward(half, params, tokens)
  assert half_logits.dtype == np.float32 and not np.array_equal(logits, half_logits)
  np.testing.assert_allclose(half_logits, logits, atol=0.05 * np.abs(logits).max())
  np.testing.assert_allclose(half_values, values, atol=0.1)


SEGMENTS = np.array([1, 1, 1, 2, 2, 0, 0])


def influence(segments) -> np.ndarray:
  """bool [T, T]: whether hidden state t depends on the embedding of the token at s, by gradient."""
  params = toy.decoder_params()
  tokens = jnp.arange(T)[None]  # every position has a token, and so an embedding, of its own
  positions = jnp.arange(T)[None]
  segments = jnp.asarray(segments)[None]

  def summed(embed):
    changed = {'params': {**params['params'], 'embed': embed}}
    hidden, _ = Decoder(toy.ARCH).apply(changed, tokens, positions, segments)
    return hidden.top[0].sum(-1)  # --> [T]

  jacobian = np.asarray(jax.jit(jax.jacrev(summed))(params['params']['embed']))
  assert np.isfinite(jacobian).all()
  return np.abs(jacobian).max(axis=-1)[:, :T] > 0


def test_causality_by_gradient():
  np.testing.assert_array_equal(influence(np.ones(T, int)), np.tri(T, dtype=bool))


def test_segments_by_gradient():
  reached = influence(SEGMENTS)
  real = SEGMENTS > 0
  same = SEGMENTS[:, None] == SEGMENTS[None]
  np.testing.assert_array_equal(reached[real], (np.tri(T, dtype=bool) & same)[real])


hidden = jax.jit(lambda params, *args: Decoder(toy.ARCH).apply(params, *args)[0].top)


def test_packed_segments_are_independent(tokens):
  """Each segment as if it were alone, whatever stands beside it or in the padding."""
  params = toy.decoder_params()
  batch = lambda x: jnp.broadcast_to(jnp.asarray(x), (B, T))
  packed = hidden(params, tokens, batch([0, 1, 2, 0, 1, 0, 0]), batch(SEGMENTS))
  assert np.isfinite(packed).all()
  for start, stop in ((0, 3), (3, 5)):
    alone = np.roll(tokens, -start, axis=1)  # the rest comes after, where it is not seen
    want = hidden(params, alone, batch(np.arange(T)))
    np.testing.assert_allclose(packed[:, start:stop], want[:, :stop - start], atol=1e-5)


def test_rotation_is_relative():
  """A query and a key meet at an angle that depends on their distance alone."""
  gen = np.random.default_rng(1)
  q, k = (jnp.asarray(gen.normal(size=(1, 1, 8)), jnp.float32) for _ in range(2))
  at = lambda x, i: rotary.rotate(x, jnp.array([i]), rotary.frequencies(4, 10_000.0))
  score = lambda i, j: float(jnp.sum(at(q, i) * at(k, j)))
  np.testing.assert_allclose(score(9, 4), score(5, 0), rtol=1e-5)
  np.testing.assert_allclose(score(105, 100), score(5, 0), rtol=1e-4)
  assert abs(score(9, 4) - score(9, 3)) > 1e-2
  np.testing.assert_array_equal(at(q, 0), q)
  np.testing.assert_allclose(np.linalg.norm(at(q, 7)), np.linalg.norm(q), rtol=1e-6)


def test_shifting_a_text_changes_nothing(tokens):
  params = toy.decoder_params()
  position = jnp.broadcast_to(jnp.arange(T), (B, T))
  here, there, stretched = (
      hidden(params, tokens, p) for p in (position, position + 40, position * 2))
  np.testing.assert_allclose(here, there, atol=1e-4)
  assert np.abs(here - stretched).max() > 1e-2


def test_every_parameter_names_its_axes():
  """`placement.RULES` places each axis; a name that is not there would be replicated in silence."""
  from tts import parallel, placement  # pylint: disable=import-outside-toplevel
  arch = VARIANTS['gated_untied']
  ones = jnp.ones((1, 2), jnp.int32)
  boxed = jax.eval_shape(lambda: Decoder(arch).init(
      jax.random.key(0), ones, ones, method='init_all'))
  known = {name for name, _ in placement.RULES}
  leaves = jax.tree.leaves(boxed, is_leaf=lambda x: hasattr(x, 'names'))
  matrices = [x for x in leaves if hasattr(x, 'names')]
  assert {n for x in matrices for n in x.names} <= known
  assert all(len(x.names) == x.value.ndim for x in matrices)
  sharded = sum(x.value.size for x in matrices
                if any(dict(placement.RULES)[n] == parallel.MODEL for n in x.names))
  assert sharded > 0.9 * sum(x.size for x in jax.tree.leaves(boxed))


def test_dropout_sees_both_branches_of_every_layer(tokens):
  seen = []
  params = toy.decoder_params()
  jax.eval_shape(lambda: Decoder(toy.ARCH).apply(
      params, tokens, tokens, dropout=lambda x, i: seen.append((x.shape, i)) or x))
  assert seen == [((B, T, toy.ARCH.width), i) for i in range(2 * toy.ARCH.num_layers)]
