"""Writes README.md's results from `results/`, so that no number there is typed by hand.

  python -m benchmarks.readme

`benchmarks/readme_results.md` is the passage with a field for every number, `{{WHERE KIND NAMES}}`:
WHERE is a folder under `results/`, KIND and NAMES say which number of its `results.json`:

  curve STRATEGY BUDGET [M [K]]   accuracy over all questions, with its interval
  contrast ID                 a paired difference, with its interval
  revision ID                 the same between revisions
  chain STEP                  accuracy of one answer of a chain
  both BINS ESTIMATOR ALONE   the policy over both mechanisms minus over one, mean over budgets
  verifier NAME FIELD         e.g. `verifier prm auc_within`, with its interval where it has one
  efficiency BINS ESTIMATOR BASELINE   of a policy, in generations
  revision_efficiency BINS ESTIMATOR BASELINE   of a policy over revisions
  moved_efficiency BINS ESTIMATOR BASELINE   the same where questions share a budget
  exchange LARGER R BIN [strict]   small minus larger greedy, paper accounting, by level, 0 = all
  claim ID                    a claim's difference
  claims [WHERE]...           a table of what became of every claim, here and in each WHERE
  model NAME FIELD            e.g. `model large greedy`, `model base params`
  n ...                       how many questions another field is over, e.g. `n contrast ID`
  cost FIELD                  minutes (of all stages), cpu_seconds, peak_gb

tests/readme_test.py fails where README differs from what this writes.
"""

from __future__ import annotations

import functools
import json
import pathlib
import re
from typing import Any

ROOT = pathlib.Path(__file__).parents[1]
BEGIN, END = '<!-- written by benchmarks/readme.py -->\n', '<!-- end -->\n'


@functools.cache
def _results(where: str) -> dict[str, Any]:
  return json.loads((ROOT / 'results' / where / 'results.json').read_text('utf-8'))


def _one(rows: list[Any], what: str) -> Any:
  if len(rows) != 1:
    raise ValueError(f'{what}: {len(rows)} rows, one is wanted')
  return rows[0]


def _curve(results: dict[str, Any], strategy: str, budget: str, width: str = '',
           lookahead: str = '') -> tuple:
  row = _one([r for r in results['curves'] if r['bin'] is None and r['strategy'] == strategy
              and r['budget'] == int(budget) and (not width or r['beam_width'] == int(width))
              and (not lookahead or r['lookahead'] == int(lookahead))],
             f'curve {strategy} {budget} {width}')
  return row['accuracy'], row['ci95'], row['n']


def _contrast(results: dict[str, Any], name: str) -> tuple:
  row = _one([r for r in results['contrasts'] if r['id'] == name], name)
  return row['difference'], row['ci95'], row['n']


def _revision(results: dict[str, Any], name: str) -> tuple:
  return _contrast(results['revisions'], name)


def _chain(results: dict[str, Any], step: str) -> tuple:
  row = _one([r for r in results['revisions']['pass_at_1']
              if r['bin'] is None and r['step'] == int(step)], f'answer {step} of a chain')
  return row['accuracy'], row['ci95'], row['n']


def _both(results: dict[str, Any], bins: str, estimator: str, alone: str) -> tuple:
  """The policy over both mechanisms minus the one over `alone`, mean over budgets."""
  want = {'bins': bins, 'estimator': estimator, 'budget': None}
  row = _one([r for r in results['mechanisms'] if want.items() <= r.items()], str(want))
  return row[f'minus_{alone}'], row[f'minus_{alone}_ci95'], row['n']


def _ratio(part: str, mechanism: str = 'search'):
  def read(results: dict[str, Any], bins: str, estimator: str, baseline: str) -> tuple:
    want = {'mechanism': mechanism, 'bins': bins, 'estimator': estimator, 'baseline': baseline,
            'axis': 'generations'}
    row = _one([r for r in results[part] if want.items() <= r.items()], str(want))
    return row['ratio'], row['ci95'], row['n']
  return read


