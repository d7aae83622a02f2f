"""`launch.compile`: every device program of an experiment through the TPU compiler, as a table."""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import importlib.metadata
import importlib.util
import json
import re
from typing import Any

import jax
from tqdm import tqdm

from tts import parallel
from tts.config import Experiment
from tts.data import files
from tts.estimates import compiler_facts, device_programs, memory
from tts.estimates.device_programs import DeviceProgram
from tts.types import InputError

_MOST_ROWS = 4096  # the most lanes that a config may ask for
_PLATFORM = 'tpu'
_PACKAGES = ('jax', 'jaxlib', 'libtpu')
_LARGE = 1e-3  # of a model's bytes: a parameter that is whole on each device and larger is named


def mesh_of(experiment: Experiment, topology: str) -> parallel.Mesh:
  """The experiment's mesh over the devices of a topology.

  Raises:
    InputError: libtpu is not installed, there is no such topology, or the mesh does not fit it.
  """
  if importlib.util.find_spec('libtpu') is None:
    raise InputError('the TPU compiler is not installed: pip install -e ".[tpu]"')
  try:
    devices = parallel.topology(topology)
  except RuntimeError as error:
    raise InputError(f'--topology={topology} is none that libtpu knows, such as v5e:4x4 or '
                     f'v5p:2x2x2 ({str(error).splitlines()[0]})') from error
  try:
    return parallel.make_mesh(experiment.mesh.data, experiment.mesh.model, devices)
  except ValueError as error:
    raise InputError(f'config.mesh on --topology={topology}: {error}') from error


def chip_of(topology: str) -> compiler_facts.Chip:
  """What is published of a topology's chips."""
  name = topology.partition(':')[0]
  if name not in compiler_facts.CHIPS:
    raise InputError(f'--topology={topology}: its chip is to be one of '
                     f'{", ".join(compiler_facts.CHIPS)}')
  return compiler_facts.CHIPS[name]


def selected(experiment: Experiment, only: str) -> list[DeviceProgram]:
  """The programs whose names have `only` in them.

  Raises:
    InputError: there is none.
  """
  programs = device_programs.listed(experiment, _PLATFORM)
  found = [p for p in programs if only in p.name]
  if not found:
    raise InputError(f'--only={only}: no program is called so; there are '
                     f'{", ".join(p.name for p in programs)}')
  return found


def check(experiment: Experiment, topology: str) -> None:
  """Whether every program fits a topology's chips: by the formula, then by the compiler.

  Raises:
    InputError: one does not, as `device_programs.check_memory`; or as `mesh_of`.
  """
  chip, mesh = chip_of(topology), mesh_of(experiment, topology)
  experiment = _counted(experiment, mesh)
  device_programs.check_memory(experiment, chip.memory, platform=_PLATFORM)
  programs = device_programs.listed(experiment, _PLATFORM)
  for program in tqdm(programs, desc='compiling', unit='program', delay=5, leave=False):
    row = measured(program, mesh, chip)
    if row['error']:
      raise InputError(f'{program.name} cannot be compiled for --topology={topology}: '
                       f'{row["error"]}')
    if not row['fits']:
      raise device_programs.too_large(experiment, program, row['memory'], chip.memory)


def _counted(experiment: Experiment, mesh: parallel.Mesh) -> Experiment:
  return dataclasses.replace(
      experiment, mesh=parallel.counted(experiment.mesh, mesh.devices.size))


def run(experiment: Experiment, topology: str, only: str = '', output: str | None = None) -> None:
  """Prints a line a program as it comes, and writes all that is known of them to `output`."""
  chip = chip_of(topology)
  device_programs.check(experiment, experiment.mesh.model)
  selected(experiment, only)  # a mistake is to show now
  if output:
    files.check_place(output)
  mesh = mesh_of(experiment, topology)
  width = mesh.shape[parallel.MODEL]
  experiment = _counted(experiment, mesh)
  print(f'{topology}: {parallel.num_groups(mesh)} groups of {width} chips, {chip.memory / 1e9:.0f} '
        'GB each. Per chip; bodies of loops count once, those over layers every time.')
  print(_line(_HEAD))
  programs, rows = selected(experiment, only), []
  with tqdm(programs, desc='compiling', unit='program', delay=5, leave=False) as bar:
    for program in bar:
      rows.append(measured(program, mesh, chip))
      bar.write(_line(_cells(rows[-1])))
  for row in rows:
    print(f'{row["program"]}: {row["rows"]} rows; by the formula up to {row["most_rows"]} fit a '
          'chip')
  for line in _notes(experiment, programs, width):
    print(line)
  if output:
    with files.written_aside(output) as f:
      f.write(json.dumps({
          'topology': topology, 'groups': parallel.num_groups(mesh), 'chips_a_group': width,
          'versions': {name: importlib.metadata.version(name) for name in _PACKAGES},
          'chip': dataclasses.asdict(chip), 'programs': rows,
          'whole_parameters': {name: dict(memory.whole(
              device_programs.architecture(experiment, name), width))
                               for name in _models(programs)},
      }, indent=1, allow_nan=False).encode())


