"""Means, intervals and tests. A question is the unit that is resampled.

Resamples are drawn as the published ones were, from a seed and the number of questions, so that
intervals agree to the digit. `questions.npz` has a digest of them: should a numpy draw otherwise
one day, `same` says so, and ends are compared within their Monte Carlo error.
"""

import functools
import hashlib
import math

import numpy as np

SEED, REPLICATES = 20240806, 2000
_Z = 1.959964


@functools.lru_cache(8)
def resamples(questions):
  """How often each replicate draws each question, float64 [REPLICATES, Q]."""
  drawn = np.random.default_rng([SEED, questions]).integers(
      questions, size=(REPLICATES, questions))
  return np.stack([np.bincount(row, minlength=questions) for row in drawn]).astype(float)


def same(resampling):
  """Whether this numpy draws what was drawn; `resampling` of `about`."""
  if not resampling:
    return True
  drawn = resamples(resampling['questions']).astype(np.uint8)
  return hashlib.sha256(drawn.tobytes()).hexdigest() == resampling['sha256']


def middle(replicates):
  """The middle 95%, of those that are numbers; None if most are not."""
  known = replicates[~np.isnan(replicates)]
  if known.size < max(1, replicates.size / 2):
    return None
  return np.percentile(known, [2.5, 97.5]).tolist()


def mean(values):
  """(mean, bootstrap interval, n) of per-question values."""
  n = len(values)
  ends = None if n < 2 else middle(np.clip(resamples(n) @ values / n, values.min(), values.max()))
  return float(values.mean()), ends, n


def of_means(statistic, *columns):
  """(value, interval, n) of a function of several per-question means, resampled together."""
  n = len(columns[0])
  with np.errstate(divide='ignore', invalid='ignore'):
    value = float(statistic(*(np.array([c.mean()]) for c in columns))[0])
    drawn = statistic(*(resamples(n) @ c / n for c in columns))
  return value, middle(drawn) if n > 1 else None, n


def between(value, points):
  """Places of the rising points below and above a value, and the share of the latter."""
  place = float(np.interp(value, points, np.arange(len(points))))
  return math.floor(place), math.ceil(place), place % 1


@functools.lru_cache(64)
def student(freedom):
  """97.5% quantile of Student's t: by Cornish and Fisher's series, below 3 of `student_beyond`."""
  if freedom < 3:
    points = np.linspace(3, 13, 2001)
    return float(np.interp(-0.025, [-student_beyond(x, freedom) for x in points], points))
  z = _Z
  return (z + (z**3 + z) / 4 / freedom + (5 * z**5 + 16 * z**3 + 3 * z) / 96 / freedom**2
          + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384 / freedom**3)


def student_beyond(t, freedom):
  """P(T > t) of Student's t, by Simpson's rule over the angle atan(t / sqrt(freedom))."""
  angle = np.linspace(math.atan(t / math.sqrt(freedom)), math.pi / 2, 2001)
  weight = np.full(2001, 2.0)
  weight[1::2], weight[[0, -1]] = 4.0, 1.0
  values = np.abs(np.cos(angle)) ** (freedom - 1)
  area = float((weight * values).sum()) * float(angle[1] - angle[0]) / 3
  return area * math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
                         ) / math.sqrt(math.pi)


def paired(value, error, n, span=1.0):
  """Interval of a mean difference after Agresti and Min (2005): half a question more at +-span,
  and one at 0; None below 2 questions."""
  if n < 2:
    return None
  squares = n * (n * error**2 + value**2)
  centre = n * value / (n + 2)
  half = student(n - 1) * math.sqrt(
      max((squares + span**2) / (n + 2) - centre**2, 0) / (n + 2))
  return [max(centre - half, -span), min(centre + half, span)]


def difference(values):
  """(mean, interval, n) of paired differences."""
  n, value = len(values), float(values.mean())
  return value, paired(value, float(values.std(ddof=1)) / math.sqrt(n) if n > 1 else 0.0, n), n


def auc(score, right, shown):
  """AUC of each question's right against its wrong samples, ties half: float [Q], NaN without both.

  score [Q, N], right and shown bool [Q, N].
  """
  out = np.full(len(score), np.nan)
  for q, (s, r, u) in enumerate(zip(score, right, shown)):
    above, wrong = s[r & u], s[~r & u]
    if above.size and wrong.size:
      gap = above[:, None] - wrong
      out[q] = ((gap > 0).sum() + (gap == 0).sum() / 2) / gap.size
  return out


def flips(values):
  """P(sum >= seen) and P(sum <= seen) over all flips of the differences' signs, exactly.

  The distribution of the sum, by adding one difference after another.
  """
  values = values[np.abs(values) > 1e-9]
  whole = _lattice(values)
  total = int(np.abs(whole).sum())
  if not total:
    return 1.0, 1.0
  chance = np.zeros(2 * total + 1)
  chance[total] = 1.0
  for step in np.abs(whole):
    chance = (np.roll(chance, step) + np.roll(chance, -step)) / 2  # the ends hold nothing yet
  seen = total + int(whole.sum())
  return tuple(min(max(float(p), 1e-12), 1.0) for p in (chance[seen:].sum(),
                                                        chance[:seen + 1].sum()))


def _lattice(values):
  """Differences as whole numbers; of no common unit they are rounded to a 64th of the largest."""
  if not values.size:
    return np.zeros(0, np.int64)
  for unit in (1, 2, 4, 8, 16, 32, 64, 128, 3, 6, 12, 24, 48, 96, 5, 10, 20, 40, 80):
    scaled = values * unit
    if np.abs(scaled - np.rint(scaled)).max() < 1e-4 and np.abs(scaled).max() <= 256:
      break
  else:
    scaled = values * (64 / np.abs(values).max())
  whole = np.rint(scaled).astype(np.int64)
  whole = whole[whole != 0]
  return whole // np.gcd.reduce(whole)


def holm(p_values):
  """Holm's step-down correction of a family; None stays None."""
  known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
  out, largest = list(p_values), 0.0
  for rank, (p, i) in enumerate(known):
    largest = max(largest, min(1.0, (len(known) - rank) * p))
    out[i] = largest
  return out


def beyond(z):
  """P(Z > z) of the normal."""
  return math.erfc(z / math.sqrt(2)) / 2
