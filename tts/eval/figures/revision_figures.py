"""Figures of revisions: along a chain, depth against breadth, the policy (paper, Fig. 6 to 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tts.eval.figures.figure import Figure, number
from tts.eval.measures.curves import REVISIONS
from tts.eval.report import plots

_CHAIN, _SAMPLES, _CONTROL, _BASE = (
    'one chain', 'revision model, independent', 'control, independent', 'base, independent')


def chain_figure(results: Mapping[str, Any]) -> Figure | None:
  """Pass@1 of each answer of a chain."""
  made = results['revisions']
  if made is None or made['chain_length'] < 2:
    return None
  rows = [r for r in made['pass_at_1'] if r['bin'] is None]
  binned = [r for r in made['pass_at_1'] if r['bin'] is not None]
  figure, axes = plots.new(10.4, 4.4, 1 + bool(binned))
  plots.line(axes[0], 'all questions', rows, 'step', looks=plots.graded(0, 1))
  for ax, title in zip(axes, ('all questions', 'oracle bins, 1 = easiest')):
    ax.set_xlabel('answer of the chain')
    ax.set_title(title, fontsize=10)
  axes[0].set_ylabel('accuracy of this answer alone')
  if binned:
    _graded(axes[1], 'bin {}', binned, 'bin', 'step')
    axes[1].legend(frameon=False, fontsize=8)
  flips = made['flips']
  return Figure(
      'revision_chain', 'Accuracy along a chain of revisions',
      f'Each answer is written with the last four in context; {made["chains"]} chains of '
      f'{made["questions"]} questions. First {number(rows[0]["accuracy"], rows[0]["ci95"])}, last '
      f'{number(rows[-1]["accuracy"], rows[-1]["ci95"])}. Right answers followed by a wrong one: '
      f'{number(flips["right_to_wrong"]["share"], flips["right_to_wrong"]["ci95"])}; wrong ones by '
      f'a right one: {number(flips["wrong_to_right"]["share"], flips["wrong_to_right"]["ci95"])}.',
      made['pass_at_1'], *plots.pictures(figure))


def _lines(results: Mapping[str, Any], majority: bool) -> dict[str, list[dict[str, Any]]]:
  """Rows over all questions by label: chosen by each side's own verifier, or by majority."""
  found: dict[str, list[dict[str, Any]]] = {}
  add = lambda label, r: found.setdefault(label, []).append(r)
  curves = [r for r in results['curves'] if r['bin'] is None]
  others = [r for r in results['ablations'] if r['bin'] is None]
  for r in others if majority else curves:
    if r['strategy'] in REVISIONS[:2] and (not majority or (
        r['selection'] == 'majority' and r['proposal'] is None)):
      add(_CHAIN if r['strategy'] == 'sequential' else _SAMPLES, r)
  for r in others:
    if r['proposal'] is not None and (r['selection'] == 'majority') == majority and (
        r['verifier'] == (None if majority else 'control_orm')):
      add(_CONTROL, r)
  most = max((r['budget'] for rows in found.values() for r in rows), default=0)
  for r in curves:
    if r['strategy'] == ('majority' if majority else 'best_of_n_weighted') and r['budget'] <= most:
      add(_BASE, r)
  return found


def depth_figure(results: Mapping[str, Any]) -> Figure | None:
  """One chain against independent answers at equal N, by verifier and by majority."""
  if results['revisions'] is None:
    return None
  panels = {'by the side\'s own verifier': _lines(results, False),
            'by majority': _lines(results, True)}
  figure, axes = plots.new(10.4, 4.4, 2)
  for ax, (title, found) in zip(axes, panels.items()):
    for label, rows in found.items():
      plots.line(ax, label, rows, 'budget')
    plots.budget_axis(ax, [r['budget'] for rows in found.values() for r in rows])
    ax.set_title(title, fontsize=10)
  axes[0].set_ylabel('accuracy')
  plots.legend(figure, axes[0])
  return Figure(
      'revision_depth', 'Revising against sampling again',
      f'On {results["revisions"]["questions"]} questions; the base on all that it has answered, by '
      'the main verifier. Bands are 95% bootstrap intervals over questions, given these models.',
      [{'panel': title, 'line': label, **r} for title, found in panels.items()
       for label, rows in found.items() for r in rows], *plots.pictures(figure))


