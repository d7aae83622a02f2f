"""Revisions: a budget split between the length of chains and their number."""

import numpy as np

from . import votes
from .menu import Menu
from .study import Outcome

VERIFIER = 'revision_orm'
NAMES = ('sequential', 'parallel', 'sequential_parallel')


def pools(study):
  """Settings of the revision model's chains, the smallest first."""
  found = [s for s in study.settings if (s.about['stage'], s.about['model'], s.about['method'])
           == ('revise', 'revision', 'chains')]
  return sorted(found, key=lambda s: (s.slots, s.about['chain_length']))


def longest(study):
  return max(pools(study), key=lambda s: s.about['chain_length'], default=None)


def steps(pool):
  """Right answers, bool [Q, chains, length]."""
  return pool.right.reshape(len(pool.at), -1, pool.about['chain_length'])


def _powers(most):
  return [2**i for i in range(most.bit_length())]


def outcomes(study):
  """Every split of a budget, its answers chosen in every way."""
  seen = set()
  for pool in pools(study):
    whole = pool.about['chain_length']
    for length in _powers(whole):
      first = lambda x: None if x is None else x.reshape(len(x), -1, whole)[:, :, :length].reshape(
          len(x), -1)
      given = {k: first(pool.get(k)) for k in ('answer', 'correct', 'weight')}
      given['equal'] = pool.get('equal')
      for number in _powers(pool.slots // whole):
        if (number, length) in seen:
          continue
        seen.add((number, length))
        names = (['sequential_parallel'] if number > 1 and length > 1 else
                 ['sequential'] * (number == 1) + ['parallel'] * (length == 1))
        for name in names:
          ways = [('hierarchical', v) for v in (VERIFIER, 'revision_orm_alone', study.main)
                  if pool.get(f'score/{v}') is not None]
          ways += [('majority', None), ('oracle', None)]
          ways += [('newest', None)] if name == 'sequential' else []
          for how, verifier in ways:
            score = verifier and first(pool[f'score/{verifier}'])
            main = how == 'hierarchical' and verifier == VERIFIER
            called = f'{name}-l{length}-n{number * length}'
            yield Outcome(
                name, number * length, pool.at,
                votes.accuracy(how, number * length, score=score, chain_length=length, **given),
                how, verifier, verifier and 'last', chain_length=length,
                name=called if main else f'{called}-{verifier}', label=name if main else None)


def menu(study):
  """What a policy over revisions may choose from, at what parallel samples cost; or None."""
  mine = sorted((o for o in study.outcomes if o.strategy in NAMES and o.selection == 'hierarchical'
                 and (o.strategy, o.budget) != ('sequential', 1)),
                key=lambda o: (o.budget, o.name))
  parallel = [o for o in mine if o.label == 'parallel']
  if not parallel:
    return None
  at, most = parallel[0].at, max(o.budget for o in parallel)
  inside = tuple(o for o in mine if o.budget <= most and np.isin(at, o.at).all())
  return Menu(at, tuple(o.budget for o in parallel), inside, np.ones(len(inside), bool),
              'parallel')
