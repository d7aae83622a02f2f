"""Blocks mapped over eight devices are the blocks of one device, and the groups never talk."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import device_programs, toy
from tts import parallel, rng
from tts.models.transformer import abstract, check_split
from tts.sampling import decode
from tts.sampling.logits import SamplingConfig
from tts.search import search
from tts.stages import programs
from tts.stages.compiled import collectives
from tts.types import InputError

G, B, N, J, P = 8, 3, 4, 6, 5
LIMITS = device_programs.LIMITS
ARCH = dataclasses.replace(toy.ARCH, num_layers=1)
SAMPLING = SamplingConfig()
BEAM = search.BeamConfig(N, 2)
OF_A_RUN = dict(seed=0, stream='test', sampling=SAMPLING, limits=LIMITS)


def table_sample(_, table, prefix, prefix_len, keys):
  return decode.sample_queue(
      toy.TableGenerator(table), prefix, jnp.repeat(prefix_len[:, None], J, 1), keys,
      jnp.full(B, J), num_slots=N, sampling=SAMPLING, limits=LIMITS)


def table_search(_, table, prefix, prefix_len, keys, config=BEAM):
  models = toy.TableGenerator(table), toy.TableVerifier()
  state = search.init(*models, prefix, prefix_len, keys[:, :N], jnp.ones(B, bool), LIMITS)
  return search.run(*models, state, config, SAMPLING, LIMITS)[0]


STEPS = {
    'table sample': table_sample,
    'table search': table_search,
    'table lookahead': functools.partial(table_search, config=search.BeamConfig(N, 2, 2)),
    'sample': programs.sample_step(ARCH, num_slots=N, **OF_A_RUN),
    'search': programs.search_step(ARCH, ARCH, config=BEAM, **OF_A_RUN),
    'score': programs.score_step(ARCH),
}


@functools.cache
def blocks(name):
  """(parameters, eight blocks) of a program."""
  flat = toy.prompts(0, G * B, P, toy.VOCAB if 'table' in name else ARCH.vocab_size)
  prefix, lengths = (x.reshape(G, B, *x.shape[1:]) for x in flat)
  words = rng.problem_words([f'p{i}' for i in range(G * B)]).reshape(G, B, 2)
  grid = lambda *shape: np.broadcast_to(np.arange(shape[-1], dtype=np.int32), shape)
  params, other = toy.decoder_params(ARCH), toy.decoder_params(ARCH, seed=1)
  if 'table' in name:
    tables = toy.random_tables(0, G * B)
    return None, (tables.reshape(G, B, *tables.shape[1:]), prefix, lengths,
                  toy.slot_keys(G * B, J).reshape(G, B, J))
  if name == 'sample':
    return params, (prefix, np.repeat(lengths[..., None], J, 2), words,
                    grid(G, B, J)[..., None], np.full((G, B), J, np.int32))
  if name == 'search':
    return (params, other), (prefix, lengths, words, grid(G, B, N), np.ones((G, B), bool))
  texts = np.random.default_rng(0).integers(1, ARCH.vocab_size, (G, B, N, LIMITS.max_tokens))
  return other, (prefix, lengths, texts.astype(np.int32), 3 + grid(G, B, N))


@functools.cache
def compiled(name, data):
  """The program over `data` groups, compiled."""
  params, inputs = blocks(name)
  return parallel.pmapped(STEPS[name], parallel.make_mesh(data=data)).lower(
      params, *(x[:data] for x in inputs)).compile()


def emitted(name, result):
  """bool [G, iterations]: in which iterations (tokens, or rounds) a group did something."""
  active = result.job >= 0 if 'sample' in name else result.length > 0
  return np.asarray(active).any(axis=(2, 3))


@pytest.mark.parametrize('name', STEPS)
def test_bit_for_bit(name):
  """Eight groups at once, and block after block on one device: records may not tell which."""
  params, inputs = blocks(name)
  many = jax.device_get(compiled(name, G)(params, *inputs))
  one = [jax.device_get(compiled(name, 1)(params, *(x[g:g + 1] for x in inputs)))
         for g in range(G)]
  jax.tree.map(lambda got, *want: np.testing.assert_array_equal(got, np.concatenate(want)),
               many, *one)
  if name != 'score':
    loops = emitted(name, many).sum(axis=1)
    assert len(set(loops.tolist())) > 1 and loops.min() > 0, 'groups must loop differently'


@pytest.mark.parametrize('name', ['sample', 'search', 'score'])
def test_no_collective(name):
  text = compiled(name, G).as_text()
  assert (' while(' in text) == (name != 'score') and 'num_partitions=8' in text
  assert collectives(text, parallel.make_mesh()) == ()


@functools.cache
def split_over(name, model):
  """The program compiled for one group of `model` devices, and its arguments: the first block."""
  mesh = parallel.make_mesh(1, model)
  shared, inputs = blocks(name)
  boxed = abstract(ARCH)
  spread = jax.tree.map(lambda _: boxed, shared, is_leaf=lambda x: isinstance(x, dict))
  args = parallel.place(shared, spread, mesh), *(x[:1] for x in inputs)
  return parallel.pmapped(STEPS[name], mesh).lower(*args).compile(), args


@pytest.mark.parametrize('name', ['sample', 'search', 'score'])
def test_devices_share_a_model(name):
  """Two devices come to what one does; each has half of the heads of every cache."""
  program, args = split_over(name, 2)
  got = jax.device_get(program(*args))
  want = jax.device_get(compiled(name, 1)(blocks(name)[0], *(x[:1] for x in blocks(name)[1])))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), got, want)
  text = program.as_text()
  found = collectives(text, parallel.make_mesh(1, 2))
  assert {c.axis for c in found} == {'model'}
  assert {c.depth for c in found} >= ({0} if name == 'score' else {1})
  if name == 'search':
    of_rows = lambda heads: f'f32[{B},{N},{heads},{LIMITS.max_tokens},{ARCH.head_size}]'
    assert of_rows(1) in text and of_rows(2) not in text


def test_what_devices_share():
  """All matrices, the table by its width where the vocabulary does not divide; no scale."""
  pieces = parallel.pieces(abstract(ARCH), 2)
  whole = {name.rpartition('/')[2] for name, _, shared in pieces if not shared}
  assert whole == {'scale', 'kernel', 'bias'}  # of the value head
  assert [n for n, _, shared in pieces if not shared and 'value' not in n and 'norm' not in n] == []
  assert parallel.split_axis(('vocab', 'embed'), (13, 16), 2) == 1
  assert parallel.split_axis(('vocab', 'embed'), (14, 16), 2) == 0
  assert parallel.split_axis(('embed', 'kv_heads', 'head'), (16, 1, 8), 2) == 0
  assert parallel.split_axis(('embed', 'head'), (16, 8), 2) is None
  assert parallel.split_axis(('vocab', 'embed'), (14, 16), 1) is None
  total = sum(size for _, size, _ in parallel.pieces(abstract(ARCH), 1))
  assert total == sum(x.nbytes for x in jax.tree.leaves(toy.decoder_params(ARCH)))
  with pytest.raises(InputError, match='config.mesh.model=3 does not divide num_heads=4 of base'):
    check_split(ARCH, 'base', 3)


def test_a_collective_would_be_seen():
  def talkative(_, x):
    swapped = jax.lax.ppermute(x, 'data', [(g, (g + 1) % G) for g in range(G)])
    return (jax.lax.psum((x, 1 + x), 'data'), jax.lax.all_gather(x, 'data'), swapped,
            jax.lax.psum_scatter(x, 'data'), jax.lax.all_to_all(x, 'data', 0, 0))

  text = parallel.pmapped(talkative, parallel.make_mesh()).lower(
      None, np.ones((G, G, 2), np.float32)).compile().as_text()
  found = collectives(text, parallel.make_mesh())
  assert {'all-reduce', 'all-gather', 'all-to-all', 'collective-permute', 'reduce-scatter'} <= {
      c.op for c in found}
  assert {(c.axis, c.depth) for c in found} == {('data', 0)}


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


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
@pytest.mark.parametrize('model', [1, 2])
def test_groups_of_a_cpu_share_the_memory_of_parameters(model, dtype):
  mesh = parallel.make_mesh(4, model)
  boxed = nn.with_logical_partitioning(jnp.ones, ('vocab', 'embed'))((96, 33), dtype)
  held = parallel.place({'table': jnp.arange(96 * 33, dtype=dtype).reshape(96, 33)},
                        {'table': boxed}, parallel.holders(mesh))
  table = parallel.shared(held, mesh)['table']
  assert table.sharding == parallel.placed({'table': boxed}, mesh)['table'].sharding
  places = {shard.data.unsafe_buffer_pointer() for shard in table.addressable_shards}
  assert len(table.addressable_shards) == 4 * model and len(places) == model
  whole = np.arange(96 * 33, dtype=np.float32).reshape(96, 33).astype(dtype)
  np.testing.assert_array_equal(table, whole)
  # Whoever else holds it keeps what it saw when a program is given it to write into.
  seen = np.asarray(table.addressable_shards[-1].data)
  del held
  more = jax.jit(lambda x: x + 1, donate_argnums=0)(table)
  assert float(more[0, 0]) == 1
  np.testing.assert_array_equal(seen, whole[-len(seen):])


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


@dataclasses.dataclass(frozen=True)
class Device:
  id: int
  process_index: int


@pytest.fixture
def four_processes(monkeypatch):
  """Of two devices each, by numbers that do not follow the processes."""
  devices = [Device(i, i % 4) for i in range(8)]
  monkeypatch.setattr(jax, 'devices', lambda: devices)
  monkeypatch.setattr(jax, 'process_count', lambda: 4)
  monkeypatch.setattr(jax, 'local_device_count', lambda: 2)

  def process(index):
    monkeypatch.setattr(jax, 'process_index', lambda: index)
    monkeypatch.setattr(jax, 'local_devices',
                        lambda: [d for d in devices if d.process_index == index])

  return process


@pytest.mark.parametrize('model, teams', [
    (1, [[0], [1], [2], [3]]), (2, [[0], [1], [2], [3]]), (4, [[0, 1], [2, 3]]), (8, [[0, 1, 2, 3]])])
def test_processes_share_what_one_has_not(four_processes, model, teams):
  found = {}
  for index in range(4):
    four_processes(index)
    mesh = parallel.search_mesh(-1, model)
    assert mesh.shape == {'data': max(1, 2 // model), 'model': model}
    assert mesh.devices.size == 2 * len(parallel.members(mesh))
    assert [d.process_index for d in mesh.devices.flat] == sorted(parallel.members(mesh) * 2)
    found.setdefault(tuple(parallel.members(mesh)), []).append(parallel.is_first_of(mesh))
  assert found == {tuple(team): [True] + [False] * (len(team) - 1) for team in teams}


@pytest.mark.parametrize('data, model', [(-1, 3), (-1, 6), (2, 4), (-1, 16)])
def test_processes_that_cannot_share_a_model(four_processes, data, model):
  four_processes(0)
  with pytest.raises(ValueError, match=f'model={model}, data={data} on 4 processes of 2 devices'):
    parallel.search_mesh(data, model)


def test_meshes():
  shape = lambda *args, **kwargs: dict(parallel.make_mesh(*args, **kwargs).shape)
  assert shape() == {'data': 8, 'model': 1}
  assert shape(model=4) == shape(-1, 4) == {'data': 2, 'model': 4}
  assert shape(data=3, model=2) == {'data': 3, 'model': 2}
  assert shape(devices=jax.devices()[5:]) == {'data': 3, 'model': 1}
  mesh = parallel.make_mesh(data=2, model=2, devices=jax.devices()[3:])
  np.testing.assert_array_equal([[d.id for d in row] for row in mesh.devices], [[3, 4], [5, 6]])


@pytest.mark.parametrize('data,model,needed', [(5, 2, 10), (0, 1, 1), (-1, 9, 9), (9, 1, 9)])
def test_mesh_errors_say_what_is_needed(data, model, needed):
  with pytest.raises(ValueError, match=rf'x {model} needs {needed} devices; there are 8$'):
    parallel.make_mesh(data=data, model=model)
