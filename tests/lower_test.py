"""Every device program lowers for TPU and CUDA, and compiles with the TPU compiler, on any machine."""

import json
import os
import pathlib
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from tests import device_programs

LOOPING = ('sample', 'search')
NAMES = (*LOOPING, 'score', 'forward')


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


def test_a_fault_would_be_seen():
  def talkative(x):
    jax.debug.print('{}', x)
    return x

  assert faults(lowered(talkative, jnp.ones(3), platform='cpu'))
  with jax.enable_x64(True):
    assert faults(lowered(lambda x: x * 2, jnp.ones(3, 'float64'), platform='cpu'))


def test_compiles_for_tpus():
  pytest.importorskip('libtpu')
  run = subprocess.run(
      [sys.executable, '-m', 'tests.device_programs', 'v5e:2x4'], check=False, text=True,
      capture_output=True, timeout=300, cwd=pathlib.Path(__file__).parents[1],
      env=os.environ | {'JAX_PLATFORMS': 'cpu', 'XLA_FLAGS': '', 'TPU_SKIP_MDS_QUERY': '1'})
  assert run.returncode == 0, run.stderr[-3000:]
  found = json.loads(run.stdout.splitlines()[-1])
  assert set(found) == set(NAMES)
  for name, facts in found.items():
    assert facts['groups'] == 8 and facts['collectives'] == []
    assert (facts['loops'] > 0) == (name in LOOPING)
