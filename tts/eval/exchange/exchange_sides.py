"""Both sides of the exchange, as a run has measured them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tts.eval.exchange.exchange import Both, Larger, Once, Point, Small
from tts.eval.measures import flops, outcomes as outcomes_lib
from tts.eval.measures.outcomes import Outcome
from tts.eval.policy import crossfit, difficulty, strategy_options
from tts.eval.policy.trials import Trial
from tts.eval.storage.runfiles import RunFiles
from tts.eval.storage.samples import Samples

_VOTERS = 4  # samples of a larger model for one answer, at most


def halves(pool: Samples) -> tuple[Samples, Samples]:
  """A pool's lower and upper slots, as pools of their own; of an odd one the last is left out."""
  half = pool.setting.strategy.budget // 2

  def part(slots: slice) -> Samples:
    cut = lambda v: v[:, slots] if isinstance(v, np.ndarray) and v.ndim > 1 else v
    fields = {f.name: getattr(pool, f.name) for f in dataclasses.fields(pool)}
    fields = {k: {n: cut(x) for n, x in v.items()} if isinstance(v, dict) else cut(v)
              for k, v in fields.items()}
    return Samples(**fields | {'confidence': None, 'setting': dataclasses.replace(
        pool.setting, strategy=dataclasses.replace(pool.setting.strategy, budget=half))})

  return part(slice(0, half)), part(slice(half, 2 * half))


def larger_sides(run: RunFiles) -> Iterator[Larger]:
  """Every larger model's ways to answer: greedy, and votes of a few samples.

  Votes are of the lower half of its pool, averaged over disjoint groups; its own bins are of the
  upper half, so that luck in what is scored chooses no bin.
  """
  base = run.models.get('base')
  for name in run.generators[1:]:
    if base is None or name not in run.models or None in (
        base['params'], run.models[name]['params']):  # a server may have a shape of its own
      continue
    greedy, pool = run.setting(name, 'greedy'), run.setting(name, 'sample')
    several = pool is not None and pool.setting.strategy.budget > 1
    voters, rest = halves(pool) if several else (None, None)
    bins = {} if rest is None else difficulty.quintiles(
        rest.ids, difficulty.oracle_estimate(rest))
    found = {}
    if greedy is not None:
      found['greedy'] = outcomes_lib.outcome(
          greedy, run.models, strategy='greedy', size=1, selection='majority')
    if voters is not None:
      size = min(_VOTERS, voters.setting.strategy.budget)
      found['majority'] = outcomes_lib.outcome(
          voters, run.models, strategy='majority', size=size, selection='majority')
      found['best_of_n'] = outcomes_lib.outcome(
          voters, run.models, strategy='best_of_n_weighted', size=size,
          selection='best_of_n_weighted', verifier=run.main, aggregation='last')
    for strategy, outcome in found.items():
      if outcome is not None:
        yield Larger(name, strategy, outcome.budget, run.models[name]['params'] / base['params'],
                     outcome, bins)


# Of the estimators of a scheme, the one that the exchange goes by.
ESTIMATORS = (('oracle', 'pool'), ('predicted', 'pool'), ('level', 'level'))


def small_side(trials: Sequence[Trial], mechanism: str = 'search') -> Small:
  """The small model by the policy of `trials`: the best strategy of each bin on the other folds.

  Args:
    trials: of all estimators; of them those of the mechanism.
    mechanism: `search` or `revision`.
  """
  tiers: dict[str, list[Trial]] = {}
  for t in trials:
    if (t.estimator.scheme, t.estimator.name) in ESTIMATORS and t.n and (
        t.found.mechanism, t.found.revised) == (mechanism, mechanism == 'revision'):
      tiers.setdefault(t.estimator.scheme, []).append(t)

  @functools.cache
  def choosing(scheme: str, verifier: bool) -> list[Trial]:
    found = tiers.get(scheme, [])
    return found if verifier else [t.of(np.array([o.verifier is None for o in t.found.outcomes]),
                                        'majority') for t in found]

  @functools.cache  # a larger model answers in several ways
  def spent(scheme: str, verifier: bool, axis: str, own: bool, grouped: tuple[tuple[str, int], ...],
            ) -> list[list[tuple[int, float, dict[int | None, np.ndarray]]]]:
    return [list(_policy(t, axis, dict(grouped), own)) for t in choosing(scheme, verifier)]

  def tables(larger: Larger, name: str, bins: Mapping[str, int], axis: str,
             verifier: bool) -> list[list[Point]]:
    scheme, own = ('oracle', False) if name == 'larger' else (name, True)
    both = tuple((i, bins[i]) for i in larger.outcome.ids if i in bins)
    made = spent(scheme, verifier, axis, own, both)
    out = []
    for t, levels in zip(choosing(scheme, verifier), made):
      theirs = _means(t, larger.outcome, dict(both), own)
      out.append([Point(budget, cost, {b: Both(mine[b], *theirs[b]) for b in theirs if b in mine})
                  for budget, cost, mine in levels])
    return [table for table in out if table and table[0].bins]

  main = [o for t in (tiers.get('oracle') or next(iter(tiers.values()), [])) for o in (
      t.found.outcomes[i] for i in np.flatnonzero(t.found.own))]
  plain = {o.budget: float(o.flops.mean()) for o in reversed(main)
           if o.strategy == 'majority' and o.flops is not None}
  one = plain.get(1)
  more = plain[2] - one if one is not None and 2 in plain else one
  prices = [strategy_options.cost(o, 'flops') for o in main
            if o.verifier and o.budget > 1 and o.flops is not None]
  budgets = {b for t in next(iter(tiers.values()), []) for b in t.found.budgets}
  return Small(tables, tuple(sorted(budgets)), one, more, min(prices, default=None), mechanism)


