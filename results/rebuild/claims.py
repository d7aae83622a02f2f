"""The paper's claims: left minus right on some questions, one Holm family, both signs."""

import functools
import math

import numpy as np

from . import chains, exchange, intervals
from .policy import REPLICATES

LEVEL, ALPHA = 0.03, 0.05
PARTS = ('left', 'right', 'control')
_MONTE_CARLO = 1 + 2 / math.sqrt(2 * REPLICATES)
_OWN = {'greedy': 'majority', **dict.fromkeys(chains.NAMES, 'hierarchical'),
        **{name: name for name in ('majority', 'logprob_weighted', 'best_of_n', 'oracle')}}


class Answers:
  """One side: accuracy by question, and of a policy its trial and (weight, budget) pairs."""

  def __init__(self, values, trial=None, allowances=()):
    self.values, self.trial, self.allowances = values, trial, allowances


class Difference:
  """A weighted sum of sides: by question, and its standard error."""

  def __init__(self, values, error, chosen, span):
    self.values, self.error, self.chosen, self.span = values, error, chosen, span
    self.mean, self.n = float(values.mean()), len(values)

  def interval(self):
    return intervals.paired(self.mean, self.error, self.n, self.span)

  def signs(self, moved=0.0, error=None):
    """Chances of what was seen where it is not above 0, and where it is not below."""
    above, below = intervals.flips(self.values + moved)
    if (self.chosen or error is not None) and (error or self.error) > 0:
      z = (self.mean + moved) / (error or self.error)
      above, below = max(above, intervals.beyond(z)), max(below, intervals.beyond(-z))
    return above, below


