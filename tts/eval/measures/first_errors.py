"""How well a verifier finds the first wrong step of a solution (ProcessBench, arXiv 2412.06559).

A verifier says that a step is wrong where its value is below a threshold, and that the first such
step is the first error. F1 is the harmonic mean of two shares: of the solutions with an error, in
how many that very step is found; of those without, in how many none is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tts.data.labelled_steps import NONE
from tts.eval.measures import statistics

THRESHOLD = 0.5
_GRID = 200  # thresholds that are tried, at most
_FOLDS = 2


def found(steps: Sequence[np.ndarray], threshold: float) -> np.ndarray:
  """Place of the first step below the threshold, int64 [n]; NONE where there is none."""
  below = [values < threshold for values in steps]
  return np.array([int(x.argmax()) if x.any() else NONE for x in below], np.int64)


def f1(hit: np.ndarray, wrong: np.ndarray) -> np.ndarray:
  """Harmonic mean of the shares of hits, float64 [...]; NaN without solutions of both kinds.

  Args:
    hit: float64 [..., n], summed weights: whether what was said is true.
    wrong: bool [n], solutions that have an error.
  """
  parts = [hit[..., mine].mean(axis=-1) if mine.any() else np.full(hit.shape[:-1], np.nan)
           for mine in (wrong, ~wrong)]
  return _harmonic(*parts)


def _harmonic(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Harmonic mean of shares; 0 of two that are 0, NaN where one is."""
  total = first + second
  with np.errstate(invalid='ignore'):
    return np.where(total > 0, 2 * first * second / np.maximum(total, 1e-300), total)


def _resampled(hit: np.ndarray, wrong: np.ndarray, group: np.ndarray) -> list[float] | None:
  """95% interval of F1, questions drawn again with all their solutions."""
  size = int(group.max()) + 1
  drawn = statistics.resamples(size)  # [B, size], how often each question
  weight = drawn[:, group]
  with np.errstate(invalid='ignore', divide='ignore'):
    shares = [(weight[:, mine] * hit[mine]).sum(axis=1) / weight[:, mine].sum(axis=1)
              for mine in (wrong, ~wrong)]
  values = _harmonic(*shares)
  return statistics.interval(values[~np.isnan(values)]) if size > 1 else None


def best_threshold(steps: Sequence[np.ndarray], label: np.ndarray) -> float:
  """That of the highest F1, the lowest of equals; of one kind of solutions, of the most hits."""
  values = np.unique(np.concatenate(steps))
  if len(values) > _GRID:
    values = np.quantile(values, np.linspace(0, 1, _GRID))
  tried = np.concatenate([values, [np.nextafter(values[-1], np.inf)]])
  hits = np.array([found(steps, t) == label for t in tried], float)
  score = f1(hits, label != NONE)
  return float(tried[np.argmax(hits.mean(axis=1) if np.isnan(score).any() else score)])


def describe(steps: Sequence[np.ndarray], label: np.ndarray, correct: np.ndarray,
             group: np.ndarray, threshold: float = THRESHOLD) -> dict[str, Any]:
  """What a verifier's values are worth.

  Args:
    steps: of each of n solutions float64 [its steps], chances.
    label: int64 [n], place of the first wrong step, or NONE.
    correct: bool [n], whether the final answer is right.
    group: int64 [n], number of its question.
    threshold: of `found`.

  Returns:
    `f1` at the threshold and `f1_chosen` at one that was chosen on the other half of the questions,
    with 95% intervals over questions; `found`, `none_found`, the two shares; `auc_within`, of last
    steps, right against wrong final answers of the same question; `auc_steps`, of the steps up to
    the first error, right against wrong ones; `ece` and `calibration` of the last steps; counts.
  """
  wrong, hit = label != NONE, (found(steps, threshold) == label).astype(float)
  chosen, fold = np.zeros(len(label)), group % _FOLDS
  for k in range(_FOLDS):
    held, learn = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
    if held.size and learn.size:
      best = best_threshold([steps[i] for i in learn], label[learn])
      chosen[held] = found([steps[i] for i in held], best) == label[held]
  share = lambda mine: float(hit[mine].mean()) if mine.any() else None
  value = lambda x: None if np.isnan(x) else float(x)
  last = np.array([values[-1] for values in steps])
  within = statistics.auc_by_group(last, correct, group)
  mean, interval, count = statistics.known_means(within[None])[0]
  until = [values[:end + 1] if end != NONE else values for values, end in zip(steps, label)]
  sound = np.concatenate([np.arange(len(v)) != end for v, end in zip(until, label)])
  both = len(set(fold.tolist())) == _FOLDS
  return {
      'threshold': threshold, 'f1': value(f1(hit, wrong)), 'f1_ci95': _resampled(hit, wrong, group),
      'found': share(wrong), 'none_found': share(~wrong),
      'f1_chosen': value(f1(chosen, wrong)) if both else None,
      'f1_chosen_ci95': _resampled(chosen, wrong, group) if both else None,
      'auc_within': mean, 'auc_within_ci95': interval, 'auc_within_n': count,
      'auc_steps': value(statistics.auc(np.concatenate(until), sound)),
      'ece': statistics.expected_calibration_error(last, correct),
      'calibration': statistics.calibration(last, correct),
      'solutions': len(label), 'with_error': int(wrong.sum()), 'questions': int(group.max()) + 1,
      'steps': int(sum(map(len, steps)))}
