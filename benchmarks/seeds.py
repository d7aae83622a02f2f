"""Verdicts over training and benchmark seeds: several runs of one study as one result.

  python -m benchmarks.seeds --workdirs=/tmp/seed4,/tmp/seed5,/tmp/seed6 [--study=seeds/arith]

Each folder is a run on one benchmark seed, with some of the training seeds; a cell is one of each.
Prints a line per claim: its verdict, from the crossed design alone, and the mean of each cell.
With --study the cells that have a report are published under `results/`, beside those of other
runs that are there, and the verdicts are over them all; so a study can be done piece by piece, on
several machines. As long as cells are missing it says which.
"""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Iterable

from absl import flags

from benchmarks import published
from launch import common
from tts.eval.claims import claim_sides
from tts.eval.report import training_seeds
from tts.eval.report.question_data import FILE
from tts.eval.storage import records
from tts.types import InputError

_WORKDIRS = flags.DEFINE_list('workdirs', [], 'folders of runs')
_STUDY = flags.DEFINE_string('study', None, 'folder under results/ to publish to')

Cell = training_seeds.Cell


def reports(workdir: pathlib.Path) -> dict[Cell, pathlib.Path]:
  """The cells of a run that have a report of all stages: one of some is written on the way."""
  run = records.read_json(workdir / 'run.json')
  seeds, data = run['seeds'], run['config']['data']
  last = 'revise' if run['config']['revision']['enabled'] else 'difficulty'
  folders = {seed: workdir if seed == seeds[0] else workdir / 'seeds' / str(seed) for seed in seeds}
  return {(seed, data[data['family']]['seed']): folder / 'report'
          for seed, folder in folders.items()
          if (folder / 'report' / FILE).exists() and (folder / 'stages' / f'{last}.json').exists()}


def missing(cells: Iterable[Cell]) -> list[Cell]:
  """Those without which not every training seed has every benchmark."""
  training, benchmarks = ({cell[i] for cell in cells} for i in (0, 1))
  return sorted(set(itertools.product(training, benchmarks)) - set(cells))


def main(argv: list[str]) -> None:
  del argv
  if not _WORKDIRS.value:
    raise InputError('--workdirs is missing: give folders of runs')
  study, cells = _STUDY.value, {}
  for workdir in map(pathlib.Path, _WORKDIRS.value):
    cells |= (found := reports(workdir))
    if study:
      published.add_cells(found, workdir, study)
  if study:
    cells = published.cells(study)
  if (waiting := missing(cells)) or min(len({cell[i] for cell in cells}) for i in (0, 1)) < 2:
    print(f'{len(cells)} cells; verdicts take at least two training and two benchmark seeds, each '
          'with each' + ''.join(f'\n  t{t}-b{b} is missing' for t, b in waiting))
    return
  written = claim_sides.load(published.RESULTS / study if study else
                             pathlib.Path(_WORKDIRS.value[0]))
  # Claims are written down with a run's first training seed, and its report has their rows.
  first = cells[min(cells)]
  own = published.of_cell(first) if study else records.read_json(first / 'results.json')
  rows = training_seeds.claim_rows(cells, written, own['claims'])
  if study:
    published.publish_verdicts(study, rows)
  for row in rows:
    value = 'not measured' if row['effect'] is None else (
        f'{row["effect"]:+.4f} [{", ".join(f"{x:.4f}" for x in row["ci95"] or ())}], cells '
        + ' '.join(f'{x:+.3f}' for x in row.get('by_seed', ())))
    print(f'{row["id"]:<36} {row["reproduced"]!s:<13} {value}')


if __name__ == '__main__':
  with common.started() as argv:
    main(argv)
