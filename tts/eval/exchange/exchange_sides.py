"""Both sides of the exchange, as a run has measured them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tts.eval.exchange.exchange import Answers, Larger, Once, Small
from tts.eval.measures import curves, flops, outcomes as outcomes_lib
from tts.eval.measures.outcomes import Outcome
from tts.eval.policy import crossfit, difficulty, options
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
    return Samples(**fields | {'setting': dataclasses.replace(
        pool.setting, strategy=dataclasses.replace(pool.setting.strategy, budget=half))})

  return part(slice(0, half)), part(slice(half, 2 * half))


def larger_sides(run: RunFiles) -> Iterator[Larger]:
  """Every larger model's ways to answer: greedy, and votes of a few samples.

  Votes are of the lower half of its pool, averaged over disjoint groups; its own bins are of the
  upper half, so that luck in what is scored chooses no bin.
  """
  base = run.models.get('base')
  for name in run.generators[1:]:
    if base is None or name not in run.models:
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


def small_side(found: Sequence[Outcome], schemes: Mapping[str, Mapping[str, int]],
               mechanism: str = 'search') -> Small:
  """The best setting of each bin, chosen on the other fold's questions.

  Args:
    found: all outcomes; of them those of the mechanism.
    schemes: bins by scheme.
    mechanism: `search` or `revision`.
  """
  main = [o for o in found if curves.is_main(o) and o.strategy != 'oracle'
          and (o.strategy in curves.REVISIONS) == (mechanism == 'revision')]

  @functools.cache  # many allowances pay for the same settings
  def among(settings: tuple[int, ...], bins: str) -> Answers | None:
    return chosen([main[i] for i in settings], schemes[bins])

  @functools.cache
  def beside(place: int) -> frozenset[int]:
    return frozenset(options.covering(main, main[place].ids))

  # NaN, where FLOPs are unknown, is within no allowance.
  costs = {axis: [options.cost(o, axis) for o in main] for axis in ('generations', 'flops')}

  def choose(bins: str, axis: str, allowance: float, verifier: bool) -> Answers | None:
    within = [i for i, (o, c) in enumerate(zip(main, costs[axis]))
              if (verifier or o.verifier is None) and c <= allowance]
    # A setting of fewer questions than the largest budget's would cut the others to them.
    top = max(within, key=lambda i: (main[i].budget, len(main[i].ids)), default=None)
    within = [i for i in within if i in beside(top)]
    most: dict[str, int] = {}
    for i in within:
      most[main[i].strategy] = max(main[i].budget, most.get(main[i].strategy, 0))
    return among(tuple(i for i in within if main[i].budget == most[main[i].strategy]), bins)

  plain = {o.budget: float(o.flops.mean()) for o in main
           if o.strategy == 'majority' and o.flops is not None}
  one = plain.get(1)
  more = plain[2] - one if one is not None and 2 in plain else one
  prices = [options.cost(o, 'flops') for o in main
            if o.verifier and o.budget > 1 and o.flops is not None]
  return Small(choose, tuple(sorted({o.budget for o in main})),
               one, more, min(prices, default=None), mechanism)


def chosen(settings: Sequence[Outcome], bins: Mapping[str, int]) -> Answers | None:
  """Each question's accuracy by the setting that is best in its bin on the other fold.

  Of equal settings the first is taken, as for a bin that the other fold lacks. None where the
  settings share no question.
  """
  shared = set(bins).intersection(*(o.ids for o in settings)) if settings else set()
  if not shared:
    return None
  ids = tuple(sorted(shared))
  return Answers(ids, crossfit.by_question(
      ids, np.array([bins[i] for i in ids]), options.accuracies(settings, ids)))


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
