"""Votes without a verifier, replayed from a pool, each beside a majority of the same mean cost.

A question's samples are drawn in several orders, each beginning with another one, and their mean
counts.
"""

import dataclasses
import functools

import numpy as np

from . import confident, drawing, intervals, votes

ORDERS = 8


@dataclasses.dataclass(frozen=True)
class Drawn:
  """What a rule made of one order: tokens [Q, n] and whether begun [Q, n], right [Q]."""

  tokens: np.ndarray
  begun: np.ndarray
  right: np.ndarray


@dataclasses.dataclass(frozen=True)
class Row:
  """A rule at a budget: (mean, interval, n) each; samples, tokens and FLOPs of a question."""

  accuracy: tuple
  majority: tuple
  difference: tuple
  samples: float
  tokens: float
  flops: float | None


class Pool:
  """One pool in every order."""

  def __init__(self, setting, models):
    self._setting, self.slots = setting, setting.slots
    answer, equal = setting['answer'].astype(int), setting.get('equal')
    if equal is not None:
      answer = votes.merged(answer, equal, self.slots)
    self.length = setting['length'].astype(int)
    starts = np.linspace(0, self.slots, min(self.slots, ORDERS), endpoint=False).astype(int)
    self.orders = [drawing.Order(answer, setting['correct'], self.length, int(start))
                   for start in np.unique(starts)]
    model = setting.about['model']
    counts = setting.get(f'counts/{model}')
    self._prompt = None if counts is None else counts[:, -1, 3].astype(float)
    self._price = (models.get(model) or {'flops': None})['flops']

  @functools.cached_property
  def _likelier(self):
    return [drawing.likelier(order) for order in self.orders]

  @functools.cached_property
  def _factors(self):
    return drawing.bayes_factors(self.orders)

  @functools.cached_property
  def _confidences(self):
    return confident.Confidences(self._setting['confidence'], self.length)

  @functools.cached_property
  def _fixed(self):
    """(cost [N], accuracy [N, Q]) of a majority of 1, 2, ... N samples."""
    cost = np.mean([self._cost(o.length, np.ones(o.length.shape)) for o in self.orders], axis=0)
    return (cost.mean(axis=0).cumsum(),
            np.mean([o.right for o in self.orders], axis=0).T)

  def _cost(self, tokens, begun):
    """Tokens, or samples where no sample's are known."""
    return tokens if self.length.any() else begun

  def drawn(self, rule, values, size):
    """`Drawn` in each order."""
    for i, order in enumerate(self.orders):
      if rule in ('settled', 'beta', 'best_of_infinity'):
        stop = (drawing.settled(order, size) if rule == 'settled' else drawing.reaches(
            (self._likelier if rule == 'beta' else self._factors)[i], *values, size))
        begun = np.arange(size) < stop[:, None]
        yield Drawn(order.length[:, :size] * begun, begun,
                    order.right[np.arange(len(stop)), stop - 1])
        continue
      tokens, begun = order.length[:, :size], np.ones((len(self.length), size), bool)
      if rule == 'self_certainty_borda':
        slot = confident.borda(order, size, self._setting['certainty'])
      elif rule == 'deepconf':
        slot = confident.offline(order, size, self._confidences.measures[values[0]], values[1])
      elif rule == 'deepconf_online':
        slot, tokens, begun = confident.online(order, size, self._confidences, *values)
      else:
        raise ValueError(f'rule {rule}: no such rule')
      right = np.take_along_axis(order.correct, np.maximum(slot, 0)[:, None], axis=1)[:, 0]
      yield Drawn(tokens, begun, right & (slot != votes.NONE))

  def _flops(self, tokens):
    """[Q]: the question is read once; a sample's last token never enters."""
    prompt, entered = self._prompt, np.maximum(tokens - 1, 0).astype(float)
    keys = (prompt * (prompt + 1) + (entered * (2 * prompt[:, None] + entered + 1)).sum(axis=1)) / 2
    return (self._price[0] * (prompt + entered.sum(axis=1)) + self._price[1] * keys
            + self._price[2] * tokens.sum(axis=1))

  def row(self, rule, values, size):
    found = list(self.drawn(rule, values, size))
    mean = lambda of: np.mean([of(x) for x in found], axis=0)
    right = mean(lambda x: x.right)
    cost = float(mean(lambda x: self._cost(x.tokens, x.begun).sum(axis=1)).mean())
    price, plain = (x[:size] for x in self._fixed)
    low, high, share = intervals.between(cost, price)
    same = (1 - share) * plain[low] + share * plain[high]
    known = self._price is not None and self._prompt is not None and self.length.any()
    return Row(intervals.mean(right), intervals.mean(same), intervals.mean(right - same),
               float(mean(lambda x: x.begun.sum(axis=1)).mean()),
               float(mean(lambda x: x.tokens.sum(axis=1)).mean()),
               float(mean(lambda x: self._flops(x.tokens)).mean()) if known else None)


class Rules:
  """Every rule at every budget of a study."""

  def __init__(self, study):
    self._study, self._pools, self._rows = study, {}, {}

  def row(self, rule, *rest):
    """Of a rule with its parameters and the budget, as a field names them."""
    *values, size = rest
    values = [_number(x) for x in values]
    key = rule, *values, size
    if key not in self._rows:
      setting = next(p for p in self._study.pools() if p.slots >= int(size))
      if setting not in self._pools:
        self._pools[setting] = Pool(setting, self._study.about['models'])
      self._rows[key] = self._pools[setting].row(rule, values, int(size))
    return self._rows[key]


def _number(name):
  try:
    return float(name)
  except ValueError:
    return name
