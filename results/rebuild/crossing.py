"""A study of several seeds: a number of each cell, and what cells say together.

A cell is one training seed on one benchmark seed; `cells/tT-bB` is published like a study of its
own, and its numbers are rebuilt like one's. Intervals and verdicts here are of the cells' values
alone, by a two-way analysis of variance in which both seeds are drawn (`tts.eval.report.
training_seeds`). `spread SOURCE KIND NAMES` is a standard deviation of one cell's value: by
`training` seed, by `benchmark` seed, or, as a report of that cell alone would say, by `questions`.
"""

import functools
import math
import pathlib
import re

import numpy as np

from . import claims, intervals, numbers, text

_CELL = re.compile(r't(\d+)-b(\d+)')


def load(folder):
  """The numbers of a folder under `results/`."""
  return Crossing(folder) if numbers.crossed(folder) else numbers.Numbers(folder)


class Crossing:
  """All numbers of a study of several training and benchmark seeds, as `Numbers` gives them."""

  def __init__(self, folder):
    found = {tuple(map(int, _CELL.fullmatch(path.name).groups())): numbers.Numbers(path)
             for path in sorted((pathlib.Path(folder) / 'cells').iterdir())}
    training, benchmarks = (sorted({cell[i] for cell in found}) for i in (0, 1))
    self._cells = [[found[t, b] for b in benchmarks] for t in training]
    self.study = self._cells[0][0].study

  def of(self, kind, names):
    if kind == 'n':
      return self.of(names[0], names[1:])[2], None, None
    if kind == 'spread':
      return self._spread(names[0], self._values(names[1], names[2:]))
    if kind in ('claim', 'verdict'):
      found = self._claims[names[0]]
      return found if kind == 'verdict' or found is None else (
          found['effect'], found['ci95'], found['n'])
    values = self._values(kind, names)
    if values is None:
      return None
    if said := text.censored([v[0] for row in values for v in row]):
      return said, None, None
    means = np.array([[v[0] for v in row] for row in values])
    if means.dtype.kind == 'i':
      return int(means[0, 0]), None, None
    sizes = [[v[2] for v in row] for row in values]
    mean, ends, _ = _pooled(means)
    return mean, ends, None if sizes[0][0] is None else round(np.sum(sizes) / len(sizes))

  def _values(self, kind, names):
    """(value, interval, n) of each cell; None where one has not measured it."""
    values = [[cell.of(kind, names) for cell in row] for row in self._cells]
    flat = [v for row in values for v in row]
    return None if any(v is None or v[0] is None for v in flat) else values

  def _spread(self, source, values):
    if values is None:
      return None
    rows, columns, _ = components(np.array([[v[0] for v in row] for row in values]))
    halves = [(v[1][1] - v[1][0]) / 2 / 1.959964 for row in values for v in row if v[1]]
    own = math.sqrt(np.mean(np.square(halves))) if halves else None
    return {'training': rows, 'benchmark': columns, 'questions': own}[source], None, None

  @functools.cached_property
  def _claims(self):
    """Of each claim's id what a `verdict` field shows, None where it was not measured."""
    cells = [[claims.Claims(c.study, c._by_scheme, errors=False) for c in row]
             for row in self._cells]
    written = cells[0][0].written
    effects = [self._over(cells, 'difference', c) for c in written]
    tests = [e and self._tested(cells, c, e) for c, e in zip(written, effects)]
    p_values = intervals.holm([t and min(1.0, 2 * min(t[:2])) for t in tests])
    return {c['id']: e and {'reproduced': claims.verdict(t, p), 'p': p, 'effect': e[0],
                            'ci95': e[1], 'n': e[3]}
            for c, e, t, p in zip(written, effects, tests, p_values)}

  def _over(self, cells, part, claim):
    """(mean, interval, signs of a shifted mean, n) of a difference over cells."""
    found = [[c.difference(claim) if part == 'difference' else (c.parts(claim) or {}).get(part)
              for c in row] for row in cells]
    if any(d is None for row in found for d in row):
      return None
    n = round(sum(d.n for row in found for d in row) / len(found))
    return *_pooled(np.array([[d.mean for d in row] for row in found])), n

  def _tested(self, cells, claim, effect):
    signs = effect[2]
    if claim['direction'] != 'level':
      above, below = signs(0.0)
      return (above, below, False) if claim['direction'] == 'above' else (below, above, False)
    if claim['factor']:
      parts = [self._over(cells, part, claim) for part in claims.PARTS]
      return None if None in parts else claims.level(*(part[2](0.0) for part in parts))
    up, down = signs(claims.LEVEL), signs(-claims.LEVEL)
    return max(up[0], down[1]), min(1.0, 2 * min(up[1], down[0])), False


def components(means):
  """Standard deviations that training seeds, benchmark seeds and the rest add to a cell."""
  (rows, columns, rest), _ = _squares(means)
  return (math.sqrt(max(rows - rest, 0) / means.shape[1]),
          math.sqrt(max(columns - rest, 0) / means.shape[0]), math.sqrt(rest))


def _squares(means):
  a, b = means.shape
  by_row, by_column = means.mean(axis=1), means.mean(axis=0)
  rest = means - by_row[:, None] - by_column + means.mean()
  freedom = np.array([a - 1, b - 1, (a - 1) * (b - 1)])
  squares = np.array([b * by_row.var() * a, a * by_column.var() * b, (rest**2).sum()])
  return squares / freedom, freedom


def _pooled(means):
  """(mean, interval, signs): of the mean moved by so much, chances where it is not above 0, and
  where it is not below."""
  squares, freedom = _squares(means)
  total = squares[0] + squares[1] - squares[2]
  if total <= squares[2]:
    error, left = math.sqrt(squares[2] / means.size), float(freedom[2])
  else:
    left = max(1.0, float(total**2 / (squares**2 / freedom).sum()))
    error = math.sqrt(total / means.size)
  mean = float(means.mean())

  def signs(moved):
    if not error > 0:
      return 1.0, 1.0
    return tuple(intervals.student_beyond(x, left)
                 for x in ((mean + moved) / error, -(mean + moved) / error))

  half = error * intervals.student(left)
  return mean, [mean - half, mean + half], signs
