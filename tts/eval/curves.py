"""Rows of `curves` and `ablations`: means of outcomes over questions, with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tts.eval import metrics
from tts.eval.outcomes import Outcome

_MEANS = ('generated_tokens', 'verifier_tokens', 'flops', 'truncated', 'unanswered')
_MAIN_SELECTION = {'greedy': 'majority', 'beam': 'best_of_n_weighted',
                   'lookahead': 'best_of_n_weighted'}


def is_main(outcome: Outcome) -> bool:
  """Whether it is a strategy as the curves show it: PRM, last step, its own way to choose."""
  return (outcome.verifier in (None, 'prm') and outcome.aggregation in (None, 'last')
          and outcome.selection == _MAIN_SELECTION.get(outcome.strategy, outcome.strategy))


def row(outcome: Outcome, bins: Mapping[str, int] | None = None,
        bin_: int | None = None) -> dict[str, Any] | None:
  """One row; None where no question is in the bin.

  Args:
    outcome: a strategy's results.
    bins: id -> bin; read where `bin_` is given.
    bin_: the bin, or None for all questions.
  """
  use = np.arange(len(outcome.ids))
  if bin_ is not None:
    use = np.flatnonzero([bins.get(i) == bin_ for i in outcome.ids])
  if not use.size:
    return None
  means = {name: None if getattr(outcome, name) is None else float(
      getattr(outcome, name)[use].mean()) for name in _MEANS}
  accuracy = outcome.accuracy[use]
  return {
      'strategy': outcome.strategy, 'beam_width': outcome.beam_width,
      'lookahead': outcome.lookahead, 'chains': None, 'chain_length': None,
      'budget': outcome.budget, 'bin': bin_, 'accuracy': float(accuracy.mean()),
      'ci95': metrics.mean_interval(accuracy), 'n': int(use.size), 'repeats': outcome.repeats,
      'generated_tokens': means['generated_tokens'], 'verifier_tokens': means['verifier_tokens'],
      'flops': means['flops'],
      # Blocks are timed, and a block holds questions of every bin.
      'seconds': outcome.seconds if bin_ is None else None,
      'truncated': means['truncated'], 'unanswered': means['unanswered']}


def _binned(outcome: Outcome, bins: Mapping[str, int]) -> list[dict[str, Any]]:
  found = [row(outcome, bins, b) for b in sorted(set(bins.values()))]
  return [r for r in found if r is not None]


def curve_rows(outcomes: Iterable[Outcome],
               schemes: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
  """Every strategy at every budget, over all questions and in each oracle bin."""
  out = []
  for outcome in filter(is_main, outcomes):
    out += [row(outcome), *_binned(outcome, schemes.get('oracle', {}))]
  return out


def ablation_rows(outcomes: Iterable[Outcome],
                  schemes: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
  """The same for other verifiers, aggregations and selections, and the main ones in other bins."""
  out = []
  for outcome in outcomes:
    if is_main(outcome):
      binned = [(name, r) for name in ('predicted', 'level')
                for r in _binned(outcome, schemes.get(name, {}))]
    else:
      binned = [('oracle', r)
                for r in (row(outcome), *_binned(outcome, schemes.get('oracle', {})))]
    out += [{**r, 'verifier': outcome.verifier, 'aggregation': outcome.aggregation,
             'selection': outcome.selection, 'bins': name, 'proposal': None}
            for name, r in binned]
  return out
