"""The opening of a `test` split: when a run's answers to it were first looked at, and by what code.

Whoever has seen results on `test` chooses by them, knowingly or not, so that each look counts. A
run's first report that has any is its opening; it is written down then and does not change.
`results/openings.json` lists those of all published studies.
"""

from __future__ import annotations

import datetime
import pathlib
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

import tts
from tts.eval.storage import records
from tts.eval.storage.runfiles import RunFiles

FILE = 'opening.json'
_SPLIT = 'test'


def commit() -> str | None:
  """What this code is, `-dirty` where files of it have changed since; None outside a checkout."""
  root = pathlib.Path(tts.__file__).parents[1]
  if not (root / '.git').exists():  # installed, maybe inside of another checkout
    return None
  try:
    found = subprocess.run(
        ['git', '-C', str(root), 'describe', '--always', '--dirty', '--abbrev=12', '--exclude=*'],
        capture_output=True, text=True, timeout=10, check=True)
  except (OSError, subprocess.SubprocessError):
    return None
  return found.stdout.strip() or None


def of(run: RunFiles, questions: int, claims: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
  """`opening` of the results; None of a run that has answered nothing of `test`.

  Args:
    run: its files; the first time, `opening.json` is written among them.
    questions: that have been answered.
    claims: rows of the results, whose verdicts are part of what was seen.
  """
  config = run.run.get('config') or {}
  if (config.get('search') or {}).get('split') != _SPLIT or not questions:
    return None
  path = run.root / FILE
  if not path.exists():
    now = datetime.datetime.now(datetime.UTC)
    records.write_json(path, {'date': now.strftime('%Y-%m-%d'), 'commit': commit()})
  family = (config.get('data') or {}).get('family')
  said = [row['reproduced'] for row in claims]
  return {**records.read_object(path, 'date', 'commit'), 'split': _SPLIT,
          'config': config.get('name'), 'config_hash': run.run.get('config_hash'),
          'family': family,
          'benchmark_seed': ((config.get('data') or {}).get(family) or {}).get('seed'),
          'questions': questions,
          'verdicts': {'held': said.count(True), 'did not hold': said.count(False),
                       'inconclusive': said.count('inconclusive')}}
