"""Blocks mapped over eight devices are the blocks of one device, and the groups never talk."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import device_programs, toy
from tts import parallel
from tts.models.generator import Generator
from tts.models.transformer import Decoder
from tts.models.verifier import Verifier
from tts.sampling import decode
from tts.sampling.logits import SamplingConfig
from tts.search import search

LIMITS = decode.Limits(max_tokens=9, max_steps=4, max_step_tokens=4, delimiter=toy.DELIMITER)
G, B, N, J, P = 8, 3, 4, 6, 5
ARCH = dataclasses.replace(toy.ARCH, num_layers=1)


def sample_step(params, table, prefix, prefix_len, keys):
  """The table model where there are no parameters, else the decoder."""
  generator = toy.TableGenerator(table) if params is None else Generator(Decoder(ARCH), params)
  return decode.sample_queue(
      generator, prefix, jnp.repeat(prefix_len[:, None], J, 1), keys, jnp.full(B, J), num_slots=N,
      sampling=SamplingConfig(), limits=LIMITS)


def search_step(params, table, prefix, prefix_len, keys):
  if params is None:
    models = toy.TableGenerator(table), toy.TableVerifier()
  else:
    decoder = Decoder(ARCH)
    models = Generator(decoder, params), Verifier(decoder, params)
  state = search.init(*models, prefix, prefix_len, keys[:, :N], jnp.ones(B, bool), LIMITS)
  return search.run(*models, state, search.BeamConfig(N, 2), SamplingConfig(), LIMITS)


@functools.cache
def blocks(vocab):
  """Eight blocks: their tables, prompts, lengths, keys."""
  prefix, prefix_len = toy.prompts(0, G * B, P, vocab)
  flat = toy.random_tables(0, G * B), prefix, prefix_len, toy.slot_keys(G * B, J)
  return [x.reshape(G, B, *x.shape[1:]) for x in flat]


@functools.cache
def mapped(step, data):
  return parallel.pmapped(step, parallel.make_mesh(data=data))


def both(step, params, vocab):
  """Results of eight groups at once, and block after block on one device."""
  inputs = blocks(vocab)
  many = mapped(step, G)(params, *inputs)
  one = [mapped(step, 1)(params, *(x[g:g + 1] for x in inputs)) for g in range(G)]
  return many, jax.tree.map(lambda *xs: np.concatenate(xs), *one)


def iterations(log):
  return (np.asarray(log.job) >= 0).any(axis=(2, 3)).sum(axis=1)


@pytest.mark.parametrize('step', [sample_step, search_step])
def test_table_model_is_bit_for_bit(step):
  many, one = both(step, None, toy.VOCAB)
  jax.tree.map(np.testing.assert_array_equal, many, one)
  loops = iterations(many) if step is sample_step else np.asarray(many[1])
  assert loops.shape == (G,) and len(set(loops.tolist())) > 1, 'groups must loop differently'


@pytest.mark.parametrize('step', [sample_step, search_step])
def test_real_decoder_gives_the_same_tokens(step):
  many, one = both(step, toy.decoder_params(ARCH), ARCH.vocab_size)
  if step is search_step:
    np.testing.assert_array_equal(many[1], one[1])
    many, one = many[0], one[0]
    np.testing.assert_array_equal(many.parent, one.parent)
    np.testing.assert_allclose(many.score, one.score, atol=1e-5)
  else:
    np.testing.assert_array_equal(many.job, one.job)
    assert len(set(iterations(many).tolist())) > 1
  np.testing.assert_array_equal(many.token, one.token)
  np.testing.assert_allclose(many.logprob, one.logprob, atol=1e-4)


def compiled(step, params, vocab):
  return mapped(step, G).lower(params, *blocks(vocab)).compile().as_text()


@pytest.mark.parametrize('step', [sample_step, search_step])
def test_no_collective(step):
  text = compiled(step, toy.decoder_params(ARCH), ARCH.vocab_size)
  assert ' while(' in text and 'num_partitions=8' in text
  assert device_programs.collectives(text) == []


def test_a_collective_would_be_seen():
  def talkative(params, table, *block):
    del params, block
    return jax.lax.psum((table, 1 + table), 'data'), jax.lax.all_gather(table, 'data')

  found = device_programs.collectives(compiled(talkative, None, toy.VOCAB))
  assert {'all-reduce', 'all-gather'} <= set(found)


def test_shared_and_blocks():
  """Groups get their own block and the whole of what is shared; results are stacked in order."""
  mesh = parallel.make_mesh()
  assert parallel.num_groups(mesh) == G
  step = lambda shared, x, y: {'sum': x.sum() + shared['a'].sum(), 'y': (y, x[0])}
  x, y = np.arange(24.0).reshape(G, 3), np.arange(G)
  shared = parallel.replicate({'a': np.ones(5)}, mesh)
  assert shared['a'].sharding.is_fully_replicated and len(shared['a'].sharding.device_set) == G
  result = parallel.pmapped(step, mesh)(shared, x, y)
  np.testing.assert_array_equal(result['sum'], x.sum(axis=1) + 5)
  np.testing.assert_array_equal(result['y'][0], y)
  np.testing.assert_array_equal(result['y'][1], x[:, 0])
  assert len(result['sum'].sharding.device_set) == G


def test_a_model_axis_is_left_to_the_compiler():
  mesh = parallel.make_mesh(data=4, model=2)
  assert parallel.num_groups(mesh) == 4 and mesh.shape[parallel.MODEL] == 2
  x, weight = np.random.default_rng(0).normal(size=(4, 3, 5)), np.ones((5, 6))
  columns = jax.device_put(weight, jax.sharding.NamedSharding(
      mesh, jax.sharding.PartitionSpec(None, parallel.MODEL)))
  result = parallel.pmapped(lambda w, x: (x @ w).sum(axis=-1), mesh)(columns, x)
  np.testing.assert_allclose(result, (x @ weight).sum(axis=-1), rtol=1e-5)


@pytest.mark.parametrize('groups', [1, 4])
def test_more_blocks_than_groups_is_an_error(groups):
  program = parallel.pmapped(lambda _, x: x, parallel.make_mesh(data=groups))
  np.testing.assert_array_equal(program(0.0, np.arange(groups)), np.arange(groups))
  with pytest.raises(ValueError):
    program(0.0, np.arange(2 * groups))


def test_meshes():
  assert dict(parallel.make_mesh(model=4).shape) == {'data': 2, 'model': 4}
  assert dict(parallel.make_mesh(data=3, model=2).shape) == {'data': 3, 'model': 2}
  for data, model in ((5, 2), (0, 1), (-1, 9), (9, 1)):
    with pytest.raises(ValueError, match='there are 8'):
      parallel.make_mesh(data=data, model=model)
