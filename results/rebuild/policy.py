"""Choosing a strategy per bin on some questions and scoring it on the others.

Questions are dealt to tenths by their ids, twice; each tenth is scored by what did best in each bin
on the other nine. Replicates draw questions anew, cut their own bins and choose anew. Axes are
[SPLITS, FOLDS, BINS, 1 + R]; replicate 0 is the questions as they are.
"""

import dataclasses
import functools
import hashlib

import numpy as np

from . import intervals
from .menu import BINS

REPLICATES, MOVED = 1000, 200
SPLITS, FOLDS = 2, 10
SHARES = (0.25, 0.5, 0.75, 0.9)


def folds(ids):
  """int [SPLITS, Q]."""
  digests = [hashlib.sha256(b'fold ' + i.encode()).digest() for i in ids]
  return np.array([np.frombuffer(d, '<u4')[:SPLITS] for d in digests]).T % FOLDS


def order(ids, estimate):
  """Places of questions from the easiest on; equals by their id's hash."""
  digest = [hashlib.sha256(i.encode()).digest() for i in ids]
  return sorted(range(len(ids)), key=lambda q: (-estimate[q], digest[q]))


def bins_of(study, estimator, at):
  """Bins of some questions as they are, 0 where there is no estimate."""
  known = dict.fromkeys(at.tolist(), 0)
  if estimator.bins is not None:
    known.update(zip(estimator.at.tolist(), estimator.bins.tolist()))
  else:
    ids = [study.ids[i] for i in estimator.at]
    ranks = order(ids, estimator.estimate)
    known.update((int(estimator.at[q]), rank * BINS // len(ids) + 1)
                 for rank, q in enumerate(ranks))
  return np.array([known[i] for i in at.tolist()])


class Cut:
  """An estimator's bins in every replicate."""

  def __init__(self, study, estimator):
    self.study, self.estimator = study, estimator
    ids = [study.ids[i] for i in estimator.at]
    drawn = np.vstack([np.ones(len(ids)), intervals.resamples(len(ids))[:REPLICATES]])
    self.fold = folds(ids)
    self.part = np.zeros((BINS, len(drawn), len(ids)), np.float32)
    if estimator.bins is not None:
      for b in range(BINS):
        self.part[b] = drawn * (estimator.bins == b + 1)
    else:
      ranked = order(ids, estimator.estimate)
      end = np.cumsum(drawn[:, ranked], axis=1)
      start = end - drawn[:, ranked]
      edges = [-(-len(ids) * b // BINS) for b in range(BINS + 1)]
      for b in range(BINS):  # a question drawn w times holds w ranks
        self.part[b][:, ranked] = np.clip(
            np.minimum(end, edges[b + 1]) - np.maximum(start, edges[b]), 0, None)

  def sums(self, at, right, use=None):
    """`Sums` of strategies' right answers [S, Q] on the questions `at`, of which `use` count."""
    places = {q: k for k, q in enumerate(at.tolist()) if use is None or use[k]}
    mine = np.array([places.get(q, -1) for q in self.estimator.at.tolist()])
    scored = mine >= 0
    values = np.where(scored, right[:, mine], 0)
    shape = SPLITS, FOLDS, BINS, self.part.shape[1]
    total, weight = np.zeros((len(right), *shape)), np.zeros(shape)
    for s in range(SPLITS):
      for f in range(FOLDS):
        inside = np.flatnonzero(scored & (self.fold[s] == f))
        part = self.part[:, :, inside].astype(float)
        weight[s, f] = part.sum(axis=2)
        total[:, s, f] = np.einsum('sq,brq->sbr', values[:, inside], part, optimize=True)
    most = max(1.0, float(weight[0].sum(axis=0).max()))
    unit = 2.0 ** (21 - int(np.ceil(np.log2(most))))  # sums of equal strategies tie
    return Sums(np.rint(total * unit) / unit, weight, int(scored.sum()))


@dataclasses.dataclass(frozen=True)
class Sums:
  """Right answers float [S, SPLITS, FOLDS, BINS, 1 + R] and questions [SPLITS, ...]."""

  right: np.ndarray
  weight: np.ndarray
  n: int

  def means(self):
    """Accuracy of each strategy, [S, 1 + R]."""
    return self.right[:, 0].sum(axis=(1, 2)) / self.weight[0].sum(axis=(0, 1))

  def unbinned(self):
    return Sums(self.right.sum(axis=3, keepdims=True), self.weight.sum(axis=2, keepdims=True),
                self.n)


@dataclasses.dataclass(frozen=True)
class Level:
  """A policy at one allowance, summed over splits and folds: [BINS, 1 + R] each."""

  right: np.ndarray
  paid: np.ndarray
  weight: np.ndarray
  picked: np.ndarray  # [SPLITS, FOLDS, BINS]

  def within(self, bins=()):
    use = [b - 1 for b in bins] or slice(None)
    with np.errstate(invalid='ignore', divide='ignore'):
      return self.right[use].sum(axis=0) / self.weight[use].sum(axis=0)

  @property
  def accuracy(self):
    return self.within()

  @property
  def spent(self):
    return self.paid.sum(axis=0) / self.weight.sum(axis=0)


def others(values):
  """Sums over the folds that are not each fold."""
  return values.sum(axis=-3, keepdims=True) - values


def choose(sums, allowed, costs, held=None):
  """The `Level` of what does best on the other folds; of equals the cheapest.

  Args:
    sums: of all strategies.
    allowed: which, the cheapest first.
    costs: float [S, BINS] or [S, 1].
    held: sums of the questions that are scored, where these are not all.
  """
  held = sums if held is None else held
  best = np.full(sums.weight.shape, -np.inf)
  pick = np.zeros(sums.weight.shape, int)
  for s in allowed:
    trained = others(sums.right[s])
    pick = np.where(trained > best, s, pick)
    best = np.maximum(best, trained)
  right = np.take_along_axis(held.right, pick[None], axis=0)[0]
  bins = np.arange(pick.shape[2])[:, None]
  paid = held.weight * np.broadcast_to(costs, (len(costs), len(bins)))[pick, bins]
  total = lambda x: x.sum(axis=(0, 1))
  return Level(total(right), total(paid), total(held.weight), pick[..., 0])


class Trial:
  """One estimator's bins on one menu."""

  def __init__(self, study, estimator, menu, cut=None, sums=None):
    self.study, self.estimator, self.menu = study, estimator, menu
    self.cut = cut or Cut(study, estimator)
    self.sums = sums or self.cut.sums(menu.at, menu.right)
    self.bins = bins_of(study, estimator, menu.at)
    self.n = self.sums.n
    self._kept = {}

  def at(self, generations, axis='generations', held=None, fixed=False):
    """The policy, or the best single strategy, at an allowance; None where it pays for nothing."""
    allowed = self.menu.allowed(None if fixed else self.estimator, generations)
    if not allowed.size:
      return None
    if fixed:
      return choose(self.sums.unbinned(), allowed, self.menu.charged(axis, None)[:, None],
                    held and held.unbinned())
    return choose(self.sums, allowed, self.menu.spent(axis, self.estimator, self.bins), held)

  def curve(self, axis, fixed=False):
    """budget -> `Level`, its cost read on an axis."""
    if (axis, fixed) not in self._kept:
      made = {b: self.at(b, axis, fixed=fixed) for b in self.menu.budgets}
      self._kept[axis, fixed] = {b: level for b, level in made.items() if level is not None}
    return self._kept[axis, fixed]

  def only(self, use, reference):
    return Trial(self.study, self.estimator, self.menu.only(use, reference), self.cut, self.sums)

  def by_question(self, level):
    """A policy's accuracy question by question, averaged over splits, by `menu.at`; NaN without
    an estimate."""
    fold = folds([self.study.ids[i] for i in self.menu.at])
    each = [self.menu.right[picked[f, self.bins - 1], np.arange(len(self.bins))]
            for picked, f in zip(level.picked, fold)]
    return np.where(self.bins > 0, np.mean(each, axis=0), np.nan)

  @functools.cached_property
  def moved(self):
    """budget -> (accuracy, generations) [1 + MOVED] of a budget that is a mean over questions."""
    price = self.menu.charged('generations', self.estimator)
    allowed = np.argsort(price, kind='stable')
    allowed = allowed[np.isfinite(price[allowed])]
    right, weight = self.sums.right[allowed][..., :1 + MOVED], self.sums.weight[..., :1 + MOVED]
    out = {}
    for budget in self.menu.budgets:
      level = self.menu.level('generations', budget)
      if allowed.size and price[allowed[0]] <= level * (1 + 1e-9):
        pick = _priced(others(right), others(weight), price[allowed], level)
        got = np.take_along_axis(right, pick[None], axis=0)[0]
        total = weight.sum(axis=(0, 1, 2))
        out[budget] = (got.sum(axis=(0, 1, 2)) / total,
                       (price[allowed][pick] * weight).sum(axis=(0, 1, 2)) / total)
    return out


def _priced(right, weight, costs, budget):
  """Per bin what is worth most at the lowest price of a generation whose mean cost is in budget."""
  limit = budget * (1 + 1e-9)

  def picked(price):
    paid = price[..., None, :] * weight
    best, pick = right[0] - paid * costs[0], np.zeros(weight.shape, int)
    for s in range(1, len(costs)):
      value = right[s] - paid * costs[s]
      pick = np.where(value > best, s, pick)
      best = np.maximum(best, value)
    with np.errstate(invalid='ignore', divide='ignore'):
      return pick, (costs[pick] * weight).sum(axis=-2) / weight.sum(axis=-2)

  shape = weight.shape[:-2] + weight.shape[-1:]
  low, high = np.full(shape, 1e-6), np.full(shape, 1e2)
  free, spent = picked(np.zeros(shape))
  for _ in range(26):
    middle = np.sqrt(low * high)
    within = ~(picked(middle)[1] > limit)
    low, high = np.where(within, low, middle), np.where(within, middle, high)
  return np.where((spent <= limit)[..., None, :], free, picked(high)[0])
