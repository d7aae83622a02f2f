"""Takes along what a run has finished, so that the same command goes on elsewhere.

  python -m launch.pack --workdir=W --output=F
  cp -r F W2; python -m launch.reproduce --config=... --workdir=W2

F gets the record files that are complete, and the models that the run has trained, small enough to
be committed; called again it gets what is new. Reports, caches and models that were given are left
out. A block's timing file names the processor that computed it.
"""

from __future__ import annotations

from absl import flags

from . import common
from tts.runs import packing
from tts.types import InputError

_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the run.')
_OUTPUT = flags.DEFINE_string('output', None, 'Folder to make, or with an older copy.')
_MODEL_MB = flags.DEFINE_integer(
    'model_mb', 8, 'Models that take more megabytes are left out; they are trained again.')


def main(argv: list[str]) -> None:
  del argv
  for name in ('workdir', 'output'):
    if not flags.FLAGS[name].value:
      raise InputError(f'--{name} is missing: give --{name}=DIR')
  size, left_out = packing.pack(_WORKDIR.value, _OUTPUT.value, _MODEL_MB.value * 10**6)
  print(f'{_OUTPUT.value}: {size / 1e6:.1f} MB'
        + (f'; left out, as larger than {_MODEL_MB.value} MB: {", ".join(left_out)}'
           if left_out else ''))


if __name__ == '__main__':
  with common.started() as argv:
    main(argv)
