"""Publishes a run's report: results, per-question data and one figure to `results/`, for git.

  python -m benchmarks.publish --workdir=/tmp/tts-quickstart --study=quickstart/arith

Where the run answered `test`, its opening is entered into `results/openings.json`; the lines that a
person has written there stay. Then `python -m benchmarks.pages` writes the pages anew.
"""

from __future__ import annotations

import json
import pathlib
import shutil
from typing import Any

from absl import flags

from launch import common
from tts.eval.storage import records
from tts.types import InputError

RESULTS = pathlib.Path(__file__).parents[1] / 'results'
OPENINGS = RESULTS / 'openings.json'
_ENDS = ('.json', '.csv', '.npz', '.csv.gz', 'accuracy_vs_budget.png')  # others: by CSV
_WORKDIR = flags.DEFINE_string('workdir', None, 'folder of a run')
_STUDY = flags.DEFINE_string('study', None, 'folder under results/, e.g. quickstart/arith')


def entered(openings: list[dict[str, Any]], study: str,
            opening: dict[str, Any]) -> list[dict[str, Any]]:
  """The registry with a study's opening as its last line; one of before has lost its folder."""
  key = ('commit', 'config_hash', 'date')
  same = lambda o: o['study'] == study and all(o.get(k) == opening[k] for k in key)
  remark = next((o['remark'] for o in openings if same(o)), '')
  kept = [o | {'published': o['published'] and o['study'] != study} for o in openings
          if not same(o)]
  return [*kept, {'study': study, **opening, 'published': True, 'remark': remark}]


def publish(report: pathlib.Path, study: str) -> None:
  """Copies what a report has to offer; what the folder had and the report has not is deleted."""
  folder = RESULTS / study
  if folder.exists():
    shutil.rmtree(folder)
  folder.mkdir(parents=True)
  for path in sorted(report.iterdir()):
    if path.name.endswith(_ENDS):
      shutil.copyfile(path, folder / path.name)
  opening = records.read_json(folder / 'results.json')['opening']
  if opening is not None:
    records.write_json(OPENINGS, entered(json.loads(OPENINGS.read_text('utf-8')), study, opening))


def main(argv: list[str]) -> None:
  del argv
  if not _WORKDIR.value or not _STUDY.value:
    raise InputError('--workdir and --study are needed: a run, and its folder under results/')
  report = pathlib.Path(_WORKDIR.value) / 'report'
  if not (report / 'questions.npz').is_file():
    raise InputError(f'{report} has no questions.npz: run launch.report --workdir={_WORKDIR.value}')
  publish(report, _STUDY.value)


if __name__ == '__main__':
  with common.started() as argv:
    main(argv)
