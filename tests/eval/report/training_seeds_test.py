"""Pooling of seeds, on small tables and against closed forms."""

import numpy as np
import pytest

from tts.eval.claims.claims import Claim, Side
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
  seeds = {(0, 0): write(tmp_path / '0', outcome([1, 0, 0.5]), outcome([1, 1], 'greedy', 1)),
           (7, 0): write(tmp_path / '7', outcome([0, 0, 1, 1], ids=('q0', 'q2', 'q1', 'q9')))}
  row, = training_seeds.rows(seeds)  # greedy is missing from the second
  assert row['by_seed'] == [0.5, pytest.approx(1 / 3)] and row['n'] == 3
  assert row['accuracy'] == pytest.approx(np.mean(row['by_seed']))
  assert (row['strategy'], row['beam_width'], row['lookahead'], row['budget']) == (
      'beam', 4, None, 4)
  assert row['ci95'][0] <= row['accuracy'] <= row['ci95'][1]


def test_main_rows_are_the_curves_own(tmp_path):
  seeds = {(s, 0): write(tmp_path / str(s), outcome([1, 0]), outcome([1, 0], selection='majority'),
                    outcome([1, 0], verifier='orm')) for s in range(2)}
  found = training_seeds.rows(seeds)
  assert len(found) == 3 and len(training_seeds.main_rows(found)) == 1


def cells_of(values, benchmarks=None):
  """[training seeds, Q] of one benchmark as cells, or a list of these, one a benchmark."""
  tables = [values] if benchmarks is None else benchmarks
  return {(t, b): {f'q{b}-{i}': v for i, v in enumerate(row)}
          for b, table in enumerate(tables) for t, row in enumerate(table)}


def test_interval_has_both_levels():
  """Var = var of seeds / S + var of questions / Q, for effects that add up."""
  rng = np.random.default_rng(0)
  seeds, questions = 40, 400
  for by_seed, by_question in ((0.5, 1.0), (0.0, 1.0), (0.5, 0.0)):
    s, q = rng.normal(size=(seeds, 1)), rng.normal(size=(1, questions))
    low, high = training_seeds.pool(cells_of(by_seed * s + by_question * q)).interval()
    want = np.sqrt(by_seed**2 * s.var() / seeds + by_question**2 * q.var() / questions)
    assert (high - low) / (2 * 1.96) == pytest.approx(want, rel=0.1)


@pytest.mark.parametrize('training,benchmarks,sds', [
    (5, 1, (0.03, 0.0)), (5, 1, (0.0, 0.0)), (3, 3, (0.03, 0.03)), (5, 5, (0.02, 0.0)),
    (1, 5, (0.0, 0.03)), (2, 1, (0.03, 0.0))])
def test_intervals_hold_over_seeds(training, benchmarks, sds):
  """95%, of studies whose training seeds, benchmarks and questions are all drawn anew."""
  rng = np.random.default_rng(1)
  held, studies = 0, 400
  for _ in range(studies):
    t = rng.normal(0, sds[0], (training, 1))
    tables = [t + rng.normal(0, sds[1]) + rng.normal(0, 0.3, (1, 100))
              + rng.normal(0, 0.3, (training, 100)) for _ in range(benchmarks)]
    low, high = training_seeds.pool(cells_of(None, tables)).interval()
    held += low <= 0 <= high
  assert held / studies > 0.92


def test_a_benchmarks_luck_is_not_a_training_seeds():
  """Where benchmarks differ much and training does not, more training seeds help little."""
  rng = np.random.default_rng(2)
  by_benchmark = rng.normal(0, 0.1, 3)
  tables = [b + rng.normal(0, 0.001, (4, 50)) for b in by_benchmark]
  pooled = training_seeds.pool(cells_of(None, tables))
  assert pooled.error == pytest.approx(by_benchmark.std(ddof=1) / np.sqrt(3), rel=0.02)
  assert pooled.freedom == pytest.approx(2, abs=0.1) and len(pooled.by_cell) == 12


def test_chances_of_few_degrees_of_freedom_are_chances():
  """Seeds and benchmarks that nearly cancel have less than one degree of freedom by the formula."""
  rng = np.random.default_rng(4)
  least = 9.0
  for _ in range(300):
    pooled = training_seeds.of_means(rng.normal(0.2, 0.1, (2, 3)), 9)
    above, below = pooled.chances()
    assert 0 <= above <= 1 and above + below == pytest.approx(1)
    low, high = pooled.interval()
    assert (low > 0) <= (above < 0.03) and (high < 0) <= (below < 0.03)
    least = min(least, pooled.freedom)
  assert least == 1.0


def test_one_seed_or_one_question_has_no_interval():
  assert training_seeds.pool(cells_of(np.ones((1, 9)))).interval() is None
  assert training_seeds.pool(cells_of(np.ones((9, 1)))).interval() is None
  assert training_seeds.pool({(0, 0): {'a': 1.0}, (1, 0): {'b': 1.0}}) is None


def written(folder, **parts):
  """A report's differences, of claims `name__part`."""
  folder.mkdir(parents=True)
  lines = ['claim,part,problem_id,difference']
  for name, values in parts.items():
    claim, part = name.split('__')
    lines += [f'{claim},{part},q{i},{v}' for i, v in enumerate(values)]
  records.write_bytes(folder / training_seeds.CLAIMS, records.gzipped('\n'.join(lines).encode()))
  return folder


def test_verdicts_are_from_seeds_alone(tmp_path):
  """A claim that each seed is sure of, each of another sign, is not held; one that all share is."""
  rng = np.random.default_rng(3)
  shifts = (0.3, -0.3, 0.25, -0.1)
  folders = {(s, 0): written(
      tmp_path / str(s), turning__difference=shift + rng.normal(0, 0.1, 200),
      steady__difference=0.3 + rng.normal(0, 0.1, 200), same__left=0.3 + rng.normal(0, 0.1, 200),
      same__right=0.3 + rng.normal(0, 0.1, 200), same__control=rng.normal(0, 0.1, 200))
             for s, shift in enumerate(shifts)}
  side = Side('a')
  claims = [Claim('turning', '', side, side, 'above'), Claim('steady', '', side, side, 'below'),
            Claim('same', '', side, side, 'level', factor=2),
            Claim('lost', '', side, side, 'above')]
  own = [{'id': c.id, 'reproduced': True, 'effect': 1.0, 'evidence': 'N = 16'} for c in claims]
  turning, steady, same, lost = training_seeds.claim_rows(folders, claims, own)
  assert turning['reproduced'] == 'inconclusive' and len(turning['by_seed']) == 4
  assert turning['ci95'][0] < 0 < turning['ci95'][1]
  assert steady['reproduced'] is False and steady['p'] < 0.001
  assert same['reproduced'] == 'inconclusive' and same['p'] < 0.01  # its control is flat
  assert lost['reproduced'] == 'inconclusive' and lost['effect'] == 1.0 and lost['p'] is None


def test_damage_is_named(tmp_path):
  folder = write(tmp_path / '0', outcome([1, 0]))
  path = folder / 'outcomes.csv.gz'
  path.write_bytes(path.read_bytes()[:20])
  with pytest.raises(InputError, match='is damaged'):
    training_seeds.rows({(0, 0): folder})
  path.unlink()
  with pytest.raises(InputError, match='is missing'):
    training_seeds.rows({(0, 0): folder})
