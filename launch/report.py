"""Writes W/report from a run's files: `python -m launch.report --workdir=W`. Needs no device."""

from __future__ import annotations

import pathlib

from absl import flags

from launch import common
from tts.eval import report
from tts.types import InputError

_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of a run.')


def main(argv: list[str]) -> None:
  del argv
  if not _WORKDIR.value:
    raise InputError('--workdir is missing: give the folder of a run')
  report.write(_WORKDIR.value)
  print(pathlib.Path(_WORKDIR.value) / 'report' / 'index.html')


if __name__ == '__main__':
  common.run(main)
