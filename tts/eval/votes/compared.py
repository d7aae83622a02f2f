"""Votes without a verifier beside a majority of the same mean cost, from a stored pool."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tts.eval.measures import answer_choice, flops, outcomes as outcomes_lib, statistics
from tts.eval.storage.samples import COUNTS, Samples
from tts.eval.votes import rules as rules_lib
from tts.eval.votes.rules import Drawn, Rule, Tries

_ORDERS = 8  # of a question's samples, at most: each begins with another one


def tries(pool: Samples, size: int) -> list[Tries]:
  """Tries of `size` samples, each beginning with another one. A majority and a rule are compared on
  the same ones."""
  total = pool.answer.shape[1]
  starts = np.unique(np.linspace(0, total, min(total, _ORDERS), endpoint=False).astype(int))
  return [Tries(pool, int(start), size) for start in starts]


def _right(one: Tries, found: Drawn) -> np.ndarray:
  """bool [Q]."""
  slot = np.maximum(found.slot, 0)[:, None]
  right = np.take_along_axis(one.picked(one.pool.correct), slot, axis=1)[:, 0]
  return right & (found.slot != answer_choice.NOBODY)


def _cost(one: Tries, found: Drawn) -> np.ndarray:
  """float64 [Q]: tokens, or samples where no sample's tokens are known."""
  return (found.tokens if one.pool.length.any() else found.begun).sum(axis=1).astype(float)


def _flops(one: Tries, found: Drawn, meta: dict[str, Any]) -> np.ndarray:
  """FLOPs of what was written, float64 [Q]: the question is read once, the last token never."""
  prompt = one.pool.counts[one.pool.setting.model][..., COUNTS.index('prompt')].max(axis=1)
  entered = np.maximum(found.tokens - 1, 0)
  return flops.spent(meta, {
      'kept': found.tokens.sum(axis=1), 'pruned': 0, 'simulated': 0,
      'entered': prompt + entered.sum(axis=1),
      'attended': (prompt * (prompt + 1) // 2
                   + (entered * prompt[:, None] + entered * (entered + 1) // 2).sum(axis=1))})


def _fixed(each: Sequence[Tries]) -> tuple[np.ndarray, np.ndarray]:
  """Mean cost of a majority of 1 to n samples, float64 [n], and how often it is right, [Q, n]."""
  cost, right = [], []
  for one in each:
    length, winner = one.picked(one.pool.length), one.majorities
    cost.append(np.cumsum(length if one.pool.length.any() else np.ones(length.shape), axis=1))
    right.append(np.take_along_axis(one.picked(one.pool.correct), np.maximum(winner, 0), axis=1)
                 & (winner != answer_choice.NOBODY))
  return np.mean(cost, axis=(0, 1)), np.mean(right, axis=0)


def compared(pool: Samples, size: int, rules: Sequence[Rule],
             meta: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
  """Each rule beside a majority of as many samples as cost the same on average.

  Args:
    pool: independent samples of Q questions.
    size: samples of a try, at most.
    rules: that a pool like this can be asked by.
    meta: `model.json` of the model that wrote them, for FLOPs.

  Yields:
    `generations` that were begun, `tokens` that were written (None where these are not known),
    `flops`, `accuracy`, `majority` at the same mean cost, and `difference` of both, the latter
    three with 95% intervals over questions; `n`. A question's samples are drawn in several orders,
    and their mean counts. Between two numbers of samples the majority has either as often as the
    cost asks.
  """
  each = tries(pool, size)
  mean = lambda values: np.mean(values, axis=0)
  price, plain = _fixed(each)
  known = bool(pool.length.any()) and pool.setting.model in pool.counts and meta is not None
  for rule in rules:
    found = [rule.vote(one) for one in each]
    right = mean([_right(*x) for x in zip(each, found)])
    cost = mean([_cost(*x) for x in zip(each, found)]).mean()
    low, high, share = statistics.between(cost, price)
    same = plain[:, low] * (1 - share) + plain[:, high] * share
    row = {'rule': rule.name, 'parameters': dict(rule.parameters), 'budget': size,
           'generations': float(mean([x.begun.sum(axis=1) for x in found]).mean()),
           'tokens': float(cost) if pool.length.any() else None,
           'flops': float(mean([_flops(*x, meta) for x in zip(each, found)]).mean())
                    if known else None, 'n': len(pool.ids)}
    for name, values in (('accuracy', right), ('majority', same), ('difference', right - same)):
      row |= {name: float(values.mean()), f'{name}_ci95': statistics.mean_interval(values)}
    yield row


def rows(pools: Sequence[Samples], meta: dict[str, Any] | None) -> list[dict[str, Any]]:
  """Of some pools the smallest that has so many samples, at every power of two.

  Args:
    pools: of the base.
    meta: as of `compared`.
  """
  found: list[dict[str, Any]] = []
  for size in outcomes_lib.budgets(max((p.setting.strategy.budget for p in pools), default=0)):
    pool = next(p for p in pools if p.setting.strategy.budget >= size)
    asked = [r for r in rules_lib.every() if size >= r.smallest and r.possible(pool)]
    found += compared(pool, size, asked, meta)
  return found