class Claims:
  """All claims of a study. `trials(scheme, mechanism)`: the most questions first.

  `errors`: whether differences have errors that are resampled, for which policies choose anew.
  """

  def __init__(self, study, trials, errors=True):
    self.study, self.trials, self._errors = study, trials, errors
    self.written = study.about.get('claims', [])

  def difference(self, claim):
    """Left minus right; None where a side was not measured."""
    return self._sum(self._terms(claim), claim)

  @functools.cached_property
  def rows(self):
    found = [self.difference(claim) for claim in self.written]
    tests = [None if d is None or d.n < 2 else self._test(claim, d)
             for claim, d in zip(self.written, found)]
    p_values = intervals.holm([t and min(1.0, 2 * min(t[:2])) for t in tests])
    return {claim['id']: (d, p, verdict(t, p))
            for claim, d, t, p in zip(self.written, found, tests, p_values)}

  def _terms(self, claim):
    parts = [(1, 'left', 'budgets'), (-1, 'right', 'budgets')]
    if claim['less']:
      parts += [(-1, 'left', 'less'), (1, 'right', 'less')]
    return [(sign / len(claim[at] or (0,)), claim[side], claim[side]['budget'] or budget)
            for sign, side, at in parts for budget in claim[at] or (0,)]

  def _test(self, claim, d):
    """(chance where it does not hold, where it does, whether its control is flat), or None."""
    if claim['direction'] == 'level' and claim['factor']:
      found = self.parts(claim)
      return found and level(*(found[name].signs() for name in PARTS))
    if claim['direction'] == 'level':
      low, high = d.interval()
      error = (high - low) / 2 / 1.96
      up, down = d.signs(LEVEL, error), d.signs(-LEVEL, error)
      return max(up[0], down[1]), min(1.0, 2 * min(up[1], down[0])), False
    above, below = d.signs()
    return (above, below, False) if claim['direction'] == 'above' else (below, above, False)

  def parts(self, claim):
    """Of a level claim with a factor: each side minus the other at a share of its budget, and the
    right one minus itself at such a share. None where one was not measured."""
    x, found = claim['factor'], {}

    def at(side, share, sign):
      budgets = [side['budget']] if side['budget'] else claim['budgets']
      if any(b % share for b in budgets):
        return []
      return [(sign / len(budgets), side | {'budget': None}, b // share) for b in budgets]

    for name, first, second, more in zip(PARTS, ('left', 'right', 'right'),
                                         ('right', 'left', 'right'), (1, 1, x)):
      terms = at(claim[first], more, 1), at(claim[second], x * more, -1)
      d = self._sum([*terms[0], *terms[1]], claim) if all(terms) and not claim['less'] else None
      if d is None:
        return None
      found[name] = d
    return found

  def _sum(self, terms, claim):
    """The weighted sum of sides on the claim's questions; None where one was not measured."""
    sides = [(weight, self._side(side, budget)) for weight, side, budget in terms]
    bins, by = claim['bins'], self.trials(claim['scheme'], 'search') or self.trials(
        claim['scheme'], 'revision')
    if any(side is None for _, side in sides) or bins and not by:
      return None
    shared = sorted(set.intersection(*(set(side.values) for _, side in sides)))
    of = {} if not bins else dict(zip(by[0].estimator.at.tolist(), self._bins(by[0])))
    ids = [i for i in shared if not bins or of.get(i) in bins]
    if not ids:
      return None
    values = np.array([sum(w * side.values[i] for w, side in sides) for i in ids])
    span = sum(abs(w) for w, _ in sides) / 2
    chosen = [side.trial for _, side in sides if side.trial is not None]
    error = float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan
    cut = bool(bins) and all(t.estimator.scheme == claim['scheme'] for t in chosen)
    trial = by[0] if cut else chosen[0] if chosen else None
    if self._errors and trial is not None and len(values) > 1:
      again = self._replicates(sides, shared if cut else ids, bins if cut else [], trial)
      error = max(float(np.nanstd(again[1:])) * _MONTE_CARLO, 0.0 if chosen else error)
    return Difference(values, error, bool(chosen), span)

  def _bins(self, trial):
    from .policy import bins_of
    return bins_of(self.study, trial.estimator, trial.estimator.at).tolist()

  def _replicates(self, sides, ids, bins, trial):
    """The mean sum in replicates, which choose and cut anew."""
    at = np.array(ids)
    fixed = np.array([[sum((w * s.values[i] for w, s in sides if s.trial is None), 0.0)
                       for i in ids]])
    sums = trial.cut.sums(at, fixed)
    places = [b - 1 for b in bins] or slice(None)
    part = lambda x: x.sum(axis=(0, 1))[places].sum(axis=0)
    with np.errstate(invalid='ignore', divide='ignore'):
      total = part(sums.right[0]) / part(sums.weight)
    for weight, side in sides:
      if side.trial is not None:
        menu = side.trial.menu
        use = np.isin(menu.at, at)
        held = None if use.all() else side.trial.cut.sums(menu.at, menu.right, use)
        for share, budget in side.allowances:
          total = total + weight * share * side.trial.at(budget, held=held).within(bins)
    return total

  def _side(self, side, budget):
    if side['strategy'] == 'compute_optimal':
      return self._policy(side, budget)
    if side['strategy'] in self.study.about['larger']:
      greedy = self.study.setting(side['strategy'], 'greedy')
      return greedy and Answers(dict(zip(greedy.at.tolist(), greedy.accuracy('majority', 1))))
    return self._fixed(side, budget)

  def _policy(self, side, budget):
    most = float(budget)
    if side['inference_ratio'] is not None:
      if self.study.setting('large', 'greedy') is None:
        return None
      most = exchange.matched(exchange.scale(self.study, 'large'), side['inference_ratio'])
    found = exchange.chosen(self.trials(side['bins'], side['mechanism']), most)
    if found is None:
      return None
    trial, budgets, (low, high, share) = found
    parts = [(w, b) for w, b in ((1 - share, budgets[low]), (share, budgets[high])) if w]
    levels = [trial.at(b) for _, b in parts]
    if any(level is None for level in levels):
      return None
    each = sum(w * trial.by_question(level) for (w, _), level in zip(parts, levels))
    known = ~np.isnan(each)
    return Answers(dict(zip(trial.menu.at[known].tolist(), each[known].tolist())), trial, parts)

  def _fixed(self, side, budget):
    root = lambda n: 2 ** ((n.bit_length() - 1) // 2)
    width, length = side['beam_width'], side['chain_length']
    if width is not None:
      size = budget // ((side['lookahead'] or 0) + 1)
      width = None if not size else root(size) if width == 'sqrt' else min(width, size)
    length = root(budget) if length == 'sqrt' else length
    guide = self.study.main if side['verifier'] == 'prm' else side['verifier']
    want = (side['strategy'], budget, width, side['lookahead'], guide, side['aggregation'],
            side['selection'] or _OWN.get(side['strategy'], 'best_of_n_weighted'))
    theta = {f'{k}={v}' for k, v in side['theta']}
    for o in self.study.outcomes:
      if want == (o.strategy, o.budget, o.width, o.lookahead, o.verifier, o.aggregation,
                  o.selection) and theta <= set(o.theta.split()) and (
                      length in (None, o.chain_length)):
        return Answers(dict(zip(o.at.tolist(), o.right.tolist())))
    return None


def level(left, right, control):
  """A level claim's test, of the signs of its parts."""
  return max(left[0], right[0]), min(1.0, 2 * min(left[1], right[1])), control[0] >= ALPHA


def verdict(test, p):
  """What becomes of a claim by its test, and by p in its family."""
  if test is None or p >= ALPHA:
    return 'inconclusive'
  holds, fails, flat = test
  return False if holds > fails else 'inconclusive' if flat else True
