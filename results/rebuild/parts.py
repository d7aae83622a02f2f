"""What each part of a policy is worth: one thing more at each step, and votes at its FLOPs."""

import dataclasses
import hashlib

import numpy as np

from . import intervals
from .menu import REFERENCE
from .policy import Trial
from .worth import difference_interval

AGAINST = {'greedy': 'one_sample', REFERENCE: 'greedy', 'search': REFERENCE, 'fixed': REFERENCE,
           'choosing': 'fixed', 'moving': 'choosing', 'choosing_random_bins': 'fixed',
           'moving_random_bins': 'choosing_random_bins'}


def shuffled(study, estimator):
  """Bins by a hash that knows nothing of a question, at the same price."""
  luck = [hashlib.sha256(b'random bin ' + study.ids[i].encode()).digest()[:6]
          for i in estimator.at]
  return dataclasses.replace(estimator, name='random', bins=None,
                             estimate=np.array([int.from_bytes(d, 'big') for d in luck], float))


class Parts:
  """The steps of one policy."""

  def __init__(self, trial, placebo_cut=None):
    self.trial = trial
    self.placebo = Trial(trial.study, shuffled(trial.study, trial.estimator), trial.menu,
                         placebo_cut)
    self.search = trial.only(np.array([o.guided for o in trial.menu.outcomes]), REFERENCE)

  def accuracy(self, step, budget):
    """[1 + R] of a step at a budget; None where it was not measured."""
    trial = self.trial
    fixed = {'one_sample': (REFERENCE, 1), 'greedy': ('greedy', 1), REFERENCE: (REFERENCE, budget)}
    if step in fixed:
      place = trial.menu.place(*fixed[step])
      return None if place is None else trial.sums.means()[place]
    if step.endswith('_at_equal_flops'):
      return self._at_flops(step.removesuffix('_at_equal_flops'), budget)
    if step.startswith('moving'):
      found = (trial if step == 'moving' else self.placebo).moved.get(budget)
      return None if found is None else found[0]
    curve = {'search': lambda: self.search.curve('generations', fixed=True),
             'fixed': lambda: trial.curve('generations', fixed=True),
             'choosing': lambda: trial.curve('generations'),
             'choosing_random_bins': lambda: self.placebo.curve('generations')}[step]()
    return curve[budget].accuracy if budget in curve else None

  def gain(self, step, budget):
    """(gain over the step before, interval, n); None of the first, or what was not measured."""
    against = 'choosing' if step.endswith('flops') else AGAINST.get(step)
    mine = self.accuracy(step, budget)
    other = against and self.accuracy(against, budget)
    if mine is None or other is None:
      return None
    size = min(len(mine), len(other))
    difference = mine[:size] - other[:size]
    return float(difference[0]), difference_interval(difference, self.trial.n), self.trial.n

  def _at_flops(self, name, budget):
    """A vote's accuracy at the FLOPs that the policy spends, linear in their logarithm."""
    menu, flops = self.trial.menu, float(self.trial.curve('flops')[budget].spent[0])
    places = [i for i, o in enumerate(menu.outcomes) if o.label == name]
    costs = menu.costs('flops')[places]
    if not places or np.isnan(costs).any() or np.isnan(flops):
      return None
    low, high, share = intervals.between(np.log(flops), np.log(costs))
    means = self.trial.sums.means()
    return (1 - share) * means[places[low]] + share * means[places[high]]
