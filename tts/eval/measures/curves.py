"""Rows of `curves` and `ablations`: means of outcomes over questions, with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tts.eval.measures import answer_choice, statistics
from tts.eval.measures.outcomes import Outcome
from tts.eval.storage.columns import THINKING
from tts.model_kinds import REVISION_VERIFIER

# N answers as p chains of s each: one chain, chains of one answer, all between.
REVISIONS = ('sequential', 'parallel', 'sequential_parallel')

_MEANS = ('generated_tokens', 'verifier_tokens', 'flops', 'truncated', 'unanswered', *THINKING)
_SELECTION = {'greedy': 'majority', 'budget_forcing': 'majority',
              **dict.fromkeys(REVISIONS, 'hierarchical'),
              **{name: name for name in answer_choice.SELECTIONS}}


def own_selection(strategy: str) -> str:
  """How a strategy's answer is chosen unless another way is being compared."""
  return _SELECTION.get(strategy, 'best_of_n_weighted')  # of a search, whatever it is called


def is_main(outcome: Outcome) -> bool:
  """Whether it is a strategy as the curves show it: last step, its own verifier, way to choose."""
  verifier = REVISION_VERIFIER if outcome.strategy in REVISIONS else outcome.main
  return (outcome.verifier in (None, verifier) and outcome.aggregation in (None, 'last')
          and outcome.selection == own_selection(outcome.strategy) and outcome.proposal is None)


Part = tuple[Outcome, int | None, np.ndarray]  # a bin, or None for all; its places in `ids`


def rows(parts: Sequence[Part]) -> list[dict[str, Any]]:
  """A row per outcome and bin; every part holds a question."""
  intervals = statistics.mean_intervals([outcome.accuracy[use] for outcome, _, use in parts])
  return [_row(*part, interval) for part, interval in zip(parts, intervals)]


def _row(outcome: Outcome, bin_: int | None, use: np.ndarray,
         interval: list[float] | None) -> dict[str, Any]:
  means = {name: None if getattr(outcome, name) is None else float(
      getattr(outcome, name)[use].mean()) for name in _MEANS}
  return {
      'strategy': outcome.strategy, 'beam_width': outcome.beam_width,
      'lookahead': outcome.lookahead, 'theta': outcome.how.others, 'guided': outcome.guided,
      'charge': outcome.how.charge, 'chains': outcome.chains, 'chain_length': outcome.chain_length,
      'budget': outcome.budget, 'bin': bin_, 'accuracy': float(outcome.accuracy[use].mean()),
      'ci95': interval, 'n': int(use.size), 'repeats': outcome.repeats,
      'generated_tokens': means['generated_tokens'], 'verifier_tokens': means['verifier_tokens'],
      'flops': means['flops'],
      # Blocks are timed, and a block holds questions of every bin.
      'seconds': outcome.seconds if bin_ is None else None,
      'truncated': means['truncated'], 'unanswered': means['unanswered'],
      **{name: means[name] for name in THINKING}}


class _Binner:
  """Places of each bin's questions in outcomes' ids, looked up once for equal ids."""

  def __init__(self, schemes: Mapping[str, Mapping[str, int]]):
    self._schemes = schemes
    self._known: dict[tuple, list[tuple[int, np.ndarray]]] = {}

  def parts(self, outcome: Outcome, scheme: str) -> list[Part]:
    bins = self._schemes.get(scheme, {})
    if (scheme, outcome.ids) not in self._known:
      of = np.array([bins.get(i, 0) for i in outcome.ids], np.int64)
      self._known[scheme, outcome.ids] = [(b, np.flatnonzero(of == b))
                                          for b in sorted(set(bins.values()))]
    return [(outcome, b, use) for b, use in self._known[scheme, outcome.ids] if use.size]


def _whole(outcome: Outcome) -> list[Part]:
  return [(outcome, None, np.arange(len(outcome.ids)))] if outcome.ids else []


def curve_rows(outcomes: Iterable[Outcome],
               schemes: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
  """Every strategy at every budget, over all questions and in each oracle bin."""
  binner = _Binner(schemes)
  return rows([part for outcome in filter(is_main, outcomes)
               for part in (*_whole(outcome), *binner.parts(outcome, 'oracle'))])


def ablation_rows(outcomes: Iterable[Outcome],
                  schemes: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
  """The same for other verifiers, aggregations and selections, and the main ones in other bins."""
  binner = _Binner(schemes)
  found: list[tuple[str, Part]] = []
  for outcome in outcomes:
    if is_main(outcome):
      found += [(name, part) for name in ('predicted', 'level', 'absolute')
                for part in binner.parts(outcome, name)]
    else:
      found += [('oracle', part)
                for part in (*_whole(outcome), *binner.parts(outcome, 'oracle'))]
  return [{**r, 'verifier': part[0].verifier, 'aggregation': part[0].aggregation,
           'selection': part[0].selection, 'bins': name, 'proposal': part[0].proposal}
          for (name, part), r in zip(found, rows([part for _, part in found]))]
