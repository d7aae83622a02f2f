"""Writes `W/report`: `results.json`, what each question's answers were, figures, `index.html`, and
a page for each search tree.

Everything is made anew from the run's files, at any moment of the run.
"""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from absl import logging

from tts import plugins
from tts.eval.claims import claim_sides
from tts.eval.exchange import exchange_sides
from tts.eval.figures import all_figures
from tts.eval.policy import estimators, policy
from tts.eval.report import index_page, opening, question_data, results as results_lib
from tts.eval.report import small_bins, training_seeds, tree_list, tree_page
from tts.eval.report.training_seeds import Cell, CLAIMS
from tts.eval.storage import outcome_table, records, runfiles
from tts.types import InputError


def _cells(workdir: pathlib.Path, results: Mapping[str, Any]) -> dict[Cell, pathlib.Path]:
  """Report folders by training seed, on one benchmark, once each has one; else {}, and the reason.
  """
  first, *others = results['seeds'] or [None]
  folders = {first: workdir / 'report'} | {s: workdir / 'seeds' / str(s) / 'report' for s in others}
  waiting = [str(s) for s, folder in folders.items()
             if not all((folder / name).exists() for name in ('outcomes.csv.gz', CLAIMS))]
  if others and not waiting:
    return {(seed, 0): folder for seed, folder in folders.items()}
  results['reasons']['pooled'] = (
      f'no report yet of seeds {", ".join(waiting)}' if others else 'one training seed')
  return {}


def _tree(folder: pathlib.Path, path: pathlib.Path) -> tuple[str, dict[str, Any]]:
  """Writes one tree's page; its name and what it shows."""
  contents = records.read_json(path)
  file = f'tree-{path.stem}.html'
  records.write_bytes(folder / file, tree_page.render(contents, str(path)).encode())
  return file, contents


def write(workdir: str | os.PathLike[str], mapped: Callable = map) -> dict[str, Any]:
  """Writes the whole report.

  Args:
    workdir: a run's folder; whatever is there so far is reported.
    mapped: `map`, or an executor's, to read files and draw figures in several processes.

  Returns:
    The contents of `results.json`.

  Raises:
    InputError: the folder is not a run's, or one of its files is damaged.
  """
  run = runfiles.load(workdir, mapped)
  try:
    plugins.load((run.run.get('config') or {}).get('plugins') or ())
  except InputError as error:  # of an estimator; what else they added is in the records
    logging.warning('%s: the report goes without its difficulty estimators', error)
  folder = pathlib.Path(workdir) / 'report'
  outcomes = results_lib.measured(run)
  bins = results_lib.schemes_of(run).get('oracle', {})
  encoding = mapped(functools.partial(outcome_table.encode, bins=bins), [outcomes])
  trials = results_lib.trials_of(run, outcomes)
  results = results_lib.assemble(run, outcomes, trials, mapped)
  records.write_bytes(folder / 'outcomes.csv.gz', *encoding)
  records.write_bytes(folder / CLAIMS, claim_sides.encode(run.root, claim_sides.look(
      outcomes, trials, list(exchange_sides.larger_sides(run)), results_lib.schemes_of(run))))
  cells = _cells(pathlib.Path(workdir), results)
  results['pooled'] = training_seeds.rows(cells) if cells else []
  if cells:  # one seed's verdicts are not the study's
    results['claims'] = training_seeds.claim_rows(
        cells, claim_sides.load(run.root), results['claims'])
  results['opening'] = opening.of(
      run, max((len(o.ids) for o in outcomes), default=0), results['claims'])
  records.write_json(folder / 'results.json', results)
  fits = (policy.fit([t for t in trials if t.estimator.name == name])
          for name in estimators.saved(run))
  if (fitted := next(filter(None, fits), None)) is not None:
    policy.save(fitted, run.root / 'policy.json')
  else:  # one from before would answer for records that are no longer there
    (run.root / 'policy.json').unlink(missing_ok=True)
  shown = small_bins.left_out(results)
  drawing = all_figures.draw(shown, mapped)
  records.write_bytes(folder / question_data.FILE, question_data.encode(
      run, list(dict.fromkeys(t.estimator for t in trials)), claim_sides.load(run.root)))
  figures = list(drawing)
  for figure in figures:
    records.write_bytes(folder / f'{figure.name}.png', figure.png)
    records.write_bytes(folder / f'{figure.name}.csv', figure.csv())
  trees = list(mapped(functools.partial(_tree, folder), run.trees))
  records.write_bytes(folder / 'index.html', index_page.render(
      shown, figures, trees, tree_list.votes(outcomes, trees)).encode())
  drawn = {f.name for f in figures}
  stale = [folder / f'{name}.{end}' for name in all_figures.FILES if name not in drawn
           for end in ('png', 'csv')]
  stale += [p for p in folder.glob('tree-*.html') if p.name not in dict(trees)]
  for path in stale:
    path.unlink(missing_ok=True)
  return results
