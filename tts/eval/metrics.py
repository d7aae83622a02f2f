"""Statistics over questions: bootstrap intervals, pass@k, AUC within and across questions.

A question is the unit that is resampled. Everything is seeded by its shape alone, so that two
quantities over the same questions are resampled alike: their differences are paired.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

REPLICATES = 2000
_SEED = 20240806


@functools.lru_cache(maxsize=32)
def resamples(questions: int) -> np.ndarray:
  """How often each question is drawn in each replicate, float64 [REPLICATES, Q]; rows sum to Q."""
  rng = np.random.default_rng([_SEED, questions])
  return rng.multinomial(
      questions, np.full(questions, 1 / questions), size=REPLICATES).astype(float)


def interval(replicates: np.ndarray) -> list[float] | None:
  """The middle 95% of replicates [R]. Those that are not numbers are left out; None if most are."""
  known = replicates[~np.isnan(replicates)]
  if known.size < max(1, replicates.size / 2):
    return None
  return [float(x) for x in np.percentile(known, [2.5, 97.5])]


def mean_interval(values: np.ndarray) -> list[float] | None:
  """95% bootstrap interval of the mean of per-question values [Q]; None for fewer than 2."""
  if len(values) < 2:
    return None
  # The replicates are convex combinations; rounding must not take them past the values.
  means = resamples(len(values)) @ values / len(values)
  return interval(np.clip(means, values.min(), values.max()))


def statistic_interval(statistic: Callable[..., np.ndarray],
                       *columns: np.ndarray) -> list[float] | None:
  """95% bootstrap interval of a function of several per-question means, resampled together.

  Args:
    statistic: takes one array [R] of means per column, gives [R].
    *columns: per-question values [Q] each.
  """
  questions = len(columns[0])
  if questions < 2:
    return None
  with np.errstate(divide='ignore', invalid='ignore'):
    return interval(statistic(*(resamples(questions) @ c / questions for c in columns)))


def pass_at_k(num_correct: np.ndarray, num_samples: int, k: int) -> np.ndarray:
  """Unbiased chance that at least one of k samples is right, from n >= k of which c are.

  1 - C(n - c, k) / C(n, k), as in Chen et al. (2021). num_correct int [Q] --> float64 [Q].
  """
  if not 1 <= k <= num_samples:
    raise ValueError(f'k = {k} of {num_samples} samples')
  table = [1 - math.comb(num_samples - c, k) / math.comb(num_samples, k)
           for c in range(num_samples + 1)]
  return np.array(table)[np.asarray(num_correct, np.int64)]


def auc(score: np.ndarray, right: np.ndarray) -> float:
  """Chance that a right one scores above a wrong one, ties counting half; NaN without both.

  score float64 [n], right bool [n].
  """
  wrong = np.sort(score[~right])
  above = score[right]
  if not wrong.size or not above.size:
    return math.nan
  lower = np.searchsorted(wrong, above, 'left') + np.searchsorted(wrong, above, 'right')
  return float(lower.mean() / 2 / wrong.size)


def auc_by_question(score: np.ndarray, right: np.ndarray, use: np.ndarray) -> np.ndarray:
  """AUC of each question's right against its wrong samples.

  Args:
    score: float64 [Q, N].
    right: bool [Q, N].
    use: bool [Q, N], the samples that count.

  Returns:
    float64 [Q], NaN where a question lacks right or wrong ones.
  """
  both = (right & use).any(axis=1) & (~right & use).any(axis=1)
  out = np.full(len(score), math.nan)
  for q in np.flatnonzero(both):
    out[q] = auc(score[q, use[q]], right[q, use[q]])
  return out


def prefix_auc_by_question(steps: np.ndarray, right: np.ndarray, use: np.ndarray) -> np.ndarray:
  """How well scores of unfinished solutions tell which ones will end right.

  Candidates are compared at the same step, as a search compares them, a sample's last step left
  out; a question's value is the mean over its steps.

  Args:
    steps: float64 [Q, N, S], NaN past a sample's last step.
    right: bool [Q, N], the final outcome.
    use: bool [Q, N].

  Returns:
    float64 [Q], NaN where no step of a question has both.
  """
  if steps.shape[-1] < 2:
    return np.full(len(steps), math.nan)
  unfinished = ~np.isnan(steps[..., 1:])  # step s is not the last where step s + 1 is there
  by_step = np.stack([auc_by_question(steps[..., s], right, use & unfinished[..., s])
                      for s in range(steps.shape[-1] - 1)])
  count = (~np.isnan(by_step)).sum(axis=0)
  total = np.nansum(by_step, axis=0)
  return np.where(count > 0, total / np.maximum(count, 1), math.nan)


def calibration(score: np.ndarray, right: np.ndarray, bins: int = 10) -> list[dict[str, float]]:
  """Reliability table: equal-width bins of a score in [0, 1] that hold any sample.

  Args:
    score: float64 [n] in [0, 1].
    right: bool [n].
    bins: how many.

  Returns:
    Per bin `low`, `high`, `n`, `score` (mean) and `accuracy`.
  """
  if score.size and (score.min() < 0 or score.max() > 1):
    raise ValueError('calibration is for scores in [0, 1]')
  place = np.minimum((score * bins).astype(int), bins - 1)
  return [{'low': b / bins, 'high': (b + 1) / bins, 'n': int((place == b).sum()),
           'score': float(score[place == b].mean()), 'accuracy': float(right[place == b].mean())}
          for b in range(bins) if (place == b).any()]


def expected_calibration_error(score: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
  """Mean distance of score and accuracy over `calibration`'s bins, by samples; NaN without any."""
  table = calibration(score, right, bins)
  if not table:
    return math.nan
  return sum(b['n'] * abs(b['score'] - b['accuracy']) for b in table) / score.size


def gap_closed(weighted: np.ndarray, majority: np.ndarray,
               oracle: np.ndarray) -> tuple[float, list[float] | None]:
  """Share of the room between majority and pass@N that the verifier takes, with its interval.

  Args:
    weighted: per-question accuracy [Q] of the weighted vote.
    majority: of the majority vote.
    oracle: pass@N.

  Returns:
    ((weighted - majority) / (oracle - majority), interval); NaN, None where there is no room.
  """
  def share(w, m, o):
    room = np.asarray(o - m)
    return np.where(room > 0, (w - m) / np.where(room > 0, room, 1.0), math.nan)

  value = float(share(*(np.mean(x) for x in (weighted, majority, oracle))))
  if math.isnan(value):
    return value, None
  return value, statistic_interval(share, weighted, majority, oracle)
