"""Ids beyond the tokenizer's are never written, by whatever writes; they may be the likeliest."""

import dataclasses

import jax
import numpy as np
import pytest

from tests import toy
from tts.revision import chains
from tts.sampling import decode, pool
from tts.sampling.logits import SamplingConfig
from tts import methods

PADDED, B, N, P = toy.ARCH.vocab_size - 3, 3, 4, 5  # ids from 10 on are padding
OF_TOKENIZER = dataclasses.replace(toy.ROLES, size=PADDED)


@pytest.fixture(scope='module')
def params():
  found = toy.decoder_params(toy.ARCH)
  # Rows that point where hidden states do are likelier than all others.
  table = found['params']['embed']
  return {'params': found['params'] | {'embed': table.at[PADDED:].multiply(6.0)}}


def written(params, how, roles, sampling):
  """Every id that was written, int32 [...]."""
  limits = decode.Limits(max_tokens=12, max_steps=4, max_step_tokens=5, roles=roles)
  prompts, keys = toy.ragged(*toy.prompts(0, B, P, PADDED)), toy.slot_keys(B, N)
  data = np.asarray(jax.random.key_data(keys))
  generator = toy.generator(toy.writes(), params, limits, sampling=sampling)
  if how == 'sample':
    begin = lambda b: lambda group: pool.samples(generator, group, prompts[b], data[b])
    found = toy.run([begin(b) for b in range(B)], [generator])
    return np.concatenate([sample.tokens for of_problem in found for sample in of_problem])
  if how == 'chains':
    begin = lambda b: lambda group: chains.chains(generator, group, prompts[b], data[b], 2)
    found = toy.run([begin(b) for b in range(B)], [generator])
    return np.concatenate([revision.sample.tokens for of_problem in found for chain in of_problem
                           for revision in chain])
  trees = toy.search(generator, toy.verifier(toy.judges(toy.ARCH), params), prompts, keys,
                     methods.Lookahead(2, int(how == 'lookahead')))
  nodes = [node for tree in trees for node in tree.nodes]
  simulated = [node.simulation.tokens for node in nodes if node.simulation]
  # Only a delimiter goes on, and only drawn tokens of the tokenizer's come to one.
  assert bool(simulated) == (
      how == 'lookahead' and roles == OF_TOKENIZER and sampling.temperature > 0)
  return np.concatenate([*(node.tokens for node in nodes), *simulated])


@pytest.mark.parametrize('temperature', [0.0, 1.0])
@pytest.mark.parametrize('how', ['sample', 'chains', 'beam', 'lookahead'])
def test_padding_is_never_written(params, how, temperature):
  sampling = SamplingConfig(temperature)
  assert written(params, how, toy.ROLES, sampling).max() >= PADDED
  found = written(params, how, OF_TOKENIZER, sampling)
  assert found.size and found.max() < PADDED
