"""Grades predictions: JSON lines in, the same lines with a verdict out."""

from __future__ import annotations

import json

from absl import flags
import tqdm

from launch import common
from tts.data import answers
from tts.data import files
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
    'and two fields more, "extracted" (the last answer in the prediction, null if '
    'there is none) and "correct".',
)


def main(argv: list[str]) -> None:
  del argv
  for name in ('input', 'output'):
    if not flags.FLAGS[name].value:
      raise InputError(f'--{name} is missing: give --{name}=FILE.jsonl')
  total = right = missing = 0
  with files.written_aside(_OUTPUT.value) as output:
    # Silent unless it takes a while.
    rows = tqdm.tqdm(jsonl.read(_INPUT.value), unit=' lines', delay=5)
    for where, row in rows:
      prediction = jsonl.text_field(row, 'prediction', where)
      gold = jsonl.text_field(row, 'answer', where)
      row['extracted'] = answers.extract(prediction)
      row['correct'] = answers.is_correct(prediction, gold)
      try:
        line = json.dumps(row, allow_nan=False)
      except ValueError as e:
        raise InputError(f'{where}: a number is too large for JSON') from e
      output.write(line.encode() + b'\n')
      total += 1
      right += row['correct']
      missing += row['extracted'] is None
  print(f'{right} of {total} correct, {missing} without an answer')


if __name__ == '__main__':
  common.run(main)
