"""A published model comes back whole, or one line says what is wrong with it."""

import dataclasses
import json
import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import toy
from tts import parallel
from tts.data.tokenizer import Tokenizer
from tts.models.transformer import Decoder
from tts.train import checkpoint, model_folder, steps
from tts.types import InputError


@pytest.fixture(scope='module')
def tokenizer():
  return Tokenizer.train(['12+3=15\n#15'], 20)


@pytest.fixture(scope='module')
def arch(tokenizer):
  return dataclasses.replace(toy.ARCH, vocab_size=tokenizer.vocab_size)


@pytest.fixture(scope='module')
def params(arch):
  return steps.init_params(Decoder(arch), 1)


@pytest.fixture(scope='module')
def saved(tmp_path_factory, arch, params, tokenizer):
  folder = tmp_path_factory.mktemp('models') / 'base'
  checkpoint.save_model(folder, arch, params, {'kind': 'lm', 'metrics': {'loss': 0.5}}, tokenizer)
  return folder


@pytest.fixture
def copy(saved, tmp_path):
  return pathlib.Path(shutil.copytree(saved, tmp_path / 'model'))


def refusal(folder):
  """The one line that loading raises."""
  with pytest.raises(InputError) as error:
    checkpoint.load_model(folder)
  message = str(error.value)
  assert '\n' not in message and str(folder) in message and len(message) < 400
  return message


def test_an_array_may_be_larger_than_what_is_written_at_a_time(
    tmp_path, monkeypatch, arch, params, tokenizer):
  """Tables of models of 8B have over a gigabyte, and Orbax refuses those that its limit has not."""
  monkeypatch.setattr(model_folder, '_AT_A_TIME_GB', 1e-6)
  checkpoint.save_model(tmp_path / 'm', arch, params, {'kind': 'lm', 'metrics': {}}, tokenizer)
  jax.tree.map(np.testing.assert_array_equal, params, checkpoint.load_model(tmp_path / 'm')[1])


def edit(folder, change):
  path = folder / 'model.json'
  model = json.loads(path.read_text())
  change(model)
  path.write_text(json.dumps(model))


def same(a, b):
  return (jax.tree.structure(a) == jax.tree.structure(b)
          and jax.tree.all(jax.tree.map(lambda x, y: np.array_equal(x, y), a, b)))


def test_round_trip(saved, arch, params, tokenizer):
  found_arch, found, meta, found_tokenizer = checkpoint.load_model(saved)
  assert found_arch == arch and isinstance(found_arch.heads, tuple) and hash(found_arch)
  assert same(found, params)
  assert meta['kind'] == 'lm' and meta['metrics'] == {'loss': 0.5}
  assert meta['params'] == sum(x.size for x in jax.tree.leaves(params))
  assert found_tokenizer.encode('12+3') == tokenizer.encode('12+3')
  assert sorted(p.name for p in saved.parent.iterdir()) == ['base']


def test_devices_share_what_is_loaded_onto_a_mesh(saved, params):
  loaded = checkpoint.load_model(saved, parallel.make_mesh(2, 2))[1]
  assert same(loaded, params)
  halves = [x.addressable_shards[0].data.size * 2 == x.size for x in jax.tree.leaves(loaded)]
  assert sum(halves) > len(halves) / 2
  for x in jax.tree.leaves(loaded):  # of two groups, in the memory of one
    assert len({shard.data.unsafe_buffer_pointer() for shard in x.addressable_shards}) <= 2
  with pytest.raises(InputError, match='config.mesh.model=5 does not divide num_heads='):
    checkpoint.load_model(saved, parallel.make_mesh(1, 5))


def test_a_relative_folder_is_replaced_whole(saved, arch, params, tokenizer, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  for scale in (1, 2):
    scaled = jax.tree.map(lambda x: scale * x, params)
    checkpoint.save_model('m/prm', arch, scaled, {'kind': 'prm', 'metrics': {}}, tokenizer)
  assert same(checkpoint.load_model('m/prm')[1], scaled)
  assert sorted(p.name for p in (tmp_path / 'm').iterdir()) == ['prm']


def test_a_save_that_fails_leaves_the_old_model(copy, arch, params, tokenizer):
  with pytest.raises(ValueError):
    checkpoint.save_model(copy, arch, params, {'kind': 'lm', 'metrics': {'loss': float('nan')}},
                          tokenizer)
  assert same(checkpoint.load_model(copy)[1], params)


def test_parameters_of_a_mesh_load_without_it(arch, params, tokenizer, tmp_path):
  mesh = jax.sharding.Mesh(np.array(jax.devices()).reshape(4, 2), ('data', 'model'))
  sharded = jax.device_put(params, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec()))
  checkpoint.save_model(tmp_path / 'm', arch, sharded, {'kind': 'lm', 'metrics': {}}, tokenizer)
  _, found, _, _ = checkpoint.load_model(tmp_path / 'm')
  assert same(found, params)
  assert all(len(x.devices()) == 1 for x in jax.tree.leaves(found))


def test_no_such_folder(tmp_path):
  assert 'is not a folder' in refusal(tmp_path / 'nowhere')


@pytest.mark.parametrize('name', ['model.json', 'params', 'tokenizer.model'])
def test_part_missing(copy, name):
  path = copy / name
  shutil.rmtree(path) if path.is_dir() else path.unlink()
  assert f'has no {name}' in refusal(copy)


@pytest.mark.parametrize('text, message', [
    ('{"kind"', 'is not JSON'), ('[]', 'has no "kind"'), ('{"kind": "lm"}', 'has no "arch"')])
