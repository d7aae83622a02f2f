"""Made-up studies whose truth is known: what an estimate is held against in simulations.

A question has an ease; a vote of N samples is right with a chance that rises with log N and levels
off, and search at N is right as a vote at `factor` x N is: the factor may differ with the ease.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tts.eval.measures.outcomes import Outcome
from tts.eval.policy import trials
from tts.eval.policy.difficulty import Estimator
from tts.eval.policy.trials import Trial

BUDGETS = (1, 2, 4, 8, 16, 32, 64)
Factor = Callable[[np.ndarray], np.ndarray]  # ease [Q] --> what a generation of search is worth


def constant(factor: float) -> Factor:
  return lambda ease: np.full(len(ease), factor)


def crossing(ease: np.ndarray) -> np.ndarray:
  """Search is worth four times its cost on the hard half, and a quarter of it on the easy one."""
  return np.where(ease < -0.3, 4.0, 0.25)


def easy_to_hard(questions: int, rng: np.random.Generator | None = None) -> np.ndarray:
  """Eases float64 [Q], drawn, or the quantiles of what they are drawn from."""
  if rng is not None:
    return rng.normal(-0.3, 1.6, questions)
  grid = (np.arange(questions) + 0.5) / questions
  x = np.linspace(-8, 8, 20001)
  cumulative = np.cumsum(np.exp(-x**2 / 2))
  return -0.3 + 1.6 * np.interp(grid, cumulative / cumulative[-1], x)


def chance(ease: np.ndarray, generations: np.ndarray | float) -> np.ndarray:
  """That a vote of so many is right."""
  rise = 2.2 * (1 - np.maximum(generations, 0.25) ** -0.45)
  return 1 / (1 + np.exp(-ease - rise))


def outcome(strategy: str, budget: int, accuracy: np.ndarray, **fields: Any) -> Outcome:
  size = len(accuracy)
  zeros, names = np.zeros(size), tuple(f'q{i:06d}' for i in range(size))
  values = dict(
      strategy=strategy, budget=budget, verifier='prm', aggregation='last',
      selection='best_of_n_weighted', repeats=1, ids=names, accuracy=accuracy, unanswered=zeros,
      truncated=zeros, generated_tokens=zeros + 10 * budget, verifier_tokens=zeros,
      flops=zeros + 1e6 * budget, seconds=None)
  if strategy == 'greedy':
    values |= dict(verifier=None, aggregation=None, selection='majority')
  if strategy == 'beam':
    values |= dict(parameters=(('beam_width', 4),), guided=True)
  return Outcome(**values | fields)


def outcomes(ease: np.ndarray, factor: Factor, searched: tuple[int, ...],
             rng: np.random.Generator | None) -> list[Outcome]:
  """A study's outcomes; without a generator the chances themselves, which is the truth."""
  out = []
  for budget in BUDGETS:
    p, tries = chance(ease, budget), BUDGETS[-1] // budget
    out.append(outcome('best_of_n_weighted', budget,
                       p if rng is None else rng.binomial(tries, p) / tries))
  for budget in searched:
    p = chance(ease, factor(ease) * budget)
    # A search with one candidate is left out as the pool over again; a greedy answer is not.
    out.append(outcome('greedy' if budget == 1 else 'beam', budget,
                       p if rng is None else (rng.random(len(p)) < p).astype(float)))
  return out


def study(ease: np.ndarray, factor: Factor, searched: tuple[int, ...],
          rng: np.random.Generator | None, random_bins: bool = False) -> Trial:
  """The trial of one study, in bins by a pool of 32 samples (by luck where that is asked for)."""
  found = outcomes(ease, factor, searched, rng)
  luck = np.random.default_rng(0) if rng is None else rng
  estimate = luck.binomial(32, chance(ease, 1.0)) / 32 + luck.random(len(ease)) * 1e-6
  if random_bins:
    estimate = luck.random(len(ease))
  return trials.every(found, [Estimator('pool', 'oracle', found[0].ids, estimate)])[0]
