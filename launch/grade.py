"""Grades predictions: JSON lines in, the same lines with a verdict out."""

from __future__ import annotations

import itertools
from typing import Any

from absl import flags
import tqdm

from . import common
from tts import answers
from tts.answers import grading
from tts.data import files
from tts.data import hub
from tts.data import jsonl
from tts.data import sample_texts
from tts.types import InputError

_INPUT = flags.DEFINE_string(
    'input',
    None,
    'JSONL file. Every line has "prediction", the text that a model wrote, null where it wrote '
    'none, and "answer", the gold one: bare, in \\boxed{}, or at the end after ####. As in '
    'launch.study, there may be other names for these and a list of texts.',
)
_OUTPUT = flags.DEFINE_string(
    'output',
    None,
    'JSONL file to write, in an existing folder: the same lines in the same order '
    'and three fields more: "extracted" (the answer in the prediction, null if '
    'there is none), "found_by" (what marked it: box, marker, tag, label, sentence, bold, bare) '
    'and "correct"; of a list of texts they are lists.',
)
_GRADER = flags.DEFINE_enum(
    'grader',
    'exact',
    grading.OWN,
    'exact: answers are compared by the kinds of value that they are. math: what exact cannot read '
    '(sums, integrals, limits) is compared by math-verify (pip install -e ".[math]").',
)
_SKIP_BAD = flags.DEFINE_bool(
    'skip_bad', False, 'Leave out lines that cannot be graded, and say how many; else the first '
    'one ends it and nothing is written.'
)

# Lines that are in memory at once, their answers shared out among the workers.
_BATCH = {'exact': 1, 'math': 256}


def main(argv: list[str]) -> None:
  del argv
  for name in ('input', 'output'):
    if not flags.FLAGS[name].value:
      raise InputError(f'--{name} is missing: give --{name}=FILE.jsonl')
  grading.check(_GRADER.value)
  total = right = missing = silent = 0
  bad = jsonl.BadLines(_SKIP_BAD.value)
  with files.written_aside(_OUTPUT.value) as output:
    # Silent unless it takes a while.
    rows = iter(tqdm.tqdm(jsonl.read(hub.local(_INPUT.value, 'dataset'), bad), unit=' lines',
                          delay=5))
    while lines := list(itertools.islice(rows, _BATCH[_GRADER.value])):
      asked = []
      for where, row in lines:
        with bad.left_out():
          asked.append((where, row, *_asked(row, where)))
      asked = [(*line, [answers.find(text or '') for text in line[3]]) for line in asked]
      verdicts = iter(grading.are_right(
          _GRADER.value, [(f and f.answer, gold) for *_, gold, found in asked for f in found]))
      for where, row, listed, texts, _, found in asked:
        said = {'extracted': [f and f.answer for f in found],
                'found_by': [f and f.rule for f in found],
                'correct': [next(verdicts) for _ in texts]}
        row |= said if listed else {name: values[0] for name, values in said.items()}
        with bad.left_out():
          output.write(jsonl.dumped(row, where).encode() + b'\n')
          total += len(texts)
          right += sum(said['correct'])
          missing += found.count(None)
          silent += texts.count(None)
  without = f', {silent} of them without a text' if silent else ''
  print(f'{right} of {total} correct, {missing} without an answer{without}', *bad.said(), sep='\n')


def _asked(row: dict[str, Any], where: str) -> tuple[bool, list[str | None], str]:
  """Whether a line has a list of texts, its texts, None where there is none, and its gold answer.

  Raises:
    InputError: one of these is missing, or is no text; or the gold answer is too long.
  """
  texts = sample_texts.texts(row, where)
  known = sample_texts.known_fields(row, {'answer': sample_texts.NAMES['answer']})
  jsonl.gold_field(known, where)  # one that is too long would be compared with nothing
  listed = isinstance(texts, list)
  return listed, texts if listed else [texts], jsonl.text_field(known, 'answer', where)


if __name__ == '__main__':
  with common.started() as argv:
    main(argv)