def test_wrong_description(copy, text, message):
  (copy / 'model.json').write_text(text)
  assert message in refusal(copy)


@pytest.mark.parametrize('damage', ['remove', 'truncate', 'flip'])
def test_every_file_of_the_arrays_is_guarded(copy, damage, capfd):
  for path in sorted(p for p in (copy / 'params').rglob('*') if p.is_file()):
    content = path.read_bytes()
    half = len(content) // 2
    if damage == 'remove':
      path.unlink()
    elif damage == 'truncate':
      path.write_bytes(content[:half])
    else:
      path.write_bytes(content[:half] + bytes([content[half] ^ 1]) + content[half + 1:])
    message = refusal(copy)
    assert path.relative_to(copy).as_posix() in message and 'damaged' in message
    path.write_bytes(content)
  checkpoint.load_model(copy)
  assert not capfd.readouterr().err  # Orbax would have had a page to say


def test_arrays_of_another_shape(copy):
  edit(copy, lambda m: m['arch'].update(mlp_width=32))
  assert 'parameter mlp_0/down/kernel is [24, 16] in params and [32, 16] by' in refusal(copy)


def test_arrays_of_another_depth(copy):
  edit(copy, lambda m: m['arch'].update(num_layers=3))
  assert 'attn_2/k/kernel is absent in params' in refusal(copy)


@pytest.mark.parametrize('fields, message', [
    ({'width': 0}, 'width = 0'), ({'width': '16'}, 'width = "16"'), ({'depth': 2}, 'check depth'),
    ({'tied': 'no'}, 'tied = "no"'), ({'heads': ['text']}, 'no model can'),
    ({'activation': 'swish'}, 'no model can be built'), ({'dtype': 'float33'}, 'no model can be'),
    ({'num_kv_heads': 3}, 'no model can be')])
def test_impossible_architecture(copy, fields, message):
  edit(copy, lambda m: m['arch'].update(fields))
  assert message in refusal(copy)


@pytest.mark.parametrize('arch_field', ['[1]', 'null', '"x"', '3'])
def test_architecture_of_the_wrong_type(copy, arch_field):
  edit(copy, lambda m: m.update(arch=json.loads(arch_field)))
  assert 'has no "arch"' in refusal(copy)


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_weights_that_are_not_numbers(arch, params, tokenizer, tmp_path, bad):
  broken = jax.tree.map(lambda x: x, params)
  kernel = broken['params']['attn_1']['v']['kernel']
  broken['params']['attn_1']['v']['kernel'] = kernel.at[3, 0, 1].set(bad)
  checkpoint.save_model(tmp_path / 'm', arch, broken, {'kind': 'lm', 'metrics': {}}, tokenizer)
  assert 'parameter attn_1/v/kernel holds NaN' in refusal(tmp_path / 'm')


def test_tokenizer_of_another_model(copy):
  other = Tokenizer.train(['abcdefgh12+3=15\n#15'], 30)
  other.save(copy)
  assert f'tokenizer.model has {other.vocab_size} ids' in refusal(copy)


def test_training_state_returns_with_its_types(tmp_path, params):
  optimizer = steps.make_optimizer(steps.TrainConfig(learning_rate=1e-3, steps=9))
  state = steps.TrainState(jnp.int32(7), params, optimizer.init(params))
  fresh = jax.tree.map(jnp.zeros_like, state)
  meta = {'loss': 0.1 + 0.2, 'recent': [1.0], 'best': None}
  with checkpoint.TrainingCheckpoints(tmp_path / 'run') as checkpoints:
    assert checkpoints.restore(fresh) is None
    checkpoints.save(state, meta)
    checkpoints.save(state.replace(step=jnp.int32(9)), meta, best=params)
    found, found_meta, best = checkpoints.restore(fresh)
  assert same(found, state.replace(step=jnp.int32(9))) and found_meta == meta
  assert same(best, params)
  assert [p.name for p in (tmp_path / 'run').iterdir()] == ['9']
  files = [p for p in (tmp_path / 'run' / '9').rglob('*')
           if p.is_file() and p.stat().st_size and p.name != 'digests.json']
  assert len(files) > 5
  for path in files:
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with checkpoint.TrainingCheckpoints(tmp_path / 'run') as checkpoints:
      with pytest.raises(InputError, match=rf'{path.name} is not as it was saved: remove it'):
        checkpoints.restore(fresh)
    path.write_bytes(whole)
  (tmp_path / 'run' / '9' / 'digests.json').unlink()  # killed before it was written
  with checkpoint.TrainingCheckpoints(tmp_path / 'run') as checkpoints:
    assert same(checkpoints.restore(fresh)[0], state.replace(step=jnp.int32(9)))
  (tmp_path / 'run' / '9' / 'params' / 'manifest.ocdbt').write_bytes(b'')
  with checkpoint.TrainingCheckpoints(tmp_path / 'run') as checkpoints:
    with pytest.raises(InputError, match='remove it'):
      checkpoints.restore(fresh)
    checkpoints.discard()
    assert checkpoints.restore(fresh) is None


def test_a_model_is_the_same_files_wherever_and_whenever_it_is_saved(tmp_path):
  params = {'a': np.arange(12, dtype=np.float32).reshape(3, 4), 'b': {'c': np.zeros(2)}}
  found = []
  for name in ('first', 'second'):
    model_folder.publish(tmp_path / name, params, {'kind': 'lm'})
    found.append({path: (tmp_path / name / path).read_bytes()
                  for path in model_folder.files_of(tmp_path / name)})
  assert found[0] == found[1] and len(found[0]) > 3
  assert not any(str(tmp_path).encode() in content for content in found[0].values())
