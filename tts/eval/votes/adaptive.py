"""Adaptive votes: samples are drawn until the leader of a vote is likely to stay ahead.

Two rules. `chances`, adaptive self-consistency (arXiv 2305.11860, the Beta rule): of the two
answers with the most votes, v1 and v2, with a uniform prior of the first one's share among the two,
the posterior chance that it is above one half, P(Bin(v1 + v2 + 1, 1/2) <= v1), is to reach a
threshold. `bayes_factors`, best-of-infinity (arXiv 2509.21091): by a Dirichlet process over all
answers, one that has not been seen among them, how much likelier than before the votes the leader
has become to be the likeliest answer; it is to reach a factor. Unlike `early_stopping`, the answer
may be another than that of all samples.
"""

from __future__ import annotations

import functools

import numpy as np
from scipy import special

from tts.eval.measures import answer_choice
from tts.eval.storage.samples import NO_ANSWER

ALPHA = 0.3  # of the Dirichlet process, as published
_AT_ONCE = 512  # rows that a core's cache has room for
_GRID = 300  # places at which the integral over the leader's weight is summed


@functools.cache
def chances(size: int) -> np.ndarray:
  """Posterior chance that the first of two answers is the likelier one, by the votes of both.

  float64 [size + 1, size + 1]. A coin more or less is thrown: each is the mean of those with one
  vote less on either side.
  """
  found = np.zeros((size + 2, size + 2))
  found[1:, 0] = 1.0  # of -1 votes for the second
  for first in range(1, size + 2):
    for second in range(1, size + 2):
      found[first, second] = (found[first - 1, second] + found[first, second - 1]) / 2
  return found[1:, 1:]


def after_each(answer: np.ndarray) -> np.ndarray:
  """The leader's chance (`chances`) after each sample, float64 [R, N]; 0 before any answer.

  answer: int64 [R, N], in the order in which they are drawn; NO_ANSWER has no vote.
  """
  second, leader = answer_choice.two_largest(answer, np.ones(answer.shape)).astype(int)
  return np.where(leader > 0, chances(answer.shape[1])[leader, second], 0.0)


@functools.cache
def _weights(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """At places x of an answer's unnormalized weight: its density for 1 to `size` votes times dx,
  float64 [size + 1, _GRID]; the logarithm of its distribution likewise; that of an unseen answer.

  Shares of a Dirichlet are independent gamma variables over their sum, and the largest is the same.
  """
  point, dx = np.polynomial.legendre.leggauss(_GRID)
  top = size + 12 * np.sqrt(size) + 40  # beyond it there is nothing
  u, du = (point + 1) / 2, dx / 2
  x, dx = top * u**4, top * 4 * u**3 * du  # closer where an unseen answer's density is steep
  votes = np.arange(size + 1)[:, None]
  density = np.exp((votes - 1) * np.log(x) - x - special.gammaln(np.maximum(votes, 1))) * dx
  log = lambda value: np.log(np.maximum(value, 1e-300))
  return (density, log(special.gammainc(np.maximum(votes, 1), x)),
          log(special.gammainc(ALPHA, x)))


def leader_chance(votes: np.ndarray) -> np.ndarray:
  """Posterior chance that the answer with the most votes is the likeliest of all, float64 [R].

  votes: int64 [R, size + 1], how many answers have 0, 1, ... votes; those with 0 do not count.
  """
  size = votes.shape[1] - 1
  density, below, unseen = _weights(size)
  leader = _most(votes)
  others = votes[:, :leader.max() + 1].astype(float)  # nobody has more
  others[:, 0] = 0.0
  others[np.arange(len(votes)), leader] -= 1
  return (density[leader] * np.exp(others @ below[:leader.max() + 1] + unseen)).sum(axis=1)


def _most(votes: np.ndarray) -> np.ndarray:
  """Votes of the leader, int64 [R]; votes as of `leader_chance`."""
  return votes.shape[1] - 1 - (votes[:, ::-1] > 0).argmax(axis=1)


def bayes_factors(answer: np.ndarray) -> np.ndarray:
  """How the votes after each sample speak for their leader, float64 [R, N]; 0 before any answer.

  Posterior odds that it is the likeliest answer, over those that any of the answers seen, or one
  that is not, would have alike.

  answer: as of `after_each`.
  """
  rows, size = answer.shape
  first = answer_choice.first_slots(answer)
  total = np.zeros((rows, size), np.int64)
  # How many answers have 0, 1, ... votes is all that counts. Many questions come to the same, which
  # is told by a sum of random numbers, one for each answer of so many votes.
  votes = np.zeros((size, rows, size + 1), np.min_scalar_type(size))
  code = np.random.default_rng(0).integers(0, 2**64, size + 1, np.uint64)
  code[0] = 0
  states, state = np.zeros((size, rows), np.uint64), np.zeros(rows, np.uint64)
  for n in range(size):
    at = np.flatnonzero(answer[:, n] != NO_ANSWER)
    had = total[at, first[at, n]]
    total[at, first[at, n]] += 1
    state[at] += code[had + 1] - code[had]  # modulo 2^64
    states[n] = state
    votes[n] = votes[n - 1] if n else 0
    votes[n, at, had] -= had > 0
    votes[n, at, had + 1] += 1
  _, one, which = np.unique(states.ravel(), return_index=True, return_inverse=True)
  different = votes.reshape(-1, size + 1)[one]
  factor = np.zeros(len(one))
  most = np.where(different.any(axis=1), _most(different), 0)
  some = np.argsort(most, kind='stable')[np.count_nonzero(most == 0):]  # equal sizes at a time
  for part in np.array_split(some, -(-some.size // _AT_ONCE)) if some.size else ():
    chance = np.minimum(leader_chance(different[part]), 1 - 1e-12)
    factor[part] = different[part].sum(axis=1) * chance / (1 - chance)
  return factor[which.reshape(size, rows)].T


def drawn(chance: np.ndarray, threshold: float) -> np.ndarray:
  """Samples that are drawn until a rule ends it, int64 [R], 1 to N.

  Args:
    chance: of `after_each` or `bayes_factors`.
    threshold: that it is to reach.
  """
  over = chance >= threshold
  return np.where(over.any(axis=1), over.argmax(axis=1) + 1, chance.shape[1])
