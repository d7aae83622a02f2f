"""Folders under `results/`: what a run's report, or the reports of several seeds, put there."""

from __future__ import annotations

import gzip
import json
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import slim_cells
from tts.eval.claims import claim_sides
from tts.eval.report.training_seeds import CLAIMS
from tts.eval.storage import records

RESULTS = pathlib.Path(__file__).parents[1] / 'results'
OPENINGS = RESULTS / 'openings.json'
_ENDS = ('.json', '.csv', '.npz', '.csv.gz', 'accuracy_vs_budget.png')  # others: by CSV
CELL = 'results.json.gz'
_OF_CELLS = ('config', 'opening', 'claims', 'models', 'verifier', 'curves', 'ablations',
             'contrasts', 'equal_flops', 'efficiency', 'moved_efficiency', 'decomposition',
             'revisions', 'flops_matched', 'votes')


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
  kept = {k: results[k] for k in _OF_CELLS}
  for part in ('models', 'verifier'):
    kept[part] = {name: {k: v for k, v in about.items()
                         if not isinstance(v, list) or k.endswith('_ci95')}
                  if isinstance(about, dict) else about for name, about in results[part].items()}
  for part, rows in kept.items():
    if isinstance(rows, list):
      kept[part] = [r for r in rows if _read(r)]
  kept['reasons'] = {k: why for k, why in results['reasons'].items()
                     if k.startswith('efficiency.search')}
  return kept


def _read(row: Mapping[str, Any]) -> bool:
  """Whether a page may have a field of this row; by level alone of exchange."""
  by_level = row.get('bins') == 'level' and row.get('larger_strategy') == 'greedy' and (
      row.get('accounting') == 'paper')
  return ((row.get('bin') is None or by_level) and row.get('aggregation') in (None, 'last')
          and row.get('selection') not in ('majority', 'oracle')
          and row.get('mechanism') in (None, 'search')
          and row.get('axis') not in ('tokens', 'seconds'))


def cells(study: str) -> dict[tuple[int, int], pathlib.Path]:
  """(training seed, benchmark seed) -> folder, of what is published of a study of several seeds."""
  found = (RESULTS / study / 'cells').glob('t*-b*')
  return {tuple(map(int, path.name[1:].split('-b'))): path for path in sorted(found)}


def add_cells(reports: Mapping[tuple[int, int], pathlib.Path], workdir: pathlib.Path,
              study: str) -> None:
  """Publishes cells of one run beside those that are there: their data, and what reports say.

  Args:
    reports: (training seed, benchmark seed) -> folder of its report.
    workdir: of the run; its claims become the study's.
    study: folder under `results/`.
  """
  for (training, benchmark), report in reports.items():
    folder = RESULTS / study / 'cells' / f't{training}-b{benchmark}'
    folder.mkdir(parents=True, exist_ok=True)
    records.write_bytes(folder / 'questions.npz', slim_cells.slim(report / 'questions.npz'))
    shutil.copyfile(report / CLAIMS, folder / CLAIMS)
    results = records.read_json(report / 'results.json')
    records.write_bytes(folder / CELL, records.gzipped(json.dumps(_kept(results)).encode()))
  _enter(study, *_openings(study))
  for name in claim_sides.FILES.values():
    if (workdir / name).exists():
      shutil.copyfile(workdir / name, RESULTS / study / name)


def of_cell(folder: pathlib.Path) -> dict[str, Any]:
  """What a published cell's report said."""
  return json.loads(gzip.decompress((folder / CELL).read_bytes()))


def _openings(study: str) -> list[dict[str, Any]]:
  """One for each benchmark seed, commit and day: its first cell's."""
  found: dict[tuple, dict[str, Any]] = {}
  for folder in cells(study).values():
    if (o := of_cell(folder)['opening']) is not None:
      found.setdefault((o['benchmark_seed'], o['commit'], o['date']), o)
  return list(found.values())


def publish_verdicts(study: str, claims: Sequence[Mapping[str, Any]]) -> None:
  """Writes what all published cells of a study say together."""
  found = cells(study)
  records.write_json(RESULTS / study / 'results.json', {
      'config': of_cell(found[min(found)])['config'], 'claims': list(claims),
      'cells': [list(cell) for cell in found], 'openings': _openings(study)})


def publish(report: pathlib.Path, study: str) -> None:
  """Copies what a report has to offer; what the folder had and the report has not is deleted."""
  folder = _emptied(study)
  for path in sorted(report.iterdir()):
    if path.name.endswith(_ENDS):
      shutil.copyfile(path, folder / path.name)
  opening = records.read_json(folder / 'results.json')['opening']
  _enter(study, *([opening] if opening is not None else []))
