"""A head's folder: what is loaded is what was saved, and of its generator."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import toy
from tts.models import latent, stacks
from tts.train import latent_folder
from tts.types import InputError

ARCH = dataclasses.replace(toy.ARCH, num_layers=5, windows=(3, 0, 3, 0, 3))
HEAD = latent.Head((1, 4), ('entropy',))


@pytest.fixture(name='saved')
def fixture_saved(tmp_path):
  params = jax.tree.map(lambda x: jax.random.normal(jax.random.key(1), x.shape),
                        latent.zeros(HEAD, ARCH.width))
  mark = latent_folder.fingerprint(ARCH, toy.decoder_params(ARCH))
  latent_folder.save(tmp_path / 'latent', HEAD, params, mark, {'metrics': {'auc': 0.5}})
  return tmp_path / 'latent', params, mark


def test_a_head_comes_back(saved):
  folder, params, mark = saved
  head, found, meta = latent_folder.load(folder, ARCH, mark)
  assert head == HEAD and latent_folder.is_head(folder)
  jax.tree.map(np.testing.assert_array_equal, found, params)
  assert (meta['kind'], meta['metrics'], meta['params']) == ('latent', {'auc': 0.5}, 2 * 34 + 0)
  assert meta['head'] == {'layers': [1, 4], 'beside': ['entropy'], 'width': 16}


def test_a_head_may_read_states_alone(tmp_path):
  params = latent.zeros(latent.Head((2,)), ARCH.width)
  latent_folder.save(tmp_path / 'latent', latent.Head((2,)), params, 'x')
  assert latent_folder.load(tmp_path / 'latent', ARCH, 'x')[1].keys() == {'states', 'bias'}


def test_a_generator_is_known_by_its_numbers():
  """Whatever the dtype and whether layers are stacked; another number of any layer is another."""
  params = toy.decoder_params(ARCH)
  mark = latent_folder.fingerprint(ARCH, params)
  assert stacks.loops(ARCH) and len(mark) == 16
  assert latent_folder.fingerprint(ARCH, stacks.stacked(params, ARCH)) == mark
  halves = jax.tree.map(lambda x: x.astype(jnp.bfloat16), params)
  assert latent_folder.fingerprint(
      dataclasses.replace(ARCH, dtype='bfloat16', param_dtype='bfloat16'), halves) == mark
  for name in ('attn_3', 'mlp_norm_1', 'embed'):
    other = {'params': params['params'] | {name: jax.tree.map(
        lambda x: x + 0.1, params['params'][name])}}
    assert latent_folder.fingerprint(ARCH, other) != mark
    assert latent_folder.fingerprint(ARCH, stacks.stacked(other, ARCH)) != mark


def test_what_does_not_fit_is_said(saved):
  folder, _, mark = saved
  fails = lambda match, arch=ARCH, mark=mark: pytest.raises(InputError, match=match)
  with fails('states of the generator'):
    latent_folder.load(folder, ARCH, 'another')
  with fails('layers has 4, and the generator 2'):
    latent_folder.load(folder, toy.ARCH, mark)
  with fails('parameters are'):
    latent_folder.load(folder, dataclasses.replace(ARCH, width=8), mark)
  meta = json.loads((folder / 'model.json').read_text())
  for change, match in (({'head': {'layers': [4, 1], 'beside': []}}, 'ascend'),
                        ({'head': {'layers': 'all'}}, 'no latent verifier'),
                        ({'head': {'layers': [1], 'beside': ['mood']}}, 'mood'),
                        ({'head': None}, 'no "head"'),
                        ({'kind': 'prm'}, 'no latent verifier')):
    (folder / 'model.json').write_text(json.dumps(meta | change))
    with fails(match):
      latent_folder.load(folder, ARCH, mark)
  (folder / 'model.json').write_text(json.dumps(meta))
  some = next(path for path in sorted((folder / 'params').rglob('*')) if path.stat().st_size > 99)
  some.write_bytes(some.read_bytes()[::-1])
  with fails('damaged'):
    latent_folder.load(folder, ARCH, mark)
