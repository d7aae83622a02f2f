"""Writes README's results and docs/results.md from `results/`: no number there is typed by hand.

  python -m benchmarks.pages

The pages' templates are in `results/pages`; `results/rebuild/numbers.py` says what their fields
mean. Here a field is what a study's `results.json` says, or, of studies from before today's
estimators, its `reread.json` (`python -m benchmarks.reread`), or, of a study of several seeds, what
its cells say together (`python -m benchmarks.seeds`). `python results/recompute.py`
rebuilds the same numbers from per-question data, and fails where one differs. One that cannot be
rebuilt is marked.
"""

from __future__ import annotations

import functools
import json
from typing import Any

import numpy as np

from benchmarks import published
from results.rebuild import pages, text
from tts.eval.measures import statistics
from tts.eval.report import training_seeds

_FIRST = ('strategy', 'budget', 'beam_width', 'lookahead')
_REREAD = ('contrasts', 'efficiency', 'moved_efficiency', 'decomposition')


@functools.cache
def _results(where: str) -> dict[str, Any]:
  folder = pages.RESULTS / where
  found = json.loads((folder / 'results.json').read_text('utf-8'))
  if (folder / 'reread.json').exists():
    again = json.loads((folder / 'reread.json').read_text('utf-8'))
    found |= {part: again[part] for part in _REREAD}
    redone = {row['id']: row for row in again['claims']}
    found['claims'] = [redone.get(row['id'], row) for row in found['claims']]
  return found


def _one(rows: list[Any], what: str) -> Any:
  if len(rows) != 1:
    raise ValueError(f'{what}: {len(rows)} rows, one is wanted')
  return rows[0]


def _row(results: dict[str, Any], part: str, want: dict[str, Any]) -> dict[str, Any]:
  return _one([r for r in results[part] if want.items() <= r.items()], f'{part} {want}')


def _mean(row: dict[str, Any]) -> tuple:
  return row['accuracy'], row['ci95'], row['n']


def _difference(row: dict[str, Any]) -> tuple:
  return row['difference'], row['ci95'], row['n']


def _strategy(names: tuple[str, ...]) -> dict[str, Any]:
  return {k: v if k == 'strategy' else int(v) for k, v in zip(_FIRST, names)}


def _of_curve(results: dict[str, Any], *names: str) -> dict[str, Any]:
  return _row(results, 'curves', _strategy(names) | {'bin': None})


def _of_vote(results: dict[str, Any], verifier: str, *names: str) -> dict[str, Any]:
  own = 'best_of_n' if names[0] == 'best_of_n' else 'best_of_n_weighted'
  return _row(results, 'ablations', _strategy(names) | {
      'bin': None, 'verifier': verifier, 'aggregation': 'last', 'selection': own,
      'bins': 'oracle', 'proposal': None})


def _of_rule(results: dict[str, Any], name: str, *names: str) -> dict[str, Any]:
  *values, budget = names
  plain = lambda x: f'{x:g}' if isinstance(x, float) else str(x)
  return _one([r for r in results['votes'] if (r['rule'], r['budget']) == (name, int(budget))
               and list(map(plain, r['parameters'].values())) == values], f'votes {name} {names}')


_ROWS = {'curve': _of_curve, 'vote': _of_vote, 'rule': _of_rule}


def _curve(results: dict[str, Any], *names: str) -> tuple:
  return _mean(_of_curve(results, *names))


def _vote(results: dict[str, Any], *names: str) -> tuple:
  return _mean(_of_vote(results, *names))


def _equal_flops(results: dict[str, Any], *names: str) -> tuple:
  return _difference(_row(results, 'equal_flops', _strategy(names)))


def _rule(results: dict[str, Any], *names: str) -> tuple:
  row = _of_rule(results, *names)
  return row['accuracy'], row['accuracy_ci95'], row['n']


def _rule_minus(results: dict[str, Any], *names: str) -> tuple:
  row = _of_rule(results, *names)
  return row['difference'], row['difference_ci95'], row['n']


def _samples(results: dict[str, Any], *names: str) -> tuple:
  return _of_rule(results, *names)['generations'], None, None


def _seconds(results: dict[str, Any], kind: str, *names: str) -> tuple:
  return _ROWS[kind](results, *names)['seconds'], None, None


def _flops(results: dict[str, Any], kind: str, *names: str) -> tuple | None:
  spent = _ROWS[kind](results, *names)['flops']
  one = _of_curve(results, 'majority', '1')['flops']
  return None if None in (spent, one) else (spent / one, None, None)


def _contrast(results: dict[str, Any], name: str) -> tuple:
  return _difference(_row(results, 'contrasts', {'id': name}))


def _revision(results: dict[str, Any], name: str) -> tuple:
  return _difference(_row(results['revisions'], 'contrasts', {'id': name}))


def _chain(results: dict[str, Any], step: str) -> tuple:
  return _mean(_row(results['revisions'], 'pass_at_1', {'bin': None, 'step': int(step)}))


def _described(part: str):
  def read(results: dict[str, Any], name: str, field: str) -> tuple:
    found = results[part][name]
    return found[field], found.get(f'{field}_ci95'), found.get(f'{field}_n')
  return read


def _ratio(part: str, shares: bool = False):
  def read(results: dict[str, Any], bins: str, estimator: str, baseline: str,
           axis: str = 'generations') -> tuple:
    why = results['reasons'].get(f'efficiency.search.{bins}.{estimator}.{baseline}.{axis}') or ''
    if why.endswith('does not rise with its budget'):
      return ['flat'] if shares else 'flat', None, None
    row = _row(results, part, {'mechanism': 'search', 'bins': bins, 'estimator': estimator,
                               'baseline': baseline, 'axis': axis})
    if shares:
      return [c or r for (_, r), c in zip(row['at'], row['censored'])], None, row['n']
    return row['ratio_censored'] or row['ratio'], row['ci95'], row['n']
  return read


