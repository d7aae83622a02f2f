"""How long the report of a study takes: 1.5 million made-up rows of 2,000 questions.

  python -m benchmarks.report [--workdir=/tmp/large-report]

Writes the records (some minutes; those of a former call are used again) and makes the report twice,
as `launch.report` does it: first of records that nobody has read yet, then with their columns kept.
"""

from __future__ import annotations

import gzip
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from absl import flags

from launch import common
from tests.eval import synthetic
from tts.eval.storage import records

_WORKDIR = flags.DEFINE_string(
    'workdir', os.path.join(tempfile.gettempdir(), 'tts-large-report'), 'where the records lie')
_BEAMS = ((2, 4), (4, 4), (4, 16), (2, 16), (4, 64), (8, 64), (2, 64), (16, 64))


def main(argv: list[str]) -> None:
  del argv
  workdir = pathlib.Path(_WORKDIR.value)
  if not list(workdir.glob('trees/*')):  # what is written last
    synthetic.write_run(workdir, questions=2000, pool=64, difficulty=64, beams=_BEAMS, deep=500,
                        verifiers=('prm', 'prm_plain', 'orm'), larger_pool=16)
  blocks = records.blocks(workdir)
  rows = sum(gzip.decompress(path.read_bytes()).count(b'\n') for path in blocks)
  print(f'{rows:,} rows in {len(blocks)} blocks')
  shutil.rmtree(workdir / 'cache', ignore_errors=True)
  for kept in ('nothing', 'columns'):
    start = time.monotonic()
    subprocess.run([sys.executable, '-m', 'launch.report', f'--workdir={workdir}'], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(f'report with {kept} kept: {time.monotonic() - start:.1f} s; questions.npz '
          f'{(workdir / "report" / "questions.npz").stat().st_size / 1e6:.1f} MB')


if __name__ == '__main__':
  with common.started() as arguments:
    main(arguments)
