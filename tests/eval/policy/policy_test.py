"""A saved policy: round trip, its choices, and files that are none."""

import collections
import dataclasses
import json

import numpy as np
import pytest

from tests.eval import synthetic
from tts.eval.measures import outcomes as outcomes_lib
from tts.eval.policy import difficulty, policy, trials
from tts.eval.report import results
from tts.eval.storage import runfiles
from tts.types import InputError, Strategy


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  return runfiles.load(synthetic.write_run(tmp_path_factory.mktemp('run'), questions=60, deep=20))


@pytest.fixture(scope='module')
def outcomes(run):
  return outcomes_lib.every(run)


@pytest.fixture(scope='module')
def fits(run, outcomes):
  known = collections.defaultdict(list)
  for trial in results.trials_of(run, outcomes):
    if trial.estimator.scheme == 'predicted':
      known[trial.estimator.name].append(trial)
  return {name: policy.fit(found) for name, found in known.items()}


def test_round_trip(tmp_path, fits):
  for name, fitted in fits.items():
    policy.save(fitted, tmp_path / f'{name}.json')
    assert policy.load(tmp_path / f'{name}.json') == fitted
    assert fitted.estimator == name


def test_it_is_what_the_report_says(run, outcomes, fits):
  made = results.assemble(run, outcomes)['compute_optimal']
  for name, fitted in fits.items():
    rows = {r['budget']: r for r in made if (r['bins'], r['estimator']) == ('predicted', name)}
    assert set(rows) == set(fitted.fits)
    for budget, fit in fitted.fits.items():
      assert (fit.accuracy, list(fit.ci95), fit.n) == (
          rows[budget]['accuracy'], rows[budget]['ci95'], rows[budget]['n'])
      spent = [c.strategy.budget for c in fit.choices]
      assert [int(n.rsplit('-n', 1)[1]) for n in rows[budget]['choices']] == spent


def test_a_question_gets_its_bins_choice(run, outcomes, fits):
  estimator = next(t.estimator for t in results.trials_of(run, outcomes)
                   if t.estimator.name == 'first_4')
  fitted = fits['first_4']
  assert list(fitted.cuts) == sorted(fitted.cuts, reverse=True)
  bins = difficulty.quintiles(estimator.ids, estimator.estimate)
  for id_, estimate in zip(estimator.ids, estimator.estimate):
    assert policy.choose(fitted, estimate, 16) == fitted.fits[16].choices[bins[id_] - 1]
  assert policy.choose(fitted, 2.0, 16) == fitted.fits[16].choices[0]
  assert policy.choose(fitted, -1.0, 31) == fitted.fits[16].choices[4]
  with pytest.raises(InputError, match='--budget=3: the policy starts at 4'):
    policy.choose(fitted, 0.5, 3)
  with pytest.raises(ValueError):
    policy.choose(fitted, np.nan, 16)


def test_a_shared_budget_is_spent_on_average(run, outcomes, fits):
  """On the questions that it was fitted on, bins being equal fifths of them."""
  fitted = fits['first_4']
  assert set(fitted.shared) <= set(fitted.fits) and 16 in fitted.shared
  for budget, fit in fitted.shared.items():
    # At most: the estimate's charge, and what its samples save a strategy that draws from the pool.
    spent = [c.strategy.budget + (0 if c.strategy.method == 'sample' else fitted.charge)
             for c in fit.choices]
    assert np.mean(spent) <= budget
  hard, easy = (policy.choose(fitted, e, 16, shared=True) for e in (-1.0, 2.0))
  assert (easy, hard) == (fitted.shared[16].choices[0], fitted.shared[16].choices[4])
  with pytest.raises(InputError, match='--budget=1: the policy starts at'):
    policy.choose(fitted, 0.5, 1, shared=True)
  with pytest.raises(InputError, match='has no shared budgets'):
    policy.choose(dataclasses.replace(fitted, shared={}), 0.5, 16, shared=True)


def test_the_best_strategy_of_each_bin_is_fitted(run, outcomes):
  """Where greedy knows the easy half and majority the rest, just these are chosen."""
  pair = []
  for o in outcomes:
    if o.strategy == 'best_of_n_weighted' and o.budget == 4 and o.aggregation == 'last' and (
        o.verifier == 'prm'):
      pair.append(dataclasses.replace(o, accuracy=np.zeros(len(o.ids))))
    if o.strategy == 'greedy':
      pair.append(dataclasses.replace(o, accuracy=(np.arange(len(o.ids)) < 24).astype(float)))
    if o.strategy == 'majority' and o.budget == 4:
      pair.append(dataclasses.replace(o, accuracy=(np.arange(len(o.ids)) >= 24).astype(float)))
  ids = pair[0].ids
  estimator = difficulty.Estimator('pool', 'predicted', ids, -np.arange(60.0))
  fitted = policy.fit(trials.every(pair, [estimator]))
  greedy = policy.Choice(Strategy('greedy', 1), 'majority')
  voted = policy.Choice(Strategy('sample', 4), 'majority')
  assert fitted.fits[4].choices == (greedy, greedy, voted, voted, voted)
  assert fitted.fits[4].accuracy == 1
  assert fitted.cuts == (-11.5, -23.5, -35.5, -47.5)
  assert policy.choose(fitted, -23.5, 4) == greedy  # on a cut: the easier side
  assert policy.choose(fitted, -23.6, 4) == voted
  assert policy.fit(trials.every([], [estimator])) is None


