"""Writes W/report from a run's files: `python -m launch.report --workdir=W`. Needs no device."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import pathlib

# The products are small, and there is a process for each core: a second thread of OpenBLAS waits
# more than it computes. It is asked when numpy is imported, here and in the processes.
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')

from absl import flags
from tqdm import tqdm

from . import common
from tts import machine
from tts.data import buckets
from tts.eval.report import report
from tts.types import InputError

_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of a run.')


def write(workdir: str) -> None:
  """Writes the report, with a process per core, and says where it is."""
  # Spawned, since a fork may inherit a lock that some thread holds.
  spawn = multiprocessing.get_context('spawn')
  workers = machine.cores()
  with concurrent.futures.ProcessPoolExecutor(workers, mp_context=spawn) as pool:
    report.write(workdir, lambda f, xs: tqdm(
        pool.map(f, xs), 'report', len(xs), leave=False, delay=5))
  print(pathlib.Path(workdir) / 'report' / 'index.html')


def main(argv: list[str]) -> None:
  del argv
  if not _WORKDIR.value:
    raise InputError('--workdir is missing: give the folder of a run')
  with buckets.opened(_WORKDIR.value) as workdir:
    write(workdir)


if __name__ == '__main__':
  with common.started() as argv:
    main(argv)
