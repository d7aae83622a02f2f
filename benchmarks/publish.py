"""Publishes a run's report: results, per-question data and one figure to `results/`, for git.

  python -m benchmarks.publish --workdir=/tmp/tts-quickstart --study=quickstart/arith

Where the run answered `test`, its opening is entered into `results/openings.json`; the lines that a
person has written there stay. Then `python -m benchmarks.pages` writes the pages anew.
"""

from __future__ import annotations

import pathlib

from absl import flags

from benchmarks import published
from launch import common
from tts.types import InputError

_WORKDIR = flags.DEFINE_string('workdir', None, 'folder of a run')
_STUDY = flags.DEFINE_string('study', None, 'folder under results/, e.g. quickstart/arith')


def main(argv: list[str]) -> None:
  del argv
  if not _WORKDIR.value or not _STUDY.value:
    raise InputError('--workdir and --study are needed: a run, and its folder under results/')
  report = pathlib.Path(_WORKDIR.value) / 'report'
  if not (report / 'questions.npz').is_file():
    raise InputError(f'{report} has no questions.npz: run launch.report --workdir={_WORKDIR.value}')
  published.publish(report, _STUDY.value)


if __name__ == '__main__':
  with common.started() as argv:
    main(argv)
