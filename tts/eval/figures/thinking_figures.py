"""What thinking buys: accuracy against thinking tokens, by the cap and waits of budget forcing."""

from __future__ import annotations

import collections
from collections.abc import Mapping
from typing import Any

from tts.eval.figures.figure import Figure, number
from tts.eval.report import plots

_ALONE = 'left to itself'


def thinking_figure(results: Mapping[str, Any]) -> Figure | None:
  """One solution of each question; None where nothing was forced. Older results have no rows."""
  rows = [r for r in results['curves'] if r['bin'] is None and r['budget'] == 1]
  forced = collections.defaultdict(list)
  for row in rows:
    if row['strategy'] == 'budget_forcing':
      forced[row['theta']['waits']].append(row)
  if not forced:
    return None
  alone = [r for r in rows if r['strategy'] == 'majority' and r['thinking_tokens'] is not None]
  figure, axes = plots.new(10.4, 4.4, 2)
  for ax, (axis, label) in zip(axes, (('thinking_tokens', 'thinking tokens per solution'),
                                      ('flops', 'FLOPs per question'))):
    for place, waits in enumerate(sorted(forced)):
      plots.line(ax, f'waits = {waits}', forced[waits], axis,
                 looks=plots.graded(place, len(forced)))
    plots.line(ax, _ALONE, alone, axis)
    plots.cost_axis(ax, label)
  axes[0].set_ylabel('accuracy of one solution')
  plots.legend(figure, axes[0])
  best = max((r for found in forced.values() for r in found), key=lambda r: r['accuracy'])
  said = '' if not alone else f'; {_ALONE} {number(alone[0]["accuracy"], alone[0]["ci95"])}'
  return Figure(
      'accuracy_vs_thinking', 'Accuracy against thinking tokens',
      f'The highest, {number(best["accuracy"], best["ci95"])}, is with a cap of '
      f'{best["theta"]["thinking_tokens"]} tokens and {best["theta"]["waits"]} waits{said}. Points '
      'of a line are caps. Tokens that are forced count as thinking, and in FLOPs as read: nothing '
      f'is drawn there. Bands are 95% bootstrap intervals over {best["n"]} questions, given '
      'these models.',
      [r for waits in sorted(forced) for r in forced[waits]] + alone, *plots.pictures(figure))
