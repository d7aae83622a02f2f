"""Statistics over questions: bootstrap intervals, pass@k, AUC within and across questions.

A question is the unit that is resampled. Everything is seeded by its shape alone, so that two
quantities over the same questions are resampled alike: their differences are paired.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np

REPLICATES = 2000
SEED = 20240806
_TOGETHER = 256  # columns in one product


@functools.lru_cache(maxsize=48)  # sizes of one report; 32 MB for 2,000 questions
def resamples(questions: int) -> np.ndarray:
  """How often each question is drawn in each replicate, float64 [REPLICATES, Q]; rows sum to Q."""
  drawn = np.random.default_rng([SEED, questions]).integers(
      questions, size=(REPLICATES, questions))
  drawn += np.arange(REPLICATES)[:, None] * questions  # several times faster than multinomial draws
  return np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(float)


def interval(replicates: np.ndarray) -> list[float] | None:
  """The middle 95% of replicates [R]. Those that are not numbers are left out; None if most are."""
  known = replicates[~np.isnan(replicates)]
  if known.size < max(1, replicates.size / 2):
    return None
  return [float(x) for x in np.percentile(known, [2.5, 97.5])]


def paired_interval(mean: float, error: float, questions: int,
                    span: float = 1.0) -> list[float] | None:
  """95% interval of a mean difference, that holds where few questions differ or none does.

  Half a question is added at either end of what a difference can be and one at 0, as Agresti and
  Min (2005) do for pairs; the quantile is Student's. The resampled error of differences that are
  all 0 is 0, and an interval from that is false certainty.

  Args:
    mean: of the differences.
    error: standard error of the mean, by bootstrap or from the differences' variance.
    questions: n.
    span: the largest that one question's difference can be.

  Returns:
    Its ends, None below 2 questions.
  """
  if questions < 2:
    return None
  squares = questions * (questions * error**2 + mean**2)  # sum of squares
  more = questions + 2
  centre = questions * mean / more
  half = math.sqrt(max((squares + span**2) / more - centre**2, 0) / more) * student(questions - 1)
  return [max(centre - half, -span), min(centre + half, span)]


@functools.lru_cache(64)
def student(freedom: float) -> float:
  """The 97.5% quantile of Student's t, by Cornish and Fisher's series, to 0.4% from 3 on; below,
  where `freedom` is at least 1, by bisection."""
  if freedom < 3:
    low, high = 3.0, 13.0
    while high - low > 1e-6:
      middle = (low + high) / 2
      low, high = (middle, high) if student_above(middle, freedom) > 0.025 else (low, middle)
    return high
  z = 1.959964
  return (z + (z**3 + z) / 4 / freedom + (5 * z**5 + 16 * z**3 + 3 * z) / 96 / freedom**2
          + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384 / freedom**3)


def student_above(t: float, freedom: float) -> float:
  """P(T > t) of Student's t, by quadrature over the angle atan(t / sqrt(freedom))."""
  angle = np.linspace(math.atan(abs(t) / math.sqrt(freedom)), math.pi / 2, 4001)
  scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)
  tail = scale * float(np.trapezoid(np.cos(angle) ** (freedom - 1), angle))
  return tail if t >= 0 else 1 - tail


def crossed(values: np.ndarray) -> tuple[float, float]:
  """Standard error of the mean of a table whose rows and columns are both drawn, and its freedom.

  Two-way analysis of variance with random effects: the variance of the mean is (rows + columns -
  rest) / cells, of mean squares, with Satterthwaite's degrees of freedom, of at least 1.

  Args:
    values: float64 [A, B], of at least 2 rows and columns.
  """
  squares, each = _mean_squares(values)
  total = squares[0] + squares[1] - squares[2]
  if total <= squares[2]:  # neither rows nor columns differ by more than the rest does
    return float(math.sqrt(squares[2] / values.size)), float(each[2])
  # By the formula it may be less than 1, where `rest` is nearly rows and columns together.
  freedom = max(1.0, float(total**2 / (squares**2 / each).sum()))
  return float(math.sqrt(total / values.size)), freedom


