"""Drawing: how a line, a bar or a calibration curve looks. What is drawn is `figures`' business.

Colours are Okabe and Ito's, and no two strategies share a marker, so that lines can be told apart
without colour. A point says its values when a pointer rests on it, in the picture of the page.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from tts.eval.figures.figure import number
from tts.eval.report import svg

# label -> (colour, marker, line style)
_STYLES = {
    'majority': ('#000000', 's', '-'),
    'log-probability vote': ('#e69f00', '^', '-'),
    'best-of-N': ('#56b4e9', 'v', '-'),
    'best-of-N weighted': ('#0072b2', 'o', '-'),
    'pass@N (oracle)': ('#888888', '.', ':'),
    'beam, M = sqrt(N)': ('#d55e00', 'D', '-'),
    'beam, M = 4': ('#009e73', 'P', '-'),
    'lookahead k=1, M=sqrt(N)': ('#cc79a7', 'X', '--'),
    'lookahead k=3, M=sqrt(N)': ('#7f4f9f', '<', '--'),
    'lookahead k=3, M=4': ('#5d4037', 'h', '--'),
    'DVTS, M = 4': ('#9a6324', '>', '-'), 'DVTS, M = sqrt(N)': ('#c9a227', 'd', '-'),
    'REBASE, temperature = 0.1': ('#cc79a7', 'p', '-.'),
    'particle filter, temperature = 1.0': ('#7f4f9f', '*', '-.'),
    'particle filter entropic, temperature = 1.0': ('#2f4f4f', '8', '-.'),
    'PRM': ('#0072b2', 'o', '-'), 'plain PRM': ('#56b4e9', 'v', '-'),
    'ORM': ('#d55e00', 'D', '-'), 'ORM, more solutions': ('#cc79a7', 'X', '-'),
    'latent verifier': ('#009e73', 'P', '-'),
    'mean log-probability': ('#0072b2', 'o', '-'),
    'summed log-probability': ('#e69f00', '^', '-'),
    'accuracy': ('#0072b2', 'o', '-'), 'its score': ('#d55e00', 'D', '--'),
    'last step': ('#0072b2', 'o', '-'), 'minimum': ('#d55e00', 'D', '-'),
    'product': ('#009e73', 'P', '-'),
    'R = 0.16': ('#009e73', 'o', '-'), 'R = 0.79': ('#0072b2', 's', '-'),
    'R = 22': ('#d55e00', 'D', '-'),
    'compute-optimal, oracle bins': ('#d55e00', 'D', '-'),
    'compute-optimal, predicted bins': ('#009e73', 'P', '-'),
    'compute-optimal, charged': ('#cc79a7', 'X', '--'),
    'one chain': ('#d55e00', 'D', '-'), 'revision model, independent': ('#0072b2', 'o', '-'),
    'control, independent': ('#009e73', 'P', '-'), 'base, independent': ('#000000', 's', '--'),
    'policy, search alone': ('#56b4e9', 'v', '-'), 'policy, revisions alone': ('#d55e00', 'D', '-'),
    'policy, both': ('#7f4f9f', '<', '-'),
}
# Of labels that no one here knows; the markers are no one else's.
_OTHERS = (('#cc79a7', 'H', '-'), ('#000000', 'x', '--'), ('#7f4f9f', '+', '-.'),
           ('#d55e00', '1', ':'), ('#0072b2', '2', '--'))


def style(label: str) -> dict[str, Any]:
  """Line properties of a label, the same in every figure."""
  colour, marker, line = _STYLES.get(label) or _OTHERS[sum(map(ord, label)) % len(_OTHERS)]
  return {'color': colour, 'marker': marker, 'linestyle': line, 'markersize': 6, 'linewidth': 1.8}


def graded(place: int, of: int) -> dict[str, Any]:
  """Line properties of the place-th of lines that have an order, as bins and budgets have."""
  from matplotlib import colormaps
  return {**style('majority'), 'color': colormaps['viridis'](0.9 * place / max(1, of - 1)),
          'marker': 'osD^vP<hX'[place % 9], 'markersize': 4}


def new(width: float, height: float, columns: int = 1, rows: int = 1) -> tuple[Any, Any]:
  """A figure and its axes [rows * columns], apart from pyplot's global state."""
  from matplotlib.figure import Figure
  figure = Figure(figsize=(width, height), layout='constrained')
  figure.tips = []  # what points say: (axes, x, y, text)
  axes = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
  for ax in axes:
    ax.grid(True, color='#e4e4e4', linewidth=0.7)
    ax.set_axisbelow(True)
    ax.spines[['top', 'right']].set_visible(False)
  return figure, axes


def pictures(figure: Any) -> tuple[bytes, str]:
  """The picture as a PNG file, without the date and version that matplotlib would put in, and as an
  SVG element for a page, whose points say what they are."""
  buffer = io.BytesIO()
  figure.savefig(buffer, format='png', dpi=110, metadata={'Software': None})
  figure.set_layout_engine(None)  # it is laid out, which is a third of what drawing it takes
  return buffer.getvalue(), svg.element(figure, figure.tips)


def tip(ax: Any, x: float, y: float, text: str) -> None:
  """What a point says when a pointer rests on it."""
  ax.figure.tips.append((ax, x, y, text))


