"""Votes of samples that a model was sure of: self-certainty with Borda votes, DeepConf.

A group is some tokens in a row; one ends at each token from that many on, and a sample of fewer
tokens is one group.
"""

import numpy as np

from . import votes

WARM_UP, CONSENSUS, POWER, SHARE, TENTH = 16, 0.95, 0.5, 8, 0.1
_UNITS = 10**8  # confidences are decimals of no more places, and are summed as whole numbers


def decimals(halves):
  """Numbers that float16 stand for: their shortest decimals, float64."""
  known, which = np.unique(halves, return_inverse=True)
  return np.array([float(str(x)) for x in known])[which].reshape(halves.shape)


class Confidences:
  """Of Q questions by N samples.

  Attributes:
    so_far: float [Q, N, L], the least confident group up to each token; inf before any.
    measures: how a sample's confidence is measured -> float [Q, N], 0 of one without tokens.
  """

  def __init__(self, value, length):
    self.length = length
    size = max(1, round(float(length.mean()) / SHARE))
    end = np.arange(1, int(length.max(initial=1)) + 1)
    units = np.zeros((*length.shape, len(end)), np.int64)
    units[end <= length[..., None]] = np.rint(decimals(value) * _UNITS)
    total = np.concatenate([np.zeros_like(units[..., :1]), units.cumsum(axis=2)], axis=2)
    wide = np.minimum(size, length)[..., None]
    before = np.take_along_axis(total, np.maximum(end - wide, 0), axis=2)
    group = np.where((end >= wide) & (end <= length[..., None]),
                     (total[..., 1:] - before) / np.maximum(_UNITS * wide, 1), np.inf)
    self.so_far = np.minimum.accumulate(group, axis=2)
    some = np.maximum(((length - wide[..., 0] + 1) * TENTH).astype(int), 1)[..., None]
    last = np.maximum(length - 1, 0)[..., None]
    at = lambda values, place: np.take_along_axis(values, place, axis=2)[..., 0]
    found = {'lowest': self.so_far[..., -1], 'tail': at(group, last),
             'lowest_tenth': at(np.sort(group, axis=2).cumsum(axis=2), some - 1) / some[..., 0]}
    self.measures = {name: np.where(length > 0, v, 0.0) for name, v in found.items()}

  def stopped(self, least):
    """Tokens [Q, N] up to the first group below `least`, float [Q, 1]; all where there is none."""
    return np.minimum((self.so_far >= least[..., None]).sum(axis=2) + 1, self.length)


def borda(order, size, certainty):
  """Slots [Q] that win by ranks of self-certainty among those that answer."""
  answer = order.answer[:, :size]
  sure = np.where(answer == votes.NONE, -np.inf, order.of(certainty)[:, :size])
  earlier = np.tri(size, k=-1, dtype=bool)
  ahead = (sure[:, None, :] > sure[:, :, None]) | (
      (sure[:, None, :] == sure[:, :, None]) & earlier)
  return votes.vote(answer, (size - ahead.sum(axis=2)) ** POWER)


def offline(order, size, score, keep):
  """Slots [Q] that win among the most confident samples, by their confidence."""
  score = order.of(score)[:, :size]
  most = score >= np.quantile(score, 1 - keep, axis=1, keepdims=True)
  return votes.vote(np.where(most, order.answer[:, :size], votes.NONE), score)


def online(order, size, confidences, keep):
  """(slots [Q], tokens [Q, size], begun bool [Q, size]) where samples behind the first are stopped.

  At the first group below what the warm-up's share `keep` reaches; and none is begun once the
  leader has nearly all votes, which is asked each time as many as the warm-up are there.
  """
  first = min(WARM_UP, size // 4)
  score = order.of(confidences.measures['lowest'])[:, :size]
  least = np.quantile(score[:, :first], 1 - keep, axis=1, keepdims=True)
  tokens = order.of(confidences.stopped(least))[:, :size]
  tokens[:, :first] = order.length[:, :first]
  voting = np.where(score >= least, order.answer[:, :size], votes.NONE)
  begun = np.ones(voting.shape, bool)
  kinds = np.arange(voting.max(initial=0) + 1)
  each = np.where(voting[..., None] == kinds, score[..., None], 0.0).cumsum(axis=1)  # [Q, size, K]
  for count in range(first, size, first):
    so_far = each[:, count - 1]
    total = so_far.sum(axis=1)
    over = (total > 0) & (so_far.max(axis=1) >= CONSENSUS * total)
    begun[over, count:] = False
  return votes.vote(np.where(begun, voting, votes.NONE), score), tokens * begun, begun
