"""Weak scaling in simulation: what one chip does, for more and more chips with a block each.

  python -m benchmarks.weak_scaling --config=configs/smoke.py --only=search/write-base

One program is compiled for every topology (`pip install tts[tpu]`, no TPU). A group of chips has
questions of its own, so what a chip computes, holds and reads may not depend on how many there are,
and nothing may cross the `data` axis. What is not simulated: hosts that feed the chips, and groups
that have nothing left to do at the end of a block.
"""

from absl import flags

from launch import common, compile as compile_lib, experiment
from tts import parallel
from tts.estimates import compile_all
from tts.types import InputError

_TOPOLOGIES = flags.DEFINE_list(
    'topologies', ['v5e:1x1', 'v5e:2x2', 'v5e:4x4', 'v5e:8x8', 'v5e:16x16', 'v5p:8x8x16'],
    'Smallest first; of a chip that has no slice so large another one stands in.')


def main(_):
  config = experiment.read()
  common.compile_only()
  program = compile_all.selected(config, compile_lib.ONLY.value)[0]
  print(f'{program.name}, {program.rows} rows a group, per chip; loop bodies count once\n\n'
        '| topology | chips | groups | GFLOP | GB read | arguments MB | temporary MB | over data, '
        'MB | over model, MB |\n|---|---|---|---|---|---|---|---|---|')
  for topology in _TOPOLOGIES.value:
    mesh = compile_all.mesh_of(config, topology)
    row = compile_all.measured(program, mesh, compile_all.chip_of(topology))
    if row['error'] or row['collectives'] is None:
      raise InputError(f'{program.name} on {topology}: {row["error"] or "its HLO is unreadable"}')
    moved = lambda axis: sum(c['bytes'] for c in row['collectives'] if axis in c['axis']) / 1e6
    print(f'| {topology} | {mesh.devices.size} | {parallel.num_groups(mesh)} | '
          f'{row["flops"] / 1e9:.4f} | {row["bytes"] / 1e9:.4f} | {row["arguments"] / 1e6:.3f} | '
          f'{row["temporaries"] / 1e6:.3f} | {moved(parallel.DATA):.3f} | '
          f'{moved(parallel.MODEL):.3f} |', flush=True)


if __name__ == '__main__':
  with common.started() as argv:
    main(argv)
