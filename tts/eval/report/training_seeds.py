"""Several seeds as one result: means over seeds, intervals over seeds and questions.

Every training seed has models, labels and searches of its own and a report of its own; a benchmark
seed has questions of its own, on which every training seed may have answered. This reads the
per-question outcomes of those reports. A cell is one training seed on one benchmark. Intervals are
those of a two-way analysis of variance (`statistics.crossed`): of training seeds and questions
where there is one benchmark, of training and benchmark seeds where there are several, whose cell
means have the questions' luck in them. Where there are several seeds, verdicts are from these
alone.
"""

from __future__ import annotations

import csv
import dataclasses
import gzip
import io
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tts.eval.claims import claims
from tts.eval.claims.claims import Claim, Tested
from tts.eval.measures import curves, statistics
from tts.types import InputError

CLAIMS = 'claims.csv.gz'
_KEY = ('strategy', 'beam_width', 'lookahead', 'verifier', 'aggregation', 'selection', 'budget',
        'theta')
_NUMBERS = ('beam_width', 'lookahead', 'budget')

Key = tuple[str | None, ...]


def accuracies(table: pathlib.Path) -> dict[Key, dict[str, float]]:
  """Per strategy, id -> accuracy, from a report's `outcomes.csv.gz`.

  Raises:
    InputError: the file is missing or damaged.
  """
  found: dict[Key, dict[str, float]] = {}
  for row in _read(table):
    try:
      key = tuple(row[name] or None for name in _KEY)
      found.setdefault(key, {})[row['problem_id']] = float(row['accuracy'])
    except (KeyError, TypeError, ValueError) as error:
      raise _damaged(table, error) from error
  return found


def _read(table: pathlib.Path) -> list[dict[str, str]]:
  try:
    return list(csv.DictReader(io.StringIO(gzip.decompress(table.read_bytes()).decode())))
  except FileNotFoundError as error:
    raise InputError(f'{table} is missing: let that seed\'s run go on to its report') from error
  except (OSError, EOFError, ValueError) as error:
    raise _damaged(table, error) from error


def _damaged(table: pathlib.Path, error: Exception) -> InputError:
  return InputError(f'{table} is damaged ({error!r}): delete it; launch.report on its run writes '
                    'it anew')


Cell = tuple[int, int]  # training seed, benchmark seed


@dataclasses.dataclass(frozen=True)
class Pooled:
  """A mean over cells.

  Attributes:
    mean: of the cells' means.
    error: its standard error; NaN where nothing was repeated.
    freedom: degrees of freedom of that.
    by_cell: each cell's mean, in order.
    n: questions of one training seed, on all benchmarks together.
  """

  mean: float
  error: float
  freedom: float
  by_cell: tuple[float, ...]
  n: int

  def interval(self) -> list[float] | None:
    half = self.error * statistics.student(self.freedom) if self.freedom else math.nan
    return None if math.isnan(half) else [self.mean - half, self.mean + half]

  def chances(self) -> tuple[float, float]:
    """Of what was seen where the mean is not above 0, and where it is not below."""
    if not self.error > 0:  # no cell differs from another, or there is but one
      return 1.0, 1.0
    t = self.mean / self.error
    return tuple(statistics.student_above(x, self.freedom) for x in (t, -t))


def pool(cells: Mapping[Cell, Mapping[str, float]]) -> Pooled | None:
  """One value per question and cell over all seeds; None without a question.

  Every training seed must have every benchmark. Of one benchmark the questions that all have; of
  several each cell's own, since what is hard for one training seed is not for another.
  """
  training, benchmarks = (sorted({cell[i] for cell in cells}) for i in (0, 1))
  if not all(cells.values()):
    return None
  if len(benchmarks) > 1:
    means = np.array([[np.mean(list(cells[t, b].values())) for b in benchmarks] for t in training])
    return of_means(means, round(sum(map(len, cells.values())) / len(training)))
  found = [cells[t, benchmarks[0]] for t in training]
  ids = sorted(set.intersection(*map(set, found)))
  if not ids:
    return None
  table = np.array([[f[i] for i in ids] for f in found])
  error, freedom = math.nan, 0.0
  if len(training) > 1 and len(ids) > 1:
    error, freedom = statistics.crossed(table)
  return Pooled(float(table.mean()), error, freedom, tuple(table.mean(axis=1).tolist()), len(ids))


