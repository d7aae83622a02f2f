"""Makes a checkpoint of this project of an open one: `--source=DIR --output=DIR`.

DIR holds config.json, *.safetensors and the tokenizer, as on the Hugging Face Hub: Llama 3,
Mistral, Qwen 2.5, Qwen 3, Gemma 2, Gemma 3 (text), and process reward models on them (--kind).
A GGUF file of a Llama, Qwen 2.5 or Qwen 3 does as well; its weights are dequantised.
"""

from __future__ import annotations

from absl import flags

from . import common
from tts.data import buckets, verifier_format
from tts.models import open_heads
from tts.serving import open_checkpoint
from tts.types import InputError

_SOURCE = flags.DEFINE_string(
    'source', None,
    'Folder of the open checkpoint, hf://org/name[@revision] or gs://bucket/folder; or a GGUF '
    'file, F.gguf or hf://org/name/F.gguf.')
_OUTPUT = flags.DEFINE_string('output', None, 'Folder to make; one with files in it is refused.')
_KIND = flags.DEFINE_string(
    'kind', 'lm', '; '.join(f'{kind}: {what}' for kind, what in open_heads.KINDS.items()) + '.')
_DTYPE = flags.DEFINE_string(
    'dtype', None, 'float32 or bfloat16, of parameters and activations; the checkpoint\'s by '
    'default.')
_FORMAT = flags.DEFINE_string(
    'format', None, f'How a verifier wants its text, one of {", ".join(verifier_format.FORMATS)}; '
    'what goes with --kind and the family by default.')
_WORDS = flags.DEFINE_list('words', ['+', '-'], 'Good and bad word of a token_prm.')


def main(argv: list[str]) -> None:
  del argv
  for name in ('source', 'output'):
    if not flags.FLAGS[name].value:
      raise InputError(f'--{name} is missing: give --{name}=DIR')
  if len(_WORDS.value) != 2:
    raise InputError(f'--words={",".join(_WORDS.value)}: give two, --words=GOOD,BAD')
  with buckets.opened(_OUTPUT.value) as output:
    meta = open_checkpoint.import_model(
        _SOURCE.value, output, _KIND.value, _DTYPE.value, tuple(_WORDS.value), _FORMAT.value)
  quantised = meta['open']['quantisation']
  print(f'{_OUTPUT.value}: {meta["open"]["config"]["model_type"]}, {meta["params"]:,} parameters, '
        f'{meta["arch"]["dtype"]}' + (f', dequantised from {quantised}' if quantised else ''))


if __name__ == '__main__':
  with common.started() as argv:
    main(argv)