def _mean_squares(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Mean squares of rows, columns and the rest of a table [A, B], and their degrees of freedom."""
  a, b = values.shape
  mean, row, column = values.mean(), values.mean(axis=1), values.mean(axis=0)
  rest = values - row[:, None] - column + mean
  each = np.array([a - 1, b - 1, (a - 1) * (b - 1)])
  return np.array([b * ((row - mean)**2).sum(), a * ((column - mean)**2).sum(),
                   (rest**2).sum()]) / each, each


def components(values: np.ndarray) -> tuple[float, float, float]:
  """Standard deviations of what rows, columns and the rest add to a cell; 0 where none is seen.

  From the mean squares of a two-way analysis of variance with random effects.

  Args:
    values: float64 [A, B], of at least 2 rows and columns.
  """
  a, b = values.shape
  (rows, columns, rest), _ = _mean_squares(values)
  return (math.sqrt(max(rows - rest, 0.0) / b), math.sqrt(max(columns - rest, 0.0) / a),
          math.sqrt(rest))


def mean_intervals(columns: Sequence[np.ndarray]) -> list[list[float] | None]:
  """95% bootstrap interval of the mean of each column of per-question values; None below 2.

  Those of one length are taken together: the products read `resamples` once, not once a column.
  """
  out: list[list[float] | None] = [None] * len(columns)
  for questions in sorted({len(c) for c in columns}):
    at = [i for i, c in enumerate(columns) if len(c) == questions]
    for some in (at[k:k + _TOGETHER] for k in range(0, len(at) * (questions > 1), _TOGETHER)):
      values = np.stack([columns[i] for i in some], axis=1).astype(float)
      # The replicates are convex combinations; rounding must not take them past the values.
      means = np.clip(resamples(questions) @ values / questions,
                      values.min(axis=0), values.max(axis=0))
      for i, ends in zip(some, np.percentile(means, [2.5, 97.5], axis=0).T.tolist()):
        out[i] = ends
  return out


def mean_interval(values: np.ndarray) -> list[float] | None:
  """95% bootstrap interval of the mean of per-question values [Q]; None for fewer than 2."""
  return mean_intervals([np.asarray(values)])[0]


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


def known_means(values: np.ndarray) -> list[tuple[float | None, list[float] | None, int]]:
  """Mean, its 95% interval and n of several columns, each over the questions where it is a number.

  All questions are resampled, so columns are resampled alike whichever questions they know.

  Args:
    values: float64 [C, Q], NaN where a column knows nothing of a question.
  """
  known = ~np.isnan(values)
  filled = np.where(known, values, 0.0)
  drawn = resamples(values.shape[1])
  with np.errstate(divide='ignore', invalid='ignore'):
    replicates = (drawn @ filled.T) / (drawn @ known.T.astype(float))
  out = []
  for c, n in enumerate(known.sum(axis=1).tolist()):
    mean = float(filled[c].sum() / n) if n else None
    clipped = replicates[:, c]
    if n:  # convex combinations, but for rounding
      clipped = np.clip(clipped, values[c][known[c]].min(), values[c][known[c]].max())
    out.append((mean, interval(clipped) if n > 1 else None, n))
  return out


def between(value: float, points: Sequence[float] | np.ndarray) -> tuple[int, int, float]:
  """Where a value lies among rising points: the place below it, that above it, the latter's share.

  Beyond the first or the last point it is that one's.
  """
  place = float(np.interp(value, points, np.arange(len(points))))
  return math.floor(place), math.ceil(place), place % 1


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
  right, wrong = right & use, ~right & use
  order = np.argsort(np.where(use, score, np.inf), axis=1, kind='stable')
  sort = lambda x: np.take_along_axis(x, order, axis=1)
  score, right, wrong = sort(np.where(use, score, np.inf)), sort(right), sort(wrong)
  # The first and the last place of each place's equals.
  place = np.broadcast_to(np.arange(score.shape[1]), score.shape)
  new = np.ones(score.shape, bool)
  new[:, 1:] = score[:, 1:] != score[:, :-1]
  first = np.maximum.accumulate(np.where(new, place, 0), axis=1)
  end = np.ones(score.shape, bool)
  end[:, :-1] = new[:, 1:]
  last = np.minimum.accumulate(
      np.where(end, place, score.shape[1])[:, ::-1], axis=1)[:, ::-1]
  upto = np.cumsum(wrong, axis=1)
  at = lambda x, i: np.take_along_axis(x, i, axis=1)
  lower = (at(upto - wrong, first) + at(upto, last)) / 2  # equal ones count half
  pairs = right.sum(axis=1) * wrong.sum(axis=1)
  return np.where(pairs > 0, (lower * right).sum(axis=1) / np.maximum(pairs, 1), math.nan)


def auc_by_group(score: np.ndarray, right: np.ndarray, group: np.ndarray) -> np.ndarray:
  """AUC among the items of each group, NaN where they are all right or all wrong.

  Args:
    score: float64 [n].
    right: bool [n].
    group: int64 [n].

  Returns:
    float64 [G], by the groups' numbers, rising.
  """
  order = np.argsort(group, kind='stable')
  parts = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
  return np.array([auc(score[mine], right[mine]) for mine in parts])


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
