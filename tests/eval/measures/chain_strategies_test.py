"""Chains of revisions as strategies: every split against plain loops over the records."""

import collections
import dataclasses

import numpy as np
import pytest

from tests.eval import synthetic
from tts.eval.measures import answer_choice, chain_strategies, chains, contrasts
from tts.eval.policy import mechanisms, strategy_options
from tts.eval.report import report, results
from tts.eval.storage import records, runfiles

POOLS = ((2, 4), (8, 2))
QUESTIONS = 40


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
  folder = tmp_path_factory.mktemp('revised')
  synthetic.write_run(folder)
  synthetic.write_revisions(folder, QUESTIONS, POOLS)
  return folder


@pytest.fixture(scope='module')
def run(workdir):
  return runfiles.load(workdir)


@pytest.fixture(scope='module')
def found(run):
  return results.measured(run)


@pytest.fixture(scope='module')
def rows(workdir):
  """(chains, length) --> question --> chain --> its rows in order."""
  out = {}
  for num, length in POOLS:
    pool = collections.defaultdict(lambda: [[] for _ in range(num)])
    folder = f'revision-chains-l{length}-n{num * length}'
    for row in sorted(records.iterate(workdir, 'revise', folder), key=lambda r: r['slot']):
      pool[row['problem_id']][row['slot'] // length].append(row)
    out[num, length] = pool
  return out


def get(found, strategy, chains_, length, selection='hierarchical', verifier='revision_orm'):
  one, = (o for o in found if o.proposal is None and (
      o.strategy, o.chains, o.chain_length, o.selection, o.verifier) == (
          strategy, chains_, length, selection, verifier))
  return one


def weighted(rows):
  """(answer, its score) that a weighted vote chooses, the first of equals; None without votes."""
  score = lambda r: r['other_scores']['revision_orm'][0]
  rows = [r for r in rows if r['answer'] is not None]
  total = collections.Counter()
  for r in rows:
    total[r['answer']] += score(r)
  if not rows:
    return None
  best = max(total, key=lambda a: (total[a], -[r['answer'] for r in rows].index(a)))
  return max((r for r in rows if r['answer'] == best), key=score)


def test_every_split_is_measured_on_the_smallest_pool_that_holds_it(found):
  splits = {(o.chains, o.chain_length): o.repeats for o in found if o.strategy in (
      'sequential', 'parallel', 'sequential_parallel') and o.proposal is None}
  # One chain of four: two tries of the pool of two chains; the wide pool has two answers a chain.
  assert splits == {(1, 1): 2, (2, 1): 1, (1, 2): 2, (2, 2): 1, (1, 4): 2, (2, 4): 1, (4, 1): 2,
                    (8, 1): 1, (4, 2): 2, (8, 2): 1}


@pytest.mark.parametrize('num,length,pool', [(1, 4, (2, 4)), (2, 2, (2, 4)), (4, 2, (8, 2))])
def test_a_split_chooses_as_the_paper_says(found, rows, num, length, pool):
  name = 'sequential' if num == 1 else 'sequential_parallel'
  outcome = get(found, name, num, length)
  for question, accuracy in zip(outcome.ids, outcome.accuracy):
    tries = []
    for first in range(0, pool[0], num):
      of_chain = [weighted(c[:length]) for c in rows[pool][question][first:first + num]]
      winner = weighted([r for r in of_chain if r is not None])
      tries.append(winner is not None and winner['correct'])
    assert accuracy == np.mean(tries)


def test_chains_of_one_answer_are_best_of_n_weighted(found, run):
  samples = chain_strategies.part(next(
      p for p in chain_strategies.pools(run) if p.setting.strategy.budget == 16), 1)
  score = samples.scored('revision_orm')[..., 0]
  right, _ = answer_choice.outcome('best_of_n_weighted', 4, answer=samples.answer, score=score,
                            correct=samples.correct, logprob=samples.logprob)
  np.testing.assert_array_equal(get(found, 'parallel', 4, 1).accuracy, right)


def test_one_answer_is_a_chain_and_a_sample(found):
  one, other = get(found, 'sequential', 1, 1), get(found, 'parallel', 1, 1)
  np.testing.assert_array_equal(one.accuracy, other.accuracy)


def test_a_split_costs_what_its_rows_cost(found, rows):
  outcome = get(found, 'sequential', 1, 4)
  for i, question in enumerate(outcome.ids):
    spent = [r['counts'] for chain in rows[2, 4][question] for r in chain]
    assert outcome.generated_tokens[i] == sum(c['revision']['kept'] for c in spent) / 2
    own = sum(c['revision_orm']['entered'] - c['revision_orm']['prompt'] for c in spent) / 2
    assert outcome.verifier_tokens[i] == own + synthetic.PROMPT
  assert (outcome.flops > get(found, 'sequential', 1, 2).flops).all()


def test_what_happens_along_a_chain(run, rows):
  made = chains.describe(run, results.measured(run), {'q0000': 1, 'q0001': 2})
  right = np.array([[[bool(r['correct']) for r in chain] for chain in of_question]
                    for _, of_question in sorted(rows[2, 4].items())])
  along = lambda b: [p['accuracy'] for p in made['pass_at_1'] if p['bin'] == b]
  assert along(None) == pytest.approx(right.mean(axis=(0, 1)))
  assert along(2) == pytest.approx(right[1].mean(axis=0))
  before, after = right[..., :-1], right[..., 1:]
  flips = made['flips']
  assert flips['right_to_wrong']['share'] == pytest.approx(1 - after[before].mean())
  assert flips['wrong_to_right']['share'] == pytest.approx(after[~before].mean())
  answers = [[[r['answer'] for r in chain] for chain in of_question]
             for _, of_question in sorted(rows[2, 4].items())]
  pairs = [(a[t], a[t + 1], right[q, c, t]) for q, of_question in enumerate(answers)
           for c, a in enumerate(of_question) for t in range(3)]
  wrong = [a == b for a, b, ok in pairs if not ok and a is not None]
  assert flips['wrong_repeated']['share'] == pytest.approx(np.mean(wrong))
  gains = {c['id']: c for c in made['contrasts']}
  assert gains['chain_step_4_minus_1']['difference'] == pytest.approx(
      right[..., 3].mean() - right[..., 0].mean())
  assert gains['chain_step_4_minus_1']['ci95'][0] > 0  # so they were made


def test_equal_flops_pay_for_more_answers_than_a_chain_has(run, found):
  by = {(o.strategy, o.budget): o for o in found if o.proposal is None
        and (o.selection, o.verifier) == ('hierarchical', 'revision_orm')}
  chain, wide = by['sequential', 4], [by['parallel', n] for n in (1, 2, 4, 8)]
  most = max(o.budget for o in wide if o.flops.mean() <= chain.flops.mean())
  row, = (c for c in chains.describe(run, found, {})['contrasts']
          if c['id'] == 'sequential_minus_parallel_flops_n4')
  assert f' {most} independent' in row['what'] and most == 4  # its context is read again
  assert row['difference'] == pytest.approx(
      chain.accuracy.mean() - by['parallel', most].accuracy.mean())


def test_one_policy_over_both_is_beside_each_alone(run, found):
  trials = results.trials_of(run, found)
  made = mechanisms.rows(trials)
  oracle = {r['budget']: r for r in made if r['bins'] == 'oracle'}
  assert set(oracle) == {1, 2, 4, 8, None}  # no pool has 16 chains
  for r in oracle.values():
    assert r['n'] == QUESTIONS
    assert r['minus_search'] == pytest.approx(r['both_accuracy'] - r['search_accuracy'])
  assert oracle[None]['minus_revision'] == pytest.approx(
      np.mean([r['minus_revision'] for b, r in oracle.items() if b]))


def test_a_policy_chooses_from_its_own_mechanism(run, found):
  policies, distances = results.compute_optimal.rows(results.trials_of(run, found), {})
  for r in policies:
    revised = [c.startswith(('sequential', 'parallel')) for c in r['choices']]
    assert (r['mechanism'] != 'revision' or all(revised))
    assert (r['mechanism'] != 'search' or not any(revised))
  assert {r['baseline'] for r in distances if r['mechanism'] == 'revision'} == {
      'parallel', 'control', 'best_of_n_weighted', 'best_fixed'}
  keys = [tuple(r[k] for k in ('mechanism', 'bins', 'estimator', 'budget')) for r in policies]
  assert len(set(keys)) == len(keys)


def test_a_search_for_revisions_belongs_to_both_alone(run, found):
  made, = (o for o in found if o.strategy == 'beam' and o.proposal == 'revision'
           and o.selection == 'best_of_n_weighted')
  assert (made.budget, made.chains, made.chain_length, made.repeats) == (16, 1, 2, 1)
  base, = (o for o in found if o.strategy == 'beam' and o.proposal is None and o.verifier == 'prm'
           and (o.budget, o.beam_width, o.selection, o.aggregation) == (
               16, 4, 'best_of_n_weighted', 'last'))
  own = {m.mechanism: [o.proposal for o, mine in zip(m.outcomes, m.own) if mine]
         for m in strategy_options.mechanisms(found)}
  # The pools of chains hold budgets up to 8, so at 16 nothing compares.
  assert own['both'].count('revision') == own['search'].count('revision') == 0
  wide = dataclasses.replace(made, budget=8)
  own = {m.mechanism: [o.proposal for o, mine in zip(m.outcomes, m.own) if mine]
         for m in strategy_options.mechanisms([*found, wide])}
  assert own['both'].count('revision') == 1
  assert own['search'].count('revision') == own['revision'].count('revision') == 0
  gains = {c['id']: c for c in chains.describe(run, found, {})['contrasts']}
  shared = np.searchsorted(base.ids, made.ids)
  assert gains['proposal_revision_minus_base_n16']['difference'] == pytest.approx(
      made.accuracy.mean() - base.accuracy[shared].mean())


def test_a_search_for_revised_steps_is_not_the_base_s_search(run, found):
  """It has the same name, budget and width, and comes later."""
  again = [dataclasses.replace(o, proposal='revision', accuracy=1 - o.accuracy) for o in found
           if o.strategy == 'beam' and o.selection == 'best_of_n_weighted']
  assert again
  made = contrasts.rows([*found, *again], None, {})
  assert any(r['id'].startswith('beam') for r in made)
  assert made == contrasts.rows(found, None, {})


def test_a_chain_is_compared_with_votes_by_the_last_step(run, found):
  made = {c['id']: c for c in chains.describe(run, found, {})['contrasts']}
  mine = get(found, 'sequential', 1, 4)
  base = {o.aggregation: o for o in found if (o.strategy, o.budget, o.verifier) == (
      'best_of_n_weighted', 4, 'prm')}
  assert not np.array_equal(base['last'].accuracy, base['prod'].accuracy)
  shared = np.searchsorted(base['last'].ids, mine.ids)
  assert made['sequential_minus_base_n4']['difference'] == pytest.approx(
      (mine.accuracy - base['last'].accuracy[shared]).mean())


def test_equal_mechanisms_gain_nothing_from_each_other(tmp_path):
  """Where revisions are the search's own samples again, both is level with either."""
  synthetic.write_run(tmp_path, beams=())
  synthetic.write_revisions(tmp_path, 60, ((1, 1), (16, 1)), gain=0.0)
  run = runfiles.load(tmp_path)
  made = mechanisms.rows(results.trials_of(run, results.measured(run)))
  whole, = (r for r in made if r['bins'] == 'oracle' and r['budget'] is None)
  assert abs(whole['minus_search']) < 0.06 and abs(whole['minus_revision']) < 0.06


@pytest.mark.slow
def test_the_report_shows_them(workdir):
  made = report.write(workdir)
  for name in ('revision_chain', 'revision_depth', 'revision_ratio', 'mechanisms'):
    assert (workdir / 'report' / f'{name}.png').stat().st_size > 5000
  rows = [r for r in made['curves'] if r['strategy'] == 'sequential_parallel' and r['bin'] is None]
  assert {(r['chains'], r['chain_length']) for r in rows} == {(2, 2), (2, 4), (4, 2), (8, 2)}
  assert all(e['ratio'] == pytest.approx(1) for e in made['ledger']['revise'].values())
