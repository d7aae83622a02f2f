"""Every device program lowers for TPU and CUDA, and compiles for TPUs, on any machine."""

import json
import os
import pathlib
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from tests import device_programs, toy
from tts.models.transformer import Decoder
from tts.train import steps

LOOPING = ('write', 'read', 'values', 'long values', 'resize', 'load', 'fill',
           'save')
NAMES = (*LOOPING, 'forward')


@pytest.fixture(scope='module')
def programs():
  found = device_programs.steps()
  assert set(found) == set(NAMES)
  return found


def lowered(step, *args, platform):
  return jax.jit(step).trace(*args).lower(lowering_platforms=(platform,)).as_text()


def faults(text):
  """Ways to leave the device or its precision."""
  return re.findall(r'callback|xla_python|host|outfeed|infeed|f64|complex<', text)


@pytest.mark.parametrize('platform', ['tpu', 'cuda'])
@pytest.mark.parametrize('name', NAMES)
def test_lowers(programs, name, platform):
  step, shared, block = programs[name]
  text = lowered(step, shared, *block, platform=platform)
  assert faults(text) == []
  assert ('stablehlo.while' in text) == (name in LOOPING)


@pytest.mark.parametrize('platform', ['tpu', 'cuda'])
@pytest.mark.parametrize('kind', ['lm', 'value'])
def test_training_lowers(kind, platform):
  """An update with all that it can have, on shapes alone."""
  config = steps.TrainConfig(learning_rate=1e-3, steps=10, batch_size=2, row_length=8, dropout=0.1,
                             weight_decay=0.1, lm_loss_weight=0.3)
  optimizer = steps.make_optimizer(config)
  update = steps.make_update(
      steps.make_loss(Decoder(toy.ARCH), kind, config), optimizer, config)
  shape = lambda dtype: jax.ShapeDtypeStruct((config.batch_size, config.row_length), dtype)
  batch = {name: shape(dtype) for name, dtype in (
      ('tokens', jnp.int32), ('segments', jnp.int32), ('positions', jnp.int32),
      ('loss_mask', jnp.bool_), ('label', jnp.float32), ('label_mask', jnp.bool_))}
  params = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), toy.decoder_params())
  state = steps.TrainState(step=jax.ShapeDtypeStruct((), jnp.int32), params=params,
                           opt_state=jax.eval_shape(optimizer.init, params))
  assert jax.eval_shape(update, state, batch)[0] == state  # nothing changes its shape or type
  assert faults(lowered(update, state, batch, platform=platform)) == []


def test_a_fault_would_be_seen():
  def talkative(x):
    jax.debug.print('{}', x)
    return x

  assert faults(lowered(talkative, jnp.ones(3), platform='cpu'))
  with jax.enable_x64(True):
    assert faults(lowered(lambda x: x * 2, jnp.ones(3, 'float64'), platform='cpu'))


def compiled(tmp_path, *flags):
  """What `launch.compile` writes of the smoke config's programs."""
  pytest.importorskip('libtpu')
  output = tmp_path / 'facts.json'
  run = subprocess.run(
      [sys.executable, '-m', 'launch.compile', '--config=configs/smoke.py', '--topology=v5e:2x4',
       f'--output={output}', *flags], check=False, text=True, capture_output=True, timeout=600,
      cwd=pathlib.Path(__file__).parents[1], env=os.environ | {'XLA_FLAGS': ''})
  assert run.returncode == 0, run.stderr[-3000:]
  facts = json.loads(output.read_text())
  assert all(program['program'] in run.stdout for program in facts['programs'])
  return facts


def test_a_search_compiles_for_eight_groups_that_never_talk(tmp_path):
  """The base's programs, those that move texts too."""
  facts = compiled(tmp_path, '--only=-base')
  found = {program['program'] for program in facts['programs']}
  assert facts['groups'] == 8
  assert {'labels/write-base', 'labels/read-base', 'search/fill-base',
          'search/save-write-base'} <= found
  for program in facts['programs']:
    assert program['collectives'] == [] and program['loops'] >= 1 and program['fits']
  write, = (p for p in facts['programs'] if p['program'] == 'labels/write-base')
  assert write['flops'] > 0 and write['roofline_seconds'] > 0 and write['rows'] == 64


def test_chips_share_models_of_which_the_formula_knows_the_memory(tmp_path):
  """Wide enough that the layouts' padding is small."""
  wide = [f'--config.models.base.arch.{name}={value}' for name, value in dict(
      width=512, num_heads=4, num_kv_heads=2, head_size=128, mlp_width=1024,
      vocab_size=4096, num_layers=4).items()]
  facts = compiled(tmp_path, '--only=labels/write-base', '--config.mesh.model=2', *wide)
  write, = facts['programs']
  assert facts['groups'] == 4 and facts['chips_a_group'] == 2
  assert {c['axis'] for c in write['collectives']} == {'model'}
  assert max(c['depth'] for c in write['collectives']) == 2  # tokens, layers
  # A token is drawn where its logits are: no chip is sent another's.
  logits = write['rows'] * 4096 // 2 * 4
  assert max(c['bytes'] / c['count'] for c in write['collectives']) < logits / 2
  formula = write['formula']
  assert write['arguments'] + write['outputs'] == pytest.approx(
      formula['arguments'] + formula['outputs'], rel=0.1)
  # The columns are written in place: no second copy of them.
  assert write['temporaries'] < formula['inputs'] / 2
  assert max(facts['whole_parameters']['base'].values()) == 512 * 4  # the scale of a norm
