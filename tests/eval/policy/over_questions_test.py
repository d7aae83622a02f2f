"""A shared budget beside the policy that gives every question the same."""

import numpy as np
import pytest

from tests.eval import synthetic
from tts.eval.measures import outcomes as outcomes_lib
from tts.eval.policy import compute_optimal, difficulty, efficiency, over_bins, over_questions
from tts.eval.policy import strategy_options
from tts.eval.report import results
from tts.eval.storage import runfiles

WHOSE = ('bins', 'estimator', 'charged')


@pytest.fixture(scope='module')
def trials(tmp_path_factory):
  run = runfiles.load(synthetic.write_run(tmp_path_factory.mktemp('run'), questions=40, deep=10))
  return results.trials_of(run, outcomes_lib.every(run))


@pytest.fixture(scope='module')
def made(trials):
  return over_questions.rows(trials)


def trial_of(trials, row):
  (found,) = (t for t in trials if t.widest and all(
      compute_optimal.what(t.estimator, t.found)[k] == row[k] for k in WHOSE))
  return found


def test_rows_of_a_run(trials, made):
  rows, distances = made
  free = [row for row in rows if not row['charged']]
  assert {row['estimator'] for row in free} >= {'pool'} and len(rows) > len(free)
  assert {row['estimator'] for row in rows if row['charged']} == {difficulty.CHARGED}
  assert {row['n'] for row in rows} == {40}  # not the ten that have a deep pool
  policies, _ = compute_optimal.rows(trials, {})
  for row in rows:
    (equal,) = (p for p in policies if p['n'] == row['n'] and all(
        p[k] == row[k] for k in (*WHOSE, 'budget')))
    assert row['equal_accuracy'] == equal['accuracy']
    assert row['accuracy'] - row['difference'] == pytest.approx(equal['accuracy'])
    assert row['difference_ci95'][0] <= row['difference'] <= row['difference_ci95'][1]
    # Chosen on one fold, spent on the other.
    assert 0 < row['generations'] < 1.5 * row['budget']
  assert {d['baseline'] for d in distances} == {'best_of_n_weighted', 'majority', 'best_fixed'}


def test_rows_are_what_their_choices_give_on_the_other_folds(trials, made):
  for row in made[0]:
    trial = trial_of(trials, row)
    split = trial.splits[row['budget']]
    weight, right = trial.sums.weight[..., 0], trial.sums.right[..., 0]
    costs = trial.found.charged('generations', trial.estimator)
    assert row['generations'] == pytest.approx((costs[split.picked] * weight).sum() / weight.sum())
    assert row['accuracy'] == pytest.approx(
        np.take_along_axis(right, split.picked[None], axis=0).sum() / weight.sum(), abs=1e-5)
    assert row['choices'] == [strategy_options.name(trial.found.outcomes[i]) for i in split.everywhere]
    assert row['replicates'] == over_bins.REPLICATES


def test_distances_are_those_of_the_rows(trials, made):
  rows, distances = made
  for distance in distances:
    trial = trial_of(trials, distance)
    mine = [row for row in rows if all(row[k] == distance[k] for k in WHOSE)]
    cost, accuracy = compute_optimal.baseline(trial, 'generations', distance['baseline'])
    mine = [row for row in mine if trial.found.complete(row['budget'])]
    ratios = efficiency.ratios(cost[:1] if cost.ndim > 1 else cost, accuracy[:1],
                               np.array([row['generations'] for row in mine]),
                               np.array([[row['accuracy'] for row in mine]]))
    assert [x for _, x in distance['at']] == [
        pytest.approx(x, rel=1e-3) if np.isfinite(x) else None for x in ratios[0]]
    assert distance['ratio'] is None or distance['ratio'] == pytest.approx(
        np.exp(np.log(ratios[np.isfinite(ratios)]).mean()), rel=1e-3)
