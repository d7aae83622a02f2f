"""The small model's budget against a larger model, by the paper's accounting.

k = m + 3 (m - 1) / R generations are what one answer of a model of m times the parameters pays for.
Between two budgets that were run, accuracies are interpolated in the logarithm.
"""

import math

import numpy as np

from .worth import difference_interval

NEAR = 0.01


def scale(study, name):
  """m."""
  models = study.about['models']
  return models[name]['params'] / models['base']['params']


def matched(m, ratio):
  return m + 3 * (m - 1) / ratio


def around(budgets, most):
  """Places of the budgets on both sides of an allowance and the share of the second, or None."""
  below = [i for i, b in enumerate(budgets) if b * (1 - NEAR) <= most]
  if not below:
    return None
  low = below[-1]
  if low + 1 == len(budgets) or budgets[low] >= most * (1 - NEAR):
    return low, low, 0.0
  return low, low + 1, math.log(most / budgets[low]) / math.log(budgets[low + 1] / budgets[low])


def chosen(trials, most):
  """The trial of the most questions that has a budget near enough, and `around` there; or None."""
  for trial in trials:
    budgets = trial.menu.spent_by_reference()
    at = around(budgets, most)
    if at is not None and (budgets[at[1]] >= most * (1 - NEAR) or trial is trials[-1]):
      return trial, budgets, at
  return None


def difference(study, trials, larger, ratio, bin_):
  """(small minus the larger model's greedy answer, interval, n) in one bin, 0 = all questions.

  `trials`: of one estimator, by whose bins the policy goes, the most questions first.
  """
  answered = study.setting(larger, 'greedy')
  if answered is None or not trials:
    return None
  theirs = dict(zip(answered.at.tolist(), answered.accuracy('majority', 1).tolist()))
  found = chosen(trials, matched(scale(study, larger), ratio))
  if found is None:
    return None
  trial, budgets, (low, high, share) = found
  at = trial.menu.at
  use = np.array([q in theirs for q in at.tolist()]) & (trial.bins > 0)
  held = None if use.all() else trial.cut.sums(at, trial.menu.right, use)
  bins = [bin_] if bin_ else []
  small = [trial.at(budgets[i], held=held).within(bins) for i in (low, high)]
  sums = trial.cut.sums(at, np.array([[theirs.get(q, 0.0) for q in at.tolist()]]), use)
  right, weight = (x.sum(axis=(0, 1)) for x in (sums.right[0], sums.weight))
  places = [bin_ - 1] if bin_ else slice(None)
  with np.errstate(invalid='ignore'):  # a replicate without a question of the bin
    large = right[places].sum(axis=0) / weight[places].sum(axis=0)
  n = int((use & (trial.bins == bin_)).sum()) if bin_ else int(use.sum())
  gap = (1 - share) * small[0] + share * small[1] - large
  return float(gap[0]), difference_interval(gap, n), n