def _step(gain: bool):
  def read(results: dict[str, Any], bins: str, estimator: str, budget: str, step: str) -> tuple:
    row = _row(results, 'decomposition', {'bins': bins, 'estimator': estimator,
                                          'budget': int(budget), 'step': step})
    return (row['gain'], row['ci95'], row['n']) if gain else (row['accuracy'], None, row['n'])
  return read


def _exchange(results: dict[str, Any], larger: str, ratio: str, bin_: str) -> tuple:
  return _difference(_row(results, 'flops_matched', {
      'mechanism': 'search', 'accounting': 'paper', 'larger': larger, 'larger_strategy': 'greedy',
      'bins': 'level', 'R': float(ratio), 'bin': int(bin_) or None}))


def _scale(results: dict[str, Any], larger: str) -> tuple:
  models = results['models']
  return models[larger]['params'] / models['base']['params'], None, None


def _claim(results: dict[str, Any], name: str) -> tuple:
  row = _row(results, 'claims', {'id': name})
  return row['effect'], row['ci95'], row['n']


def _verdict(results: dict[str, Any], name: str) -> dict[str, Any] | None:
  row = _row(results, 'claims', {'id': name})
  # Of a report from before there was one family of two-sided tests p means something else.
  return None if row['effect'] is None else row | {'p': row['p'] if 'differing' in row else None}


_KINDS = {
    'curve': _curve, 'vote': _vote, 'equal_flops': _equal_flops, 'rule': _rule,
    'rule_minus': _rule_minus, 'samples': _samples, 'flops': _flops, 'seconds': _seconds,
    'contrast': _contrast, 'revision': _revision, 'chain': _chain,
    'model': _described('models'), 'verifier': _described('verifier'), 'scale': _scale,
    'efficiency': _ratio('efficiency'), 'shares': _ratio('efficiency', True),
    'moved_efficiency': _ratio('moved_efficiency'),
    'moved_shares': _ratio('moved_efficiency', True), 'part': _step(True), 'at': _step(False),
    'exchange': _exchange, 'claim': _claim, 'verdict': _verdict}


def _cost(results: dict[str, Any], field: str) -> str:
  return {'minutes': f'{sum(results["wall_seconds"].values()) / 60:.0f}',
          'cpu_seconds': f'{results["cpu_seconds"]:,.0f}',
          'peak_gb': f'{results["peak_rss_bytes"] / 1e9:.1f}'}[field]


@functools.cache
def _cells(where: str) -> list[list[dict[str, Any]]]:
  """Results of each cell, [training seeds][benchmark seeds], of a study of several seeds."""
  found = published.cells(where)
  training, benchmarks = (sorted({cell[i] for cell in found}) for i in (0, 1))
  return [[published.of_cell(found[t, b]) for b in benchmarks] for t in training]


def _found(where: str, kind: str, *names: str) -> tuple | dict[str, Any] | None:
  """What `text.number` prints, of one run or over the cells of several seeds."""
  if not published.cells(where) or kind in ('claim', 'verdict'):
    return _KINDS[kind](_results(where), *names)
  source, kind, names = (names[0], names[1], names[2:]) if kind == 'spread' else ('', kind, names)
  values = [[_KINDS[kind](cell, *names) for cell in row] for row in _cells(where)]
  flat = [v for row in values for v in row]
  if any(v is None or v[0] is None for v in flat):
    return None
  if said := text.censored([v[0] for v in flat]):
    return said, None, None
  if isinstance(flat[0][0], int):
    return flat[0][0], None, None
  means = np.array([[v[0] for v in row] for row in values])
  if source:
    by_training, by_benchmark, _ = statistics.components(means)
    halves = [(v[1][1] - v[1][0]) / 2 / 1.959964 for v in flat if v[1]]
    return {'training': by_training, 'benchmark': by_benchmark,
            'questions': float(np.sqrt(np.mean(np.square(halves)))) if halves else None,
            }[source], None, None
  sizes = [v[2] for v in flat]
  pooled = training_seeds.of_means(
      means, 0 if sizes[0] is None else round(sum(sizes) / len(values)))
  return pooled.mean, pooled.interval(), None if sizes[0] is None else pooled.n


def printed(field: str) -> str:
  """The text of one field, e.g. `arithmetic/arith curve beam 16 4` -> `0.763 [0.744, 0.781]`."""
  where, kind, *names = field.split()
  if where == 'given':
    return field.removeprefix('given ')
  if kind == 'cost':
    return _cost(_results(where), *names)
  if kind == 'n':
    found = _found(where, names[0], *names[1:])[2], None, None
  else:
    found = _found(where, kind, *names)
  return text.number(kind, found) + (text.AWAITS if pages.awaits(field) else '')


def written(page: str, before: str) -> str:
  """A page as it should be, from what it is."""
  filled = pages.FIELD.sub(lambda match: printed(match[1]), pages.template(page))
  start, _, end = pages.parted(page, before)
  return start + filled + end


def main() -> None:
  for page in pages.PAGES:
    path = pages.ROOT / page
    before = path.read_text('utf-8') if path.exists() else ''
    path.write_text(written(page, before), 'utf-8')


if __name__ == '__main__':
  main()
