"""How often a model is right with an experiment's prompt: what prompt and temperature are set by.

  python -m benchmarks.prompting --config=configs/words.py --questions=100 --samples=8 \\
    --config.search.split=dev --config.models.base.checkpoint=F.gguf

The first questions of the split, which may not be `test`, answered greedily once and sampled as the
experiment samples; intervals are over questions. --output keeps all of it for launch.study.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import json
import tempfile
import time

from absl import flags
import numpy as np

from launch import common, experiment as experiment_lib
import tts
from tts.config import Experiment
from tts.data import problems as problems_lib
from tts.eval.measures import statistics
from tts.types import InputError, Problem

_MODEL = flags.DEFINE_string('model', 'base', 'Model of the config that answers.')
_QUESTIONS = flags.DEFINE_integer('questions', 100, 'Questions.', lower_bound=2)
_SAMPLES = flags.DEFINE_integer('samples', 8, 'Samples of each; 0 for greedy answers alone.',
                                lower_bound=0)
_OUTPUT = flags.DEFINE_string('output', None, 'JSONL file for the samples.')


@dataclasses.dataclass(frozen=True)
class _Answered:
  """Questions with so many solutions each."""

  problems: Sequence[Problem]
  results: Sequence[tts.Result]
  right: np.ndarray  # bool [questions, solutions]
  seconds: float

  def __str__(self) -> str:
    low, high = statistics.mean_interval(self.right.mean(axis=1))
    solutions = [s for result in self.results for s in result.solutions]
    share = lambda test: np.mean([test(s) for s in solutions])
    tokens = np.array([s.num_tokens for s in solutions])
    return (f'{self.right.mean():.3f} [{low:.3f}, {high:.3f}] right, n = {len(self.right)} x '
            f'{self.right.shape[1]}; {tokens.mean():.1f} tokens, 95% at most '
            f'{np.quantile(tokens, 0.95):.0f}; {share(lambda s: not s.finished):.3f} cut off, '
            f'{share(lambda s: s.answer is None):.3f} without an answer; '
            f'{tokens.sum() / self.seconds:.0f} tokens/s, compiling and prompts among it')


def _answered(e: Experiment, model: tts.LanguageModel, problems: Sequence[Problem], num: int,
              temperature: float) -> _Answered:
  begun = time.monotonic()
  how = dataclasses.asdict(e.sampling) | {'temperature': temperature}
  results = list(tts.sample(
      model, [p.prompt for p in problems], num, grader=e.data.grader,
      limits=tts.Limits(**dataclasses.asdict(e.limits)), seed=e.seeds[0], **how))
  seconds = time.monotonic() - begun
  grades = iter(tts.grade([s.text for r in results for s in r.solutions],
                          [p.answer for p in problems for _ in range(num)], e.data.grader))
  right = np.array([[next(grades).correct and s.finished for s in r.solutions] for r in results])
  return _Answered(problems, results, right, seconds)


def _print_spread(e: Experiment, of: _Answered) -> None:
  """What of the samples says whether a study has something to find."""
  share = of.right.mean(axis=1)
  votes = tts.grade([f'The answer is {r.answer}.' for r in of.results],
                    [p.answer for p in of.problems], e.data.grader)
  print(f'of the questions {np.mean(share == 0):.2f} have no right sample, '
        f'{np.mean(share == 1):.2f} no wrong one; majority '
        f'{np.mean([vote.correct for vote in votes]):.3f}')
  for level in sorted({p.level for p in of.problems if p.level}):
    at = [i for i, p in enumerate(of.problems) if p.level == level]
    print(f'level {level}: {share[at].mean():.3f} of {len(at)} questions')


def _lines(of: _Answered, temperature: float) -> list[str]:
  """The samples in the format of `launch.study`."""
  return [json.dumps({
      'problem': p.prompt, 'answer': p.answer, 'level': p.level, 'prediction': s.text,
      'strategy': 'greedy' if temperature == 0 else 'sample', 'logprob': s.logprob,
      'num_tokens': s.num_tokens, 'truncated': not s.finished})
          for p, r in zip(of.problems, of.results) for s in r.solutions]


def main() -> None:
  e = experiment_lib.read()
  if e.search.split == 'test':
    raise InputError('config.search.split is test, which is opened once: --config.search.split=dev')
  source = e.models[_MODEL.value].checkpoint
  if not source:
    raise InputError(f'config.models.{_MODEL.value}.checkpoint is missing: give a folder or a file')
  common.set_up_devices(e.mesh)
  with tempfile.TemporaryDirectory() as folder:
    asked = problems_lib.load_split(e.data, e.search.split, folder)[:_QUESTIONS.value]
  model = tts.load_generator(source, dtype=e.models[_MODEL.value].dtype, lanes=e.lanes,
                             **dataclasses.asdict(e.prompts))
  lines = []
  for num, temperature in ((1, 0.0), (_SAMPLES.value, e.sampling.temperature)):
    if num:
      of = _answered(e, model, asked, num, temperature)
      print(f'temperature {temperature:g}: {of}', flush=True)
      lines += _lines(of, temperature)
  if _SAMPLES.value:
    _print_spread(e, of)
  if _OUTPUT.value:
    with open(_OUTPUT.value, 'w', encoding='utf-8') as file:
      file.writelines(f'{line}\n' for line in lines)


if __name__ == '__main__':
  with common.started():
    main()