def _groups(trial: Trial, bins: Mapping[str, int],
            own: bool) -> Iterator[tuple[tuple[int | None, ...], np.ndarray]]:
  """The bins that are read of one set of sums, and its questions, bool [Q] of the trial's.

  A policy's own bins are cut anew in every replicate, so that all are read of the same sums; others
  hold the questions that they hold.
  """
  of = np.array([bins.get(i, 0) for i in trial.found.ids])
  names = sorted(set(of[of > 0].tolist()))
  yield (None, *(names if own else ())), of > 0
  for name in names if not own else ():
    yield (name,), of == name


def _policy(trial: Trial, axis: str, bins: Mapping[str, int], own: bool,
            ) -> Iterator[tuple[int, float, dict[int | None, np.ndarray]]]:
  """Each budget, its cost, and the policy's accuracies [1 + R] by bin, where a question has any."""
  found = trial.found
  known = found.budgets_of_reference()
  costs = [found.level(axis, b) for b in known]
  if not known or np.isnan(costs).any():
    return
  values: list[dict[int | None, np.ndarray]] = [{} for _ in known]
  for names, use in _groups(trial, bins, own):
    if use.any():
      held = None if use.all() else crossfit.sums(
          trial.estimator, found.ids, found.accuracy, of=use)
      for made, level in zip(values, trial.at(axis, costs, trial.estimator, held)):
        made.update({} if level is None else {
            b: level.within([b] if own and b else ()) for b in names})
  for budget, cost, made in zip(known, costs, values):
    if made:
      yield budget, cost, made


def _means(trial: Trial, outcome: Outcome, bins: Mapping[str, int],
           own: bool) -> dict[int | None, tuple[np.ndarray, int]]:
  """A fixed strategy's accuracy [1 + R] by bin, and questions, in the replicates of a policy."""
  at = dict(zip(outcome.ids, outcome.accuracy))
  values = np.array([[at.get(i, 0.0) for i in trial.found.ids]])
  of = trial.estimator.bin_of(trial.found.ids)
  out = {}
  for names, use in _groups(trial, bins, own):
    if use.any():
      sums = crossfit.sums(trial.estimator, trial.found.ids, values, of=use)
      right, weight = (x.sum(axis=(0, 1), dtype=float) for x in (sums.right[0], sums.weight))
      for b in names:
        places = [b - 1] if own and b else slice(None)
        with np.errstate(invalid='ignore', divide='ignore'):
          out[b] = (right[places].sum(axis=0) / weight[places].sum(axis=0),
                    int((use & (of == b)).sum()) if own and b else sums.n)
  return out


def once(run: RunFiles) -> Once | None:
  """What the run spent before its first answer; None where the base's training is unknown."""
  training = {name: cost for name, meta in run.models.items()
              if (cost := flops.training(meta)) is not None}
  if 'base' not in training:
    return None
  entries = run.ledger.table(run.models).get('difficulty', {})
  sampled, scored = ((entries.get(name) or {}).get('flops') for name in ('base', run.main))
  pool = {} if sampled is None else {'oracle': sampled}
  if pool and scored is not None:
    pool['predicted'] = sampled + scored
  judge = (run.run.get('verifiers') or {}).get(run.main, run.main)  # of a plugin what it reads
  verifier: dict[str, Any] = ((run.run.get('config') or {}).get('models') or {}).get(judge) or {}
  return Once(run.models['base']['metrics']['tokens'], training, run.ledger.label_flops(run.models),
              verifier.get('init', 'scratch'), pool, judge)
