"""The exchange with larger models as a figure (the paper's Fig. 9) and as tables."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from tts.eval.figures.figure import Figure, number
from tts.eval.report import page, plots

_BINS = (('oracle', 'bins by the small model'), ('level', 'external levels'),
         ('larger', 'bins by the larger model'))
_WIDTH = 0.22  # between the three R of one bin


def _shown(results: Mapping[str, Any]) -> list[dict[str, Any]]:
  """Greedy answers of the larger models by the paper's accounting, as Fig. 9 compares them."""
  shown = ('search', 'paper', 'greedy')
  return [r for r in results['flops_matched']
          if (r['mechanism'], r['accounting'], r['larger_strategy']) == shown
          and r['difference'] is not None and r['bins'] in dict(_BINS)]


def _label(ratio: float) -> str:
  return f'R = {ratio:g}'


def exchange_figure(results: Mapping[str, Any]) -> Figure | None:
  shown = _shown(results)
  if not shown:
    return None
  models = list(dict.fromkeys(r['larger'] for r in shown))
  kinds = [(name, text) for name, text in _BINS if any(r['bins'] == name for r in shown)]
  figure, axes = plots.new(3.6 * len(kinds), 2.6 * len(models) + 0.4, len(kinds), len(models))
  cells = [(model, *kind) for model in models for kind in kinds]
  for ax, (model, name, text) in zip(axes, cells):
    rows = [r for r in shown if r['larger'] == model and r['bins'] == name]
    _panel(ax, rows)
    if name == kinds[0][0]:
      ax.set_ylabel(f'small minus {model} ({rows[0]["m"] if rows else 0:.1f}x)')
    ax.set_title(text, fontsize=10)
  plots.legend(figure, axes[0])
  return Figure('exchange', 'Test-time compute against a larger model', _caption(shown, models),
                shown, *plots.pictures(figure))


def _panel(ax: Any, rows: Sequence[dict[str, Any]]) -> None:
  bins = sorted({r['bin'] for r in rows if r['bin'] is not None})
  places = {b: i + 1 for i, b in enumerate(bins)} | {None: 0}
  ratios = sorted({r['R'] for r in rows})
  for i, ratio in enumerate(ratios):
    mine = [r for r in rows if r['R'] == ratio]
    plots.points(ax, _label(ratio),
                 [places[r['bin']] + _WIDTH * (i - (len(ratios) - 1) / 2) for r in mine],
                 [r['difference'] for r in mine], [r['ci95'] for r in mine],
                 [r['underspent'] for r in mine],
                 ['all questions' if r['bin'] is None else f'bin {r["bin"]}' for r in mine],
                 [r['n'] for r in mine])
  ax.axhline(0, color='#777777', linewidth=1)
  ax.set_xticks(list(places.values()), [str(b) if b else 'all' for b in places])
  ax.set_xlabel('bin')


def _caption(shown: Sequence[dict[str, Any]], models: Sequence[str]) -> str:
  said = []
  for model in models:
    whole = {r['R']: r for r in shown if r['larger'] == model and r['bin'] is None
             and r['bins'] == shown[0]['bins']}
    said.append(f'{model}: ' + ', '.join(
        f'{number(r["difference"], r["ci95"])} at R = {ratio:g} (N = {_spent(r)}, '
        f'k = {r["k"]:.1f})' for ratio, r in sorted(whole.items())))
  return ('Accuracy of the small model with test-time compute, by the policy chosen on the other '
          'fold, minus that of a larger model\'s greedy answer at equal FLOPs by the paper\'s '
          'accounting; above 0 test-time compute is ahead. All questions: ' + '; '.join(said)
          + '. Hollow points spend less than half of what they may. Bins by the small model favour '
          'it.')


_LINE = '{:<7}{:<11}{:>5}{:>8}{:>8}  {:<26}' + '{:>8}' * 5
_HEADER = ('larger', 'its answer', 'bins', 'bin', 'R', 'k', 'N', 'verifier', 'small', 'larger\'s',
           'difference', '95% interval', 'relative', 'n')


