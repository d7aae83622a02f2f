"""The report's figures: each a picture, the table it was drawn from, and a caption of what is seen.

All of them are made from `results.json`'s contents.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from typing import Any

from tts.eval import plots

# Files that a report may hold, and clears away where a run no longer has what they show.
FILES = ('accuracy_vs_budget', 'accuracy_vs_budget_by_bin', 'prm_vs_orm', 'aggregation',
         'accuracy_vs_flops', 'accuracy_vs_seconds', 'calibration', 'stages')
_NAMES = {'majority': 'majority', 'logprob_weighted': 'log-probability vote',
          'best_of_n': 'best-of-N', 'best_of_n_weighted': 'best-of-N weighted',
          'oracle': 'pass@N (oracle)'}


@dataclasses.dataclass(frozen=True)
class Figure:
  """One figure. `rows` is its CSV."""

  name: str
  title: str
  caption: str
  rows: list[dict[str, Any]]
  png: bytes

  def csv(self) -> bytes:
    """The table as CSV; a list such as an interval becomes `<name>_low`, `<name>_high`."""
    flat = [_flat(r) for r in self.rows]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(k for r in flat for k in r)),
                            lineterminator='\n')
    writer.writeheader()
    writer.writerows(flat)
    return out.getvalue().encode()


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
  out = {}
  for key, value in row.items():
    if key == 'ci95':
      out['ci95_low'], out['ci95_high'] = value or (None, None)
    else:
      out[key] = value
  return out


def number(value: float | None, interval: Sequence[float] | None = None) -> str:
  """`0.712 [0.660, 0.755]`, or `not measured`."""
  if value is None:
    return 'not measured'
  text = f'{value:z.3f}'
  return text if interval is None else f'{text} [{interval[0]:z.3f}, {interval[1]:z.3f}]'


def lines(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
  """Rows of curves by label; a beam setting that two rules for M share is on both lines."""
  out: dict[str, list[dict[str, Any]]] = {label: [] for label in _NAMES.values()}
  for row in rows:
    strategy, budget, width = row['strategy'], row['budget'], row['beam_width']
    if strategy in _NAMES:
      out[_NAMES[strategy]].append(row)
    elif strategy == 'beam':
      rules = {'beam, M = sqrt(N)': 2 ** ((budget.bit_length() - 1) // 2),
               'beam, M = 4': min(4, budget)}
      fits = [label for label, m in rules.items() if m == width] or [f'beam, M = {width}']
      for label in fits:
        out.setdefault(label, []).append(row)
  return {label: sorted(found, key=lambda r: r['budget']) for label, found in out.items() if found}


def _overall(results: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
  return lines([r for r in results['curves'] if r['bin'] is None])


def _at(rows: Sequence[dict[str, Any]], budget: int) -> dict[str, Any] | None:
  return next((r for r in rows if r['budget'] == budget), None)


def _greedy(results: Mapping[str, Any], model: str) -> float | None:
  return (results['models'][model] or {}).get('greedy')


def _levels(ax: Any, results: Mapping[str, Any]) -> None:
  plots.level(ax, 'greedy, base model', _greedy(results, 'base'), '--')
  plots.level(ax, 'greedy, large model', _greedy(results, 'large'), '-.')


def _said(found: Mapping[str, list[dict[str, Any]]], budget: int) -> str:
  """`best-of-N weighted 0.712 [..], majority ..` at one budget, the best first."""
  here = [(label, _at(rows, budget)) for label, rows in found.items()]
  here = sorted(((label, r) for label, r in here if r), key=lambda x: -x[1]['accuracy'])
  return ', '.join(f'{label} {number(r["accuracy"], r["ci95"])}' for label, r in here)


def budget_figure(results: Mapping[str, Any]) -> Figure | None:
  found = _overall(results)
  if not found:
    return None
  every = [r for rows in found.values() for r in rows]
  figure, (ax,) = plots.new(8.6, 4.6)
  for label, rows in found.items():
    plots.line(ax, label, rows, 'budget')
  _levels(ax, results)
  plots.budget_axis(ax, [r['budget'] for r in every])
  ax.set_ylabel('accuracy')
  plots.legend(figure, ax)
  top = max(r['budget'] for r in every)
  return Figure(
      'accuracy_vs_budget', 'Accuracy against generations',
      f'At N = {top}, the largest budget: {_said(found, top)}. Bands are 95% bootstrap intervals '
      f'over {every[0]["n"]} questions, given these models; best-of-N at N is the mean over all '
      'disjoint groups of N in the pool. A beam setting that both rules for M give is on both '
      'lines.', [r for r in results['curves'] if r['bin'] is None], plots.png(figure))


def bins_figure(results: Mapping[str, Any]) -> Figure | None:
  binned = [r for r in results['curves'] if r['bin'] is not None]
  bins = sorted({r['bin'] for r in binned})
  if not bins:
    return None
  columns = (len(bins) + 2) // 2  # two rows, the last place for the legend
  figure, axes = plots.new(3.2 * columns, 6.2, columns, rows=2)
  budgets = [r['budget'] for r in binned]
  said = []
  for ax, b in zip(axes, bins):
    found = lines([r for r in binned if r['bin'] == b])
    for label, rows in found.items():
      plots.line(ax, label, rows, 'budget')
    plots.budget_axis(ax, budgets)
    size = max(r['n'] for r in binned if r['bin'] == b)
    ax.set_title(f'bin {b}' + {bins[0]: ' (easiest)', bins[-1]: ' (hardest)'}.get(b, '')
                 + f', n = {size}', fontsize=10)
    said.append(_gain(found))
    if ax in axes[::columns]:
      ax.set_ylabel('accuracy')
  plots.legend_in(axes[-1], axes[0])
  for ax in axes[len(bins):]:
    ax.set_axis_off()
  seen = [s for s in said if s is not None]
  text = ''
  if len(seen) == len(bins):
    budget, label = seen[0][:2]
    text = (f'At N = {budget}, {label} minus best-of-N weighted is '
            + ', '.join(f'{s[2]:+z.3f}' for s in seen) + f' in bins {bins[0]} to {bins[-1]}. ')
  return Figure(
      'accuracy_vs_budget_by_bin', 'The same by difficulty',
      text + 'Bins are quintiles of pass@1 in a pool of samples apart from the ones scored here.',
      binned, plots.png(figure))


def _gain(found: Mapping[str, list[dict[str, Any]]]) -> tuple[int, str, float] | None:
  """The largest budget that a beam and the weighted vote share: (budget, beam's label, gain)."""
  weighted = found.get(_NAMES['best_of_n_weighted'], [])
  shared = [(beam['budget'], label, beam['accuracy'] - _at(weighted, beam['budget'])['accuracy'])
            for label, rows in found.items() if label.startswith('beam')
            for beam in rows if _at(weighted, beam['budget'])]
  return max(shared, key=lambda s: (s[0], s[1]), default=None)


def _variants(results: Mapping[str, Any], wanted: Mapping[str, Mapping[str, Any]],
              ) -> dict[str, list[dict[str, Any]]]:
  """Best-of-N weighted, all questions, by verifier or aggregation; labels without rows go."""
  weighted = [r for r in results['ablations']
              if r['strategy'] == 'best_of_n_weighted' and r['bin'] is None]
  weighted += [{**r, 'verifier': 'prm', 'aggregation': 'last'} for r in results['curves']
               if r['strategy'] == 'best_of_n_weighted' and r['bin'] is None]
  found = {label: [r for r in weighted if all(r[k] == v for k, v in what.items())]
           for label, what in wanted.items()}
  return {label: rows for label, rows in found.items() if rows}


def _variants_figure(results: Mapping[str, Any], name: str, title: str, about: str,
                     wanted: Mapping[str, Mapping[str, Any]]) -> Figure | None:
  found = _variants(results, wanted)
  if len(found) < 2:
    return None
  table = [{'line': label, **r} for label, rows in found.items() for r in rows]
  majority = _overall(results).get('majority', [])
  figure, (ax,) = plots.new(7.4, 4.0)
  for label, rows in {**found, 'majority': majority}.items():
    plots.line(ax, label, rows, 'budget')
  plots.budget_axis(ax, [r['budget'] for r in table])
  ax.set_ylabel('accuracy, best-of-N weighted')
  plots.legend(figure, ax)
  top = max(r['budget'] for r in table)
  said = _said({**found, 'majority': majority}, top)
  return Figure(name, title, f'At N = {top}: {said}. {about}', table, plots.png(figure))


def verifiers_figure(results: Mapping[str, Any]) -> Figure | None:
  return _variants_figure(
      results, 'prm_vs_orm', 'Process against outcome reward model',
      'Best-of-N weighted by each verifier; majority reads none.',
      {'PRM': {'verifier': 'prm', 'aggregation': 'last'}, 'ORM': {'verifier': 'orm'}})


def aggregation_figure(results: Mapping[str, Any]) -> Figure | None:
  return _variants_figure(
      results, 'aggregation', 'From step scores to an answer\'s score',
      'The PRM\'s value at the last step, its minimum or its product over the steps.',
      {'last step': {'verifier': 'prm', 'aggregation': 'last'},
       'minimum': {'verifier': 'prm', 'aggregation': 'min'},
       'product': {'verifier': 'prm', 'aggregation': 'prod'}})


def cost_figure(results: Mapping[str, Any], axis: str, title: str, label: str,
                about: str) -> Figure | None:
  found = {k: [r for r in rows if r[axis]] for k, rows in _overall(results).items()
           if k != _NAMES['oracle']}
  found = {k: rows for k, rows in found.items() if rows}
  if not found:
    return None
  figure, (ax,) = plots.new(8.6, 4.2)
  for name, rows in found.items():
    plots.line(ax, name, rows, axis)
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
      [{'line': k, **r} for k, rows in found.items() for r in rows], plots.png(figure))