def _exchange(results: dict[str, Any], larger: str, ratio: str, number_of_bin: str,
              accounting: str = 'paper') -> tuple:
  want = {'mechanism': 'search', 'accounting': accounting, 'larger': larger,
          'larger_strategy': 'greedy', 'bins': 'level', 'R': float(ratio),
          'bin': int(number_of_bin) or None}
  row = _one([r for r in results['flops_matched'] if want.items() <= r.items()], str(want))
  return row['difference'], row['ci95'], row['n']


def _claim(results: dict[str, Any], name: str) -> tuple:
  row = _one([r for r in results['claims'] if r['id'] == name], name)
  return row['effect'], row['ci95'], row['n']


def _claims(*studies: str) -> str:
  """A row per claim: its words, and what became of it in each study."""
  said = {True: '**held**', False: 'did not hold', 'inconclusive': 'inconclusive'}

  def cell(row: dict[str, Any]) -> str:
    if row['effect'] is None:
      return 'not measured'
    low, high = row['ci95']
    return f'{said[row["reproduced"]]}: {row["effect"]:+z.3f} [{low:z.3f}, {high:z.3f}]'

  found = [{row['id']: row for row in _results(where)['claims']} for where in studies]
  names = ' | '.join(f'`{where.split("/")[-1]}`' for where in studies)
  lines = [f'| the paper says | {names} |', '|---' * (1 + len(studies)) + '|']
  for name, row in found[0].items():
    lines.append(f'| {row["claim"]} | ' + ' | '.join(cell(of[name]) for of in found) + ' |')
  return '\n'.join(lines)


def _described(part: str):
  def read(results: dict[str, Any], name: str, field: str) -> tuple:
    found = results[part][name]
    return found[field], found.get(f'{field}_ci95'), found.get(f'{field}_n')
  return read


_KINDS = {'curve': _curve, 'contrast': _contrast, 'revision': _revision, 'chain': _chain,
          'both': _both, 'efficiency': _ratio('efficiency'),
          'revision_efficiency': _ratio('efficiency', 'revision'),
          'moved_efficiency': _ratio('moved_efficiency'), 'exchange': _exchange, 'claim': _claim,
          'verifier': _described('verifier'), 'model': _described('models')}


def _cost(results: dict[str, Any], field: str) -> str:
  return {'minutes': f'{sum(results["wall_seconds"].values()) / 60:.0f}',
          'cpu_seconds': f'{results["cpu_seconds"]:,.0f}',
          'peak_gb': f'{results["peak_rss_bytes"] / 1e9:.1f}'}[field]


def number(field: str) -> str:
  """The text of one field, e.g. `arithmetic/arith curve beam 16 4` -> `0.805 [0.788, 0.823]`."""
  where, kind, *names = field.split()
  results = _results(where)
  if kind == 'cost':
    return _cost(results, *names)
  if kind == 'claims':
    return _claims(where, *names)
  if kind == 'n':
    return f'{_KINDS[names[0]](results, *names[1:])[2]:,}'
  value, interval, _ = _KINDS[kind](results, *names)
  if value is None:
    return 'not measured'
  if isinstance(value, int):
    return f'{value:,}'
  sign, digits = '', 2 if kind.endswith('efficiency') else 3
  if kind in ('contrast', 'revision', 'both', 'exchange', 'claim'):
    sign, digits = '+', 4 if abs(value) < 0.01 else 3
  text = f'{value:{sign}z.{digits}f}'
  ends = ('' if end is None else f'{end:z.{digits}f}' for end in interval or ())  # '': censored
  return text if interval is None else f'{text} [{", ".join(ends)}]'


def rendered(readme: str, passage: str) -> str:
  """`readme` with what stands between the two marks replaced by the filled passage."""
  filled = re.sub(r'\{\{(.+?)\}\}', lambda match: number(match[1]), passage)
  before, _, rest = readme.partition(BEGIN)
  _, mark, after = rest.partition(END)
  if not mark:
    raise ValueError(f'README.md lacks {BEGIN.strip()} or {END.strip()}')
  return before + BEGIN + filled + END + after


def main() -> None:
  readme = ROOT / 'README.md'
  passage = (ROOT / 'benchmarks' / 'readme_results.md').read_text('utf-8')
  readme.write_text(rendered(readme.read_text('utf-8'), passage), 'utf-8')


if __name__ == '__main__':
  main()
