"""Analyses samples that another program drew: the report of a run, without a model or a device.

  python -m launch.study --samples=F.jsonl --workdir=W [--difficulty=0.5] [--params=base=1.5e9]

F.jsonl has a JSON object a line: one sample, or one question with a list of samples.

  {"problem": "What is 3+4?", "answer": "7", "prediction": "3+4=7\\nThe answer is 7.", "score": 0.9}
  {"id": "q2", "answer": "12", "responses": ["#### 12", "#### 13"], "scores": [[0.9, 0.8], [0.1]]}

problem_id, question_id, id  names the question; without one it is named after its text
problem, question, prompt    its text; may be left out where there is an id
answer, gold, ground_truth   the right answer; without any, W/votes.jsonl is all that is measured
prediction, text, response, completion, output; lists: responses, completions, outputs, choices, ...
                             what the model wrote; its last answer counts. Of a list, the other
                             fields of samples are lists of the same length, or in its objects.
                             null: no text, as of a sample that was cut off, so no answer
resps, doc, doc_id, target   as lm-evaluation-harness logs them; of several filters the first one's
score, reward                of the whole answer, 0 to 1 (else --logits)
step_scores                  of each step, the last one counts; beside `score`, that one does
scores                       either, or {verifier: either}, up to four; the first is the main one
logprob, cumulative_logprob  summed over the sample's tokens, for the vote without a verifier
tokens, num_tokens           how many the sample has, or a list of them; verifier_tokens: how many
                             each verifier read. Without these, costs are in generations alone
statistics                   {"entropy", "confidence", "logprob": lists, a number a token;
                             "self_certainty": a number}, any of them; kept in the records
truncated; finish_reason     true; "length": cut off, so without an answer
level                        external difficulty, 1 to 5
model                        base (the default), mid or large, the larger ones to compare with
strategy                     sample (the default) or greedy; beam, lookahead, dvts, rebase,
                             particle_filter, particle_filter_entropic, with budget, beam_width and
                             lookahead where they have them, and theta, an object of their other
                             parameters: a candidate of that search a line
weight                       particles that a filter's candidate stands for; votes count them

The first samples of a question are scored, --difficulty of them, its last, say how hard it is. Run
again, the same file leaves its records as they are and makes the report anew.
"""

from __future__ import annotations

import math
import pathlib

from absl import flags

from . import common
from . import report
from tts import presets
from tts.answers import grading
from tts.data import buckets, hub, samples_file
from tts.eval.claims import claim_sides
from tts.eval.storage import external_samples
from tts.types import InputError

_SAMPLES = flags.DEFINE_string('samples', None, 'JSONL file of samples; its format is above.')
_DIFFICULTY = flags.DEFINE_float(
    'difficulty', 0.5, 'Samples of a question that its difficulty is estimated from, and no '
    'strategy is scored on: a share below 1, or a number; 0 for no bins.', lower_bound=0)
_FIELDS = flags.DEFINE_string(
    'fields', None, 'What the file calls a field, as prediction=output,answer=reference.')
_LOGITS = flags.DEFINE_list(
    'logits', [], 'Verifiers whose scores are not from 0 to 1: x becomes 1/(1+exp(-x)). That of '
    'scores without a name is prm.')
_GRADER = flags.DEFINE_enum(
    'grader', 'exact', grading.OWN, 'How answers are compared, with the gold one and in votes '
    'with one another: exact, by normal form; math, by algebra too (pip install -e ".[math]").')
_SKIP_BAD = flags.DEFINE_bool(
    'skip_bad', False, 'Leave out lines that cannot be used, and say how many; else the first one '
    'ends it and nothing is written.')
_PARAMS = flags.DEFINE_list(
    'params', [], 'Parameters of models and verifiers, as base=1.5e9,large=20e9,prm=7e9: for FLOPs '
    '(2 a parameter and token) and the exchange with a larger model.')


def _params() -> dict[str, float]:
  out = {}
  for part in _PARAMS.value:
    name, _, value = part.partition('=')
    try:
      out[name.strip()] = float(value)
    except ValueError:
      out[name.strip()] = math.nan
    if not 1 <= out[name.strip()] < math.inf:
      raise InputError(f'--params has {part!r}: write MODEL=NUMBER, as base=1.5e9')
  return out


def main(argv: list[str]) -> None:
  del argv
  for name in ('samples', 'workdir'):
    if not flags.FLAGS[name].value:
      raise InputError(f'--{name} is missing: give --samples=F.jsonl --workdir=W')
  if _DIFFICULTY.value >= 1 and _DIFFICULTY.value % 1:
    raise InputError(f'--difficulty={_DIFFICULTY.value:g} is no share below 1 and no whole number')
  source = external_samples.Source(
      hub.local(_SAMPLES.value, 'dataset'), _DIFFICULTY.value,
      samples_file.parse_fields(_FIELDS.value), tuple(_LOGITS.value), _params(), _GRADER.value,
      _SKIP_BAD.value)
  with buckets.opened(flags.FLAGS.workdir) as workdir:
    if external_samples.open_workdir(source, workdir):
      print('the records of this file are there already')
    else:
      for line in external_samples.write(source, workdir):
        print(line)
      claim_sides.save(presets.module('claims').CLAIMS, pathlib.Path(workdir))
    report.write(workdir)


if __name__ == '__main__':
  with common.started() as argv:
    main(argv)
