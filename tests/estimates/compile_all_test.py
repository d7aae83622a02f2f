"""`launch.compile` without a TPU compiler: the CPU's devices stand in for a topology."""

import dataclasses
import importlib.util
import json
import re

import jax
import pytest

from configs import pod, smoke
from tts import config, parallel
from tts.estimates import compile_all, compiler_facts, device_programs, model_programs
from tts.types import InputError

SMOKE = config.from_config_dict(smoke.get_config())


@pytest.fixture(name='topology')
def _topology(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: name)
  monkeypatch.setattr(compile_all, '_PACKAGES', ('jax', 'jaxlib'))
  monkeypatch.setattr(parallel, 'topology', lambda name: jax.devices())
  return 'v5e:2x4'


def test_a_table_and_a_file(topology, tmp_path, capsys):
  shared = dataclasses.replace(SMOKE, mesh=config.MeshConfig(model=2))
  compile_all.run(shared, topology, 'difficulty/read-base', str(tmp_path / 'facts.json'))
  facts = json.loads((tmp_path / 'facts.json').read_text())
  assert facts['groups'] == 4 and facts['chips_a_group'] == 2
  row, = facts['programs']
  assert row['program'] == 'difficulty/read-base' and row['error'] is None and row['fits']
  assert row['memory'] == (row['arguments'] + row['outputs'] + row['temporaries'] + row['code']
                           + row['formula']['beside'])
  assert {c['axis'] for c in row['collectives']} == {'model'}
  text = capsys.readouterr().out
  assert 'difficulty/read-base' in text and re.search(r'model: \d+ of \d', text)
  assert 'whole on every chip' in text and list(facts['whole_parameters']) == ['base']


def test_what_is_far_too_large_is_not_compiled(topology, tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(model_programs.ModelAtWork, 'lower', lambda *_: pytest.fail('it was'))
  alone = dataclasses.replace(config.from_config_dict(pod.get_config()), mesh=config.MeshConfig())
  compile_all.run(alone, topology, 'search/write-base', str(tmp_path / 'facts.json'))
  row, = json.loads((tmp_path / 'facts.json').read_text())['programs']
  assert not row['fits'] and 'keeps are larger than a chip' in row['error']
  assert 'not compiled' in capsys.readouterr().out


def test_the_compilers_refusal_is_a_row():
  def refuse(*_):
    raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm.\n'
                                     'Used 20.10G of 15.75G hbm. Exceeded capacity by 4.3G.')

  program = dataclasses.replace(compile_all.selected(SMOKE, 'difficulty/read')[0], lower=refuse)
  row = compile_all.measured(program, parallel.make_mesh(1), compiler_facts.CHIPS['v5e'])
  assert row['error'] == 'Used 20.10G of 15.75G hbm' and not row['fits']


def test_a_dry_run_refuses_what_the_compiler_says_does_not_fit(topology, monkeypatch):
  chip = compiler_facts.CHIPS['v5e']
  monkeypatch.setattr(compile_all, '_PLATFORM', 'cpu')
  most = lambda program: program.footprint(program.rows, 1).total
  said = {}

  def measured(program, mesh, _):
    said[program.name] = most(program)
    return {'error': None, 'fits': True, 'memory': most(program)} | worse.get(program.name, {})

  monkeypatch.setattr(compile_all, 'measured', measured)
  worse = {}
  compile_all.check(SMOKE, topology)
  assert list(said) == [p.name for p in device_programs.listed(SMOKE)]
  name = 'search/read-prm'
  program, = compile_all.selected(SMOKE, name)
  half = program.footprint(program.rows // 2, 1).total
  worse = {name: {'fits': False, 'memory': chip.memory - half + most(program)}}
  with pytest.raises(InputError, match=f'{name} needs 16.0. GB .* {program.rows // 2} fit: set --config.lanes='):
    compile_all.check(SMOKE, topology)
  worse = {name: {'error': 'Used 20G of 16G hbm', 'fits': False}}
  with pytest.raises(InputError, match=f'{name} cannot be compiled .*Used 20G of 16G'):
    compile_all.check(SMOKE, topology)


def test_mistakes_are_named(topology, monkeypatch, tmp_path):
  def refused(match, *args, experiment=SMOKE):
    with pytest.raises(InputError, match=match):
      compile_all.run(experiment, *args)

  refused('--topology=v9:2x2: its chip is to be one of v4, v5e', 'v9:2x2')
  refused('--only=nothing: no program is called so; there are train/base', topology, 'nothing')
  refused('create the folder', topology, '', str(tmp_path / 'none' / 'f.json'))
  shared = lambda model: dataclasses.replace(SMOKE, mesh=config.MeshConfig(model=model))
  refused('model=4 does not divide num_heads=2', topology, experiment=shared(4))
  data = dataclasses.replace(SMOKE, mesh=config.MeshConfig(data=9))
  refused('config.mesh on --topology=v5e:2x4: a mesh of 9 x 1', topology, experiment=data)

  def unknown(name):
    raise RuntimeError(f'no {name}')

  monkeypatch.setattr(parallel, 'topology', unknown)
  refused(r'--topology=v5e:3x5 is none that libtpu knows.*no v5e:3x5', 'v5e:3x5')
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  refused(r'pip install -e "\.\[tpu\]"', topology)
