"""What a compute-optimal policy may choose from: strategies on one set of questions, with costs."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tts.eval.measures import curves
from tts.eval.measures.outcomes import Outcome
from tts.eval.policy.difficulty import BINS, Estimator

AXES = ('generations', 'tokens', 'flops', 'seconds')
POOLED = ('majority', 'logprob_weighted', 'best_of_n_weighted')  # from independent samples
REFERENCE = 'best_of_n_weighted'
PARALLEL = 'parallel'  # samples of the revision model, by its own verifier
CONTROL = 'control'    # those of the control, by its own


def searched(outcome: Outcome) -> bool:
  """Whether its answers are a search's, whatever that is called, or the greedy one."""
  return outcome.strategy == 'greedy' or outcome.guided


def name(outcome: Outcome) -> str:
  """Unique among strategies of one mechanism: `beam-m4-n16`, `sequential-l4-n4-prm`."""
  found = outcome.how.name
  return found if curves.is_main(outcome) else f'{found}-{outcome.verifier}'


def label(outcome: Outcome) -> str | None:
  """What it is called as a baseline; None for what only a policy chooses."""
  if outcome.proposal is not None:
    return CONTROL if outcome.verifier == 'control_orm' else None
  return outcome.strategy if curves.is_main(outcome) else None


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
    parts = outcome.generated_tokens, outcome.verifier_tokens
    return np.nan if any(p is None for p in parts) else float(sum(parts)[use].mean())
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


def costs_by_question(outcome: Outcome, axis: str) -> np.ndarray:
  """Cost float64 [Q] of each question, NaN where it was not measured; seconds are their mean."""
  parts = outcome.generated_tokens, outcome.verifier_tokens
  if axis == 'tokens' and all(p is not None for p in parts):
    return np.sum(parts, axis=0)
  if axis == 'flops' and outcome.flops is not None:
    return outcome.flops
  return np.full(len(outcome.ids), cost(outcome, axis))


@dataclasses.dataclass(frozen=True, eq=False)
class Options:
  """Strategies that all ran on the same questions.

  Attributes:
    ids: problem ids [Q], sorted.
    budgets: [L], those that best-of-N weighted spent on just these questions.
    outcomes: [S], by budget and name, which settles ties between them.
    accuracy: float64 [S, Q].
    costs: axis -> float64 [S], per question; NaN = not measured.
    mechanism: `search`, `revision` or `both`: what a policy may choose from.
    reference: label of what a policy may cost as much as.
    own: bool [S], what a policy may choose; the others are there to be compared with.
    revised: whether these are the questions and budgets of the revisions.
  """

  ids: tuple[str, ...]
  budgets: tuple[int, ...]
  outcomes: tuple[Outcome, ...]
  accuracy: np.ndarray
  costs: Mapping[str, np.ndarray]
  mechanism: str
  reference: str
  own: np.ndarray
  revised: bool = False

  def place(self, strategy: str, budget: int) -> int | None:
    """Where a strategy without hyper-parameters stands in `outcomes`, by its label."""
    return next((i for i, o in enumerate(self.outcomes)
                 if (label(o), o.budget) == (strategy, budget)), None)

  def budgets_of_reference(self) -> list[int]:
    """Every budget that the reference spent on these questions, rising, and not on these alone."""
    return sorted({o.budget for o in self.outcomes if label(o) == self.reference})

  def level(self, axis: str, budget: int) -> float:
    """What the reference costs at a budget: a policy may spend as much."""
    return float(self.costs[axis][self.place(self.reference, budget)])

  def allowed(self, axis: str, allowance: float, estimator: Estimator | None = None) -> np.ndarray:
    """Places of the strategies that an allowance pays for, cheapest first, int64 [A]."""
    costs = self.charged(axis, estimator)
    order = np.argsort(costs, kind='stable')  # equal costs stay in order of budget and name
    return order[costs[order] <= allowance * (1 + 1e-9)]

  def spent(self, axis: str, estimator: Estimator) -> np.ndarray:
    """Mean cost of each strategy in each of an estimator's bins, float64 [S, BINS].

    With the estimate's price; in the bins of the questions as they are, 0 in one without any. It is
    what a policy spends, of which its allowance is the mean over all questions.
    """
    bins = estimator.bin_of(self.ids)
    price = self.charged(axis, estimator) - self.costs[axis]
    inside = bins[:, None] == np.arange(1, BINS + 1)
    return (_by_question(self, axis) @ inside / np.maximum(inside.sum(axis=0), 1)
            + price[:, None])

  def complete(self, budget: int) -> bool:
    """Whether a budget is one at which searches ran, if any did: a policy's curve has no other.

    Between these its choice has samples in the place of searches that were not run. A single answer
    is no search, and above the largest search the menu has no hole.
    """
    searches = {o.budget for o, own in zip(self.outcomes, self.own) if o.guided and own}
    return not searches or budget in {1, *searches} or budget > max(searches)

  def charged(self, axis: str, estimator: Estimator | None) -> np.ndarray:
    """Costs float64 [S] with the estimate's price on top; NaN = not measured, or not to choose.

    A strategy that draws from the pool has use for the samples that stay, and pays for them once:
    at s samples its own cost gives way to the price. A search cannot take them up.
    """
    costs = np.where(self.own, self.costs[axis], np.nan)
    if estimator is None or not estimator.charged:
      return costs
    charge = estimator.charge[axis]
    out = costs + (np.nan if charge is None else charge)
    for i, o in enumerate(self.outcomes if estimator.stay else ()):
      if o.strategy in POOLED:
        kept = self.place(o.strategy, estimator.stay)
        out[i] -= costs[kept] if o.budget > estimator.stay else costs[i]
    return out


