"""Our sampling and PRM beam search beside other engines', in one run and one table.

  python -m benchmarks.peers --model=F.gguf --questions=test.jsonl

The same weights, questions and step rules for all (`setting.py`); each engine in a process of its
own, one after the other, on the CPU with as many threads. What is not installed is named and left
out.

  ours          sampling, scoring and search
  transformers  `generate` at its best of eager, sdpa, static cache and compiled; and two host loops
                of PRM beam search on it: one reads everything again at each step, the other keeps
                keys and values
  ctranslate2   sampling, in float32 and int8
  llama_cpp     sampling, the GGUF file as it is
"""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile

from absl import flags

from benchmarks.peers import setting as setting_lib, table
from launch import common
from tts import machine
from tts.types import InputError

# engine -> (module, what it imports, what to install)
ENGINES = {
    'ours': ('ours', (), ''),
    'transformers': ('hf', ('torch', 'transformers'), 'torch transformers'),
    'ctranslate2': ('ct2', ('ctranslate2', 'torch', 'transformers'),
                    'ctranslate2 torch transformers'),
    'llama_cpp': ('llama_cpp', ('xllamacpp',), 'xllamacpp'),
}

_MODEL = flags.DEFINE_string('model', None, 'An open checkpoint: a folder, or a GGUF file.')
_QUESTIONS = flags.DEFINE_string('questions', None, 'JSON lines, {"question": ...}.')
_NUM = flags.DEFINE_integer('num_questions', 16, 'The first so many of them.', lower_bound=1)
_CANDIDATES = flags.DEFINE_list('candidates', [str(n) for n in setting_lib.CANDIDATES],
                                'N of the searches.')
_ENGINES = flags.DEFINE_list('engines', list(ENGINES), 'Which of them.')
_THREADS = flags.DEFINE_integer('threads', 2, 'Of each engine.', lower_bound=1)
_OUTPUT = flags.DEFINE_string('output', None, 'JSON file of the measurements, to be written.')
# Given to the engines' processes by this one.
_ENGINE = flags.DEFINE_string('engine', None, 'Measure this one in --folder, alone.')
_FOLDER = flags.DEFINE_string('folder', None, 'What the engines share.')


def missing(engine: str) -> str | None:
  """What is to be said of an engine that is not installed, else None."""
  _, modules, install = ENGINES[engine]
  if all(importlib.util.find_spec(name) for name in modules):
    return None
  return f'{engine}: not installed: pip install {install}'


def main(argv: list[str]) -> None:
  del argv
  if _ENGINE.value:
    _measure(_ENGINE.value, pathlib.Path(_FOLDER.value))
    return
  for flag in (_MODEL, _QUESTIONS):
    if not flag.value:
      raise InputError(f'--{flag.name} is missing')
  if unknown := sorted(set(_ENGINES.value) - set(ENGINES)):
    raise InputError(f'--engines has {unknown[0]}: of {", ".join(ENGINES)}')
  with tempfile.TemporaryDirectory(prefix='peers-') as name:
    folder = pathlib.Path(name)
    _child('prepare', folder, [f'--{flag.name}={flag.value}' for flag in (
        _MODEL, _QUESTIONS, _NUM, _THREADS)] + [f'--candidates={",".join(_CANDIDATES.value)}'])
    rows, said = [], []
    for engine in _ENGINES.value:
      without = missing(engine)
      if without is None and _child(engine, folder, [f'--threads={_THREADS.value}']):
        without = f'{engine}: it failed, see above; what it had measured is in the tables'
      said += [without] if without else []
      rows += setting_lib.results(folder / f'{engine}.json')
      if _OUTPUT.value:
        pathlib.Path(_OUTPUT.value).write_text(json.dumps([vars(row) for row in rows], indent=1))
  print('\n\n'.join(filter(None, (
      f'{pathlib.Path(_MODEL.value).name} on {_processor()}, {_THREADS.value} threads; the first '
      f'{_NUM.value} questions of {pathlib.Path(_QUESTIONS.value).name}, chat prompts, at most '
      f'{setting_lib.MAX_TOKENS} tokens, a step a line, temperature {setting_lib.TEMPERATURE:g}, '
      f'M = {setting_lib.BEAM_WIDTH}', table.tables(rows), '\n'.join(said)))))


def _child(engine: str, folder: pathlib.Path, arguments: list[str]) -> int:
  """A process for one engine; its status."""
  env = os.environ | {'OMP_NUM_THREADS': str(_THREADS.value), 'TOKENIZERS_PARALLELISM': 'false'}
  status = subprocess.run([sys.executable, '-m', 'benchmarks.peers', f'--engine={engine}',
                           f'--folder={folder}', *arguments], env=env, check=False).returncode
  if engine == 'prepare' and status:
    raise InputError('the models could not be prepared: see above')
  return status


def _measure(engine: str, folder: pathlib.Path) -> None:
  """What an engine's process does."""
  if hasattr(os, 'sched_setaffinity'):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:_THREADS.value])
  if engine in ('prepare', 'ours'):
    os.environ.setdefault('JAX_PLATFORMS', 'cpu')
    os.environ.setdefault('XLA_FLAGS',
                          f'--xla_force_host_platform_device_count={_THREADS.value}')
  if engine == 'prepare':
    from benchmarks.peers import prepare
    prepare.prepare(folder, _MODEL.value, prepare.questions(_QUESTIONS.value, _NUM.value),
                    [int(n) for n in _CANDIDATES.value], _THREADS.value)
    return
  module = importlib.import_module(f'benchmarks.peers.{ENGINES[engine][0]}')
  module.measure(folder, setting_lib.Results(folder / f'{engine}.json'))


def _processor() -> str:
  """The processor's name, where the system tells it."""
  try:
    lines = pathlib.Path('/proc/cpuinfo').read_text().splitlines()
  except OSError:
    lines = []
  name = next((line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')),
              platform.processor() or platform.machine())
  return f'{name}, {machine.cores()} cores'


if __name__ == '__main__':
  with common.started() as argv:
    main(argv)
