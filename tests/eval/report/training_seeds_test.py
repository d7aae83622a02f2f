"""Pooling of seeds, on small tables and against closed forms."""

import numpy as np
import pytest

from tts.eval.measures.outcomes import Outcome
from tts.eval.report import training_seeds
from tts.eval.storage import outcome_table, records
from tts.types import InputError


def outcome(accuracy, strategy='beam', budget=4, ids=None, **fields):
  size = len(accuracy)
  zeros = np.zeros(size)
  values = dict(
      strategy=strategy, budget=budget, parameters=(('beam_width', 4),), verifier='prm',
      aggregation='last', selection='best_of_n_weighted', repeats=1,
      ids=ids or tuple(f'q{i}' for i in range(size)), accuracy=np.array(accuracy, float),
      unanswered=zeros, truncated=zeros, generated_tokens=zeros, verifier_tokens=zeros,
      flops=None, seconds=None)
  return Outcome(**values | fields)


def write(folder, *outcomes):
  folder.mkdir(parents=True)
  records.write_bytes(folder / 'outcomes.csv.gz', outcome_table.encode(outcomes, {}))
  return folder


def test_rows(tmp_path):
  seeds = {0: write(tmp_path / '0', outcome([1, 0, 0.5]), outcome([1, 1], 'greedy', 1)),
           7: write(tmp_path / '7', outcome([0, 0, 1, 1], ids=('q0', 'q2', 'q1', 'q9')))}
  row, = training_seeds.rows(seeds)  # greedy is missing from the second
  assert row['by_seed'] == [0.5, pytest.approx(1 / 3)] and row['n'] == 3
  assert row['accuracy'] == pytest.approx(np.mean(row['by_seed']))
  assert (row['strategy'], row['beam_width'], row['lookahead'], row['budget']) == (
      'beam', 4, None, 4)
  assert row['ci95'][0] <= row['accuracy'] <= row['ci95'][1]


def test_main_rows_are_the_curves_own(tmp_path):
  seeds = {s: write(tmp_path / str(s), outcome([1, 0]), outcome([1, 0], selection='majority'),
                    outcome([1, 0], verifier='orm')) for s in range(2)}
  found = training_seeds.rows(seeds)
  assert len(found) == 3 and len(training_seeds.main_rows(found)) == 1


def test_interval_has_both_levels():
  """Var = var of seeds / S + var of questions / Q, for effects that add up."""
  rng = np.random.default_rng(0)
  seeds, questions = 40, 400
  for by_seed, by_question in ((0.5, 1.0), (0.0, 1.0), (0.5, 0.0)):
    s, q = rng.normal(size=(seeds, 1)), rng.normal(size=(1, questions))
    low, high = training_seeds.two_level_interval(by_seed * s + by_question * q)
    want = np.sqrt(by_seed**2 * s.var() / seeds + by_question**2 * q.var() / questions)
    assert (high - low) / (2 * 1.96) == pytest.approx(want, rel=0.1)


def test_one_seed_or_one_question_has_no_interval():
  assert training_seeds.two_level_interval(np.ones((1, 9))) is None
  assert training_seeds.two_level_interval(np.ones((9, 1))) is None


def test_damage_is_named(tmp_path):
  folder = write(tmp_path / '0', outcome([1, 0]))
  path = folder / 'outcomes.csv.gz'
  path.write_bytes(path.read_bytes()[:20])
  with pytest.raises(InputError, match='is damaged'):
    training_seeds.rows({0: folder})
  path.unlink()
  with pytest.raises(InputError, match='is missing'):
    training_seeds.rows({0: folder})
