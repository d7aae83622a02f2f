"""Votes by confidence against the published algorithms, written as loops over one question."""

import collections

import numpy as np
import pytest

from tests.eval import synthetic
from tts.eval.measures import answer_choice, outcomes
from tts.eval.storage import records, runfiles
from tts.eval.storage.samples import Samples, Setting
from tts.eval.votes import compared, rules
from tts.eval.votes.rules import Tries
from tts.types import Strategy

POOL = 16


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """A run whose rows say how sure the model was, of solutions of different lengths."""
  workdir = synthetic.write_run(tmp_path_factory.mktemp('run'), questions=30, pool=POOL,
                                difficulty=0, beams=())
  rng = np.random.default_rng(0)
  for path in records.blocks(workdir, 'search', f'sample-n{POOL}'):
    rows = records.read_block(path)
    for row in rows:
      row['tokens'] = row['tokens'][:int(rng.integers(3, 20))]
      sure = rng.gamma(4.0, size=len(row['tokens'])) + 2 * row['correct']
      row['statistics'] = {'confidence': np.float16(sure).tolist(),
                           'self_certainty': float(np.float16(sure.mean()))}
    path.unlink()
    records.write_block(path, rows)
  return runfiles.load(workdir)


def question(pool, q):
  """(answer or None, self-certainty, confidences) of each sample."""
  ends = np.cumsum(pool.confidence.length).reshape(pool.confidence.length.shape)
  return [(None if a < 0 else a, c, pool.confidence.value[end - n:end]) for a, c, n, end in zip(
      pool.answer[q].tolist(), pool.certainty[q], pool.confidence.length[q], ends[q])]


def lowest(values, window):
  if len(values) < window:
    return values.mean()
  return min(values[i:i + window].mean() for i in range(len(values) - window + 1))


def winner(ballots):
  """The answer with the most weight, the first given among equals."""
  total = collections.defaultdict(float)
  for answer, weight in ballots:
    total[answer] += weight
  return max(total, key=total.get) if total else None


def chosen(pool, rule):
  found = rule.vote(Tries(pool, 0, POOL))
  return found, [None if slot < 0 else pool.answer[q, slot] for q, slot in enumerate(found.slot)]


def of(name, **parameters):
  return next(r for r in rules.every() if r.name == name
              and dict(r.parameters).items() >= parameters.items())


def test_borda(run):
  pool, = run.pools('base')
  _, found = chosen(pool, of('self_certainty_borda'))
  for q, answer in enumerate(found):
    voters = [(a, c) for a, c, _ in question(pool, q) if a is not None]
    ranked = sorted(range(len(voters)), key=lambda i: -voters[i][1])  # the first among equals
    weight = {i: (POOL - rank + 1) ** 0.5 for rank, i in enumerate(ranked, 1)}
    assert answer == winner([(a, weight[i]) for i, (a, _) in enumerate(voters)])


@pytest.mark.parametrize('keep', [0.1, 0.9])
def test_offline(run, keep):
  pool, = run.pools('base')
  window = rules.window(pool)
  assert window == round(pool.length.mean() / 8) >= 1
  _, found = chosen(pool, of('deepconf', measure='lowest', keep=keep))
  for q, answer in enumerate(found):
    voters = [(a, lowest(values, window)) for a, _, values in question(pool, q)]
    least = np.percentile([s for _, s in voters], 100 * (1 - keep))
    assert answer == winner([(a, s) for a, s in voters if a is not None and s >= least])


@pytest.mark.parametrize('keep', [0.1, 0.9])
def test_online(run, keep):
  pool, = run.pools('base')
  window, first = rules.window(pool), rules.warm_up(POOL)
  assert first == 4
  drawn, found = chosen(pool, of('deepconf_online', keep=keep))
  stopped = ended = 0
  for q, answer in enumerate(found):
    samples = question(pool, q)
    least = np.percentile([lowest(v, window) for *_, v in samples[:first]], 100 * (1 - keep))
    ballots, over = [], False
    for n, (a, _, values) in enumerate(samples):
      if n and n % first == 0:
        votes = sum(weight for _, weight in ballots)
        over |= votes > 0 and sum(
            weight for other, weight in ballots if other == winner(ballots)) >= 0.95 * votes
      if over:
        assert drawn.tokens[q, n] == 0 and not drawn.begun[q, n]
        continue
      written = len(values)
      for t in range(window, len(values) + 1) if n >= first else ():
        if values[t - window:t].mean() < least:
          written = t
          break
      assert drawn.tokens[q, n] == written
      stopped += written < len(values)
      if a is not None and lowest(values, window) >= least:
        ballots.append((a, lowest(values, window)))
    ended += over
    assert answer == winner(ballots)
  assert ended > 3 and (stopped > 10 or keep == 0.1)  # one of four votes: it agrees with itself


