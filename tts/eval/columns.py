"""Rows of one block as columns: what is read of a row is read here, for all rows at once.

A run has hundreds of thousands of rows, and the report is made several times in a run.
"""

from __future__ import annotations

import dataclasses
import itertools
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

COUNTS = ('prompt', 'kept', 'pruned', 'simulated', 'reencoded', 'last', 'entered', 'attended')
ROW_ERRORS = (KeyError, TypeError, ValueError, AttributeError)  # what a bad row gives
_counted = operator.itemgetter(*COUNTS)


@dataclasses.dataclass(frozen=True)
class Ragged:
  """Lists of numbers of different lengths, one per row."""

  length: np.ndarray  # int64 [R]
  value: np.ndarray   # float64 [sum of lengths]

  @classmethod
  def of(cls, lists: Sequence[Sequence[float]]) -> Ragged:
    length = np.fromiter(map(len, lists), np.int64, len(lists))
    value = np.fromiter(itertools.chain.from_iterable(lists), float, int(length.sum()))
    return cls(length, value)

  @classmethod
  def joined(cls, parts: Sequence[Ragged]) -> Ragged:
    return cls(np.concatenate([p.length for p in parts]), np.concatenate([p.value for p in parts]))

  def spread(self, where: np.ndarray, size: int) -> np.ndarray:
    """float64 [size, longest]: row r's numbers at place where[r], NaN everywhere else."""
    inside = np.arange(self.length.max(initial=0)) < self.length[:, None]
    rows = np.full(inside.shape, np.nan)
    rows[inside] = self.value
    out = np.full((size, inside.shape[1]), np.nan)
    out[where] = rows
    return out


@dataclasses.dataclass(frozen=True)
class Columns:
  """Rows of one setting, in their order: lists of R values, arrays [R], numbers per step."""

  id: list[str]
  answer: list[str | None]  # None where a row was cut off
  slot: np.ndarray
  level: np.ndarray
  truncated: np.ndarray
  correct: np.ndarray
  answer_score: np.ndarray
  logprob: np.ndarray
  length: np.ndarray
  steps: Ragged
  others: dict[str, Ragged]        # verifier -> its values; no numbers where it scored none
  counts: dict[str, np.ndarray]    # model -> int64 [R, len(COUNTS)]

  @classmethod
  def of(cls, rows: Sequence[dict[str, Any]], counts: dict[str, np.ndarray]) -> Columns:
    """One of `ROW_ERRORS` where a row lacks or misuses a field. `counts`: of these rows."""
    def column(name, dtype):
      return np.array([r[name] for r in rows], dtype)

    verifiers = sorted(set().union(*(r['other_scores'] for r in rows)))
    return cls(
        id=[r['problem_id'] for r in rows],
        answer=[None if r['truncated'] else r['answer'] for r in rows],
        slot=column('slot', np.int64), level=np.array([r['level'] or 0 for r in rows], np.int64),
        truncated=column('truncated', bool), correct=column('correct', bool),
        answer_score=column('answer_score', float), logprob=column('logprob', float),
        length=np.fromiter((len(r['tokens']) for r in rows), np.int64, len(rows)),
        steps=Ragged.of([r['step_scores'] or () for r in rows]),
        others={v: Ragged.of([r['other_scores'].get(v, ()) for r in rows]) for v in verifiers},
        counts=counts)

  @classmethod
  def joined(cls, parts: Sequence[Columns]) -> Columns:
    """All rows of several blocks of one setting."""
    if len(parts) == 1:
      return parts[0]
    empty = [np.zeros((len(p.id), len(COUNTS)), np.int64) for p in parts]
    none = [Ragged(np.zeros(len(p.id), np.int64), np.zeros(0)) for p in parts]
    fields: dict[str, Any] = {}
    for name in ('slot', 'level', 'truncated', 'correct', 'answer_score', 'logprob', 'length'):
      fields[name] = np.concatenate([getattr(p, name) for p in parts])
    return cls(
        id=list(itertools.chain.from_iterable(p.id for p in parts)),
        answer=list(itertools.chain.from_iterable(p.answer for p in parts)),
        steps=Ragged.joined([p.steps for p in parts]),
        others={v: Ragged.joined([p.others.get(v, e) for p, e in zip(parts, none)])
                for v in _names(p.others for p in parts)},
        counts={m: np.concatenate([p.counts.get(m, e) for p, e in zip(parts, empty)])
                for m in _names(p.counts for p in parts)},
        **fields)


def _names(dicts: Iterable[dict[str, Any]]) -> list[str]:
  return sorted(set().union(*dicts))


def counts(rows: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
  """Per model int64 [R, len(COUNTS)], zeros where a row has none of it."""
  held = [r['counts'] for r in rows]
  out = {}
  for model in _names(held):
    mine = [h[model] for h in held if model in h]
    flat = itertools.chain.from_iterable(map(_counted, mine))
    values = np.fromiter(flat, np.int64, len(mine) * len(COUNTS)).reshape(-1, len(COUNTS))
    if len(mine) == len(held):
      out[model] = values
    else:
      out[model] = np.zeros((len(held), len(COUNTS)), np.int64)
      out[model][[model in h for h in held]] = values
  return out


def total(counts: dict[str, np.ndarray]) -> dict[str, Any]:
  """One row that counts as much as all of them, for the ledger."""
  sums = {model: values.sum(axis=0).tolist() for model, values in counts.items()}
  return {'counts': {model: dict(zip(COUNTS, values)) for model, values in sums.items()}}
