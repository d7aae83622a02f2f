"""Samples drawn one after the other: who leads a vote after each, and when a rule ends it."""

import functools
import math

import numpy as np

from .votes import NONE

ALPHA = 0.3   # of the Dirichlet process of `bayes_factors`
_STEP = 0.05  # of the logarithm of an answer's weight, over which is summed
_TOGETHER = 4096


class Order:
  """One order of all N samples of Q questions; of at most K different answers in a question.

  Attributes:
    answer: int [Q, N], numbered as they come; NONE is none.
    counts: int [Q, N, K + 1], votes of each answer after each sample; one more that nobody gives.
    right: bool [Q, N], whether a majority of the samples so far is right; of equals the earliest.
  """

  def __init__(self, answer, correct, length, start):
    self.start = start
    answer, self.correct, self.length = (self.of(x) for x in (answer, correct, length))
    slots = np.arange(answer.shape[1])
    first = (answer[:, :, None] == answer[:, None, :]).argmax(axis=2)
    begins = (first == slots) & (answer != NONE)
    self.answer = np.where(answer == NONE, NONE, np.take_along_axis(
        begins.cumsum(axis=1) - 1, first, axis=1))
    kinds = np.arange(self.answer.max(initial=0) + 2)
    self.counts = (self.answer[:, :, None] == kinds).cumsum(axis=1, dtype=np.int16)
    leads = self.counts.argmax(axis=2)
    question, slot = np.nonzero(begins)
    earliest = np.zeros((len(answer), len(kinds)), bool)  # an answer's first sample is right
    earliest[question, self.answer[question, slot]] = self.correct[question, slot]
    self.right = np.take_along_axis(earliest, leads, axis=1) & (self.counts.max(axis=2) > 0)

  def of(self, values):
    """[Q, N] in this order: behind the last sample it goes on with the first."""
    return np.concatenate([values[:, self.start:], values[:, :self.start]], axis=1)

  @functools.cached_property
  def two(self):
    """Votes of the first and the second answer after each sample, int [2, Q, N]."""
    least = np.partition(self.counts, -2, axis=2)
    return np.stack([least[..., -1], least[..., -2]])


@functools.cache
def _chances(size):
  """Chance that the first of two answers is the likelier one, by the votes of both.

  Its share of a + b votes has the distribution Beta(a + 1, b + 1). That it is above one half is as
  likely as at most a heads of a + b + 1 coins.
  """
  return np.array([[sum(math.comb(a + b + 1, i) for i in range(a + 1)) / 2**(a + b + 1)
                    for b in range(size + 1)] for a in range(size + 1)])


def likelier(order):
  """Chance, after each sample, that the leader is likelier than the second; 0 before any answer."""
  first, second = order.two
  return np.where(first > 0, _chances(order.answer.shape[1])[first, second], 0.0)


def settled(order, size):
  """Samples of `size` until the leader can no longer be caught up with, int [Q]."""
  first, second = order.two[..., :size]
  return _stops(first - second > size - 1 - np.arange(size))


def reaches(values, threshold, size):
  """Samples of `size` until a value reaches a threshold, int [Q]."""
  return _stops(values[:, :size] >= threshold)


def _stops(over):
  return np.where(over.any(axis=1), over.argmax(axis=1) + 1, over.shape[1])


@functools.cache
def _weights(size):
  """Of an answer's unnormalized weight, at places in its logarithm: the density with 1 to `size`
  votes times the step, the logarithm of the distribution, both [size + 1, places], and that of all
  answers not seen. They are gamma variables, of which shares are those over their sum."""
  x = np.exp(np.arange(-25, math.log(size + 12 * math.sqrt(size) + 40), _STEP))
  term = np.exp(-x)  # x**k exp(-x) / k!
  density, below, heads = [np.zeros_like(x)], [np.zeros_like(x)], np.zeros_like(x)
  log = lambda p: np.log(np.maximum(p, 1e-300))
  for votes in range(1, size + 1):
    heads = heads + term
    term = term * x / votes
    density.append(term * votes * _STEP)
    below.append(log(1 - heads))
  unseen, term, k = np.zeros_like(x), np.exp(ALPHA * np.log(x) - x) / math.gamma(ALPHA + 1), 0
  while k < x[-1] or term.max() > 1e-18:
    k += 1
    unseen, term = unseen + term, term * x / (ALPHA + k)
  return np.array(density), np.array(below), log(unseen)


def _leads(votes):
  """Chance that the first answer is the likeliest of all, float [U]; votes int [U, K], falling."""
  density, below, unseen = _weights(int(votes.max()))
  many = np.stack([(votes[:, 1:] == v).sum(axis=1) for v in range(len(below))], axis=1)
  many[:, 0] = 0
  return (density[votes[:, 0]] * np.exp(many @ below + unseen)).sum(axis=1)


def bayes_factors(orders):
  """How the votes after each sample speak for their leader, float [Q, N] of each order.

  Odds that it is the likeliest answer by a Dirichlet process, over those that it, any other answer
  seen or one not seen would have alike; 0 before any answer.
  """
  falling = np.concatenate([np.pad(-np.sort(-o.counts, axis=2), (
      (0, 0), (0, 0), (0, max(x.counts.shape[2] for x in orders) - o.counts.shape[2])))
      for o in orders])
  shape, kinds = falling.shape[:2], falling.shape[2]
  flat = np.ascontiguousarray(falling.reshape(-1, kinds))
  _, place, which = np.unique(flat.view(np.dtype((np.void, flat.itemsize * kinds))).ravel(),
                              return_index=True, return_inverse=True)
  rows = flat[place]
  factor = np.zeros(len(rows))
  some = np.flatnonzero(rows[:, 0])
  for at in (some[i:i + _TOGETHER] for i in range(0, len(some), _TOGETHER)):
    chance = np.minimum(_leads(rows[at]), 1 - 1e-12)
    factor[at] = (rows[at] > 0).sum(axis=1) * chance / (1 - chance)
  return np.split(factor[which.ravel()].reshape(shape), len(orders))
