"""Compiles every device program of an experiment for a TPU topology; needs no TPU.

  python -m launch.compile --config=configs/pod.py --topology=v5e:4x4

A line a program, per chip: what the TPU compiler says of its memory, FLOPs and bytes, the time of
one pass by the roofline, what chips say to each other on which axis of the mesh; beside it what the
formula of --dry_run says. `pip install tts[tpu]` brings the compiler.
"""

import os

# The compiler is a library of its own and looks for TPUs where it is not told that there are none;
# others on this machine may hold it too.
os.environ |= {'JAX_PLATFORMS': 'cpu', 'TPU_SKIP_MDS_QUERY': '1', 'ALLOW_MULTIPLE_LIBTPU_LOAD': '1',
               'TPU_ACCELERATOR_TYPE': 'v5litepod-1', 'TPU_WORKER_HOSTNAMES': 'localhost'}

from absl import flags  # pylint: disable=wrong-import-position

from launch import common, experiment  # pylint: disable=wrong-import-position
from tts.types import InputError  # pylint: disable=wrong-import-position

_TOPOLOGY = flags.DEFINE_string(
    'topology', None, 'Chips: v4, v5e, v5p or v6e and their shape, e.g. v5e:4x4 or v5p:2x2x2.')
ONLY = flags.DEFINE_string(
    'only', '', 'Compile only programs with this in their names, e.g. search/beam.')
_OUTPUT = flags.DEFINE_string('output', None, 'JSON file to write: everything that is known.')


def main(_):
  if not _TOPOLOGY.value:
    raise InputError(f'--topology is missing: {_TOPOLOGY.help}')
  config = experiment.read()
  from tts.stages import compiling
  compiling.run(config, _TOPOLOGY.value, ONLY.value, _OUTPUT.value)


if __name__ == '__main__':
  common.run(main)
