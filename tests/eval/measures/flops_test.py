"""The formula by hand, and against the products that the model's forward really makes."""

import dataclasses
import math

import jax
from jax.extend import core
import jax.numpy as jnp
import pytest

from tts.eval.measures import flops
from tts.models.arch import Arch
from tts.models.transformer import Decoder

ARCH = {'vocab_size': 11, 'num_layers': 3, 'width': 6, 'num_heads': 4, 'num_kv_heads': 2,
        'head_size': 5, 'mlp_width': 7, 'gated': False}


def test_a_hand_counted_model():
  q, kv, o, mlp = 6 * 20, 2 * 6 * 10, 20 * 6, 2 * 6 * 7
  assert flops.per_token(ARCH) == 2 * 3 * (q + kv + o + mlp)
  assert flops.per_token({**ARCH, 'gated': True}) == 2 * 3 * (q + kv + o + 3 * 6 * 7)
  assert flops.per_key(ARCH) == 3 * (2 * 20 + 2 * 20)
  assert flops.per_output(ARCH, 'lm') == 2 * 6 * 11
  assert flops.per_output(ARCH, 'prm') == flops.per_output(ARCH, 'orm') == 2 * 6


def test_a_full_forward_is_every_product():
  expected = (4 * 9 * flops.per_token(ARCH) + 4 * 9 * 9 * flops.per_key(ARCH) + 4 * 9 * 2 * 66)
  assert flops.full_forward(ARCH, 'lm', 4, 9) == expected


def test_logits_are_charged_per_sampled_token_and_values_per_token_read():
  counts = {'kept': 5, 'pruned': 2, 'simulated': 1, 'entered': 10, 'attended': 40}
  body = 10 * flops.per_token(ARCH) + 40 * flops.per_key(ARCH)
  assert flops.counted(ARCH, 'lm', counts) == body + 8 * 132
  assert flops.counted(ARCH, 'prm', counts) == body + 10 * 12


def test_sums_are_exact_where_doubles_and_64_bits_are_not():
  counts = {'kept': 0, 'pruned': 0, 'simulated': 0, 'entered': 10**19 + 1, 'attended': 0}
  assert flops.counted(ARCH, 'lm', counts) == (10**19 + 1) * flops.per_token(ARCH)


def test_training_is_six_times_parameters_times_tokens():
  assert flops.training({'params': 7, 'metrics': {'tokens': 100}}) == 4200
  assert flops.training({'params': 7, 'metrics': {}}) is None


def products(jaxpr) -> int:
  """Multiplications and additions of every dot_general, those inside other calls included."""
  total = 0
  for eqn in jaxpr.eqns:
    if eqn.primitive.name == 'dot_general':
      (contracted, _), _ = eqn.params['dimension_numbers']
      shared = math.prod(eqn.invars[0].aval.shape[i] for i in contracted)
      total += 2 * shared * math.prod(eqn.outvars[0].aval.shape)
    for inner in core.jaxprs_in_params(eqn.params):
      total += products(inner)
  return total


@pytest.mark.parametrize('gated', [False, True])
@pytest.mark.parametrize('kind,head', [('lm', 'lm'), ('prm', 'value')])
def test_a_full_forward_is_the_products_of_the_real_one(gated, kind, head):
  """Exact in the traced program; within 2% of what the compiler counts, which adds the rest.

  Head size and heads do not multiply to the width, and queries are grouped, so that no factor can
  be mistaken for another.
  """
  arch = Arch(vocab_size=96, num_layers=2, width=112, num_heads=6, num_kv_heads=2, head_size=40,
              mlp_width=320, activation='relu2', gated=gated, tied=not gated, heads=(head,))
  decoder = Decoder(arch)
  batch, length = 3, 24
  tokens = jnp.zeros((batch, length), jnp.int32)
  positions = jnp.broadcast_to(jnp.arange(length), tokens.shape)
  params = jax.eval_shape(lambda: decoder.init(
      jax.random.key(0), tokens, positions, method='init_all'))

  def forward(params, tokens):
    return decoder.apply(params, tokens, positions, method='init_all')

  traced = jax.jit(forward).trace(params, tokens)
  expected = flops.full_forward(dataclasses.asdict(arch), kind, batch, length)
  assert products(traced.jaxpr.jaxpr) == expected
  compiled = traced.lower().compile().cost_analysis()
  compiled = compiled[0] if isinstance(compiled, list) else compiled
  assert expected <= compiled['flops'] < 1.02 * expected
