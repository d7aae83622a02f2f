"""Grades predictions: JSON lines in, the same lines with a verdict out."""

from __future__ import annotations

import itertools

from absl import flags
import tqdm

from launch import common
from tts import answers
from tts.data import files
from tts.answers import grading
from tts.data import hub
from tts.data import jsonl
from tts.types import InputError

_INPUT = flags.DEFINE_string(
    'input',
    None,
    'JSONL file. Every line has "prediction", the text that a model wrote, and '
    '"answer", the gold one: bare, in \\boxed{}, or at the end after ####.',
)
_OUTPUT = flags.DEFINE_string(
    'output',
    None,
    'JSONL file to write, in an existing folder: the same lines in the same order '
    'and three fields more: "extracted" (the answer in the prediction, null if '
    'there is none), "found_by" (what marked it: box, marker, tag, label, sentence, bold, bare) and '
    '"correct".',
)
_GRADER = flags.DEFINE_enum(
    'grader',
    'exact',
    grading.GRADERS,
    'exact: answers are compared by the kinds of value that they are. math: what exact cannot read '
    '(sums, integrals, limits) is compared by math-verify (pip install -e ".[math]").',
)

# Lines that are in memory at once, their answers shared out among the workers.
_BATCH = {'exact': 1, 'math': 256}


def main(argv: list[str]) -> None:
  del argv
  for name in ('input', 'output'):
    if not flags.FLAGS[name].value:
      raise InputError(f'--{name} is missing: give --{name}=FILE.jsonl')
  grading.check(_GRADER.value)
  total = right = missing = 0
  with files.written_aside(_OUTPUT.value) as output:
    # Silent unless it takes a while.
    rows = iter(tqdm.tqdm(jsonl.read(hub.local(_INPUT.value, 'dataset')), unit=' lines', delay=5))
    while batch := list(itertools.islice(rows, _BATCH[_GRADER.value])):
      pairs = [(jsonl.text_field(row, 'prediction', where), jsonl.text_field(row, 'answer', where))
               for where, row in batch]
      for where, row in batch:
        jsonl.gold_field(row, where)  # one that is too long would be compared with nothing
      verdicts = grading.are_correct(_GRADER.value, pairs)
      for (where, row), (prediction, _), verdict in zip(batch, pairs, verdicts):
        found = answers.find(prediction)
        row['extracted'], row['found_by'] = (found.answer, found.rule) if found else (None, None)
        row['correct'] = verdict
        output.write(jsonl.dumped(row, where).encode() + b'\n')
        total += 1
        right += verdict
        missing += row['extracted'] is None
  print(f'{right} of {total} correct, {missing} without an answer')


if __name__ == '__main__':
  common.run(main)