def calibration_figure(results: Mapping[str, Any]) -> Figure | None:
  tables = {name.upper(): v for name, v in results['verifier'].items()
            if v and v['calibration']}
  if not tables:
    return None
  figure, (ax,) = plots.new(5.6, 4.2)
  ax.plot([0, 1], [0, 1], color='#999999', linestyle=':', label='perfect')
  for label, v in tables.items():
    table = v['calibration']
    ax.plot([b['score'] for b in table], [b['accuracy'] for b in table], label=label,
            **plots.style(label))
  ax.set_xlabel('score of an answer')
  ax.set_ylabel('share that is right')
  plots.legend(figure, ax)
  said = '; '.join(f'{label}: expected calibration error {number(v["ece"])}'
                   for label, v in tables.items())
  return Figure(
      'calibration', 'Are the scores probabilities?',
      f'{said}. Ten equal bins of the score; a point above the dotted line is an answer that is '
      'right more often than its score says.',
      [{'verifier': label, **b} for label, v in tables.items() for b in v['calibration']],
      plots.png(figure))


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
  ax.set_yticks(places, [s['stage'] for s in stages])
  ax.invert_yaxis()
  ax.set_xlabel('seconds')
  plots.legend(figure, ax)
  over = [s['stage'] for s in stages
          if s['budget_seconds'] and s['wall_seconds'] > s['budget_seconds']]
  total = sum(s['wall_seconds'] for s in stages)
  planned = sum(s['budget_seconds'] or 0 for s in stages)
  return Figure(
      'stages', 'Planned and actual time',
      f'{total:.0f} s in all, {planned:.0f} s planned; '
      + (f'over plan: {", ".join(over)}.' if over else 'no stage over its plan.'),
      stages, plots.png(figure))


def draw(results: Mapping[str, Any]) -> list[Figure]:
  """Every figure that the results have data for."""
  made = [
      budget_figure(results), bins_figure(results), verifiers_figure(results),
      aggregation_figure(results),
      cost_figure(results, 'flops', 'Accuracy against computation', 'FLOPs per question',
                  'Counted from the tokens that entered each model and what they attended to, '
                  'verifier and prompt included.'),
      cost_figure(results, 'seconds', 'Accuracy against time', 'seconds per question',
                  'Wall-clock of whole blocks, as they ran here. The pool was sampled and scored '
                  'at once: its points share that time evenly, so a vote pays for the verifier '
                  'too.'),
      calibration_figure(results), stages_figure(results)]
  return [f for f in made if f is not None]
