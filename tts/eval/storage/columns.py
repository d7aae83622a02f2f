"""Rows of one block as columns: what is read of a row is read here, for all rows at once.

A run has hundreds of thousands of rows, and the report is made several times in a run.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np

from tts import answers
from tts.types import Strategy

COUNTS = ('prompt', 'kept', 'pruned', 'simulated', 'reencoded', 'last', 'entered', 'attended')
_counted = operator.attrgetter(*COUNTS)
# Null where a server wrote and does not say what entered it.
MAYBE_UNKNOWN = ('entered', 'attended')
_Counts = msgspec.defstruct('_Counts', [
    (name, int | None if name in MAYBE_UNKNOWN else int) for name in COUNTS])
_COUNTS = msgspec.json.Decoder(dict[str, _Counts])


# What rows of a model that thinks count apart: `thinking` of `Columns`.
THINKING = ('thinking_tokens', 'answer_tokens', 'forced_tokens')
_THETA = msgspec.json.Decoder(dict[str, int | float | bool | str | None])


@functools.lru_cache(1 << 10)
def strategy(method: str, budget: int, theta: bytes) -> Strategy:
  """What rows of these fields are of; theta: as it is written.

  Raises:
    msgspec.ValidationError: theta is none.
  """
  found = _THETA.decode(theta)
  for name in ('beam_width', 'lookahead', 'chain_length'):
    if not isinstance(found.get(name), int | None):
      raise msgspec.ValidationError(f'theta has {name} = {found[name]!r}')
  try:
    return Strategy.of(method, budget, **found)
  except TypeError as error:
    raise msgspec.ValidationError(f'theta: {error}') from error


class Statistics(msgspec.Struct, gc=False):
  """How sure the generator was of a row's tokens (`data.sample_statistics`)."""

  confidence: list[float] = []
  self_certainty: float | None = None


class Row(msgspec.Struct, gc=False):
  """What is read of a row of a stage that answers reported questions; the rest is skipped."""

  stream: str
  model: str
  problem_id: str
  strategy: str
  theta: msgspec.Raw
  budget: int
  repeat: int
  slot: int
  step_scores: list[float] | None
  answer: str | None
  truncated: bool
  correct: bool | None
  answer_score: float | None
  verifier: str | None
  other_scores: dict[str, list[float]]
  logprob: float | None
  level: int | None
  counts: msgspec.Raw
  weight: int = 1
  tokens: list[int] | None = None
  # Of a sample whose tokens nobody has.
  num_tokens: int | None = None
  statistics: Statistics | None = None
  # Of a model that thinks, and of budget forcing.
  thinking_tokens: int | None = None
  answer_tokens: int | None = None
  forced: list[tuple[int, int]] = []


class Counted(msgspec.Struct, gc=False):
  """What is read of a row of any other stage."""

  counts: msgspec.Raw
  continuations: list[int] | None = None


# What is no number of 64 bits, or is in a field that is parsed late.
ROW_ERRORS = (OverflowError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError)
_NO_STATISTICS = Statistics()
ROWS, COUNTED = msgspec.json.Decoder(Row), msgspec.json.Decoder(Counted)


@functools.lru_cache(1 << 18)
def form(answer: str) -> str:
  """What equal answers share; the grader leaves long ones unread, and so does a vote."""
  return answers.normalize(answer) if len(answer) <= answers.MAX_LENGTH else answer


