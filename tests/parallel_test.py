"""Questions on eight devices are those of one device, and the groups never talk."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import toy
from tts import methods, parallel, placement
from tts.engine import all_programs
from tts.engine.shape import Shape
from tts.estimates import hlo
from tts.models.arch import check_split
from tts.models.transformer import abstract
from tts.sampling import decode
from tts.sampling.logits import SamplingConfig
from tts.types import InputError

G, B, N, P = 8, 20, 4, 5
LIMITS = decode.Limits(max_tokens=9, max_steps=4, max_step_tokens=4, roles=toy.ROLES)
ARCH = dataclasses.replace(toy.ARCH, num_layers=1)
SHAPE = Shape(lanes=16, write=3, readers=8, tile=4, least=8, long=5, few=2)
SEARCHES = {'table': 0, 'table lookahead': 2, 'real': 0, 'real lookahead': 1}


def models(name, groups, model=1):
  """EngineGenerator and verifier. Parameters of decoders are spread over `model` devices."""
  if 'table' in name:
    return (toy.generator(toy.TableGenerator, toy.random_tables(0, B), LIMITS, groups=groups),
            toy.verifier(toy.TableVerifier, np.zeros(()), groups=groups))
  mesh = parallel.make_mesh(groups, model)
  params = [placement.place(toy.decoder_params(ARCH, seed), abstract(ARCH), mesh) for seed in (0, 1)]
  return (toy.generator(toy.writes(ARCH), params[0], LIMITS, groups=groups, model=model,
                        shape=SHAPE),
          toy.verifier(toy.judges(ARCH), params[1], groups=groups, model=model, shape=SHAPE))


@functools.cache
def searched(name, groups, model=1):
  """Trees of every question."""
  prompts = toy.ragged(*toy.prompts(0, B, P, toy.VOCAB if 'table' in name else ARCH.vocab_size))
  return toy.search(*models(name, groups, model), prompts, toy.slot_keys(B, N),
                    methods.Lookahead(2, SEARCHES[name]))


@pytest.mark.parametrize('name', SEARCHES)
def test_bit_for_bit(name):
  """Eight groups at once, and question after question on one device: records may not tell which."""
  of_node = lambda n: (n.parent, n.round, n.slot, n.tokens.tobytes(), n.score, n.logprob, n.live,
                       n.simulation and (n.simulation.tokens.tobytes(), n.simulation.score))
  for many, one in zip(searched(name, G), searched(name, 1), strict=True):
    assert [*map(of_node, many.nodes)] == [*map(of_node, one.nodes)]
    assert many.candidates == one.candidates
    assert many.entered.tolist() == one.entered.tolist()
  assert len({len(tree.nodes) for tree in searched(name, 1)}) > 3, 'groups must do different work'


# pylint: disable=protected-access
def compiled(groups, model):
  """Name --> texts of the engine's programs of small decoders, which a search has compiled."""
  searched('real', groups, model)
  mesh = parallel.make_mesh(groups, model)
  made = {
      'write': all_programs.write(mesh, toy.writes(ARCH), SHAPE.write, SamplingConfig(), LIMITS),
      'read a question': all_programs.read(mesh, toy.writes(ARCH), False),
      'read a step': all_programs.read(mesh, toy.judges(ARCH), True),
      'fill': all_programs.fill(mesh), 'load': all_programs.load(mesh), 'save': all_programs.save(mesh)}
  texts = {name: [each.as_text() for each in program._compiled.values()]
           for name, program in made.items()}
  assert all(texts.values())
  return texts


def test_no_collective():
  for name, texts in compiled(G, 1).items():
    for text in texts:
      assert 'num_partitions=8' in text
      assert hlo.collectives(hlo.parsed(text), parallel.make_mesh()) == (), name
    assert any(' while(' in text for text in texts), name  # of tables there are no columns to move


@pytest.mark.parametrize('name', ['real', 'real lookahead'])
def test_devices_share_a_model(name):
  """Two devices come to what one does."""
  for two, one in zip(searched(name, 1, 2), searched(name, 1), strict=True):
    assert [n.tokens.tolist() for n in two.nodes] == [n.tokens.tolist() for n in one.nodes]
    for field in ('score', 'logprob'):
      np.testing.assert_allclose(*([getattr(n, field) for n in tree.nodes] for tree in (two, one)),
                                 rtol=1e-4, atol=1e-4)
    assert two.entered.tolist() == one.entered.tolist()


def test_what_devices_that_share_a_model_say_to_each_other():
  """Each has half of the heads of every cache; moving texts says nothing."""
  mesh, of_lanes = parallel.make_mesh(1, 2), lambda heads: f',{heads},128,{ARCH.head_size}]'
  for name, texts in compiled(1, 2).items():
    for text in texts:
      found = hlo.collectives(hlo.parsed(text), mesh)
      if name in ('write', 'read a question', 'read a step'):
        assert {c.axis for c in found} == {'model'}, name
      else:
        assert found == (), name
      assert of_lanes(1) in text and of_lanes(2) not in text, name


def test_what_devices_share():
  """All matrices, the table by its width where the vocabulary does not divide; no scale."""
  pieces = placement.pieces(abstract(ARCH), 2)
  whole = {name.rpartition('/')[2] for name, _, shared in pieces if not shared}
  assert whole == {'scale', 'kernel', 'bias'}  # of the value head
  assert [n for n, _, shared in pieces if not shared and 'value' not in n and 'norm' not in n] == []
  assert placement.split_axis(('vocab', 'embed'), (13, 16), 2) == 1
  assert placement.split_axis(('vocab', 'embed'), (14, 16), 2) == 0
  assert placement.split_axis(('embed', 'kv_heads', 'head'), (16, 1, 8), 2) == 0
  assert placement.split_axis(('embed', 'head'), (16, 8), 2) is None
  assert placement.split_axis(('vocab', 'embed'), (14, 16), 1) is None
  total = sum(size for _, size, _ in placement.pieces(abstract(ARCH), 1))
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
  found = hlo.collectives(hlo.parsed(text), parallel.make_mesh())
  assert {'all-reduce', 'all-gather', 'all-to-all', 'collective-permute', 'reduce-scatter'} <= {
      c.op for c in found}
  assert {(c.axis, c.depth) for c in found} == {('data', 0)}


def test_shared_and_blocks():
  """Groups get their own block and the whole of what is shared; results are stacked in order."""
  mesh = parallel.make_mesh()
  assert parallel.num_groups(mesh) == G
  step = lambda shared, x, y: {'sum': x.sum() + shared['a'].sum(), 'y': (y, x[0])}
  x, y = np.arange(24.0).reshape(G, 3), np.arange(G)
  shared = placement.replicate({'a': np.ones(5)}, mesh)
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
  held = placement.place({'table': jnp.arange(96 * 33, dtype=dtype).reshape(96, 33)},
                        {'table': boxed}, placement.holders(mesh))
  table = placement.shared(held, mesh)['table']
  assert table.sharding == placement.placed({'table': boxed}, mesh)['table'].sharding
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
