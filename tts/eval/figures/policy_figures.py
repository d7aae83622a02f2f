"""The compute-optimal policy against fixed strategies: the paper's Figure 4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tts.eval.figures.figure import at, Figure, hollow, NAMES, number, overall
from tts.eval.policy.difficulty import CHARGED
from tts.eval.report import plots

# The one that pays for its estimate of difficulty first.
_POLICIES = {('predicted', CHARGED): 'compute-optimal, charged',
             ('predicted', 'pool'): 'compute-optimal, predicted bins',
             ('oracle', 'pool'): 'compute-optimal, oracle bins'}
_BASELINES = ('best_of_n_weighted', 'majority', 'logprob_weighted')


def _ratio(results: Mapping[str, Any], label: str, scheme: str, estimator: str) -> str | None:
  want = ('search', scheme, estimator, _BASELINES[0], 'generations')
  row = next((r for r in results['efficiency'] if want == (
      r['mechanism'], r['bins'], r['estimator'], r['baseline'], r['axis'])), None)
  if row is None or row['ratio'] is None:
    return None
  return f'{label} {number(row["ratio"], row["ci95"])}'


def policy_figure(results: Mapping[str, Any]) -> Figure | None:
  found = {label: [r for r in results['compute_optimal']
                   if (r['mechanism'], r['bins'], r['estimator']) == ('search', *key)]
           for key, label in _POLICIES.items()}
  found = {label: rows for label, rows in found.items() if rows}
  if not found:
    return None
  budgets = sorted({r['budget'] for rows in found.values() for r in rows})
  fixed = overall(results)
  for name in _BASELINES:
    rows = [r for b in budgets if (r := at(fixed.get(NAMES[name], []), b))]
    if rows:
      found[NAMES[name]] = rows
  figure, (ax,) = plots.new(8.6, 4.6)
  for label, rows in found.items():
    plots.line(ax, label, rows, 'budget')
  plots.budget_axis(ax, budgets)
  ax.set_ylabel('accuracy')
  plots.legend(figure, ax)
  ratios = [t for (scheme, name), label in _POLICIES.items()
            if (t := _ratio(results, label, scheme, name))]
  text = (f'Generations of best-of-N weighted over those of the policy, at equal accuracy: '
          f'{"; ".join(ratios)}. ' if ratios else '')
  return Figure(
      'compute_optimal', 'The best strategy per difficulty',
      f'{text}Strategies are chosen per bin on nine tenths of the questions and scored on the '
      f'rest. The charged policy pays for its estimate of difficulty ({CHARGED.replace("_", " ")} '
      'of the samples, scored by the main verifier); for the others the pool behind the bins is '
      'free, as in the paper.' + hollow([r['n'] for rows in found.values() for r in rows]),
      [{'line': label, **{k: v for k, v in r.items() if not isinstance(v, list) or k == 'ci95'}}
       for label, rows in found.items() for r in rows], *plots.pictures(figure))
