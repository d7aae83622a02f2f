"""Answers a typed question with a language model and a search, and shows how it came about.

  python -m launch.ask --question='A pen costs 3 dollars. What do 4 pens cost?'
  python -m launch.ask --question='...' --model=hf://Qwen/Qwen2.5-0.5B-Instruct --budget=16
  python -m launch.ask --question='...' --model=model.gguf --method='dvts(beam_width=2)'

No folder, no training: the model is a checkpoint, hf://org/name, a folder or a GGUF file, and the
verifier the model's own log-probability, or one that --verifier names. Printed are the search tree
(a step a line, with its score), the answer, and what it cost.

A method of your own is in a module that --config.plugins names, as for launch.evaluate:

  python -m launch.ask --question='...' --config.plugins="('my_search',)" --method=brief
"""

import time

from absl import flags
import ml_collections
from ml_collections.config_flags import tuple_parser

from . import common
from tts.types import InputError

_QUESTION = flags.DEFINE_string('question', None, 'The question.')
_MODEL = flags.DEFINE_string(
    'model', 'hf://HuggingFaceTB/SmolLM2-135M-Instruct',
    'The model: hf://org/name, a folder of a checkpoint, or a GGUF file.')
_VERIFIER = flags.DEFINE_string(
    'verifier', None,
    'A verifier: a process reward model, or a latent verifier of this model. None is how '
    'likely the model finds what it writes.')
_METHOD = flags.DEFINE_string(
    'method', 'beam(beam_width=2)', 'A method of tts.methods, or of a module of config.plugins.')
_PLUGINS = flags.DEFINE(
    tuple_parser.TupleParser(), 'config.plugins', (), 'Modules of yours that add methods, as '
    'launch.evaluate takes them: --config.plugins="(\'my_search\',)".')
_BUDGET = flags.DEFINE_integer('budget', 4, 'Solutions to spend.')
_PROMPTS = flags.DEFINE_enum(
    'prompts', 'chat', ['chat', 'few_shot', 'plain'],
    'How the question is put: by the chat template of the model, after four worked examples, bare.')
_SYSTEM = flags.DEFINE_string(
    'system', 'Solve the problem step by step, with a blank line between steps. End with a line '
    '"The answer is N."', 'System prompt of a chat, in which blank lines set off steps.')
_MAX_TOKENS = flags.DEFINE_integer('max_tokens', 192, 'Tokens of a solution, at most.')
_TEMPERATURE = flags.DEFINE_float('temperature', 0.8, 'Of sampling.')
_SEED = flags.DEFINE_integer('seed', 0, 'Of all that is drawn.')


def main() -> None:
  question = (_QUESTION.value or '').strip()
  if not question:
    raise InputError('--question is missing: give one')
  from tts import config
  experiment = config.from_config_dict(  # which imports them
      ml_collections.ConfigDict({'plugins': _PLUGINS.value}))
  common.set_up_devices(experiment.mesh)
  import tts
  from tts import methods
  name, given = methods.parsed(_METHOD.value, '--method')
  method = methods.made(name, given, '--method')
  how = {'kind': _PROMPTS.value} | (
      {'system': _SYSTEM.value, 'delimiter': 'blank_line'} if _PROMPTS.value == 'chat' else {})
  begun = time.monotonic()
  generator = tts.load_generator(_MODEL.value, **how)
  verifier = (tts.logprob_verifier(generator) if _VERIFIER.value is None else
              tts.load_verifier(_VERIFIER.value, generator=generator))
  loaded = time.monotonic()
  result = next(iter(tts.search(
      generator, verifier, [question], method=method, budget=_BUDGET.value,
      limits=tts.Limits(max_tokens=_MAX_TOKENS.value, max_step_tokens=_MAX_TOKENS.value),
      seed=_SEED.value, temperature=_TEMPERATURE.value)))
  print(result.question)
  common.print_tree(result.tree)
  answers = ', '.join(f'{answer} {weight:.2f}' for answer, weight in result.votes.items())
  print(f'answer {result.answer}' + (
      f'  (votes: {answers})' if answers else
      ': no solution marks one, as "The answer is 12." does. '
      'A larger --model, --prompts=few_shot or more --max_tokens may help'))
  print(f'{result.tokens} tokens written, {result.verifier_tokens} read by the verifier, '
        f'{result.flops:.3g} FLOPs; {loaded - begun:.1f} s to load, '
        f'{time.monotonic() - loaded:.1f} s to compile and search')


if __name__ == '__main__':
  with common.started():
    main()
