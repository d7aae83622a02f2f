"""Compiles every device program of an experiment for a TPU topology; needs no TPU.

  python -m launch.compile --config=configs/pod.py --topology=v5e:4x4

A line a program, per chip: what the TPU compiler says of its memory, FLOPs and bytes, the time of
one pass by the roofline, what chips say to each other on which axis of the mesh; beside it what the
formula of --dry_run says. `pip install -e ".[tpu]"` brings the compiler.
"""

from absl import flags

from . import common, experiment
from tts.types import InputError

ONLY = flags.DEFINE_string(
    'only', '', 'Compile only programs with this in their names, e.g. search/beam.')
_OUTPUT = flags.DEFINE_string('output', None, 'JSON file to write: everything that is known.')


def main(_):
  if not (topology := experiment.TOPOLOGY).value:
    raise InputError(f'--topology is missing: {topology.help}')
  config = experiment.read()
  config.models.check_here('its programs are not ours, drop it')
  common.compile_only()
  from tts.estimates import compile_all
  compile_all.run(config, topology.value, ONLY.value, _OUTPUT.value)


if __name__ == '__main__':
  with common.started() as argv:
    main(argv)
