"""Log-probabilities of given texts under a model, or a verifier's scores of their steps.

  python -m launch.logprobs --checkpoint=W/models/base --input=F.jsonl --output=G.jsonl

A line is {"tokens": [...]} or {"text": "..."}; its other fields pass through. A language model
adds `tokens` and `logprobs` (natural log, temperature 1, one per token after the first), a
verifier `tokens`, `positions` (every delimiter and the last token) and their `scores`. A verifier
that weighs how surprising a solution is has to know where it begins: after the first delimiter,
or after as many tokens as the line's "prompt_tokens" says.
"""

from absl import flags

from . import common
from tts.types import InputError

_CHECKPOINT = flags.DEFINE_string('checkpoint', None, 'Folder of a model, e.g. W/models/prm.')
_INPUT = flags.DEFINE_string('input', None, 'JSONL file to read.')
_OUTPUT = flags.DEFINE_string('output', None, 'JSONL file to write.')


def main(_):
  for flag in (_CHECKPOINT, _INPUT, _OUTPUT):
    if not flag.value:
      raise InputError(f'--{flag.name} is missing: {flag.help}')
  from tts.serving import logprobs
  logprobs.run(_CHECKPOINT.value, _INPUT.value, _OUTPUT.value)


if __name__ == '__main__':
  with common.started() as argv:
    main(argv)