def _value(label: str, x: Any, y: float, interval: Sequence[float] | None = None,
           n: int | None = None) -> str:
  at = f'{x:g}' if isinstance(x, (int, float)) else x
  return (f'{label}, at {at}: {number(y, interval)}' + ('' if n is None else f', n = {n:,}'))


def line(ax: Any, label: str, rows: Sequence[dict[str, Any]], x: str, most: int = 0,
         looks: Mapping[str, Any] | None = None, hollow: bool = True) -> None:
  """Accuracy of one strategy with its interval as a band. rows are results rows.

  With `hollow` a point of fewer questions than the line's others, or than `most`, is hollow.
  """
  rows = sorted((r for r in rows if r[x]), key=lambda r: r[x])
  if not rows:
    return
  xs, ys = [r[x] for r in rows], [r['accuracy'] for r in rows]
  looks = looks or style(label)
  ax.plot(xs, ys, label=label, **looks)
  most = max(most, *(r.get('n', 0) for r in rows))
  if few := [r for r in rows if hollow and r.get('n', 0) < most]:
    ax.plot([r[x] for r in few], [r['accuracy'] for r in few], linestyle='none', markersize=6,
            marker=looks['marker'], color=looks['color'], markerfacecolor='white')
  for r in rows:
    tip(ax, r[x], r['accuracy'], _value(label, r[x], r['accuracy'], r['ci95'], r.get('n')))
  known = [r for r in rows if r['ci95'] is not None]
  if len(known) > 1:
    ax.fill_between([r[x] for r in known], *zip(*[r['ci95'] for r in known]),
                    color=looks['color'], alpha=0.10, linewidth=0)
  elif known:
    low, high = known[0]['ci95']
    ax.vlines(known[0][x], low, high, color=looks['color'], alpha=0.5)


def values(ax: Any, label: str, xs: Sequence[float], ys: Sequence[float],
           sizes: Sequence[int | None]) -> None:
  """A line of values without intervals, each of so many."""
  ax.plot(xs, ys, label=label, **style(label))
  for x, y, n in zip(xs, ys, sizes):
    tip(ax, x, y, _value(label, x, y, n=n))


def point(ax: Any, label: str, x: float, y: float, interval: Sequence[float] | None,
          where: str, n: int | None = None) -> None:
  """One value of a line that stands apart from it, at `where` in words, with its interval."""
  looks = style(label)
  tip(ax, x, y, _value(label, where, y, interval, n))
  ax.plot([x], [y], label=label, color=looks['color'], marker=looks['marker'], markersize=6,
          linestyle='none')
  if interval is not None:
    ax.vlines(x, *interval, color=looks['color'], alpha=0.6)


def points(ax: Any, label: str, xs: Sequence[float], ys: Sequence[float],
           intervals: Sequence[Sequence[float] | None], hollow: Sequence[bool | None],
           where: Sequence[str], sizes: Sequence[int]) -> None:
  """Values that no line joins, each at `where` in words, of so many, with its interval."""
  looks = style(label)
  ax.plot([], [], label=label, color=looks['color'], marker=looks['marker'], linestyle='none')
  for x, y, interval, empty, at, n in zip(xs, ys, intervals, hollow, where, sizes):
    tip(ax, x, y, _value(label, at, y, interval, n))
    ax.plot([x], [y], color=looks['color'], marker=looks['marker'], markersize=5,
            markerfacecolor='white' if empty else looks['color'], linestyle='none')
    if interval is not None:
      ax.vlines(x, *interval, color=looks['color'], alpha=0.6)


def level(ax: Any, label: str, value: float | None, line_style: str) -> None:
  """A dashed line across at what does not depend on the budget."""
  if value is not None:
    ax.axhline(value, label=f'{label}: {value:.3f}', color='#777777',
               linestyle=line_style, linewidth=1.3)


def budget_axis(ax: Any, budgets: Sequence[int]) -> None:
  ax.set_xscale('log', base=2)
  ax.set_xticks(sorted(set(budgets)), [str(b) for b in sorted(set(budgets))])
  ax.minorticks_off()
  ax.set_xlabel('generations per question (N)')


def cost_axis(ax: Any, label: str) -> None:
  """A logarithmic axis that labels 1, 2 and 5 of each decade."""
  from matplotlib import ticker
  ax.set_xscale('log')
  ax.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
  ax.xaxis.set_major_formatter(ticker.FuncFormatter(lambda x, _: f'{x:.0e}'.replace('e+0', 'e')
                                                    if x >= 1e4 else f'{x:g}'))
  ax.minorticks_off()
  ax.set_xlabel(label)


def legend(figure: Any, ax: Any) -> None:
  """One legend for the figure, to the right of it."""
  handles, labels = ax.get_legend_handles_labels()
  shown = dict(zip(reversed(labels), reversed(handles)))  # of equal labels the first
  labels = list(dict.fromkeys(labels))
  figure.legend([shown[k] for k in labels], labels, loc='outside right center', frameon=False,
                fontsize=9)


def legend_in(place: Any, ax: Any) -> None:
  """The legend of `ax` in the empty axes `place`."""
  place.legend(*ax.get_legend_handles_labels(), loc='center', frameon=False)
