"""Per-question outcomes as one compressed table, for analyses that the report does not make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tts.eval.measures.outcomes import Outcome
from tts.eval.storage import records

FIELDS = ('problem_id', 'bin', 'strategy', 'beam_width', 'lookahead', 'verifier', 'aggregation',
          'selection', 'budget', 'theta', 'accuracy', 'generated_tokens', 'verifier_tokens',
          'flops')
_AGGREGATIONS = (None, 'last')  # the others would be a third of the file


def _short(values: np.ndarray | None, form: str, length: int) -> list[str]:
  return [''] * length if values is None else [form % v for v in values.tolist()]


def encode(outcomes: Sequence[Outcome], bins: Mapping[str, int]) -> bytes:
  """CSV, gzipped: a line per question and strategy, questions together; equal data, equal bytes.

  Args:
    outcomes: of all strategies; those by minimum or product over the steps are left out.
    bins: id -> oracle bin; empty where there is none.
  """
  lines: dict[str, list[str]] = {}
  for o in outcomes:
    if o.aggregation not in _AGGREGATIONS:
      continue
    what = ','.join('' if v is None else str(v) for v in (
        o.strategy, o.beam_width, o.lookahead, o.verifier, o.aggregation, o.selection, o.budget,
        ' '.join(f'{k}={v}' for k, v in o.how.others.items())))
    size = len(o.ids)
    columns = zip(_short(o.accuracy, '%.6g', size), _short(o.generated_tokens, '%.6g', size),
                  _short(o.verifier_tokens, '%.6g', size), _short(o.flops, '%.5g', size))
    for id_, values in zip(o.ids, columns):
      lines.setdefault(id_, []).append(f'{what},{",".join(values)}')
  text = [','.join(FIELDS)]
  for id_ in sorted(lines):
    name = f'"{id_.replace(chr(34), chr(34) * 2)}"' if set(id_) & set(',"\n\r') else id_
    start = f'{name},{bins.get(id_, "")},'
    text += [start + line for line in lines[id_]]
  return records.gzipped(('\n'.join(text) + '\n').encode())
