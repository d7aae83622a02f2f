"""Differences between strategies on the questions that both ran, paired question by question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tts.eval.measures import statistics
from tts.eval.measures.outcomes import Outcome, scores
from tts.eval.storage.samples import Samples
from tts.model_kinds import LEARNS, MAIN

_AT = 16
_HARD = (3, 4, 5)
_NAMES = {'prm': 'PRM', 'prm_plain': 'plain PRM', 'orm': 'ORM', 'orm_more': 'ORM on more solutions'}


def name(verifier: str) -> str:
  """In prose; a plugin's own."""
  return _NAMES.get(verifier, verifier)


def width(rule: str, budget: int) -> int:
  """M of a beam by the rule `sqrt` or a number."""
  return 2 ** ((budget.bit_length() - 1) // 2) if rule == 'sqrt' else min(int(rule), budget)


def row(id_: str, what: str, difference: np.ndarray) -> dict[str, Any]:
  n, mean = len(difference), float(difference.mean())
  error = float(difference.std(ddof=1)) / n**0.5 if n > 1 else 0.0
  return {'id': id_, 'what': what, 'n': n, 'difference': mean,
          'ci95': statistics.paired_interval(mean, error, n)}


def paired(a: Outcome | None, b: Outcome | None, bins: Mapping[str, int] | None = None,
           within: Sequence[int] = ()) -> np.ndarray | None:
  """Accuracy of `a` minus that of `b` on each question that both have, or None without any.

  Args:
    a: may be None.
    b: may be None.
    bins: id -> bin.
    within: bins that count; read where `bins` is given.
  """
  if a is None or b is None:
    return None
  other = dict(zip(b.ids, b.accuracy))
  found = [x - other[i] for i, x in zip(a.ids, a.accuracy)
           if i in other and (bins is None or bins.get(i) in within)]
  return np.array(found) if found else None


class _Outcomes:
  """Outcomes by what they are; None where there is none."""

  def __init__(self, outcomes: Sequence[Outcome]):
    self.all = outcomes
    self.main = next((o.main for o in outcomes), MAIN)  # verifier
    voted = {o.verifier for o in outcomes if o.strategy == 'best_of_n_weighted'} - {self.main}
    place = {name: i for i, name in enumerate(LEARNS)}
    self.others = sorted(voted, key=lambda name: (place.get(name, len(place)), name))  # verifiers
    self._found = {(o.strategy, o.budget, o.verifier, o.beam_width): o for o in outcomes
                   if o.aggregation in (None, 'last') and o.proposal is None
                   and o.selection == ('best_of_n_weighted' if o.strategy == 'beam'
                                       else 'majority' if o.strategy == 'greedy' else o.strategy)}

  def get(self, strategy, budget, verifier=None, beam_width=None) -> Outcome | None:
    return self._found.get((strategy, budget, verifier, beam_width))

  def budgets(self, strategy: str) -> list[int]:
    return sorted({o.budget for o in self.all if o.strategy == strategy})


def _beams(found: _Outcomes, oracle: Mapping[str, int] | None) -> Iterator[dict[str, Any]]:
  for budget in found.budgets('beam'):
    for rule in ('sqrt', '4') if budget > 1 else ():
      m = width(rule, budget)
      beam = found.get('beam', budget, found.main, m)
      weighted = found.get('best_of_n_weighted', budget, found.main)
      what = f'beam (M = {m}, by the rule M = {rule}) minus best-of-N weighted at N = {budget}'
      for name, where, bins in (('bins_3_to_5', 'bins 3 to 5', oracle),
                                ('all', 'all questions', None)):
        difference = None if name != 'all' and bins is None else paired(
            beam, weighted, bins, _HARD)
        if difference is not None:
          yield row(f'beam_m_{rule}_minus_weighted_n{budget}_{name}', f'{what}, {where}',
                     difference)


def _verifiers(found: _Outcomes, pool: Samples | None) -> Iterator[dict[str, Any]]:
  largest, main = max(found.budgets('best_of_n_weighted'), default=0), found.main
  for other in found.others:
    for budget in sorted({_AT, largest}):
      difference = paired(found.get('best_of_n_weighted', budget, main),
                          found.get('best_of_n_weighted', budget, other))
      if difference is not None:
        yield row(f'{main}_minus_{other}_weighted_n{budget}',
                  f'{name(main)} minus {name(other)}, best-of-N weighted at N = {budget}',
                  difference)
    both = [] if pool is None else [scores(pool, v, 'last') for v in (main, other)]
    if pool is not None and all(s is not None for s in both):
      difference = np.subtract(*(statistics.auc_by_question(s, pool.correct, pool.votes)
                                 for s in both))
      difference = difference[~np.isnan(difference)]
      if difference.size:
        yield row(f'{main}_minus_{other}_auc_within',
                  f'{name(main)} minus {name(other)}, AUC within a question', difference)


def _selections(found: _Outcomes) -> Iterator[dict[str, Any]]:
  for id_, what, a, b in (
      (f'best_of_n_n{_AT}_minus_n1', f'plain best-of-N at N = {_AT} minus at N = 1',
       ('best_of_n', _AT, found.main), ('best_of_n', 1, found.main)),
      (f'weighted_minus_majority_n{_AT}',
       f'best-of-N weighted minus majority at N = {_AT}',
       ('best_of_n_weighted', _AT, found.main), ('majority', _AT)),
      (f'weighted_minus_logprob_weighted_n{_AT}',
       f'best-of-N weighted minus the log-probability vote at N = {_AT}',
       ('best_of_n_weighted', _AT, found.main), ('logprob_weighted', _AT))):
    difference = paired(found.get(*a), found.get(*b))
    if difference is not None:
      yield row(id_, what, difference)


def rows(outcomes: Sequence[Outcome], pool: Samples | None,
         schemes: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
  """Every contrast that the run has both sides of: `id`, `what`, `n`, `difference`, `ci95`.

  Args:
    outcomes: of all strategies.
    pool: the reported questions' widest pool, for AUCs; or None.
    schemes: `oracle` bins are read.
  """
  found = _Outcomes(outcomes)
  return [*_beams(found, schemes.get('oracle')), *_verifiers(found, pool), *_selections(found)]
