"""A field of a page -> its number, from a study's per-question data.

`{{WHERE KIND NAMES}}`: WHERE is a folder under `results/`, KIND and NAMES say which number:

  curve STRATEGY N [M [K]]      accuracy over all questions
  vote VERIFIER STRATEGY N [M]  the same by another verifier, of samples or of a search that it led
  contrast ID                   a paired difference
  model NAME FIELD              pass_at_1, greedy, params; of a generator
  verifier NAME FIELD           auc_within, auc_gain_within, gap_closed, of samples
  efficiency BINS ESTIMATOR BASELINE [AXIS]   how many times less a policy spends; the same
  shares BINS ESTIMATOR BASELINE [AXIS]       at 25, 50, 75, 90% of the baseline's rise
  moved_efficiency BINS ESTIMATOR BASELINE    the same where questions share a budget
  moved_shares BINS ESTIMATOR BASELINE
  part BINS ESTIMATOR N STEP    what a step adds to the one before it
  at BINS ESTIMATOR N STEP      its accuracy
  exchange LARGER R BIN         small minus larger greedy, paper's accounting, by level, 0 = all
  scale LARGER                  its parameters over the base's
  claim ID                      its difference
  verdict ID                    what became of it, with difference, n and p
  chain STEP                    accuracy of one answer of a chain of revisions
  revision ID                   a paired difference between revisions
  equal_flops STRATEGY N [M [K]]  minus a majority at as many FLOPs
  rule NAME [VALUE]... N        accuracy of a vote without a verifier, by its parameters' values
  rule_minus NAME [VALUE]... N  minus a majority of the same mean cost
  samples NAME [VALUE]... N     that it draws of a question
  flops KIND NAMES              of a `curve`, `vote` or `rule`, over those of one sample
  seconds KIND NAMES            of a question, of a `curve` or `vote`
  n KIND NAMES                  over how many questions a number is
  claims [WHERE]...             a table of what became of every claim, here and in each WHERE

A folder with several seeds (`cells`; see `crossing`) has all of them as means over these, and

  spread SOURCE KIND NAMES      standard deviation of a seed's value by SOURCE

`cost FIELD` is measured time and memory, and `given TEXT` what stands elsewhere: neither can be
rebuilt. Seconds are those that the per-question data say each setting took. A number that the
folder has no data for is None here; its page marks it.
"""

import functools
import json
import pathlib
import re

import numpy as np

from . import chains, claims, exchange, intervals, menu, parts, policy, replayed, worth
from .study import Study

_HARD = (3, 4, 5)
_AT = 16
_NEAR = 1.01  # a majority's FLOPs may be short of what they are compared with by so much
# What a table of outcomes, without the answers themselves, is enough for.
_OF_OUTCOMES = ('curve', 'vote', 'contrast', 'efficiency', 'shares', 'moved_efficiency',
                'moved_shares', 'part', 'at', 'claim', 'verdict')
_READ = ('scale', 'cost', 'given')  # neither counted nor estimated over questions


def crossed(folder):
  """Whether a folder is of several seeds, a cell each."""
  return (pathlib.Path(folder) / 'cells').is_dir()


def rebuilt(folder, kind, names):
  """Whether a number can be rebuilt from what a folder publishes."""
  kind, names = (names[0], names[1:]) if kind in ('n', 'flops', 'seconds') else (kind, names)
  if kind in _READ or (kind, names[-1:]) == ('model', ['params']):
    return True
  folder = pathlib.Path(folder)
  if crossed(folder):
    return True
  if (folder / 'questions.npz').exists():
    return not (kind == 'revision' and 'proposal' in names[0])
  if not (folder / 'outcomes.csv.gz').exists() or kind not in _OF_OUTCOMES:
    return False
  if kind in ('claim', 'verdict'):
    return names[0] in _redone(folder)
  if kind in ('curve', 'vote', 'contrast'):
    return not names[0].endswith('auc_within')
  return names[:2] == ['oracle', 'pool']  # the bins that the table has


@functools.cache
def _redone(folder):
  """Claims that a table of outcomes was enough for."""
  path = folder / 'reread.json'
  return {row['id'] for row in json.loads(path.read_text('utf-8'))['claims']} if (
      path.exists()) else set()


