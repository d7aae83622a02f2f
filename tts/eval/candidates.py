"""What a compute-optimal policy may choose from: strategies on one set of questions, with costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from tts.eval import curves
from tts.eval.difficulty import Estimator
from tts.eval.outcomes import Outcome
from tts.types import Strategy

AXES = ('generations', 'tokens', 'flops', 'seconds')
POOLED = ('majority', 'logprob_weighted', 'best_of_n_weighted')  # from independent samples
SEARCHES = ('greedy', 'beam', 'lookahead')
REFERENCE = 'best_of_n_weighted'


def name(outcome: Outcome) -> str:
  """Unique among main strategies: `beam-m4-n16`."""
  o = outcome
  return Strategy(o.strategy, o.budget, o.beam_width, o.lookahead).name


def cost(outcome: Outcome, axis: str, use: np.ndarray | slice = slice(None)) -> float:
  """Mean per question on an axis of AXES, NaN where it was not measured.

  Args:
    outcome: of one strategy.
    axis: tokens are those of generator and verifier; seconds are of all its questions.
    use: places of the questions that count.
  """
  if axis == 'generations':
    return float(outcome.budget)
  if axis == 'tokens':
    return float((outcome.generated_tokens + outcome.verifier_tokens)[use].mean())
  if axis == 'flops':
    return np.nan if outcome.flops is None else float(outcome.flops[use].mean())
  return np.nan if outcome.seconds is None else float(outcome.seconds)


def price(outcomes: Sequence[Outcome], samples: int) -> dict[str, float | None]:
  """What generating and scoring some samples of a question costs, by axis; None = not measured."""
  found = next((o for o in outcomes if curves.is_main(o) and o.strategy == REFERENCE
                and o.budget == samples), None)
  costs = {axis: np.nan if found is None else cost(found, axis) for axis in AXES}
  return {**{axis: None if np.isnan(c) else c for axis, c in costs.items()},
          'generations': float(samples)}


@dataclasses.dataclass(frozen=True)
class Candidates:
  """Strategies that all ran on the same questions.

  Attributes:
    ids: problem ids [Q], sorted.
    budgets: [L], those that best-of-N weighted spent on just these questions.
    outcomes: [S], by budget and name, which settles ties between them.
    accuracy: float64 [S, Q].
    costs: axis -> float64 [S], per question; NaN = not measured.
  """

  ids: tuple[str, ...]
  budgets: tuple[int, ...]
  outcomes: tuple[Outcome, ...]
  accuracy: np.ndarray
  costs: Mapping[str, np.ndarray]

  def place(self, strategy: str, budget: int) -> int | None:
    """Where a strategy without hyper-parameters stands in `outcomes`."""
    return next((i for i, o in enumerate(self.outcomes)
                 if (o.strategy, o.budget) == (strategy, budget)), None)

  def level(self, axis: str, budget: int) -> float:
    """What best-of-N weighted costs at a budget: a policy may spend as much."""
    return float(self.costs[axis][self.place(REFERENCE, budget)])

  def charged(self, axis: str, estimator: Estimator | None) -> np.ndarray:
    """Costs float64 [S] with the estimate's price on top; NaN = not measured.

    A strategy that draws from the pool has use for the samples that stay, and pays for them once:
    at s samples its own cost gives way to the price. A search cannot take them up.
    """
    costs = self.costs[axis]
    if estimator is None or not estimator.charged:
      return costs
    charge = estimator.charge[axis]
    out = costs + (np.nan if charge is None else charge)
    for i, o in enumerate(self.outcomes if estimator.stay else ()):
      if o.strategy in POOLED:
        kept = self.place(o.strategy, estimator.stay)
        out[i] -= costs[kept] if o.budget > estimator.stay else costs[i]
    return out


def covering(outcomes: Sequence[Outcome], ids: Sequence[str]) -> list[int]:
  """Places of those that ran on every one of some questions: only these compare on just them."""
  wanted = frozenset(ids)
  return [i for i, o in enumerate(outcomes) if wanted.issubset(o.ids)]


def accuracies(outcomes: Sequence[Outcome], ids: Sequence[str]) -> np.ndarray:
  """Accuracy float64 [S, Q] of strategies on questions that all of them ran on, in order of ids."""
  return np.stack([o.accuracy[np.searchsorted(o.ids, ids)] for o in outcomes])


def tiers(outcomes: Sequence[Outcome]) -> list[Candidates]:
  """The sets of questions that best-of-N weighted ran on, the largest first.

  A set's candidates are all main strategies that ran on every question of it, up to the largest of
  its budgets: at deep budgets, of fewer questions, cheap strategies are compared on these alone.
  A beam of M = 1 is left out: it is the pool's own samples over again.
  """
  main = sorted((o for o in outcomes if curves.is_main(o) and o.strategy in (*POOLED, *SEARCHES)
                 and o.beam_width != 1), key=lambda o: (o.budget, name(o)))
  sets: dict[tuple[str, ...], list[int]] = {}
  for o in main:
    if o.strategy == REFERENCE and o.ids:
      sets.setdefault(o.ids, []).append(o.budget)
  out = []
  for ids, budgets in sorted(sets.items(), key=lambda kv: -len(kv[0])):
    inside = tuple(main[i] for i in covering(main, ids) if main[i].budget <= max(budgets))
    at = [np.searchsorted(o.ids, ids) for o in inside]
    out.append(Candidates(
        ids, tuple(budgets), inside, accuracies(inside, ids),
        {axis: np.array([cost(o, axis, use) for o, use in zip(inside, at)]) for axis in AXES}))
  return out