def of_means(means: np.ndarray, n: int) -> Pooled:
  """What cells of several benchmarks say together.

  Args:
    means: float64 [training seeds, benchmark seeds], a value of each cell.
    n: questions of one training seed, on all benchmarks together.
  """
  if len(means) > 1:
    error, freedom = statistics.crossed(means)
  else:
    error, freedom = float(means.std(ddof=1) / math.sqrt(means.size)), means.size - 1.0
  return Pooled(float(means.mean()), error, freedom, tuple(means.ravel().tolist()), n)


def rows(cells: Mapping[Cell, pathlib.Path]) -> list[dict[str, Any]]:
  """A row per strategy and budget that every cell has, on the questions that all its seeds have.

  Args:
    cells: (training seed, benchmark seed) -> folder of its report.

  Returns:
    Rows with the strategy's fields, `accuracy`, `ci95` over seeds and questions, `n` questions,
    `by_seed`: one mean per cell, training seeds in order, of each its benchmarks.
  """
  tables = {cell: accuracies(folder / 'outcomes.csv.gz') for cell, folder in cells.items()}
  out = []
  for key in next(iter(tables.values())):
    found = {cell: table.get(key) for cell, table in tables.items()}
    pooled = None if any(f is None for f in found.values()) else pool(found)
    if pooled is not None:
      fields = {name: int(v) if v is not None and name in _NUMBERS else v
                for name, v in zip(_KEY, key)}
      out.append(fields | {'accuracy': pooled.mean, 'ci95': pooled.interval(), 'n': pooled.n,
                           'by_seed': list(pooled.by_cell)})
  return out


def claim_rows(cells: Mapping[Cell, pathlib.Path], written: Sequence[Claim],
               own: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
  """`claims` by all seeds: verdicts of the crossed design alone, in one Holm family.

  Args:
    cells: as `rows` takes them.
    written: the claims.
    own: one cell's rows of the same claims, whose fields stay where seeds say nothing.

  Returns:
    `own` with `reproduced`, `effect`, `ci95`, `n`, `p` and `evidence` over seeds, and `by_seed`.
  """
  tables = {cell: _differences(folder / CLAIMS) for cell, folder in cells.items()}
  tested: list[Tested | None] = []
  effects: list[dict[str, Pooled]] = []
  for claim in written:
    names = {n for table in tables.values() for c, n in table if c == claim.id}
    parts = {n: pool({cell: table.get((claim.id, n), {}) for cell, table in tables.items()})
             for n in sorted(names)}
    known = bool(parts) and all(p is not None and not math.isnan(p.error) for p in parts.values())
    effects.append(parts if known else {})
    tested.append(_tested(claim, parts) if known else None)
  p_values = claims.corrected(tested)
  out = []
  for row, parts, found, p in zip(own, effects, tested, p_values):
    main = parts.get('difference')
    pooled = {} if main is None else {
        'effect': main.mean, 'ci95': main.interval(), 'n': main.n, 'error': main.error,
        'by_seed': list(main.by_cell)}
    said = 'not repeated over seeds' if found is None else (
        f'over {len(cells)} cells of seeds, p = {p:.4f} (Holm, two-sided)')
    out.append({**row, **pooled, 'p': p, 'evidence': f'{row["evidence"]}; {said}',
                'reproduced': claims.verdict(found, 1.0 if p is None else p, _chances)})
  return out


def _chances(found: Pooled) -> tuple[float, float]:
  return found.chances()


def _tested(claim: Claim, parts: Mapping[str, Pooled]) -> Tested:
  if claim.direction == 'level' and not claim.factor:
    found = parts['difference']
    above, below = (dataclasses.replace(found, mean=found.mean + by).chances()
                    for by in (claims.LEVEL, -claims.LEVEL))
    return Tested(max(above[0], below[1]), min(1.0, 2 * min(above[1], below[0])), parts)
  return claims.test(claim, parts, _chances)


def _differences(table: pathlib.Path) -> dict[tuple[str, str], dict[str, float]]:
  """(claim, part) -> id -> difference, as `claim_sides.encode` wrote them.

  Raises:
    InputError: the file is missing or damaged.
  """
  found: dict[tuple[str, str], dict[str, float]] = {}
  for row in _read(table):
    try:
      of = found.setdefault((row['claim'], row['part']), {})
      of[row['problem_id']] = float(row['difference'])
    except (KeyError, TypeError, ValueError) as error:
      raise _damaged(table, error) from error
  return found


def main_rows(found: Sequence[Mapping[str, Any]], main: str = 'prm') -> list[Mapping[str, Any]]:
  """Those that the curves show: the main verifier or none, last step, the strategy's own vote."""
  return [r for r in found if r['verifier'] in (None, main)
          and r['selection'] == curves.own_selection(r['strategy'])]
