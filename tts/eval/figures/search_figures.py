"""Figures of what a budget buys: accuracy against generations, difficulty, FLOPs and seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tts.eval.figures.figure import at, Figure, hollow, lines, NAMES, number, overall, said
from tts.eval.report import plots


def _greedy(results: Mapping[str, Any], model: str) -> float | None:
  return (results['models'][model] or {}).get('greedy')


def _levels(ax: Any, results: Mapping[str, Any]) -> None:
  plots.level(ax, 'greedy, base model', _greedy(results, 'base'), '--')
  plots.level(ax, 'greedy, large model', _greedy(results, 'large'), '-.')


def budget_figure(results: Mapping[str, Any]) -> Figure | None:
  found = overall(results)
  if not found:
    return None
  every = [r for rows in found.values() for r in rows]
  figure, (ax,) = plots.new(7.8, 4.6)
  most = max(r['n'] for r in every)
  for label, rows in found.items():
    plots.line(ax, label, rows, 'budget', most)
  _levels(ax, results)
  plots.budget_axis(ax, [r['budget'] for r in every])
  ax.set_ylabel('accuracy')
  plots.legend(figure, ax)
  top = max(r['budget'] for r in every)
  return Figure(
      'accuracy_vs_budget', 'Accuracy against generations',
      f'At N = {top}, the largest budget: {said(found, top)}. Bands are 95% bootstrap intervals '
      f'over {most} questions, given these models; best-of-N at N is the mean over all '
      'disjoint groups of N in the pool. A beam setting that both rules for M give is on both '
      'lines.' + hollow([r['n'] for r in every]),
      [r for r in results['curves'] if r['bin'] is None], *plots.pictures(figure))


def bins_figure(results: Mapping[str, Any]) -> Figure | None:
  binned = [r for r in results['curves'] if r['bin'] is not None]
  bins = sorted({r['bin'] for r in binned})
  if not bins:
    return None
  columns = (len(bins) + 2) // 2  # two rows, the last place for the legend
  figure, axes = plots.new(3.2 * columns, 6.2, columns, rows=2)
  budgets = [r['budget'] for r in binned]
  gains = []
  for ax, b in zip(axes, bins):
    found = lines([r for r in binned if r['bin'] == b])
    size = max(r['n'] for r in binned if r['bin'] == b)
    for label, rows in found.items():
      plots.line(ax, label, rows, 'budget', size)
    plots.budget_axis(ax, budgets)
    ax.set_title(f'bin {b}' + {bins[0]: ' (easiest)', bins[-1]: ' (hardest)'}.get(b, '')
                 + f', n = {size}', fontsize=10)
    gains.append(_gain(found))
    if ax in axes[::columns]:
      ax.set_ylabel('accuracy')
  plots.legend_in(axes[-1], axes[0])
  for ax in axes[len(bins):]:
    ax.set_axis_off()
  seen = [s for s in gains if s is not None]
  text = ''
  if len(seen) == len(bins):
    budget, label = seen[0][:2]
    text = (f'At N = {budget}, {label} minus best-of-N weighted is '
            + ', '.join(f'{s[2]:+z.3f}' for s in seen) + f' in bins {bins[0]} to {bins[-1]}. ')
  return Figure(
      'accuracy_vs_budget_by_bin', 'The same by difficulty',
      text + 'Bins are quintiles of pass@1 in a pool of samples apart from the ones scored here.',
      binned, *plots.pictures(figure))


def _gain(found: Mapping[str, list[dict[str, Any]]]) -> tuple[int, str, float] | None:
  """The largest budget that a beam and the weighted vote share: (budget, beam's label, gain)."""
  weighted = found.get(NAMES['best_of_n_weighted'], [])
  shared = [(beam['budget'], label, beam['accuracy'] - at(weighted, beam['budget'])['accuracy'])
            for label, rows in found.items() if label.startswith('beam')
            for beam in rows if at(weighted, beam['budget'])]
  return max(shared, key=lambda s: (s[0], s[1]), default=None)


def cost_figure(results: Mapping[str, Any], axis: str, title: str, label: str,
                about: str) -> Figure | None:
  found = {k: [r for r in rows if r[axis]] for k, rows in overall(results).items()
           if k != NAMES['oracle']}
  found = {k: rows for k, rows in found.items() if rows}
  if not found:
    return None
  figure, (ax,) = plots.new(8.6, 4.2)
  most = max(r['n'] for rows in found.values() for r in rows)
  for name, rows in found.items():
    plots.line(ax, name, rows, axis, most)
  _levels(ax, results)
  plots.cost_axis(ax, label)
  ax.set_ylabel('accuracy')
  plots.legend(figure, ax)
  best = max((r for rows in found.values() for r in rows), key=lambda r: r['accuracy'])
  name = next(k for k, rows in found.items() if best in rows)
  return Figure(
      f'accuracy_vs_{axis}', title,
      f'The highest accuracy, {number(best["accuracy"], best["ci95"])}, is {name} at '
      f'N = {best["budget"]}, for {best[axis]:.3g} {label}. {about}',
      [{'line': k, **r} for k, rows in found.items() for r in rows], *plots.pictures(figure))


def stages_figure(results: Mapping[str, Any]) -> Figure | None:
  stages = [s for s in results['stages'] if s['wall_seconds'] is not None]
  if not stages:
    return None
  figure, (ax,) = plots.new(7.4, 0.9 + 0.42 * len(stages))
  places = range(len(stages))
  ax.barh([p - 0.2 for p in places], [s['budget_seconds'] or 0 for s in stages], 0.36,
          color='#d9d9d9', hatch='///', edgecolor='#999999', label='planned')
  ax.barh([p + 0.2 for p in places], [s['wall_seconds'] for s in stages], 0.36,
          color='#0072b2', label='actual')
  for place, s in zip(places, stages):
    plots.tip(ax, s['wall_seconds'], place + 0.2,
              f'{s["stage"]}: {s["wall_seconds"]:.1f} s, planned {s["budget_seconds"] or 0:.0f} s')
  ax.set_yticks(places, [s['stage'] for s in stages])
  ax.invert_yaxis()
  ax.set_xlabel('seconds')
  plots.legend(figure, ax)
  over = [s['stage'] for s in stages
          if s['budget_seconds'] and s['wall_seconds'] > s['budget_seconds']]
  total = sum(s['wall_seconds'] for s in stages)
  planned = sum(s['budget_seconds'] or 0 for s in stages)
  kept = (f', {planned:.0f} s planned; '
          + (f'over plan: {", ".join(over)}' if over else 'no stage over its plan'))
  return Figure(
      'stages', 'Planned and actual time',
      f'{total:.0f} s in all{kept if planned else ""}.',
      stages, *plots.pictures(figure))