def without(*keys):
  def edit(value):
    *path, last = keys
    for k in path:
      value = value[k]
    del value[last]
  return edit


def put(new, *keys):
  def edit(value):
    *path, last = keys
    for k in path:
      value = value[k]
    value[last] = new
  return edit


CHOICE = ('fits', 0, 'choices', 1)


@pytest.mark.parametrize('edit,message', [
    (without('cuts'), 'cuts must be a list of 4 numbers'),
    (put([0.1, 0.2, 0.3, 0.4], 'cuts'), 'cuts must be falling'),
    (put([0.4, 0.3, '0.2', 0.1], 'cuts'), 'cuts must be a list of 4 numbers'),
    (put(None, 'estimator'), 'estimator must be a name'),
    (put(-1, 'stay'), 'stay must be a whole number of at least 0'),
    (put([], 'fits'), 'fits must be a list of at least one'),
    (put({}, 'fits'), 'fits must be a list'),
    (put([1], 'fits'), r'fits\[0\] must be an object'),
    (without('shared'), 'shared must be a list'),
    (put(10**9, 'shared', 0, 'budget'), None),  # its choices may cost more than it, and less
    (put(0, 'shared', 0, 'budget'), r'shared\[0\].budget must be a whole number'),
    (put(True, 'fits', 0, 'budget'), r'fits\[0\].budget must be a whole number'),
    (put(None, 'fits', 0, 'accuracy'), r'fits\[0\].accuracy must be a number'),
    (put([0.1], 'fits', 0, 'ci95'), r'fits\[0\].ci95 must be a list of 2 numbers'),
    (without(*CHOICE), r'fits\[0\].choices must be a list of 5'),
    (put(3, *CHOICE, 'method'), r'choices\[1\].method must be a name'),
    (put(4, *CHOICE, 'beam_width'), r'choices\[1\].beam_width must be null: sample has no'),
    (put([1], *CHOICE, 'temperature'), r'choices\[1\].temperature must be a number'),
    (put('oracle', *CHOICE, 'selection'), r'choices\[1\].selection must be one of'),
    (put(10**9, *CHOICE, 'budget'), r'choices\[1\].budget must be at most'),
    (put(0, *CHOICE, 'budget'), r'choices\[1\].budget must be a whole number of at least 1'),
    (put(1.5, *CHOICE, 'lookahead'), r'choices\[1\].lookahead must be a whole number'),
])
def test_a_file_that_is_no_policy_is_one_line(tmp_path, fits, edit, message):
  path = tmp_path / 'policy.json'
  policy.save(fits['first_1'], path)
  value = json.loads(path.read_text())
  edit(value)
  path.write_text(json.dumps(value))
  if message is None:
    assert 10**9 in policy.load(path).shared
    return
  with pytest.raises(InputError, match=message) as error:
    policy.load(path)
  assert str(path) in str(error.value) and '\n' not in str(error.value)
  assert 'delete' in str(error.value)


@pytest.mark.parametrize('text', ['', '[1, 2', '[1]', '3', '{"cuts": [NaN, 0, 0, 0]}'])
def test_a_file_that_is_no_json_object(tmp_path, text):
  (tmp_path / 'policy.json').write_text(text)
  with pytest.raises(InputError, match='policy.json'):
    policy.load(tmp_path / 'policy.json')
  with pytest.raises(InputError, match='no such file'):
    policy.load(tmp_path / 'none.json')


def test_bins_may_be_cut_where_the_config_says(run, tmp_path):
  """Policy, curves and new questions go by the same cuts, however many questions a bin then has."""
  cuts = (0.9, 0.7, 0.3, 0.1)
  cut = dataclasses.replace(run, run={'config': {'difficulty': {'cuts': list(cuts)}}})
  found = outcomes_lib.every(cut)
  mine = [t for t in results.trials_of(cut, found) if t.estimator.name == 'first_1']
  fitted = policy.fit(mine)
  assert fitted.cuts == cuts
  estimator = mine[0].estimator
  bins = [1 + sum(e < c for c in cuts) for e in estimator.estimate]
  assert estimator.fixed.tolist() == bins == [policy.bin_of(fitted, e) for e in estimator.estimate]
  schemes = results.schemes_of(cut)
  pool = cut.difficulty_pool
  assert schemes['oracle'] == {
      i: 1 + sum(p < c for c in cuts) for i, p in zip(pool.ids, difficulty.oracle_estimate(pool))}
  usual = results.schemes_of(run)['oracle']
  assert schemes['oracle'] != usual and schemes['absolute'] == results.schemes_of(run)['absolute']
  policy.save(fitted, tmp_path / 'policy.json')
  assert policy.load(tmp_path / 'policy.json') == fitted
