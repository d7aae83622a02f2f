"""A shared budget beside the policy that gives every question the same."""

import pytest

from tests.eval import synthetic
from tts.eval import compute_optimal, moved, outcomes as outcomes_lib, results, runfiles


def test_rows_of_a_run(tmp_path):
  run = runfiles.load(synthetic.write_run(tmp_path))
  trials = results.trials_of(run, outcomes_lib.every(run))
  rows, distances = moved.rows(trials)
  free = [row for row in rows if not row['charged']]
  assert {row['estimator'] for row in free} >= {'pool'} and len(rows) > len(free)
  policies, _ = compute_optimal.rows(trials, {})
  for row in rows:
    (equal,) = (p for p in policies if p['n'] == row['n'] and all(
        p[k] == row[k] for k in ('bins', 'estimator', 'charged', 'budget')))
    assert row['equal_accuracy'] == equal['accuracy']
    assert row['accuracy'] - row['difference'] == pytest.approx(equal['accuracy'])
    # Chosen on one fold, spent on the other.
    assert 0 < row['generations'] < 1.5 * row['budget']
  assert {d['baseline'] for d in distances} == {'best_of_n_weighted', 'majority', 'best_fixed'}
