"""Several training seeds as one result: means over seeds, intervals over seeds and questions.

Every seed has models, labels and searches of its own and a report of its own; this reads the
per-question outcomes of those reports. Questions are the same for all seeds, so a replicate draws
seeds and, apart from that, questions (a two-level bootstrap).
"""

from __future__ import annotations

import csv
import gzip
import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tts.eval.measures import curves, statistics
from tts.types import InputError

_SEED = 20240806
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
  try:
    text = gzip.decompress(table.read_bytes()).decode()
    for row in csv.DictReader(io.StringIO(text)):
      key = tuple(row[name] or None for name in _KEY)
      found.setdefault(key, {})[row['problem_id']] = float(row['accuracy'])
  except FileNotFoundError as error:
    raise InputError(f'{table} is missing: let that seed\'s run go on to its report') from error
  except (OSError, EOFError, KeyError, TypeError, ValueError) as error:
    raise InputError(f'{table} is damaged ({error!r}): delete it; launch.report on its run writes '
                     'it anew') from error
  return found


def two_level_interval(values: np.ndarray) -> list[float] | None:
  """95% interval of the mean of values float64 [seeds, Q], both resampled; None below 2 of one."""
  seeds, questions = values.shape
  if seeds < 2 or questions < 2:
    return None
  means = statistics.resamples(questions) @ values.T / questions  # [R, seeds]
  rng = np.random.default_rng([_SEED, seeds])
  drawn = rng.integers(seeds, size=means.shape)
  return statistics.interval(np.take_along_axis(means, drawn, axis=1).mean(axis=1))


def rows(seeds: Mapping[int, pathlib.Path]) -> list[dict[str, Any]]:
  """A row per strategy and budget that every seed has, on the questions that every seed has.

  Args:
    seeds: seed -> folder of its report.

  Returns:
    Rows with the strategy's fields, `accuracy`, `ci95` over seeds and questions, `n` questions,
    `by_seed`: one mean per seed, in order.
  """
  tables = [accuracies(folder / 'outcomes.csv.gz') for folder in seeds.values()]
  out = []
  for key in tables[0]:
    found = [table.get(key) for table in tables]
    if any(f is None for f in found):
      continue
    ids = sorted(set.intersection(*(set(f) for f in found)))
    if not ids:
      continue
    values = np.array([[f[i] for i in ids] for f in found])
    fields = {name: int(v) if v is not None and name in _NUMBERS else v
              for name, v in zip(_KEY, key)}
    out.append(fields | {
        'accuracy': float(values.mean()), 'ci95': two_level_interval(values), 'n': len(ids),
        'by_seed': values.mean(axis=1).tolist()})
  return out


def main_rows(found: Sequence[Mapping[str, Any]], main: str = 'prm') -> list[Mapping[str, Any]]:
  """Those that the curves show: the main verifier or none, last step, the strategy's own vote."""
  return [r for r in found if r['verifier'] in (None, main)
          and r['selection'] == curves.own_selection(r['strategy'])]
