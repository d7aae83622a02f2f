"""Strategies beside a majority at as many measured FLOPs: rows of `equal_flops`.

A verifier and a search cost something, which a majority could have spent on more samples. Between
two budgets of it accuracies are interpolated in the logarithm of their FLOPs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tts.eval.measures import contrasts, curves, statistics
from tts.eval.measures.outcomes import Outcome

_NEAR = 1.01  # beyond the least and the most that a majority has spent, theirs counts
_LEFT_OUT = ('majority', 'greedy', 'oracle', 'budget_forcing', *curves.REVISIONS)


def majority_at(flops: float, spent: Sequence[float],
                accuracy: Sequence[np.ndarray]) -> np.ndarray | None:
  """A majority's accuracy [Q] at FLOPs of a question; None where it has spent only less, or more.

  Args:
    flops: asked for.
    spent: FLOPs of a question at each budget, rising.
    accuracy: [Q] at each budget.
  """
  if not spent[0] / _NEAR <= flops <= spent[-1] * _NEAR:
    return None
  low, high, share = statistics.between(np.log(flops), np.log(spent))
  return (1 - share) * accuracy[low] + share * accuracy[high]


def rows(outcomes: Sequence[Outcome]) -> Iterator[dict[str, Any]]:
  """Every strategy as the curves show it whose FLOPs are known, minus a majority at as many.

  Keys as in `curves`, then `difference` and `ci95`, null where `majority_at` knows none.
  """
  known = [o for o in outcomes if curves.is_main(o) and o.flops is not None and o.ids]
  votes = sorted((o for o in known if o.strategy == 'majority'), key=lambda o: o.budget)
  for o in known:
    if o.strategy in _LEFT_OUT:
      continue
    both = [v for v in votes if set(o.ids) <= set(v.ids)]
    at = [np.searchsorted(v.ids, o.ids) for v in both]
    spent = [float(v.flops[of].mean()) for v, of in zip(both, at)]
    right = [v.accuracy[of] for v, of in zip(both, at)]
    same = majority_at(float(o.flops.mean()), spent, right) if both else None
    row = {'strategy': o.strategy, 'beam_width': o.beam_width, 'lookahead': o.lookahead,
           'theta': o.how.others, 'budget': o.budget, 'n': len(o.ids), 'difference': None,
           'ci95': None}
    if same is not None:
      found = contrasts.row('', '', o.accuracy - same)
      row |= {key: found[key] for key in ('difference', 'ci95')}
    yield row