def measured(program: DeviceProgram, mesh: parallel.Mesh,
             chip: compiler_facts.Chip) -> dict[str, Any]:
  """Compiles a program; what is known of it as JSON. `error` is the compiler's, if it refuses."""
  estimate = program.footprint(program.rows, mesh.shape[parallel.MODEL])
  row = {'program': program.name, 'rows': program.rows, 'error': None,
         'most_rows': device_programs.largest(
             program, mesh.shape[parallel.MODEL], chip.memory, _MOST_ROWS),
         'formula': {**dataclasses.asdict(estimate), 'arguments': estimate.arguments,
                     'beside': estimate.beside, 'total': estimate.total}}
  if estimate.arguments + estimate.beside > chip.memory:
    return row | {'error': 'its arguments and what its stage keeps are larger than a chip',
                  'fits': False}
  try:
    found = compiler_facts.facts(program.lower(mesh, None), mesh).with_passes(
        [(stack, compiler_facts.facts(program.lower(mesh, stack), mesh))
         for stack in program.loops])
  except jax.errors.JaxRuntimeError as error:
    return row | {'error': _reason(error), 'fits': False}
  needed = found.memory + estimate.beside
  return row | {
      'fits': needed <= chip.memory, 'memory': needed,
      **dataclasses.asdict(found), 'roofline_seconds': found.seconds(chip)}


def _reason(error: Exception) -> str:
  """The sentence that says how much memory was missing, or the first line."""
  text = ' '.join(str(error).split())
  used = re.search(r'Used [\d.]+\w+ of [\d.]+\w+ hbm', text)
  return used.group() if used else text[:200]


_HEAD = ('program', 'arguments MB', 'formula', 'outputs', 'formula', 'temporary', 'code', 'of chip',
         'GFLOP', 'GB read', 'roofline ms', 'collectives (axis: in loops, outside)')
_WIDTHS = (34, 12, 9, 8, 8, 9, 6, 7, 10, 9, 11, 0)


def _line(cells: tuple[str, ...]) -> str:
  first, *others = zip(cells, _WIDTHS)
  return '  '.join([f'{first[0]:<{first[1]}}', *(f'{c:>{w}}' for c, w in others)])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
  if row['error']:
    return (row['program'], '', _mb(row['formula']['arguments']), '',
            _mb(row['formula']['outputs']), *[''] * 6, f'not compiled: {row["error"]}')
  return (row['program'], _mb(row['arguments']), _mb(row['formula']['arguments']),
          _mb(row['outputs']), _mb(row['formula']['outputs']), _mb(row['temporaries']),
          _mb(row['code']), 'fits' if row['fits'] else 'TOO BIG', f'{row["flops"] / 1e9:,.1f}',
          f'{row["bytes"] / 1e9:,.2f}', f'{row["roofline_seconds"] * 1e3:,.2f}',
          _talk(row['collectives']))


def _talk(found: list[dict[str, Any]] | None) -> str:
  """Collectives by axis: how many and how many bytes, inside loops and outside."""
  if found is None:
    return 'unknown: jaxlib cannot read what the compiler made'
  parts = []
  for axis in sorted({c['axis'] for c in found}):
    sums = []
    for looping in (True, False):
      mine = [c for c in found if c['axis'] == axis and bool(c['depth']) == looping]
      sums.append(f'{sum(c["count"] for c in mine)} of {_mb(sum(c["bytes"] for c in mine))} MB')
    parts.append(f'{axis}: {sums[0]}, {sums[1]}')
  return '; '.join(parts) or 'none'


def _mb(size: float) -> str:
  return f'{size / 1e6:,.1f}'


def _models(programs: list[DeviceProgram]) -> list[str]:
  return sorted({name for p in programs for name in p.models})


def _notes(experiment: Experiment, programs: list[DeviceProgram], width: int) -> Iterator[str]:
  """What every chip has all of, where chips share the models."""
  if width == 1:
    return
  for name in _models(programs):
    arch = device_programs.architecture(experiment, name)
    whole = memory.whole(arch, width)
    total = memory.weights(arch, 1)
    large = [path for path, size in whole if size > _LARGE * total]
    yield (f'{name}: {len(whole)} parameters of {sum(s for _, s in whole) / 1e6:.2f} MB are whole '
           f'on every chip (scales of norms, a value head, key and value heads that do not '
           f'divide); larger than {_LARGE:.1%} of the model: {", ".join(large) or "none"}')
