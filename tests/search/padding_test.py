"""Ids beyond the tokenizer's are never written, by whatever writes; they may be the likeliest."""

import dataclasses

import numpy as np
import pytest

from tests import toy
from tts.models.generator import Generator
from tts.models.transformer import Decoder
from tts.models.verifier import Verifier
from tts.revision import chains
from tts.sampling import decode
from tts.sampling.logits import SamplingConfig
from tts.search import search

PADDED, B, N, P = toy.ARCH.vocab_size - 4, 3, 4, 5  # ids from 9 on are padding
OF_TOKENIZER = dataclasses.replace(toy.ROLES, size=PADDED)
VALID = np.ones(B, bool)


@pytest.fixture(scope='module')
def models():
  params = toy.decoder_params(toy.ARCH)
  # Rows that point where hidden states do are likelier than all others.
  table = params['params']['embed']
  params = {'params': params['params'] | {'embed': table.at[PADDED:].multiply(6.0)}}
  return Generator(Decoder(toy.ARCH), params), Verifier(Decoder(toy.ARCH), params)


def written(models, how, roles, sampling):
  """Every id that was written, int32 [...]."""
  limits = decode.Limits(max_tokens=12, max_steps=4, max_step_tokens=5, roles=roles)
  prefix, prefix_len = toy.prompts(0, B, P, PADDED)
  keys, generator = toy.slot_keys(B, N), models[0]
  if how == 'sample':
    lengths = np.broadcast_to(prefix_len[:, None], (B, N))
    log = decode.sample_queue(generator, prefix, lengths, keys, np.full(B, N, np.int32),
                              num_slots=2, sampling=sampling, limits=limits)
    return np.asarray(log.token)[np.asarray(log.job) >= 0]
  if how == 'chains':
    found = chains.sample_chains(generator, prefix, prefix_len, keys, VALID, length=2,
                                 sampling=sampling, limits=limits)
    return np.asarray(found.token)
  config = search.BeamConfig(N, 2, lookahead=int(how == 'lookahead'))
  state = search.init(*models, prefix, prefix_len, keys, VALID, limits, None)
  history, _ = search.run(*models, state, config, sampling, limits)
  simulated = [history.simulation.token] if how == 'lookahead' else []
  return np.concatenate([np.asarray(x).ravel() for x in (history.token, *simulated)])


@pytest.mark.parametrize('temperature', [0.0, 1.0])
@pytest.mark.parametrize('how', ['sample', 'chains', 'beam', 'lookahead'])
def test_padding_is_never_written(models, how, temperature):
  sampling = SamplingConfig(temperature)
  assert written(models, how, toy.ROLES, sampling).max() >= PADDED
  found = written(models, how, OF_TOKENIZER, sampling)
  assert found.size and found.max() < PADDED
