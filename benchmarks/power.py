"""The power of the paper's claims on a benchmark that has not been opened, from a run on `dev`.

  python -m benchmarks.power --dev=/tmp/dev-run --questions=2000 [--workdir=/tmp/new-run]

prints a line per claim; with --workdir it is written down there, before the run begins, and the
run's report marks the claims that so many questions cannot decide.
"""

from __future__ import annotations

import pathlib

from absl import flags

from configs.claims import CLAIMS, REVISION_CLAIMS
from launch import common
from tts.eval.claims import claim_sides, power
from tts.eval.exchange import exchange_sides
from tts.eval.report import results
from tts.eval.storage import runfiles
from tts.types import InputError

_DEV = flags.DEFINE_string('dev', None, 'folder of a run on `dev`')
_QUESTIONS = flags.DEFINE_integer('questions', None, 'questions of the benchmark to come')
_WORKDIR = flags.DEFINE_string('workdir', None, 'folder of the run to come')


def main(argv: list[str]) -> None:
  del argv
  if not _DEV.value or not _QUESTIONS.value:
    raise InputError('--dev and --questions are needed: a run on dev, and how many are to come')
  run = runfiles.load(_DEV.value)
  found = results.measured(run)
  look = claim_sides.look(found, results.trials_of(run, found),
                          list(exchange_sides.larger_sides(run)), results.schemes_of(run))
  asked = max((len(o.ids) for o in found), default=0)
  if not asked:
    raise InputError(f'{_DEV.value} has measured nothing yet')
  claims = [*CLAIMS, *(REVISION_CLAIMS if any(o.chains for o in found) else ())]
  rows = power.rows(claims, look, _QUESTIONS.value / asked)
  for row in rows:
    said = ('not measured on dev' if row['power'] is None else
            f'n = {row["n"]:,}, effect {row["effect"]:+.3f}, power {row["power"]:.2f}'
            + (': undecidable' if row['undecidable'] else ''))
    print(f'{row["id"]:<36} {said}')
  if _WORKDIR.value:
    power.save(rows, pathlib.Path(_WORKDIR.value))


if __name__ == '__main__':
  with common.started() as argv:
    main(argv)