@functools.lru_cache(16)
def _by_question(options: Options, axis: str) -> np.ndarray:
  """Costs float64 [S, Q]; of every estimator's bins the same."""
  at: dict[tuple[str, ...], np.ndarray] = {}
  for o in options.outcomes:
    if o.ids not in at:
      at[o.ids] = np.searchsorted(o.ids, options.ids)
  return np.stack([costs_by_question(o, axis)[at[o.ids]] for o in options.outcomes])


def covering(outcomes: Sequence[Outcome], ids: Sequence[str]) -> list[int]:
  """Places of those that ran on every one of some questions: only these compare on just them."""
  wanted = frozenset(ids)
  return [i for i, o in enumerate(outcomes) if wanted.issubset(o.ids)]


def accuracies(outcomes: Sequence[Outcome], ids: Sequence[str]) -> np.ndarray:
  """Accuracy float64 [S, Q] of strategies on questions that all of them ran on, in order of ids."""
  return np.stack([o.accuracy[np.searchsorted(o.ids, ids)] for o in outcomes])


def _on(ids: tuple[str, ...], budgets: Sequence[int], outcomes: Sequence[Outcome], **what: Any,
        ) -> Options:
  """Those of some outcomes that ran on all these questions, up to the largest of the budgets."""
  inside = tuple(outcomes[i] for i in covering(outcomes, ids)
                 if outcomes[i].budget <= max(budgets))
  at = [np.searchsorted(o.ids, ids) for o in inside]
  return Options(
      ids, tuple(budgets), inside, accuracies(inside, ids),
      {axis: np.array([cost(o, axis, use) for o, use in zip(inside, at)]) for axis in AXES},
      **{'own': np.ones(len(inside), bool), **what})


def _searched(outcomes: Sequence[Outcome]) -> list[Outcome]:
  """Main strategies without revisions; a search of M = 1, or of one row, is the pool over again."""
  again = lambda o: o.beam_width == 1 or (o.guided and o.how.num_candidates == 1)
  return sorted((o for o in outcomes if curves.is_main(o) and (o.strategy in POOLED or searched(o))
                 and not again(o)), key=lambda o: (o.budget, name(o)))


def tiers(outcomes: Sequence[Outcome]) -> list[Options]:
  """The sets of questions that best-of-N weighted ran on, the largest first.

  A set's candidates are all main strategies that ran on every question of it, up to the largest of
  its budgets: at deep budgets, of fewer questions, cheap strategies are compared on these alone.
  """
  main = _searched(outcomes)
  sets: dict[tuple[str, ...], list[int]] = {}
  for o in main:
    if o.strategy == REFERENCE and o.ids:
      sets.setdefault(o.ids, []).append(o.budget)
  return [_on(ids, budgets, main, mechanism='search', reference=REFERENCE)
          for ids, budgets in sorted(sets.items(), key=lambda kv: -len(kv[0]))]


def _revised(outcome: Outcome) -> bool:
  """Whether it is a split of revisions, by whichever verifier; one answer counts as parallel."""
  o = outcome
  return (o.strategy in curves.REVISIONS and o.selection == 'hierarchical'
          and o.proposal is None and (o.strategy, o.budget) != ('sequential', 1))


def _proposed(outcome: Outcome) -> bool:
  """Whether it is a search for steps of the revision model, which neither mechanism has alone."""
  return (searched(outcome) and outcome.proposal == 'revision'
          and outcome.selection == REFERENCE)


def mechanisms(outcomes: Sequence[Outcome]) -> list[Options]:
  """Search, revisions, and both, on the questions and at the budgets of the revisions.

  All three hold the same outcomes, and differ in which of them a policy may choose.
  """
  mine = sorted((o for o in outcomes if _revised(o) or _proposed(o) or label(o) == CONTROL),
                key=lambda o: (o.budget, name(o)))
  main = sorted([*_searched(outcomes), *mine], key=lambda o: (o.budget, name(o)))
  spent = [o for o in mine if label(o) == PARALLEL]
  if not spent or not spent[0].ids:
    return []
  both = _on(spent[0].ids, [o.budget for o in spent], main, mechanism='both', reference=REFERENCE,
             revised=True)
  revised, proposed, control = np.array(
      [(_revised(o), _proposed(o), label(o) == CONTROL) for o in both.outcomes]).T
  return [dataclasses.replace(both, mechanism='search', own=~revised & ~proposed & ~control),
          dataclasses.replace(both, mechanism='revision', own=revised, reference=PARALLEL),
          dataclasses.replace(both, own=~control)]