def tables(results: Mapping[str, Any]) -> list[str]:
  """Every row of `flops_matched` and `break_even` as HTML, losses too; [] without any."""
  found = results['flops_matched']
  if not found:
    return []
  out = ['<h3>The exchange with pretraining, every comparison</h3>',
         '<p class="meta">k: generations that the small model may spend on a question; N: the '
         'budgets that were run on both sides of it, between which its accuracy is interpolated, '
         'or the one within 1% of it, or the largest, * if less than half of k. The interval is '
         'over questions, given these models. strict: measured FLOPs, and what is spent once.</p>']
  for kind in dict.fromkeys((r['mechanism'], r['accounting']) for r in found):
    rows = [_row(r) for r in found if (r['mechanism'], r['accounting']) == kind]
    out.append(f'<details><summary>{html.escape(kind[0])}, {html.escape(kind[1])} accounting, '
               f'{len(rows)} rows</summary>{page.table(_HEADER, rows)}</details>')
  rows = [[r['mechanism'], r['larger'], _answer(r), r['bins'], r['bin'] or 'all',
           r['reason'] if r['R'] is None else f'{r["R"]:.3g}',
           '' if r['k'] is None else f'{r["k"]:.1f}'] for r in results['break_even']]
  header = ('small', 'larger', 'its answer', 'bins', 'bin', 'ahead below R', 'k')
  out.append(f'<details><summary>break-even, {len(rows)} rows</summary>'
             f'{page.table(header, rows)}</details>')
  return out


def text(results: Mapping[str, Any]) -> str:
  """The exchange with the larger models' greedy answers by the paper's accounting, for a terminal.

  A line per larger model, bins and R: what is compared, then the difference on all questions and
  in each bin.
  """
  shown = [r for r in results['flops_matched']
           if (r['mechanism'], r['accounting'], r['larger_strategy']) == (
               'search', 'paper', 'greedy')]
  if not shown:
    return f'nothing to compare: {results["reasons"].get("flops_matched", "no question in common")}'
  lines = ['small with test-time compute minus larger, greedy; k generations are its due, N are '
           'spent']
  head = ('larger', 'bins', 'R', 'k', 'N', 'all questions', *map(str, range(1, 6)))
  lines.append(_LINE.format(*head))
  groups: dict[tuple, dict[Any, str]] = {}
  for r in shown:
    spent = _spent(r)
    key = (r['larger'], r['bins'], f'{r["R"]:g}', f'{r["k"]:.1f}', spent)
    value = '' if r['difference'] is None else f'{r["difference"]:+z.3f}'
    if r['bin'] is None and r['ci95'] is not None:
      value += f' [{r["ci95"][0]:+z.3f}, {r["ci95"][1]:+z.3f}]'
    groups.setdefault(key, {})[r['bin']] = value
  for key, values in groups.items():
    lines.append(_LINE.format(*key, *(values.get(b, '') for b in (None, 1, 2, 3, 4, 5))))
  if any('*' in key[-1] for key in groups):
    lines.append('* less than half of k: no budget that was run is nearer')
  return '\n'.join(line.rstrip() for line in lines)


def _spent(row: Mapping[str, Any]) -> str:
  if row['budget'] is None:
    return ''
  return (f'{row["budget"]}-{row["budget_above"]}' if row['interpolated']
          else f'{row["budget"]}{"*" if row["underspent"] else ""}')


def _answer(row: Mapping[str, Any]) -> str:
  few = '' if row['larger_strategy'] == 'greedy' else f' of {row["larger_samples"]}'
  return f'{row["larger_strategy"]}{few}'


def _row(r: Mapping[str, Any]) -> list[Any]:
  start = [r['larger'], _answer(r), r['bins'], r['bin'] or 'all', f'{r["R"]:g}',
           '' if r['k'] is None else f'{r["k"]:.1f}',
           _spent(r),
           '' if r['verifier'] is None else 'yes' if r['verifier'] else 'no']
  if r['difference'] is None:
    return [*start, '', '', r['reason'], '', '', r['n']]
  span = '' if r['ci95'] is None else f'{r["ci95"][0]:+z.3f} to {r["ci95"][1]:+z.3f}'
  share = '' if r['relative_change'] is None else f'{r["relative_change"]:+z.1%}'
  return [*start, f'{r["small_accuracy"]:.3f}', f'{r["large_accuracy"]:.3f}',
          f'{r["difference"]:+z.3f}', span, share, r['n']]