class Numbers:
  """All numbers of one study; each is (value, interval or None, n), or None if not measured."""

  def __init__(self, folder):
    self.study = Study(folder)
    self.study.outcomes += chains.outcomes(self.study)
    self._cuts, self._trials = {}, {}
    self._rules = replayed.Rules(self.study)

  def of(self, kind, names):
    if kind == 'n':
      return self.of(names[0], names[1:])[2], None, None
    return getattr(self, f'_{kind}')(*names)

  @functools.cached_property
  def _menus(self):
    return menu.menus(self.study)

  @functools.cached_property
  def _revised(self):
    found = chains.menu(self.study)
    return [found] if found else []

  def _tried(self, estimator, found):
    key = estimator.scheme, estimator.name, found
    if key not in self._trials:
      if key[:2] not in self._cuts:
        self._cuts[key[:2]] = policy.Cut(self.study, estimator)
      self._trials[key] = policy.Trial(self.study, estimator, found, self._cuts[key[:2]])
    return self._trials[key]

  def _by_scheme(self, scheme, mechanism):
    """Trials of the estimator that claims and exchange go by, the most questions first."""
    estimator = self.study.estimator(scheme, 'level' if scheme == 'level' else 'pool')
    found = self._menus if mechanism == 'search' else self._revised
    return [] if estimator is None else [
        t for t in (self._tried(estimator, m) for m in found) if t.n]

  def _trial(self, bins, estimator):
    return self._tried(self.study.estimator(bins, estimator), self._menus[0])

  @functools.cache
  def _parts(self, bins, estimator):
    return parts.Parts(self._trial(bins, estimator))

  @functools.cached_property
  def claims(self):
    return claims.Claims(self.study, self._by_scheme)

  def _outcome(self, kind, *names):
    """Of a `curve` or `vote`; None if not measured."""
    if kind == 'curve':
      strategy, *whole = names
      return self.study.find(strategy, *(None if x is None else int(x) for x in whole))
    verifier, strategy, budget, *width = names
    selection = strategy if strategy in ('best_of_n', 'best_of_n_weighted') else (
        'best_of_n_weighted')
    return self.study.find(strategy, int(budget), int(width[0]) if width else None, None, verifier,
                           selection=selection)

  def _curve(self, *names):
    o = self._outcome('curve', *names)
    return o and intervals.mean(o.right)

  def _vote(self, *names):
    o = self._outcome('vote', *names)
    return o and intervals.mean(o.right)

  def _seconds(self, kind, *names):
    o = self._outcome(kind, *names)
    return o and (o.seconds, None, None)

  def _flops(self, kind, *names):
    if kind == 'rule':
      spent = self._rules.row(*names).flops
    else:
      o = self._outcome(kind, *names)
      spent = None if o is None or o.flops is None else float(o.flops.mean())
    one = self.study.find('majority', 1).flops
    return None if spent is None or one is None else (spent / float(one.mean()), None, None)

  def _equal_flops(self, *names):
    o = self._outcome('curve', *names)
    if o is None:
      return None
    both = sorted((v for v in self.study.outcomes if v.label == 'majority'
                   and np.isin(o.at, v.at).all()), key=lambda v: v.budget)
    spent = [float(v.on(o.at, v.flops).mean()) for v in both]
    mine = float(o.flops.mean())
    if not spent or mine < spent[0] / _NEAR or mine > spent[-1] * _NEAR:
      return None, None, len(o.at)
    low, high, share = intervals.between(np.log(mine), np.log(spent))
    return intervals.difference(
        o.right - (1 - share) * both[low].on(o.at) - share * both[high].on(o.at))

  def _rule(self, *names):
    return self._rules.row(*names).accuracy

  def _rule_minus(self, *names):
    return self._rules.row(*names).difference

  def _samples(self, *names):
    return self._rules.row(*names).samples, None, None

  def _minus(self, a, b, bins=None):
    """Paired difference of two outcomes; `bins`: of the oracle that count."""
    if a is None or b is None:
      return None
    at = np.intersect1d(a.at, b.at)
    if bins:
      estimator = self.study.estimator('oracle', 'pool')
      at = at[np.isin(policy.bins_of(self.study, estimator, at), bins)]
    return intervals.difference(a.on(at) - b.on(at)) if at.size else None

  def _contrast(self, name):
    find = self.study.find
    if found := re.fullmatch(r'beam_m_(sqrt|\d+)_minus_weighted_n(\d+)_(all|bins_3_to_5)', name):
      rule, n = found[1], int(found[2])
      width = 2 ** ((n.bit_length() - 1) // 2) if rule == 'sqrt' else min(int(rule), n)
      return self._minus(find('beam', n, width), find('best_of_n_weighted', n),
                         None if found[3] == 'all' else _HARD)
    if found := re.fullmatch(r'(.+?)_minus_(.+)_weighted_n(\d+)', name):
      if found[1] in (self.study.main,):
        return self._minus(*(find('best_of_n_weighted', int(found[3]), verifier=v)
                             for v in (found[1], found[2])))
    if found := re.fullmatch(r'(.+?)_minus_(.+)_auc_within', name):
      each = np.subtract(*(self._aucs(self._pool[f'score/{v}']) for v in found.groups()))
      return intervals.difference(each[~np.isnan(each)])
    weighted = find('best_of_n_weighted', _AT)
    return self._minus(*{
        f'best_of_n_n{_AT}_minus_n1': (find('best_of_n', _AT), find('best_of_n', 1)),
        f'weighted_minus_majority_n{_AT}': (weighted, find('majority', _AT)),
        f'weighted_minus_logprob_weighted_n{_AT}': (weighted, find('logprob_weighted', _AT)),
    }[name])

  @property
  def _pool(self):
    return self.study.setting('base', 'sample')

  def _aucs(self, score):
    pool = self._pool
    return intervals.auc(score.astype(float), pool['correct'], pool.answered)

  def _model(self, name, field):
    if field == 'params':
      models = self.study.about.get('models') or self.study.published['models']
      return int(models[name]['params']), None, None
    found = self.study.setting(name, 'greedy' if field == 'greedy' else 'sample')
    return found and intervals.mean(found.right.mean(axis=1))

  def _verifier(self, name, field):
    pool = self._pool
    if field == 'gap_closed':
      got = [self.study.find(*which).right for which in (
          ('best_of_n_weighted', _AT, None, None, name), ('majority', _AT), ('oracle', _AT))]
      room = lambda w, m, o: np.where(o > m, (w - m) / np.where(o > m, o - m, 1), np.nan)
      return *intervals.of_means(room, *got)[:2], None
    mine = self._aucs(pool[f'score/{name}'])
    both = ~np.isnan(mine)
    if field == 'auc_within':
      return intervals.mean(mine[both])
    if field != 'auc_gain_within':
      raise ValueError(f'verifier {name} {field}: no such field')
    rivals = [self._aucs(x)[both] for x in (
        pool['logprob'], pool['logprob'] / np.maximum(pool['length'], 1))]
    return *intervals.mean(mine[both] - max(rivals, key=np.mean))[:2], None

  def _efficiency(self, bins, estimator, baseline, axis='generations'):
    return worth.efficiency(self._trial(bins, estimator), baseline, axis)[:3]

  def _shares(self, bins, estimator, baseline, axis='generations'):
    found = worth.efficiency(self._trial(bins, estimator), baseline, axis)
    return found[3], None, found[2]

  def _moved_efficiency(self, bins, estimator, baseline):
    return worth.efficiency(self._trial(bins, estimator), baseline, 'generations', True)[:3]

  def _moved_shares(self, bins, estimator, baseline):
    found = worth.efficiency(self._trial(bins, estimator), baseline, 'generations', True)
    return found[3], None, found[2]

  def _part(self, bins, estimator, budget, step):
    return self._parts(bins, estimator).gain(step, int(budget))

  def _at(self, bins, estimator, budget, step):
    values = self._parts(bins, estimator).accuracy(step, int(budget))
    return None if values is None else (float(values[0]), None, self._trial(bins, estimator).n)

  def _scale(self, larger):
    models = self.study.about.get('models') or self.study.published['models']
    return models[larger]['params'] / models['base']['params'], None, None

  def _exchange(self, larger, ratio, bin_):
    return exchange.difference(self.study, self._by_scheme('level', 'search'), larger,
                               float(ratio), int(bin_))

  def _claim(self, name):
    found = self.claims.rows[name][0]
    return found and (found.mean, found.interval(), found.n)

  def _verdict(self, name):
    found, p, verdict = self.claims.rows[name]
    return None if found is None else {
        'reproduced': verdict, 'p': p, 'effect': found.mean, 'ci95': found.interval(),
        'n': found.n}

  def _chain(self, step):
    right = chains.steps(chains.longest(self.study))[:, :, int(step) - 1]
    return intervals.mean(right.mean(axis=1))

  def _revision(self, name):
    """Between answers of a chain, or between ways to spend N answers."""
    right = chains.steps(chains.longest(self.study)).mean(axis=1)
    if found := re.fullmatch(r'chain_step_(\d+)_minus_1', name):
      return intervals.difference(right[:, int(found[1]) - 1] - right[:, 0])
    if name == 'chain_beyond_minus_1':
      return intervals.difference(right[:, 4:].mean(axis=1) - right[:, 0])
    get = lambda strategy, n, selection='hierarchical', verifier=chains.VERIFIER: next(
        (o for o in self.study.outcomes if (o.strategy, o.budget, o.selection, o.verifier)
         == (strategy, n, selection, verifier)), None)
    what, n = re.fullmatch(r'(.+)_n(\d+)', name).groups()
    n, own = int(n), get('sequential', int(n))
    if what == 'sequential_minus_newest':
      return self._minus(own, get('sequential', n, 'newest', None))
    if what == 'sequential_minus_parallel_majority':
      return self._minus(*(get(s, n, 'majority', None) for s in ('sequential', 'parallel')))
    if what == 'sequential_minus_base':
      return self._minus(own, self.study.find('best_of_n_weighted', n))
    if found := re.fullmatch(r'sequential_minus_parallel_(.+)', what):
      return self._minus(*(get(s, n, verifier=found[1]) for s in ('sequential', 'parallel')))
    if found := re.fullmatch(r'revision_orm_minus_(.+)_sequential', what):
      return self._minus(own, get('sequential', n, verifier=found[1]))
    raise ValueError(f'revision {name}: no such difference')
