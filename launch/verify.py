"""Asks a verifier about solutions whose steps are labelled: where is the first wrong one?

  python -m launch.verify --samples=F.jsonl --verifier=hf://Qwen/Qwen2.5-Math-PRM-7B
  python -m launch.verify --samples=F.jsonl --verifier=W/models/latent --generator=F.gguf

F.jsonl has a solution a line, as ProcessBench has them, or with a number a step:

  {"problem": "...", "steps": ["...", "..."], "label": 1, "final_answer_correct": false}
  {"problem": "...", "steps": ["...", "..."], "labels": [0.8, 0.0]}

label is the place of the first wrong step, from 0, and -1 where none is wrong; labels are chances
that rollouts from a step's end come to a right answer, a step being wrong from the first 0 on.
Printed are F1 of the first error (at --threshold, and at one that was chosen on the other half of
the questions), AUC of final answers within questions and of steps, and calibration, with 95%
intervals over questions. --output writes these as JSON, with the table of calibration and `values`,
what the verifier says at each step of each line.
"""

import json

from absl import flags
import numpy as np

from . import common
from tts.data import files, hub, jsonl, labelled_steps
from tts.types import InputError

_SAMPLES = flags.DEFINE_string('samples', None, 'JSONL file of labelled solutions.')
_VERIFIER = flags.DEFINE_string(
    'verifier', None, 'A process reward model or a latent verifier; None is the log-probability of '
    '--generator.')
_GENERATOR = flags.DEFINE_string(
    'generator', None, 'The model whose states a latent verifier reads.')
_PROMPTS = flags.DEFINE_enum(
    'prompts', 'plain', ['plain', 'few_shot', 'chat'],
    'How questions are put, where the verifier does not say it itself.')
_DELIMITER = flags.DEFINE_enum(
    'delimiter', 'newline', ['newline', 'blank_line'], 'What stands between steps.')
_THRESHOLD = flags.DEFINE_float('threshold', 0.5, 'A step below it is said to be wrong.', 0.0, 1.0)
_LIMIT = flags.DEFINE_integer('limit', 0, 'Solutions to read, the first ones; 0 is all.', 0)
_MAX_TOKENS = flags.DEFINE_integer('max_tokens', 2048, 'Tokens of a solution, at most.', 1)
_SKIP_BAD = flags.DEFINE_bool(
    'skip_bad', False, 'Leave out lines that cannot be used, and say how many.')
_OUTPUT = flags.DEFINE_string('output', None, 'JSON file to write, in an existing folder.')
_BREAK = {'newline': '\n', 'blank_line': '\n\n'}


def main() -> None:
  if not _SAMPLES.value:
    raise InputError('--samples is missing: give --samples=F.jsonl')
  if not (_VERIFIER.value or _GENERATOR.value):
    raise InputError('--verifier is missing: give one, or --generator for its log-probability')
  bad = jsonl.BadLines(_SKIP_BAD.value)
  found = [x for _, x in labelled_steps.read(hub.local(_SAMPLES.value, 'dataset'), bad)]
  found = found[:_LIMIT.value or None]
  if not found:
    raise InputError(f'{_SAMPLES.value} has no solution: give one at least')
  from tts.config import MeshConfig
  common.set_up_devices(MeshConfig())
  from tts.eval.measures import first_errors
  group = {problem: i for i, problem in enumerate(dict.fromkeys(x.problem for x in found))}
  of = [[x for x in found if x.problem == problem] for problem in group]
  scored = [iter(mine) for mine in _scored(list(group), of)]
  steps = [next(scored[group[x.problem]]) for x in found]  # in the file's order
  said = first_errors.describe(
      steps, np.array([x.first_error for x in found]), np.array([x.correct for x in found]),
      np.array([group[x.problem] for x in found]), _THRESHOLD.value)
  if _OUTPUT.value:
    with files.written_aside(_OUTPUT.value) as output:
      output.write(json.dumps({'verifier': _VERIFIER.value, 'generator': _GENERATOR.value,
                               **said, 'values': [x.tolist() for x in steps]}).encode() + b'\n')
  print(*_lines(said), *bad.said(), sep='\n')


def _scored(problems: list[str], of: list[list[labelled_steps.Labelled]]) -> list[list[np.ndarray]]:
  """Values of the steps of each problem's solutions."""
  import tts
  prompts = {'kind': _PROMPTS.value, 'delimiter': _DELIMITER.value}
  generator = None if _GENERATOR.value is None else tts.load_generator(_GENERATOR.value, **prompts)
  verifier = (tts.logprob_verifier(generator) if _VERIFIER.value is None else
              tts.load_verifier(_VERIFIER.value, generator=generator))
  limits = tts.Limits(max_prompt_tokens=4 * _MAX_TOKENS.value, max_tokens=_MAX_TOKENS.value,
                      max_steps=max(len(x.steps) for mine in of for x in mine),
                      max_step_tokens=_MAX_TOKENS.value)
  scored = tts.score(verifier, problems, [[_text(x) for x in mine] for mine in of], limits=limits,
                     **({} if generator else prompts))
  found = []
  for mine, solutions in zip(of, scored):
    for x, solution in zip(mine, solutions):
      if len(solution.step_scores) != len(x.steps):
        raise InputError(f'a solution of {len(x.steps)} steps was read as '
                         f'{len(solution.step_scores)}: {x.steps[0]!r} ...: try the other '
                         '--delimiter')
    found.append([np.array(solution.step_scores, float) for solution in solutions])
  return found


def _text(x: labelled_steps.Labelled) -> str:
  """The steps with the delimiter between them, which none of them has inside."""
  inside = (' ' if _DELIMITER.value == 'newline' else '\n')
  lines = [inside.join(part for part in step.split('\n') if part.strip()) for step in x.steps]
  return _BREAK[_DELIMITER.value].join(lines)


def _lines(said: dict) -> list[str]:
  span = lambda ends: '' if ends is None else f' [{ends[0]:.3f}, {ends[1]:.3f}]'
  number = lambda name: ('not measured' if said[name] is None
                         else f'{said[name]:.3f}{span(said.get(f"{name}_ci95"))}')
  return [
      f'{said["solutions"]} solutions of {said["questions"]} questions, {said["with_error"]} with '
      f'a wrong step, {said["steps"]} steps',
      f'first error: F1 {number("f1")} at {said["threshold"]:g} (found in {number("found")} of '
      f'those with one, none found in {number("none_found")} of the others), '
      f'F1 {number("f1_chosen")} at a threshold chosen on the other half of the questions',
      f'AUC within questions {number("auc_within")} (n = {said["auc_within_n"]}), of steps '
      f'{number("auc_steps")}; calibration error {number("ece")}']


if __name__ == '__main__':
  with common.started():
    main()
