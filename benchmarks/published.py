"""Folders under `results/`: what a run's report, or the reports of several seeds, put there."""

from __future__ import annotations

import json
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from tts.eval.storage import records

RESULTS = pathlib.Path(__file__).parents[1] / 'results'
OPENINGS = RESULTS / 'openings.json'
_ENDS = ('.json', '.csv', '.npz', '.csv.gz', 'accuracy_vs_budget.png')  # others: by CSV
CELLS = 'cells.json.gz'
_OF_CELLS = ('models', 'verifier', 'curves', 'ablations', 'contrasts', 'equal_flops', 'efficiency',
             'moved_efficiency', 'decomposition', 'revisions', 'flops_matched', 'votes')


def entered(openings: list[dict[str, Any]], study: str,
            *new: dict[str, Any]) -> list[dict[str, Any]]:
  """The registry with a study's openings as its last lines; those of before lost their folder."""
  key = lambda o: (o.get('commit'), o.get('config_hash'), o.get('date'))
  own = {key(o): o['remark'] for o in openings if o['study'] == study}
  made = {key(o) for o in new}
  kept = [o | {'published': o['published'] and o['study'] != study} for o in openings
          if o['study'] != study or key(o) not in made]
  return [*kept, *({'study': study, **o, 'published': True, 'remark': own.get(key(o), '')}
                   for o in new)]


def _emptied(study: str) -> pathlib.Path:
  folder = RESULTS / study
  if folder.exists():
    shutil.rmtree(folder)
  folder.mkdir(parents=True)
  return folder


def _enter(study: str, *openings: dict[str, Any]) -> None:
  if openings:
    records.write_json(OPENINGS, entered(json.loads(OPENINGS.read_text('utf-8')), study, *openings))


def _kept(results: Mapping[str, Any]) -> dict[str, Any]:
  """What the pages read of a cell: what is by bin or by aggregation can be rebuilt."""
  rows = lambda found: [r for r in found if r.get('bin') is None
                        and r.get('aggregation') in (None, 'last')]
  numbers = lambda named: {name: {k: v for k, v in about.items()
                                  if not isinstance(v, list) or k.endswith('_ci95')}
                           if isinstance(about, dict) else about for name, about in named.items()}
  kept = {k: results[k] for k in _OF_CELLS}
  return {k: rows(v) if isinstance(v, list) else numbers(v) if k in ('models', 'verifier') else v
          for k, v in kept.items()}


def publish_cells(cells: Mapping[tuple[int, int], pathlib.Path],
                  claims: Sequence[Mapping[str, Any]], study: str) -> None:
  """Publishes a study of several seeds: each cell's per-question data, and what reports say.

  Args:
    cells: (training seed, benchmark seed) -> folder of its report.
    claims: rows over all cells.
    study: folder under `results/`.
  """
  folder = _emptied(study)
  found = {cell: records.read_json(report / 'results.json') for cell, report in cells.items()}
  for (training, benchmark), report in cells.items():
    (folder / 'cells' / f't{training}-b{benchmark}').mkdir(parents=True)
    shutil.copyfile(report / 'questions.npz',
                    folder / 'cells' / f't{training}-b{benchmark}' / 'questions.npz')
  records.write_bytes(folder / CELLS, records.gzipped(json.dumps([
      {'seeds': cell, 'results': _kept(results)} for cell, results in found.items()]).encode()))
  first = min(found)
  openings = [o for cell, results in found.items() if cell[0] == first[0]
              and (o := results['opening']) is not None]  # one a benchmark seed
  records.write_json(folder / 'results.json', {
      'config': found[first]['config'], 'claims': list(claims),
      'cells': [list(cell) for cell in cells], 'openings': openings})
  _enter(study, *openings)


def publish(report: pathlib.Path, study: str) -> None:
  """Copies what a report has to offer; what the folder had and the report has not is deleted."""
  folder = _emptied(study)
  for path in sorted(report.iterdir()):
    if path.name.endswith(_ENDS):
      shutil.copyfile(path, folder / path.name)
  opening = records.read_json(folder / 'results.json')['opening']
  _enter(study, *([opening] if opening is not None else []))