@dataclasses.dataclass(frozen=True)
class Words:
  """A value per row, few of them different."""

  different: list[Any]
  which: np.ndarray     # int64 [R], places in `different`

  @classmethod
  def of(cls, values: Sequence[Any]) -> Words:
    place = {value: i for i, value in enumerate(dict.fromkeys(values))}
    return cls(list(place), np.fromiter(map(place.__getitem__, values), np.int64, len(values)))

  @classmethod
  def joined(cls, parts: Sequence[Words]) -> Words:
    place: dict[Any, int] = {}
    which = [np.array([place.setdefault(value, len(place)) for value in p.different],
                      np.int64)[p.which] for p in parts]
    return cls(list(place), np.concatenate(which))

  def at(self, rows: Sequence[int]) -> Words:
    """Of some rows."""
    used, which = np.unique(self.which[rows], return_inverse=True)
    return Words([self.different[i] for i in used], which)


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
  """Rows of one setting, in their order: arrays [R], words, numbers per step."""

  id: Words
  answer: Words  # normal forms, None where a row was cut off or has none
  slot: np.ndarray
  weight: np.ndarray
  level: np.ndarray
  truncated: np.ndarray
  correct: np.ndarray
  answer_score: np.ndarray
  logprob: np.ndarray
  certainty: np.ndarray
  length: np.ndarray
  confidence: Ragged               # of each token; no numbers where it is not known
  steps: Ragged
  others: dict[str, Ragged]        # verifier -> its values; no numbers where it scored none
  counts: Words                    # as written; `counts` reads them
  thinking: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)  # by THINKING, or empty

  @classmethod
  def of(cls, rows: Sequence[Row], counts: Words) -> Columns:
    """OverflowError where a number has more than 64 bits. `counts`: of these rows."""
    scored = [r.other_scores for r in rows]
    sure = [r.statistics or _NO_STATISTICS for r in rows]
    return cls(
        id=Words.of([r.problem_id for r in rows]),
        answer=Words.of([None if r.truncated or r.answer is None else form(r.answer)
                         for r in rows]),
        slot=np.array([r.slot for r in rows], np.int64),
        weight=np.array([r.weight for r in rows], np.int64),
        level=np.array([r.level or 0 for r in rows], np.int64),
        truncated=np.array([r.truncated for r in rows], bool),
        correct=np.array([r.correct for r in rows], bool),
        answer_score=np.array([r.answer_score for r in rows], float),
        logprob=np.array([r.logprob for r in rows], float),
        certainty=np.array([s.self_certainty for s in sure], float),
        confidence=Ragged.of([s.confidence for s in sure]),
        length=np.array([r.num_tokens or 0 if r.tokens is None else len(r.tokens) for r in rows],
                        np.int64),
        steps=Ragged.of([r.step_scores or () for r in rows]),
        others={v: Ragged.of([s.get(v, ()) for s in scored]) for v in _names(scored)},
        counts=counts, thinking=_thinking(rows))

  @classmethod
  def joined(cls, parts: Sequence[Columns]) -> Columns:
    """All rows of several blocks of one setting."""
    if len(parts) == 1:
      return parts[0]
    none = [Ragged(np.zeros(len(p.slot), np.int64), np.zeros(0)) for p in parts]
    fields: dict[str, Any] = {}
    fields['thinking'] = {} if not all(p.thinking for p in parts) else {
        name: np.concatenate([p.thinking[name] for p in parts]) for name in THINKING}
    for name in ('slot', 'weight', 'level', 'truncated', 'correct', 'answer_score', 'logprob',
                 'certainty', 'length'):
      fields[name] = np.concatenate([getattr(p, name) for p in parts])
    return cls(
        id=Words.joined([p.id for p in parts]), answer=Words.joined([p.answer for p in parts]),
        steps=Ragged.joined([p.steps for p in parts]),
        confidence=Ragged.joined([p.confidence for p in parts]),
        others={v: Ragged.joined([p.others.get(v, e) for p, e in zip(parts, none)])
                for v in _names(p.others for p in parts)},
        counts=Words.joined([p.counts for p in parts]), **fields)


def _thinking(rows: Sequence[Row]) -> dict[str, np.ndarray]:
  """Tokens of thoughts, of answers, and forced ones, int64 [R]; empty where rows do not say."""
  if any(r.thinking_tokens is None or r.answer_tokens is None for r in rows):
    return {}
  found = ([r.thinking_tokens for r in rows], [r.answer_tokens for r in rows],
           [sum(end - begin for begin, end in r.forced) for r in rows])
  return {name: np.array(values, np.int64) for name, values in zip(THINKING, found)}


def _names(dicts: Iterable[dict[str, Any]]) -> list[str]:
  return sorted(set().union(*dicts))


def written(rows: Sequence[Row | Counted]) -> Words:
  """The rows' counts as they stand in the file: most rows count as another one does."""
  return Words.of([bytes(r.counts) for r in rows])


def counts(words: Words) -> dict[str, np.ndarray]:
  """Per model int64 [len(words.different), len(COUNTS)], zeros where there is none of it.

  Zeros, too, where it is not known: `total` says of which models.

  Raises:
    One of `ROW_ERRORS`: they are not counts.
  """
  held = [_COUNTS.decode(raw) for raw in words.different]
  none = _Counts(*[0] * len(COUNTS))
  return {model: np.array([[n or 0 for n in _counted(h.get(model, none))] for h in held], np.int64)
          for model in _names(held)}


def total(words: Words) -> dict[str, Any]:
  """One row that counts as much as all of them, for the ledger; raises as `counts`.

  None for what is not known of some of them.
  """
  rows = np.bincount(words.which, minlength=len(words.different))
  sums = {model: (rows @ values).tolist() for model, values in counts(words).items()}
  unknown = {model for raw in words.different if b'null' in raw
             for model, found in _COUNTS.decode(raw).items() if found.entered is None}
  return {'counts': {
      model: dict(zip(COUNTS, values)) | dict.fromkeys(MAYBE_UNKNOWN if model in unknown else ())
      for model, values in sums.items()}}
