"""Paired differences, and the table of outcomes that they can be redone from."""

import csv
import dataclasses
import gzip
import io

import numpy as np
import pytest

from tests.eval import synthetic
from tts.eval.measures import contrasts, outcomes, statistics
from tts.eval.report import results
from tts.eval.storage import outcome_table, runfiles

ALL = ('prm', 'prm_plain', 'orm', 'orm_more')


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  return runfiles.load(synthetic.write_run(
      tmp_path_factory.mktemp('run'), questions=40, verifiers=ALL, deep=10))


@pytest.fixture(scope='module')
def made(run):
  return results.assemble(run)


def outcome(ids, accuracy, **changes):
  names = (f.name for f in dataclasses.fields(outcomes.Outcome))
  fields = dict.fromkeys(names) | {'parameters': ()}
  return outcomes.Outcome(**{**fields, 'strategy': 'majority', 'selection': 'majority',
                             'budget': 16, 'ids': ids, 'accuracy': np.array(accuracy), **changes})


def test_questions_are_paired_by_id():
  a, b = outcome(('x', 'y', 'z'), [1.0, 0.0, 0.5]), outcome(('w', 'x', 'z'), [9.0, 0.25, 0.75])
  assert contrasts.paired(a, b).tolist() == [0.75, -0.25]
  assert contrasts.paired(a, b, {'x': 1, 'z': 4}, (3, 4, 5)).tolist() == [-0.25]
  assert contrasts.paired(a, None) is None
  assert contrasts.paired(a, outcome(('w',), [1.0])) is None


def test_every_contrast_is_there_once(made):
  ids = [c['id'] for c in made['contrasts']]
  assert len(ids) == len(set(ids))
  expected = {f'beam_m_{rule}_minus_weighted_n{n}_{where}' for rule in ('sqrt', '4')
              for n in (4, 16) for where in ('bins_3_to_5', 'all')}
  expected |= {f'beam_m_4_minus_weighted_n64_{where}' for where in ('bins_3_to_5', 'all')}
  expected |= {f'prm_minus_{v}_{what}' for v in ALL[1:]
               for what in ('weighted_n16', 'weighted_n64', 'auc_within')}
  expected |= {'best_of_n_n16_minus_n1', 'weighted_minus_majority_n16',
               'weighted_minus_logprob_weighted_n16'}
  assert set(ids) == expected
  assert {c['id']: c['n'] for c in made['contrasts']}['beam_m_4_minus_weighted_n64_all'] == 10


def test_differences_agree_with_the_curves(made):
  at = {(r['strategy'], r['budget'], r['beam_width']): r['accuracy'] for r in made['curves']
        if r['bin'] is None}
  found = {c['id']: c for c in made['contrasts']}
  assert found['beam_m_sqrt_minus_weighted_n4_all']['difference'] == pytest.approx(
      at['beam', 4, 2] - at['best_of_n_weighted', 4, None])
  assert found['best_of_n_n16_minus_n1']['difference'] == pytest.approx(
      at['best_of_n', 16, None] - at['best_of_n', 1, None])
  prm, orm = made['verifier']['prm'], made['verifier']['orm']
  assert found['prm_minus_orm_auc_within']['difference'] == pytest.approx(
      prm['auc_within'] - orm['auc_within'])
  rows = {(r['bin'], r['strategy'], r['beam_width']): r for r in made['curves']
          if r['budget'] == 4}
  hard = [(rows[b, 'beam', 2], rows[b, 'best_of_n_weighted', None]) for b in (3, 4, 5)]
  assert found['beam_m_sqrt_minus_weighted_n4_bins_3_to_5']['difference'] == pytest.approx(
      sum(x['n'] * (x['accuracy'] - y['accuracy']) for x, y in hard) / sum(
          x['n'] for x, _ in hard))
  for c in made['contrasts']:
    assert c['ci95'][0] <= c['difference'] <= c['ci95'][1]


def test_the_same_strategy_against_itself_is_level(run):
  found = outcomes.every(run)
  beam = next(o for o in found if o.strategy == 'beam')
  assert statistics.mean_interval(contrasts.paired(beam, beam)) == [0, 0]


def test_the_table_holds_the_outcomes(run, made):
  found = outcomes.every(run)
  bins = results.schemes_of(run)['oracle']
  data = outcome_table.encode(found, bins)
  assert data == outcome_table.encode(found, bins) and data[4:8] == bytes(4)  # no time in the header
  rows = list(csv.DictReader(io.StringIO(gzip.decompress(data).decode())))
  assert {r['aggregation'] for r in rows} == {'', 'last'}
  assert {r['verifier'] for r in rows} == {'', *ALL}
  ids = [r['problem_id'] for r in rows]
  assert ids == sorted(ids) and all(int(r['bin']) == bins[r['problem_id']] for r in rows)
  for what in made['curves']:
    if what['bin'] is None and what['strategy'] in ('beam', 'best_of_n_weighted'):
      mine = [r for r in rows if r['strategy'] == what['strategy'] and r['verifier'] == 'prm'
              and r['beam_width'] == str(what['beam_width'] or '')
              and r['selection'] == 'best_of_n_weighted' and int(r['budget']) == what['budget']]
      assert len(mine) == what['n']
      for field in ('accuracy', 'flops', 'generated_tokens', 'verifier_tokens'):
        assert np.mean([float(r[field]) for r in mine]) == pytest.approx(what[field], rel=1e-4)


def test_an_id_may_hold_what_csv_does_not():
  odd = 'a,"b"\nc'
  data = outcome_table.encode([outcome((odd,), [1.0], generated_tokens=np.array([3.0]),
                               verifier_tokens=np.array([0.0]))], {})
  (row,) = csv.DictReader(io.StringIO(gzip.decompress(data).decode(), newline=''))
  assert row['problem_id'] == odd and row['bin'] == '' and row['flops'] == ''
