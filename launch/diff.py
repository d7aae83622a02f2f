"""Compares two runs: configs, strategies paired question by question, questions that flipped.

  python -m launch.diff W1 W2

Needs no device. Differences are the second's minus the first's on the questions that both asked,
with 95% intervals over these.
"""

from __future__ import annotations

from absl import flags

from . import common
from tts.data import hub
from tts.eval.report import diff, results
from tts.eval.storage import runfiles

_STRATEGY = flags.DEFINE_string(
    'strategy', None, 'Whose flipped questions are listed, by its name in the table.')
_QUESTIONS = flags.DEFINE_integer(
    'questions', 10, 'How many of them are listed.', lower_bound=0)


def main(argv: list[str]) -> None:
  runs = tuple(runfiles.load(hub.local(folder)) for folder in argv[1:])
  measured = tuple(results.measured(run) for run in runs)
  print(diff.text(runs, measured, _STRATEGY.value, _QUESTIONS.value))


if __name__ == '__main__':
  with common.started(('W1', 'W2')) as argv:
    main(argv)
