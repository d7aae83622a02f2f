"""What a compute-optimal policy may choose from on one set of questions, and what it costs."""

import dataclasses
import functools

import numpy as np

REFERENCE = 'best_of_n_weighted'  # a policy may cost as much
POOLED = ('majority', 'logprob_weighted', 'best_of_n_weighted')
AXES = ('generations', 'tokens', 'flops', 'seconds')
BINS = 5
_NEAR = 1 + 1e-9


def cost(o, axis, places=None):
  """Mean cost of a question, NaN where it was not measured."""
  by = costs(o, axis)
  return float((by if places is None else o.on(places, by)).mean())


def costs(o, axis):
  """Cost of each question, float [Q]; seconds and generations are the same for all."""
  if axis == 'tokens' and o.written is not None and o.read is not None:
    return o.written + o.read
  if axis == 'flops' and o.flops is not None:
    return o.flops
  return np.full(len(o.at), float(o.budget) if axis == 'generations'
                 else o.seconds if axis == 'seconds' and o.seconds is not None else np.nan)


@dataclasses.dataclass(frozen=True, eq=False)
class Menu:
  """Strategies that all ran on the same questions.

  Attributes:
    at: the questions, places in `Study.ids`.
    budgets: those that best-of-N weighted spent on just these.
    outcomes: [S], by budget and name.
    own: bool [S], what may be chosen.
    reference: label of what a policy may cost as much as.
  """

  at: np.ndarray
  budgets: tuple
  outcomes: tuple
  own: np.ndarray
  reference: str = REFERENCE

  @functools.cached_property
  def right(self):
    return np.stack([o.on(self.at) for o in self.outcomes])

  @functools.cached_property
  def _costs(self):
    return {axis: np.array([cost(o, axis, self.at) for o in self.outcomes]) for axis in AXES}

  def costs(self, axis):
    return self._costs[axis]

  def place(self, strategy, budget):
    return next((i for i, o in enumerate(self.outcomes)
                 if (o.label, o.budget) == (strategy, budget)), None)

  def level(self, axis, budget):
    """What the reference costs at a budget."""
    return float(self.costs(axis)[self.place(self.reference, budget)])

  def spent_by_reference(self):
    return sorted({o.budget for o in self.outcomes if o.label == self.reference})

  def charged(self, axis, estimator):
    """Costs [S] with the estimate's price on top; samples that stay are paid for once."""
    own = np.where(self.own, self.costs(axis), np.nan)
    if estimator is None or not estimator.charge:
      return own
    charge = estimator.charge[axis]
    out = own + (np.nan if charge is None else charge)
    for i, o in enumerate(self.outcomes if estimator.stay else ()):
      if o.strategy in POOLED:
        kept = self.place(o.strategy, estimator.stay)
        out[i] -= own[kept] if o.budget > estimator.stay else own[i]
    return out

  def allowed(self, estimator, most):
    """What a number of generations pays for, the cheapest first, of equals the earlier."""
    price = self.charged('generations', estimator)
    order = np.argsort(price, kind='stable')
    return order[price[order] <= most * _NEAR]

  def spent(self, axis, estimator, bins):
    """Mean cost [S, BINS] in each bin, the estimate's price on top; `bins` of `at`."""
    price = self.charged(axis, estimator) - self.costs(axis)
    by = np.stack([o.on(self.at, costs(o, axis)) for o in self.outcomes])
    inside = bins[:, None] == np.arange(1, BINS + 1)
    return by @ inside / np.maximum(inside.sum(axis=0), 1) + price[:, None]

  def complete(self, budget):
    """Whether searches ran at a budget, if any did; 1, and above the largest, have no hole."""
    ran = {o.budget for o, own in zip(self.outcomes, self.own) if o.guided and own}
    return not ran or budget in {1, *ran} or budget > max(ran)

  def only(self, use, reference):
    """The same where only some may be chosen."""
    return dataclasses.replace(self, own=self.own & use, reference=reference)


def menus(study):
  """Of every set of questions that best-of-N weighted ran on, the largest first."""
  def may(o):
    again = o.width == 1 or (o.guided and o.budget // ((o.lookahead or 0) + 1) == 1)
    return study.own(o) and (o.strategy in (*POOLED, 'greedy') or o.guided) and not again

  found = sorted(filter(may, study.outcomes), key=lambda o: (o.budget, o.name))
  sets = {}
  for o in found:
    if o.strategy == REFERENCE and o.at.size:
      sets.setdefault(tuple(o.at.tolist()), []).append(o.budget)
  out = []
  for at, budgets in sorted(sets.items(), key=lambda kv: -len(kv[0])):
    inside = tuple(o for o in found if o.budget <= max(budgets) and set(at) <= set(o.at.tolist()))
    out.append(Menu(np.array(at), tuple(budgets), inside, np.ones(len(inside), bool)))
  return out
