"""What the page says of two numbers: how far apart they are, and whether that is told apart from 0.

Everything is read from `results.json`'s contents. A difference that the run has measured question
by question is taken from there. Of others the two accuracies' intervals are put together as if the
questions were different ones, which is wider where both are right on the same questions.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tts.eval.measures import contrasts, statistics

Row = Mapping[str, Any]  # of `curves`


@dataclasses.dataclass(frozen=True)
class Difference:
  """One accuracy minus another.

  Attributes:
    value: the difference.
    interval: 95%, or None where there is none.
    n: questions.
    paired: whether it was measured question by question.
  """

  value: float
  interval: Sequence[float] | None
  n: int
  paired: bool = True

  @property
  def sign(self) -> int:
    """1 above 0, -1 below; 0 where that is not told apart."""
    if self.interval is None or self.interval[0] <= 0 <= self.interval[1]:
      return 0
    return 1 if self.value > 0 else -1

  def text(self) -> str:
    """`+0.020 [-0.002, 0.042]`."""
    if self.interval is None:
      return f'{self.value:+z.3f}'
    low, high = self.interval
    return f'{self.value:+z.3f} [{low:z.3f}, {high:z.3f}]'


def said(found: Difference) -> str:
  """`ahead, +0.120 [..]`, `behind, -0.120 [..]` or `not told apart (+0.020 [..], n = 400)`."""
  if not found.sign:
    return f'not told apart ({found.text()}, n = {found.n:,})'
  return f'{"ahead" if found.sign > 0 else "behind"}, {found.text()}'


def difference(results: Mapping[str, Any], a: Row, b: Row) -> Difference | None:
  """Accuracy of row `a` minus that of row `b`; None where their questions are not the same ones."""
  if a['n'] != b['n']:
    return None
  for sign, first, second in ((1, a, b), (-1, b, a)):
    row = _paired(results, first, second)
    if row is not None and row['n'] == a['n'] and row['ci95'] is not None:
      return Difference(sign * row['difference'],
                        sorted(sign * end for end in row['ci95']), row['n'])
  value = a['accuracy'] - b['accuracy']
  if a['ci95'] is None or b['ci95'] is None:
    return Difference(value, None, a['n'], False)
  error = math.hypot(*((high - low) / 2 / 1.96 for low, high in (a['ci95'], b['ci95'])))
  return Difference(value, statistics.paired_interval(value, error, a['n']), a['n'], False)


def _paired(results: Mapping[str, Any], a: Row, b: Row) -> Mapping[str, Any] | None:
  """The run's own contrast of two rows over all questions, if it has that one."""
  if a['bin'] is not None or a['budget'] != b['budget']:
    return None
  names = {('best_of_n_weighted', 'majority'): f'weighted_minus_majority_n{a["budget"]}',
           ('best_of_n_weighted', 'logprob_weighted'):
               f'weighted_minus_logprob_weighted_n{a["budget"]}'}
  wanted = {names.get((a['strategy'], b['strategy']))}
  if (a['strategy'], b['strategy']) == ('beam', 'best_of_n_weighted'):
    wanted = {f'beam_m_{rule}_minus_weighted_n{a["budget"]}_all' for rule in ('sqrt', '4')
              if contrasts.width(rule, a['budget']) == a.get('beam_width')}
  return next((c for c in results['contrasts'] if c['id'] in wanted), None)


def by_bin(gains: Mapping[int, Difference]) -> str:
  """In which bins of difficulty there is a gain, a loss, and none that is told apart from 0.

  `the gain is largest in bin 4 (+0.597 [..], n = 80); it is there in bins 2 and 3 too; in bin 1 not
  told apart (n = 80)`. `gains` holds a bin.
  """
  up = {b: d for b, d in gains.items() if d.sign > 0}
  top = max(up, key=lambda b: up[b].value, default=None)
  parts = [] if top is None else [
      f'the gain is largest in bin {top} ({up[top].text()}, n = {up[top].n})']
  if others := [b for b in up if b != top]:
    parts.append(f'it is there in {_bins(others)} too')
  if down := [b for b, d in gains.items() if d.sign < 0]:
    parts.append(f'in {_bins(down)} it is a loss')
  if level := [b for b, d in gains.items() if not d.sign]:
    sizes = sorted({gains[b].n for b in level})
    where = 'every bin' if len(level) == len(gains) else _bins(level)
    parts.append(f'in {where} the two are not told apart (n = {sizes[0]}'
                 + (f' to {sizes[-1]}' if len(sizes) > 1 else '') + ')')
  return '; '.join(parts)


def _bins(found: Sequence[int]) -> str:
  listed = ', '.join(map(str, found[:-1])) + (' and ' if len(found) > 1 else '') + str(found[-1])
  return f'bin{"s" if len(found) > 1 else ""} {listed}'
