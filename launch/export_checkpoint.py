"""Writes an imported (and finetuned) language model back as an open checkpoint.

`--checkpoint=DIR --output=DIR` gives config.json, *.safetensors and the tokenizer.
"""

from __future__ import annotations

from absl import flags

from . import common
from tts.data import buckets, hub
from tts.serving import open_checkpoint
from tts.types import InputError

_CHECKPOINT = flags.DEFINE_string('checkpoint', None, 'Folder of the model, e.g. W/models/base.')
_OUTPUT = flags.DEFINE_string('output', None, 'Folder to make; one with files in it is refused.')


def main(argv: list[str]) -> None:
  del argv
  for name in ('checkpoint', 'output'):
    if not flags.FLAGS[name].value:
      raise InputError(f'--{name} is missing: give --{name}=DIR')
  with buckets.opened(_OUTPUT.value) as output:
    open_checkpoint.export_model(hub.local(_CHECKPOINT.value), output)
  print(_OUTPUT.value)


if __name__ == '__main__':
  with common.started() as argv:
    main(argv)