def ratio_figure(results: Mapping[str, Any]) -> Figure | None:
  """Every split of a budget into chains, over all questions and by difficulty."""
  rows = [{**r, 'ratio': r['chain_length'] / r['chains']} for r in results['curves']
          if r['strategy'] in REVISIONS and r['budget'] > 1]
  budgets = sorted({r['budget'] for r in rows})
  if not budgets:
    return None
  overall = [r for r in rows if r['bin'] is None]
  splits = lambda n: sum(r['budget'] == n for r in overall)
  shown = max(budgets, key=lambda n: (splits(n), n))  # the largest pools hold few splits
  binned = [r for r in rows if r['budget'] == shown and r['bin'] is not None]
  figure, axes = plots.new(10.4, 4.4, 1 + bool(binned))
  _graded(axes[0], 'N = {}', overall, 'budget', 'ratio')
  if binned:
    _graded(axes[1], 'bin {}', binned, 'bin', 'ratio')
  for ax, title in zip(axes, ('all questions', f'N = {shown}, oracle bins')):
    ax.set_xscale('log', base=2)
    ax.set_xlabel('answers of a chain / chains')
    ax.set_title(title, fontsize=10)
    ax.legend(frameon=False, fontsize=8)
  axes[0].set_ylabel('accuracy')
  best = {n: max((r for r in overall if r['budget'] == n), key=lambda r: r['accuracy'])
          for n in budgets}
  said = '; '.join(f'N = {n}: {r["chains"]} x {r["chain_length"]}, '
                   f'{number(r["accuracy"], r["ci95"])}' for n, r in best.items())
  return Figure('revision_ratio', 'How a budget is split between depth and breadth',
                f'The best split (chains x answers of each) of {said}. The left end is all '
                'breadth, the right end one chain.', rows, *plots.pictures(figure))


def policy_figure(results: Mapping[str, Any]) -> Figure | None:
  """The best split per difficulty, and the policy that may search as well."""
  wanted = {'search': 'search alone', 'revision': 'revisions alone', 'both': 'both'}
  rows = [r for r in results['mechanisms'] if (r['bins'], r['estimator']) == ('predicted', 'pool')]
  at = sorted((r for r in rows if r['budget'] is not None), key=lambda r: r['budget'])
  if not at:
    return None
  made = {f'policy, {label}': _of(at, name) for name, label in wanted.items()}
  made[_SAMPLES] = [r for r in results['curves']
                    if r['strategy'] == 'parallel' and r['bin'] is None]
  figure, (ax,) = plots.new(8.6, 4.6)
  for label, found in made.items():
    plots.line(ax, label, found, 'budget')
  plots.budget_axis(ax, [r['budget'] for r in at])
  ax.set_ylabel('accuracy')
  plots.legend(figure, ax)
  mean = next((r for r in rows if r['budget'] is None), None)
  text = '' if mean is None else ''.join(
      f'Both minus {name} alone, mean over budgets: '
      f'{number(mean[f"minus_{name}"], mean[f"minus_{name}_ci95"])}. '
      for name in ('search', 'revision'))
  return Figure('mechanisms', 'One policy over search and revisions',
                f'{text}The policies choose per predicted bin on nine tenths of the '
                f'{at[0]["n"]} questions and scored on the rest.',
                [{'line': label, **r} for label, found in made.items() for r in found],
                *plots.pictures(figure))


def _graded(ax: Any, label: str, rows: Sequence[dict[str, Any]], by: str, x: str) -> None:
  """A line for each value of `by`, in its order."""
  values = sorted({r[by] for r in rows})
  for place, value in enumerate(values):
    plots.line(ax, label.format(value), [r for r in rows if r[by] == value], x,
               looks=plots.graded(place, len(values)))


def _of(rows: Sequence[Mapping[str, Any]], name: str) -> list[dict[str, Any]]:
  return [{'budget': r['budget'], 'accuracy': r[f'{name}_accuracy'], 'ci95': r[f'{name}_ci95'],
           'n': r['n']} for r in rows]