def test_a_pool_that_does_not_say_how_sure_it_was_has_fewer_rules(tmp_path):
  run = runfiles.load(synthetic.write_run(tmp_path, questions=4, pool=8, difficulty=0, beams=()))
  names = {row['rule'] for row in compared.rows(run.pools('base'), run.models.get('base'))}
  assert names == {'settled', 'beta', 'best_of_infinity'}


def test_every_rule_beside_a_majority_of_the_same_cost(run):
  pool, = run.pools('base')
  rows = list(compared.rows(run.pools('base'), run.models.get('base')))
  assert {row['budget'] for row in rows} == {2, 4, 8, 16}
  assert {row['rule'] for row in rows} == {r.name for r in rules.every()}
  whole = pool.length.sum(axis=1).mean()
  for row in rows:
    assert row['difference'] == pytest.approx(row['accuracy'] - row['majority'])
    assert row['n'] == 30 and row['accuracy_ci95'][0] <= row['accuracy'] <= row['accuracy_ci95'][1]
    if row['rule'] == 'deepconf' and row['budget'] == 16:
      assert row['tokens'] == pytest.approx(whole) and row['generations'] == 16
    if row['rule'] == 'deepconf_online' and row['budget'] == 16:
      assert row['tokens'] < whole
  # Of all samples it is the vote of all, a tie to the answer that is given first.
  row = next(r for r in rows if (r['rule'], r['budget']) == ('deepconf', 16))
  turned = [[np.roll(x, -s, axis=1) for x in (pool.answer, pool.correct)] for s in range(0, 16, 2)]
  assert row['majority'] == pytest.approx(np.mean([
      correct[np.arange(30), answer_choice.majority(answer)] for answer, correct in turned]))


def test_flops_of_what_is_drawn_whole_are_the_ledger_s(tmp_path):
  run = runfiles.load(synthetic.write_run(tmp_path, questions=6, pool=8, difficulty=0, beams=()))
  known = next(o for o in outcomes.pools(run) if o and (o.strategy, o.budget) == ('majority', 8))
  rule = rules.Rule('all', (), lambda tries: rules.majority(tries, 8))
  row, = compared.compared(run.pools('base')[0], 8, [rule], run.models['base'])
  assert row['flops'] == pytest.approx(known.flops.mean(), rel=1e-12)


def test_sure_questions_end_early_and_unsure_ones_late():
  """So that an adaptive vote is ahead of a majority at equal mean cost."""
  rng = np.random.default_rng(2)
  share = np.where(np.arange(400) % 2, 0.95, 0.6)
  correct = rng.uniform(size=(400, 32)) < share[:, None]
  pool = made_pool(correct.astype(int), correct)
  rows = {(r['rule'], *r['parameters'].values()): r for r in compared.compared(
      pool, 32, list(rules.every())[:9])}
  for name in (('beta', 0.95), ('best_of_infinity', 10.0)):
    assert 2 < rows[name]['generations'] < 20 and rows[name]['difference_ci95'][0] > 0


def made_pool(answer, correct):
  """Samples of which nothing is known but their answers."""
  size, none = answer.shape[1], np.zeros(answer.shape)
  return Samples(
      setting=Setting('search', 'test', 'base', Strategy('sample', size), 0),
      ids=tuple(f'{i:04d}' for i in range(len(answer))), level=none[:, 0].astype(int),
      present=none == 0, weight=1 + none.astype(int), answer=answer, truncated=none > 0,
      correct=correct, steps=none[..., None], answer_score=none, others={}, logprob=none,
      certainty=none + np.nan, confidence=None, length=none.astype(int), counts={},
      row_seconds=None)
