"""A claim's difference, question by question and in replicates that choose anew."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from tts.eval.measures import statistics
from tts.eval.policy import crossfit
from tts.eval.policy.difficulty import Estimator
from tts.eval.policy.trials import Trial

# A verdict must stand with a standard error this much larger: two of the Monte Carlo errors that
# the error itself has from so many replicates.
_MONTE_CARLO = 1 + 2 / math.sqrt(2 * crossfit.REPLICATES)


@dataclasses.dataclass(frozen=True, eq=False)
class Answers:
  """How one side did.

  Attributes:
    values: id -> accuracy.
    trial: where a policy chose, its trial; what it chose is chosen anew in every replicate.
    allowances: (weight, generations) pairs, whose weighted mean a policy's accuracy is.
  """

  values: Mapping[str, float]
  trial: Trial | None = None
  allowances: tuple[tuple[float, float], ...] = ()


def policy(trial: Trial, allowances: Sequence[tuple[float, float]]) -> Answers | None:
  """A policy's answers at a weighted mean of allowances; None where one of them pays for nothing.
  """
  order = sorted(allowances, key=lambda a: a[1])
  levels = trial.at('generations', [a for _, a in order], trial.estimator)
  if any(level is None for level in levels):
    return None
  each = sum(w * trial.by_question(level) for (w, _), level in zip(order, levels))
  known = ~np.isnan(each)
  ids = np.array(trial.found.ids, object)[known]
  return Answers(dict(zip(ids.tolist(), each[known].tolist())), trial, tuple(order))


@dataclasses.dataclass(frozen=True)
class Difference:
  """A weighted sum of sides.

  Attributes:
    values: float64 [Q], question by question.
    error: standard error of their mean; choices and bins are redone in it.
    chosen: whether a policy is in it.
    span: the largest difference that there can be.
    ids: problem ids [Q].
  """

  values: np.ndarray
  error: float
  chosen: bool
  span: float
  ids: tuple[str, ...]

  @property
  def mean(self) -> float:
    return float(self.values.mean())

  def interval(self) -> list[float] | None:
    return statistics.paired_interval(self.mean, self.error, len(self.values), self.span)


def difference(terms: Sequence[tuple[float, Answers]], bins: Sequence[int],
               of: Mapping[str, int] | None, estimator: Estimator | None) -> Difference | None:
  """The sum of weighted sides on the questions that all have.

  Args:
    terms: (weight, side).
    bins: the bins that count; () takes every question.
    of: id -> bin, read where there are `bins`.
    estimator: whose bins they are; None where they are given and not cut.

  Returns:
    None without a question.
  """
  shared = set.intersection(*(set(side.values) for _, side in terms))
  ids = sorted(i for i in shared if not bins or (of or {}).get(i) in bins)
  if not ids:
    return None
  values = np.array([sum(w * side.values[i] for w, side in terms) for i in ids])
  span = sum(abs(w) for w, _ in terms) / 2
  chosen = [side for _, side in terms if side.trial is not None]
  error = float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan
  # A policy's own bins are cut anew with it; others hold the questions that they hold.
  cut = estimator if bins and estimator and all(
      c.trial.estimator.scheme == estimator.scheme for c in chosen) else None
  by = cut or (chosen[0].trial.estimator if chosen else None)
  if by is not None and len(values) > 1:
    again = _replicates(terms, sorted(shared) if cut else ids, bins if cut else (), by)
    error = max(crossfit.error(again) * _MONTE_CARLO, 0.0 if chosen else error)
  return Difference(values, error, bool(chosen), span, tuple(ids))


def _replicates(terms: Sequence[tuple[float, Answers]], ids: Sequence[str], bins: Sequence[int],
                estimator: Estimator) -> np.ndarray:
  """The mean sum in replicates, float64 [1 + R]; bins are those of the estimator, cut anew."""
  fixed = np.array([sum((w * side.values[i] for w, side in terms if side.trial is None), 0.0)
                    for i in ids])
  sums = crossfit.sums(estimator, tuple(ids), fixed[None])
  places = [b - 1 for b in bins] or slice(None)
  part = lambda x: x.sum(axis=(0, 1), dtype=float)[places].sum(axis=0)
  with np.errstate(invalid='ignore', divide='ignore'):
    total = part(sums.right[0]) / part(sums.weight)
  inside = frozenset(ids)
  for weight, side in terms:
    if side.trial is not None:
      trial = side.trial
      use = np.array([i in inside for i in trial.found.ids])
      held = None if use.all() else crossfit.sums(
          trial.estimator, trial.found.ids, trial.found.accuracy, of=use)
      for (share, _), level in zip(side.allowances, trial.at(
          'generations', [a for _, a in side.allowances], trial.estimator, held)):
        total = total + weight * share * level.within(bins)
  return total
