"""Figures of how good the verifiers are: within questions, as probabilities, under selection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tts.eval.figures.figure import Figure, hollow, judges, main, main_label, number, overall
from tts.eval.figures.figure import said, SUMMED
from tts.eval.report import plots

_LAST = 'last'


def _described(results: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
  """Label -> what is known of each verifier that has scored the pool."""
  return {label: results['verifier'][name] for name, label in judges(results).items()
          if (results['verifier'].get(name) or {}).get('auc_within_n') is not None}


def _variants(results: Mapping[str, Any], wanted: Mapping[str, Mapping[str, Any]],
              ) -> dict[str, list[dict[str, Any]]]:
  """Best-of-N weighted, all questions, by verifier or aggregation; labels without rows go."""
  weighted = [r for r in results['ablations']
              if r['strategy'] == 'best_of_n_weighted' and r['bin'] is None]
  weighted += [{**r, 'verifier': main(results), 'aggregation': 'last'} for r in results['curves']
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
  majority = overall(results).get('majority', [])
  figure, (ax,) = plots.new(7.4, 4.0)
  for label, rows in {**found, 'majority': majority}.items():
    plots.line(ax, label, rows, 'budget')
  plots.budget_axis(ax, [r['budget'] for r in table])
  ax.set_ylabel('accuracy, best-of-N weighted')
  plots.legend(figure, ax)
  top = max(r['budget'] for r in table)
  best = said({**found, 'majority': majority}, top)
  return Figure(name, title, f'At N = {top}: {best}. {about}' + hollow([r['n'] for r in table]),
                table, *plots.pictures(figure))


def verifiers_figure(results: Mapping[str, Any]) -> Figure | None:
  return _variants_figure(
      results, 'prm_vs_orm', 'Process against outcome reward models',
      'Best-of-N weighted by each verifier; majority reads none.',
      {label: {'verifier': name, 'aggregation': 'last'} for name, label in judges(results).items()})


def aggregation_figure(results: Mapping[str, Any]) -> Figure | None:
  return _variants_figure(
      results, 'aggregation', 'From step scores to an answer\'s score',
      f'The {main_label(results)}\'s value at the last step, its minimum or its product over the '
      'steps.',
      {label: {'verifier': main(results), 'aggregation': how} for label, how in (
          ('last step', 'last'), ('minimum', 'min'), ('product', 'prod'))})


def calibration_figure(results: Mapping[str, Any]) -> Figure | None:
  tables = {label: v for label, v in _described(results).items() if v['calibration']}
  if not tables:
    return None
  figure, (ax,) = plots.new(5.6, 4.2)
  ax.plot([0, 1], [0, 1], color='#999999', linestyle=':', label='perfect')
  for label, v in tables.items():
    table = v['calibration']
    plots.values(ax, label, [b['score'] for b in table], [b['accuracy'] for b in table],
                 [b['n'] for b in table])
  ax.set_xlabel('score of an answer')
  ax.set_ylabel('share that is right')
  plots.legend(figure, ax)
  errors = '; '.join(f'{label}: expected calibration error {number(v["ece"])}'
                   for label, v in tables.items())
  return Figure(
      'calibration', 'Are the scores probabilities?',
      f'{errors}. Ten equal bins of the score; a point above the dotted line is an answer that is '
      'right more often than its score says.',
      [{'verifier': label, **b} for label, v in tables.items() for b in v['calibration']],
      *plots.pictures(figure))


def auc_figure(results: Mapping[str, Any]) -> Figure | None:
  found = _described(results)
  alone = results['logprob'] or {}
  by_bin = {label: v['auc_by_bin'] for label, v in found.items()}
  by_bin = {k: v for k, v in {**by_bin, SUMMED: alone.get('auc_by_bin')}.items() if v}
  by_step = {label: v['auc_by_step'] for label, v in found.items() if v['auc_by_step']}
  if not by_step:
    return None
  if alone.get('auc_within') is not None:
    by_step[SUMMED] = [[_LAST, alone['auc_within'], alone['auc_within_ci95'],
                        alone['auc_within_n']]]
  table = [{'line': label, 'of': of, 'at': place, 'auc': auc, 'ci95': ci95, 'n': n}
           for of, part in (('step', by_step), ('bin', by_bin))
           for label, entries in part.items() for place, auc, ci95, n in entries]
  steps = max((e[0] for v in by_step.values() for e in v if e[0] != _LAST), default=0)
  figure, axes = plots.new(9.6, 4.2, 1 + bool(by_bin))
  for i, (label, entries) in enumerate(by_step.items()):
    _auc_line(axes[0], label, [e for e in entries if e[0] != _LAST])
    for _, auc, ci95, n in (e for e in entries if e[0] == _LAST):
      plots.point(axes[0], label, steps + 1 + 0.12 * i, auc, ci95, 'the last step', n)
  axes[0].set_xticks([*range(1, steps + 1), steps + 1.2], [*map(str, range(1, steps + 1)), _LAST])
  axes[0].set_xlabel('step')
  axes[0].set_ylabel('AUC within a question')
  for label, entries in by_bin.items():
    _auc_line(axes[-1], label, entries)
  if by_bin:
    bins = sorted({e[0] for v in by_bin.values() for e in v})
    axes[1].set_xticks(bins, map(str, bins))
    axes[1].set_xlabel('bin of difficulty, 1 = easiest')
  for ax in axes:
    ax.axhline(0.5, color='#999999', linestyle=':')
  plots.legend(figure, axes[0])
  last = ', '.join(f'{label} {number(e[1], e[2])}' for label, v in by_step.items()
                   for e in v if e[0] == _LAST)
  return Figure(
      'auc_by_step', 'Right against wrong answers of the same question',
      f'At the last step: {last}. Left, values at a step against the outcome in the end, among the '
      'samples that have that step; right, final scores by difficulty. A coin has 0.5.',
      table, *plots.pictures(figure))


def _auc_line(ax: Any, label: str, entries: list[list[Any]]) -> None:
  plots.line(ax, label, [{'x': place, 'accuracy': auc, 'ci95': ci95, 'n': n}
                         for place, auc, ci95, n in entries], 'x', hollow=False)


def over_optimisation_figure(results: Mapping[str, Any]) -> Figure | None:
  found = {label: v['over_optimisation'] for label, v in _described(results).items()
           if v['over_optimisation']}
  if not found:
    return None
  figure, axes = plots.new(1.6 + 2.7 * len(found), 3.6, len(found))
  seen = []
  for ax, (label, entries) in zip(axes, found.items()):
    sizes = [e[0] for e in entries]
    plots.line(ax, 'accuracy', [{'x': n, 'accuracy': right, 'ci95': ci95, 'n': count}
                                for n, _, right, ci95, count in entries], 'x')
    plots.values(ax, 'its score', sizes, [e[1] for e in entries], [e[-1] for e in entries])
    plots.budget_axis(ax, sizes[::2] if len(sizes) > 5 else sizes)
    ax.set_title(label, fontsize=10)
    all_of_them = [e for e in entries if e[-1] == entries[0][-1]]
    (_, score, right, *_), (top, last_score, last_right, *_) = all_of_them[0], all_of_them[-1]
    seen.append(f'{label}: score {score:.3f} to {last_score:.3f}, accuracy {right:.3f} to '
                f'{last_right:.3f} from N = {sizes[0]} to {top}')
  plots.legend(figure, axes[0])
  return Figure(
      'over_optimisation', 'What the highest score is worth',
      f'Plain best-of-N. {"; ".join(seen)}. Where the score of the chosen answer rises and its '
      'accuracy does not, more samples only find what fools the verifier.'
      + hollow([e[-1] for v in found.values() for e in v]),
      [{'line': label, 'budget': n, 'score': score, 'accuracy': right, 'ci95': ci95, 'n': count}
       for label, entries in found.items() for n, score, right, ci95, count in entries],
      *plots.pictures(figure))
