"""A study from before `questions.npz`, read again by today's estimators.

  python -m benchmarks.reread arithmetic/arith arithmetic/plan

From `results/WHERE/outcomes.csv.gz`, which says what each strategy got right, it writes
`reread.json` beside it: contrasts, efficiency, decomposition, moves and those claims whose sides
are in the table, each by the definition that a report has now. Difficulty is the table's oracle
bins.
"""

from __future__ import annotations

import csv
import dataclasses
import gzip
import io
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import app

from configs.claims import CLAIMS
from tts.eval.claims import claim_sides, claims
from tts.eval.measures import contrasts, curves
from tts.eval.measures.outcomes import Outcome
from tts.eval.policy import compute_optimal, decomposition, over_questions, trials as trials_lib
from tts.eval.policy.difficulty import Estimator
from tts.eval.storage import records
from tts.types import Strategy

RESULTS = pathlib.Path(__file__).parents[1] / 'results'
FILE = 'reread.json'
_KEY = ('strategy', 'budget', 'beam_width', 'lookahead', 'verifier', 'aggregation', 'selection')
_COSTS = ('generated_tokens', 'verifier_tokens', 'flops')


def outcomes(table: bytes) -> tuple[list[Outcome], dict[str, int]]:
  """Outcomes and id -> oracle bin of a study without methods' own parameters."""
  found: dict[tuple[str, ...], list[dict[str, str]]] = {}
  bins = {}
  for row in csv.DictReader(io.StringIO(gzip.decompress(table).decode())):
    found.setdefault(tuple(row[k] for k in _KEY), []).append(row)
    if row['bin']:
      bins[row['problem_id']] = int(row['bin'])
  return [_outcome(dict(zip(_KEY, key)), rows) for key, rows in found.items()], bins


def _outcome(what: dict[str, str], rows: list[dict[str, str]]) -> Outcome:
  rows = sorted(rows, key=lambda row: row['problem_id'])
  number = lambda name: int(what[name]) if what[name] else None
  column = lambda name: np.array([float(r[name]) for r in rows]) if rows[0][name] else None
  # What is called by its way to choose was searched by nobody.
  guided = curves.own_selection(what['strategy']) != what['strategy'] and (
      what['strategy'] != 'greedy')
  return Outcome(
      strategy=what['strategy'], budget=int(what['budget']), verifier=what['verifier'] or None,
      aggregation=what['aggregation'] or None, selection=what['selection'], repeats=1,
      ids=tuple(r['problem_id'] for r in rows), accuracy=column('accuracy'),
      unanswered=np.zeros(len(rows)), truncated=np.zeros(len(rows)), seconds=None, guided=guided,
      parameters=Strategy.of(what['strategy'], 1, beam_width=number('beam_width'),
                             lookahead=number('lookahead')).parameters,
      **{name: column(name) for name in _COSTS})


def reread(table: bytes) -> dict[str, Any]:
  """What today's estimators make of a table of outcomes."""
  found, bins = outcomes(table)
  ids = tuple(sorted(bins))
  of = np.array([bins[i] for i in ids])
  trials = trials_lib.every(found, [Estimator('pool', 'oracle', ids, -of.astype(float), bins=of)])
  schemes = {'oracle': bins}
  look = claim_sides.look(found, trials, [], schemes)
  _, distances = compute_optimal.rows(trials, {})
  _, moved = over_questions.rows(trials)
  return {'contrasts': contrasts.rows(found, None, schemes), 'efficiency': distances,
          'decomposition': decomposition.rows(trials), 'moved_efficiency': moved,
          'claims': [r for r in claims.evaluate(CLAIMS, look) if r['effect'] is not None],
          'written': [dataclasses.asdict(c) for c in CLAIMS]}


def main(argv: Sequence[str]) -> None:
  for where in argv[1:]:
    folder = RESULTS / where
    records.write_json(folder / FILE, reread((folder / 'outcomes.csv.gz').read_bytes()))


if __name__ == '__main__':
  app.run(main)
