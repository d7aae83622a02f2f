"""Verdicts over training and benchmark seeds: several runs of one study as one result.

  python -m benchmarks.seeds --workdirs=/tmp/seed4,/tmp/seed5,/tmp/seed6 [--study=arithmetic/arith]

Each folder is a run on a benchmark of its own, with all its training seeds and their reports.
Prints a line per claim: its verdict, from the crossed design alone, and the mean of each cell.
With --study all of it is published under `results/`, a folder of per-question data a cell.
"""

from __future__ import annotations

import pathlib

from absl import flags

from benchmarks import published
from launch import common
from tts.eval.claims import claim_sides
from tts.eval.report import training_seeds
from tts.eval.storage import records
from tts.types import InputError

_WORKDIRS = flags.DEFINE_list('workdirs', [], 'folders of runs, one a benchmark seed')
_STUDY = flags.DEFINE_string('study', None, 'folder under results/ to publish to')


def main(argv: list[str]) -> None:
  del argv
  folders = [pathlib.Path(f) for f in _WORKDIRS.value]
  if len(folders) < 2:
    raise InputError('--workdirs: give at least two folders of runs')
  results = [records.read_json(f / 'report' / 'results.json') for f in folders]
  seeds = [tuple(r['seeds']) for r in results]
  if len(set(seeds)) > 1:
    raise InputError(f'--workdirs: their training seeds differ: {seeds}')
  first = seeds[0][0]
  benchmarks = [(r['opening'] or {}).get('benchmark_seed', i) for i, r in enumerate(results)]
  cells = {(seed, b): (folder if seed == first else folder / 'seeds' / str(seed)) / 'report'
           for b, folder in zip(benchmarks, folders) for seed in seeds[0]}
  rows = training_seeds.claim_rows(cells, claim_sides.load(folders[0]), results[0]['claims'])
  if _STUDY.value:
    published.publish_cells(cells, rows, _STUDY.value)
  for row in rows:
    value = 'not measured' if row['effect'] is None else (
        f'{row["effect"]:+.4f} [{", ".join(f"{x:.4f}" for x in row["ci95"] or ())}], cells '
        + ' '.join(f'{x:+.3f}' for x in row.get('by_seed', ())))
    print(f'{row["id"]:<36} {row["reproduced"]!s:<13} {value}')


if __name__ == '__main__':
  with common.started() as argv:
    main(argv)
