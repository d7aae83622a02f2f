"""The report's figures: each a picture, the table it was drawn from, and a caption of what is seen.

All of them are made from `results.json`'s contents.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tts.eval import figures_exchange as exchange, figures_policy as policy
from tts.eval import figures_search as search
from tts.eval import figures_verifier as verifier
from tts.eval.figure import Figure

# Files that a report may hold, and clears away where a run no longer has what they show.
FILES = ('accuracy_vs_budget', 'accuracy_vs_budget_by_bin', 'compute_optimal', 'prm_vs_orm',
         'aggregation', 'auc_by_step', 'over_optimisation', 'calibration', 'accuracy_vs_flops',
         'accuracy_vs_seconds', 'exchange', 'stages')


def draw(results: Mapping[str, Any]) -> list[Figure]:
  """Every figure that the results have data for."""
  made = [
      search.budget_figure(results), search.bins_figure(results), policy.policy_figure(results),
      verifier.verifiers_figure(results), verifier.aggregation_figure(results),
      verifier.auc_figure(results), verifier.over_optimisation_figure(results),
      verifier.calibration_figure(results),
      search.cost_figure(
          results, 'flops', 'Accuracy against computation', 'FLOPs per question',
          'Counted from the tokens that entered each model and what they attended to, verifier and '
          'prompt included.'),
      search.cost_figure(
          results, 'seconds', 'Accuracy against time', 'seconds per question',
          'Wall-clock of whole blocks, as they ran here. The pool was sampled and scored at once, '
          'by every verifier: its points share that time evenly, so a vote pays for them too.'),
      exchange.exchange_figure(results), search.stages_figure(results)]
  return [f for f in made if f is not None]
