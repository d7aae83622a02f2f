"""Answers questions with a run's models, each by the strategy that its difficulty asks for.

  python -m launch.solve --workdir=W --input=F.jsonl --output=G.jsonl --budget=16
  python -m launch.solve --workdir=W --question='3;+4;*2' --budget=16

W is the folder of a run that has been through its report, which leaves `policy.json` there. A line
of F is {"problem": "..."}; `id` and `answer` (a gold one, to count how many are right) may be
there. A line of G has the answer, the strategy, its score, and what it cost, in F's order. With
`--shared` the budget is a mean over the file: hard questions get more where more helps. A single
question is printed with every candidate, and with the tree where one was searched.
"""

import json
import sys

from absl import flags
from tqdm import tqdm

from . import common
from tts.answers import grading
from tts.data import files, problems as problems_lib
from tts.types import InputError, Problem

_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of a run, with models and policy.json.')
_INPUT = flags.DEFINE_string('input', None, 'JSONL file of questions.')
_OUTPUT = flags.DEFINE_string('output', None, 'JSONL file to write.')
_QUESTION = flags.DEFINE_string('question', None, 'One question, instead of --input and --output.')
_BUDGET = flags.DEFINE_integer('budget', 16, 'Full generations to spend on each question.')
_SHARED = flags.DEFINE_boolean('shared', False, 'Spend the budget on average over the input.')


def _line(problem: Problem, solution, grader: str) -> dict:
  out = {'id': problem.id, 'problem': problem.prompt.rstrip('\n'), 'answer': solution.answer,
         'solution': solution.text, 'score': solution.score, 'strategy': solution.strategy,
         'selection': solution.selection, 'bin': solution.bin, 'estimate': solution.estimate,
         'generations': solution.generations, 'tokens': solution.tokens,
         'verifier_tokens': solution.verifier_tokens, 'flops': solution.flops}
  if problem.answer is not None:
    out['gold'] = problem.answer
    out['correct'] = solution.text is not None and grading.are_correct(
        grader, [(solution.text, problem.answer)], [problem.prompt])[0]
  return out


def _show(problem: Problem, solution) -> None:
  """One question's answer, and how it came about."""
  print(problem.prompt.rstrip('\n'))
  print(f'answer {solution.answer}, by {solution.strategy} ({solution.selection}), score '
        + ('none' if solution.score is None else f'{solution.score:.3f}'))
  print(f'difficulty bin {solution.bin} of 5 (estimate {solution.estimate:.3f}); '
        f'{solution.generations} generations, {solution.tokens} tokens, '
        f'{solution.verifier_tokens} read by the verifier, {solution.flops:.3g} FLOPs')
  if solution.tree is None:
    for candidate in solution.candidates:
      score = '' if candidate['score'] is None else f'{candidate["score"]:.3f}  '
      print(f'  {score}{" | ".join(candidate["text"].rstrip().split(chr(10)))}')
    return
  common.print_tree(solution.tree)


def main(argv: list[str]) -> None:
  del argv
  if not _WORKDIR.value:
    raise InputError('--workdir is missing: give the folder of a run')
  one = _QUESTION.value is not None
  if one == bool(_INPUT.value or _OUTPUT.value) or (not one and not (
      _INPUT.value and _OUTPUT.value)):
    raise InputError('give --input=F.jsonl and --output=G.jsonl, or --question alone')
  if one and _SHARED.value:
    raise InputError('--shared is for --input: a single question has nothing to share with')
  if one and not _QUESTION.value.strip():
    raise InputError('--question is empty')
  if _BUDGET.value < 1:
    raise InputError(f'--budget={_BUDGET.value}: give 1 or more generations')
  problems = (problems_lib.of_texts([_QUESTION.value]) if one
              else problems_lib.load_jsonl(_INPUT.value, graded=False))
  from tts.config import MeshConfig
  common.set_up_devices(MeshConfig())
  from tts.serving.solve import Solver
  solver = Solver(_WORKDIR.value)
  found = solver.solve(problems, _BUDGET.value, _SHARED.value)
  if one:
    _show(problems[0], next(found))
    return
  right = graded = spent = 0
  with files.written_aside(_OUTPUT.value) as output:
    for problem, solution in zip(problems, tqdm(found, total=len(problems), unit=' questions',
                                                delay=5)):
      line = _line(problem, solution, solver.experiment.data.grader)
      output.write(json.dumps(line, allow_nan=False).encode() + b'\n')
      spent += solution.generations
      graded += 'correct' in line
      right += line.get('correct', False)
  verdict = f', {right} of {graded} right' if graded else ''
  mean = f', {spent / len(problems):.1f} generations each' if problems else ''
  print(f'{len(problems)} answered{verdict}{mean}', file=sys.stderr)


if __name__ == '__main__':
  with common.started() as argv:
    main(argv)
