"""The report's figures: each a picture, the table it was drawn from, and a caption of what is seen.

All of them are made from `results.json`'s contents.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tts.eval.figures import exchange_figures as exchange, policy_figures as policy
from tts.eval.figures import revision_figures as revision, search_figures as search
from tts.eval.figures import thinking_figures as thinking, verifier_figures as verifier
from tts.eval.figures.figure import Figure

# Files that a report may hold, and clears away where a run no longer has what they show.
FILES = ('accuracy_vs_budget', 'accuracy_vs_budget_by_bin', 'compute_optimal', 'prm_vs_orm',
         'aggregation', 'auc_by_step', 'over_optimisation', 'calibration', 'accuracy_vs_flops',
         'accuracy_vs_seconds', 'exchange', 'revision_chain', 'revision_depth', 'revision_ratio',
         'mechanisms', 'accuracy_vs_thinking', 'stages')


def _flops(results: Mapping[str, Any]) -> Figure | None:
  return search.cost_figure(
      results, 'flops', 'Accuracy against computation', 'FLOPs per question',
      'Counted from the tokens that entered each model and what they attended to, verifier and '
      'prompt included.')


def _seconds(results: Mapping[str, Any]) -> Figure | None:
  return search.cost_figure(
      results, 'seconds', 'Accuracy against time', 'seconds per question',
      'Wall-clock of whole blocks, as they ran here. The pool was sampled and scored at once, '
      'by every verifier: its points share that time evenly, so a vote pays for them too.')


_MAKERS = (
    search.budget_figure, search.bins_figure, policy.policy_figure, verifier.verifiers_figure,
    verifier.aggregation_figure, verifier.auc_figure, verifier.over_optimisation_figure,
    verifier.calibration_figure, _flops, _seconds, exchange.exchange_figure,
    revision.chain_figure, revision.depth_figure, revision.ratio_figure, revision.policy_figure,
    thinking.thinking_figure, search.stages_figure)


def _make(results: Mapping[str, Any], number: int) -> Figure | None:
  return _MAKERS[number](results)


def draw(results: Mapping[str, Any], mapped: Callable = map) -> Iterator[Figure]:
  """Every figure that the results have data for. `mapped`: `map`, or an executor's, by which they
  are drawn beside what the caller does next."""
  made = mapped(functools.partial(_make, results), range(len(_MAKERS)))
  return (f for f in made if f is not None)
