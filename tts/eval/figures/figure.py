"""What the figures share: a picture with its table and caption, and rows of curves as lines."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tts.types import Strategy

NAMES = {'majority': 'majority', 'logprob_weighted': 'log-probability vote',
         'best_of_n': 'best-of-N', 'best_of_n_weighted': 'best-of-N weighted',
         'oracle': 'pass@N (oracle)'}
_SEARCHES = {'beam': 'beam search', 'lookahead': 'lookahead search'}
_SHORT = {'dvts': 'DVTS', 'rebase': 'REBASE'}
VERIFIERS = {'prm': 'PRM', 'prm_plain': 'plain PRM', 'orm': 'ORM',
             'orm_more': 'ORM, more solutions', 'latent': 'latent verifier',
             'logprob': 'mean log-probability'}
LOGPROB = 'logprob'  # the verifier: the mean over a solution's tokens
SUMMED = 'summed log-probability'  # label of what no verifier is asked for


@dataclasses.dataclass(frozen=True)
class Figure:
  """One figure. `rows` is its CSV, `svg` its picture inside a page."""

  name: str
  title: str
  caption: str
  rows: list[dict[str, Any]]
  png: bytes
  svg: str

  def csv(self) -> bytes:
    """The table as CSV; a list such as an interval becomes `<name>_low`, `<name>_high`."""
    flat = [_flat(r) for r in self.rows]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(k for r in flat for k in r)),
                            lineterminator='\n')
    writer.writeheader()
    writer.writerows(flat)
    return out.getvalue().encode()


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
  out = {}
  for key, value in row.items():
    if key == 'ci95':
      out['ci95_low'], out['ci95_high'] = value or (None, None)
    else:
      out[key] = value
  return out


def number(value: float | None, interval: Sequence[float] | None = None) -> str:
  """`0.712 [0.660, 0.755]`, or `not measured`."""
  if value is None:
    return 'not measured'
  text = f'{value:z.3f}'
  ends = ('' if end is None else f'{end:z.3f}' for end in interval or ())  # '': not measured
  return text if interval is None else f'{text} [{", ".join(ends)}]'


def lines(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
  """Rows of curves by label; a search setting that two rules for M share is on both lines."""
  out: dict[str, list[dict[str, Any]]] = {label: [] for label in NAMES.values()}
  for row in rows:
    strategy, budget, width = row['strategy'], row['budget'], row['beam_width']
    if strategy in NAMES:
      out[NAMES[strategy]].append(row)
    elif row['lookahead'] is None and row.get('guided', width is not None):
      base = ', '.join([_words(strategy), *(f'{_words(k)} = {v}' for k, v in _theta(row).items())])
      labels = [base] if width is None else _by_rules(f'{base}, M = {{}}', budget, width)
      for label in labels:
        out.setdefault(label, []).append(row)
  for label, row in _lookahead([row for row in rows if row['lookahead'] is not None]):
    out.setdefault(label, []).append(row)
  return {label: sorted(found, key=lambda r: r['budget']) for label, found in out.items() if found}


def _theta(row: Mapping[str, Any]) -> dict[str, Any]:
  """A search's parameters beside M and k; results of before have none."""
  return row.get('theta') or {}


def _words(name: str) -> str:
  """A plugin's search or verifier, and ours without a name in prose, as a legend has it."""
  return _SHORT.get(name) or name.replace('_', ' ')


def called(row: Mapping[str, Any]) -> str:
  """A strategy in a sentence: `best-of-N weighted`, `beam search (M = 4)`, `sequential (1 x 8)`."""
  parts = [(k, row.get(field)) for k, field in (('M', 'beam_width'), ('k', 'lookahead'))]
  parts = [f'{_words(k)} = {v}' for k, v in [*parts, *_theta(row).items()] if v is not None]
  if row.get('chain_length') is not None:
    parts.append(f'{row["chains"] or 1} x {row["chain_length"]}')
  name = (NAMES | _SEARCHES).get(row['strategy']) or _words(row['strategy'])
  return f'{name} ({", ".join(parts)})' if parts else name


def main(results: Mapping[str, Any]) -> str:
  """The run's main verifier."""
  return (results['config'] or {}).get('verifier') or next(iter(VERIFIERS))


def main_label(results: Mapping[str, Any]) -> str:
  return VERIFIERS.get(main(results)) or _words(main(results))


def rival(results: Mapping[str, Any], name: str) -> str | None:
  """The log-probability that a verifier is compared with; None where it is that one itself."""
  if name != LOGPROB:
    return 'log-probability'
  gain = (results['verifier'][name] or {}).get('auc_gain_within')
  return SUMMED if gain is not None and abs(gain) >= 5e-4 else None  # less is rounding


def judges(results: Mapping[str, Any]) -> dict[str, str]:
  """Verifier --> label, of those that a run may have."""
  return {name: VERIFIERS.get(name) or _words(name) for name in verifiers(results)}


def verifiers(results: Mapping[str, Any]) -> dict[str, dict[str, Any] | None]:
  """Verifier --> what is said of it; None of one that the run does not have."""
  return {name: said for name, said in results['verifier'].items() if name != 'main'}


def _by_rules(label: str, num: int, width: int) -> list[str]:
  """Labels of the rules that give M = `width` of `num` candidates, or of the number itself."""
  rules = {'sqrt(N)': 2 ** ((num.bit_length() - 1) // 2), '4': min(4, num)}
  return [label.format(rule) for rule, m in rules.items() if m == width] or [label.format(width)]


def _lookahead(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
  """(label, row) pairs. A rule for M that no setting needs has no line: k = 1 has only `sqrt`."""
  labels = [_by_rules(f'{_words(row["strategy"])} k={row["lookahead"]}, M={{}}',
                      Strategy.of(row['strategy'], row['budget'],
                                  lookahead=row['lookahead']).num_candidates, row['beam_width'])
            for row in rows]
  needed = {fits[0] for fits in labels if len(fits) == 1}
  for fits, row in zip(labels, rows):
    for label in [label for label in fits if label in needed] or fits[:1]:
      yield label, row


def overall(results: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
  return lines([r for r in results['curves'] if r['bin'] is None])


def at(rows: Sequence[dict[str, Any]], budget: int) -> dict[str, Any] | None:
  return next((r for r in rows if r['budget'] == budget), None)


def said(found: Mapping[str, list[dict[str, Any]]], budget: int) -> str:
  """`best-of-N weighted 0.712 [..], majority ..` at one budget, the best first."""
  here = [(label, at(rows, budget)) for label, rows in found.items()]
  here = sorted(((label, r) for label, r in here if r), key=lambda x: -x[1]['accuracy'])
  return ', '.join(f'{label} {number(r["accuracy"], r["ci95"])}' for label, r in here)


def hollow(sizes: Sequence[int]) -> str:
  """What a caption says where some points are of fewer questions than the others."""
  few = sorted({n for n in sizes if n < max(sizes)})
  return '' if not few else (f' Hollow points are of fewer questions ({few[0]}'
                             f'{f" to {few[-1]}" if len(few) > 1 else ""} of {max(sizes)}).')
