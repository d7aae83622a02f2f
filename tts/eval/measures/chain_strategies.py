"""Chains of revisions as strategies: how a budget is split between depth and breadth (paper, 6.2).

N answers are p chains of s each. `sequential` is one chain, `parallel` are chains of one answer,
which are independent samples of the revision model, and `sequential_parallel` all between.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from tts.eval.measures import outcomes
from tts.eval.measures.outcomes import Outcome
from tts.eval.storage.runfiles import RunFiles
from tts.eval.storage.samples import Samples
from tts.model_kinds import REVISION_VERIFIER



def judges(main: str) -> tuple[str, ...]:
  """Who scores answers in chains; `main` is the run's main verifier."""
  return REVISION_VERIFIER, 'revision_orm_alone', main


def pools(run: RunFiles, model: str = 'revision') -> list[Samples]:
  """All pools of a model's chains, the smallest first."""
  found = [s for setting, s in run.search.items()
           if (setting.model, setting.strategy.method) == (model, 'chains')]
  return sorted(found, key=lambda s: (s.setting.strategy.budget, s.setting.strategy.chain_length))


def longest(run: RunFiles, model: str = 'revision') -> Samples | None:
  """The pool of the longest chains."""
  return max(pools(run, model), key=lambda s: s.setting.strategy.chain_length, default=None)


def part(pool: Samples, length: int) -> Samples:
  """A pool's chains as far as their first `length` answers: chains of that length."""
  setting, whole = pool.setting, pool.setting.strategy.chain_length
  chains = setting.strategy.budget // whole

  def cut(value: Any) -> Any:
    if isinstance(value, dict):
      return {k: cut(v) for k, v in value.items()}
    if not isinstance(value, np.ndarray) or value.ndim < 2:
      return value
    each = value.reshape(len(value), chains, whole, *value.shape[2:])[:, :, :length]
    return each.reshape(len(value), chains * length, *value.shape[2:])

  fields = {f.name: cut(getattr(pool, f.name)) for f in dataclasses.fields(pool)}
  how = dataclasses.replace(setting.strategy, budget=chains * length, chain_length=length)
  return Samples(**fields | {'setting': dataclasses.replace(setting, strategy=how),
                             'confidence': None})


def splits(run: RunFiles) -> Iterator[tuple[Samples, int]]:
  """(chains of s answers, how many of them make a try): every split that some pool holds.

  Both are powers of two; of the pools that hold a split, the smallest.
  """
  seen = set()
  for pool in pools(run):
    chains = pool.setting.strategy.budget // pool.setting.strategy.chain_length
    for length in outcomes.budgets(pool.setting.strategy.chain_length):
      for num in outcomes.budgets(chains):
        if (num, length) not in seen:
          seen.add((num, length))
          yield part(pool, length), num


def _names(chains: int, length: int) -> list[str]:
  """What a split is called; one answer is a chain and a sample."""
  if chains > 1 and length > 1:
    return ['sequential_parallel']
  return ['sequential'] * (chains == 1) + ['parallel'] * (length == 1)


def every(run: RunFiles) -> Iterator[Outcome | None]:
  """Every split, its answers chosen in every way, and the control's independent samples."""
  for chains, num in splits(run):
    length = chains.setting.strategy.chain_length
    for name in _names(num, length):
      made = lambda selection, verifier=None: outcomes.outcome(
          chains, run.models, strategy=name, size=num * length, selection=selection,
          verifier=verifier, aggregation=verifier and 'last')
      yield from (made('hierarchical', verifier) for verifier in judges(run.main))
      yield from (made(selection) for selection in ('majority', 'oracle'))
      if name == 'sequential':
        yield made('newest')
  control = run.setting('revision_control', 'sample')
  for size in outcomes.budgets(control.setting.strategy.budget if control else 0):
    made = lambda selection, verifier=None: outcomes.outcome(
        control, run.models, strategy='parallel', size=size, selection=selection,
        verifier=verifier, aggregation=verifier and 'last', proposal='revision_control')
    yield from (made('best_of_n_weighted', verifier) for verifier in ('control_orm', run.main))
    yield from (made(selection) for selection in ('majority', 'oracle'))
  yield from _proposed(run)


def _proposed(run: RunFiles) -> Iterator[Outcome | None]:
  """Searches that took their steps from the revision model."""
  for setting, found in run.search.items():
    if setting.model == 'revision' and setting.strategy.method == 'beam':
      for selection, how in (('best_of_n_weighted', 'last'), ('majority', None), ('oracle', None)):
        yield outcomes.outcome(
            found, run.models, strategy='beam', size=setting.strategy.num_candidates,
            selection=selection, verifier=found.guide, aggregation=how, proposal='revision')
