"""What happens along chains of revisions (paper, Fig. 6 left, appendix I), and what they gain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tts.eval.measures import chain_strategies, contrasts, curves, statistics, vote_groups
from tts.eval.measures.outcomes import Outcome, scores
from tts.eval.storage.runfiles import RunFiles
from tts.eval.storage.samples import Samples
from tts.model_kinds import REVISION_VERIFIER

_TRAINED = 4  # answers in context, at most, of what the revision model has learnt from


def _chains(pool: Samples, values: np.ndarray) -> np.ndarray:
  """[Q, N] --> [Q, chains, length]."""
  return values.reshape(len(values), -1, pool.setting.strategy.chain_length)


def _share(marked: np.ndarray, among: np.ndarray) -> dict[str, Any]:
  """How often what is `among` is `marked`, bool [Q, ...] both; questions are resampled whole."""
  flat = lambda x: x.reshape(len(x), -1).sum(axis=1).astype(float)
  of, n = flat(among & marked), flat(among)
  if not n.sum():
    return {'share': None, 'ci95': None, 'n': 0}
  return {'share': float(of.sum() / n.sum()), 'n': int(n.sum()),
          'ci95': statistics.statistic_interval(np.divide, of, n)}


def describe(run: RunFiles, found: Sequence[Outcome],
             bins: Mapping[str, int]) -> dict[str, Any] | None:
  """`revisions` of the results; None without chains.

  `pass_at_1` is a row per place in the chain, over all questions and in each bin; `flips` says how
  often a right answer is followed by a wrong one, a wrong one by a right one, and an answer by
  itself; `auc_within` how well each verifier tells right answers of a question from wrong ones;
  `restem` is the same for that model, where there is one; `contrasts` are as those of
  `contrasts.rows`.
  """
  pool, restem = chain_strategies.longest(run), chain_strategies.longest(run, 'revision_restem')
  if pool is None:
    return None
  return {
      **_along_chains(pool, bins), 'restem': restem and _along_chains(restem, bins),
      'auc_within': {v: _auc(pool, v) for v in chain_strategies.judges(run.main)},
      'contrasts': [contrasts.row(id_, what, difference)
                    for id_, what, difference in (
                        *_rises(pool), *_between(found, run.main), *_proposed(found))
                    if difference is not None],
  }


def _along_chains(pool: Samples, bins: Mapping[str, int]) -> dict[str, Any]:
  right = _chains(pool, pool.correct & pool.votes)
  answer, votes = vote_groups.tries(pool, right.shape[2]).reshape(right.shape), _chains(
      pool, pool.votes)
  before, after = right[..., :-1], right[..., 1:]
  same = (answer[..., 1:] == answer[..., :-1]) & votes[..., 1:]
  return {
      'questions': len(pool.ids), 'chains': right.shape[1], 'chain_length': right.shape[2],
      'pass_at_1': _pass_at_1(pool, right, bins),
      'flips': {'right_to_wrong': _share(~after, before), 'wrong_to_right': _share(after, ~before),
                'right_repeated': _share(same, before),
                'wrong_repeated': _share(same, votes[..., :-1] & ~before)},
  }


def _pass_at_1(pool: Samples, right: np.ndarray, bins: Mapping[str, int]) -> list[dict[str, Any]]:
  of = np.array([bins.get(i, 0) for i in pool.ids])
  inside = [(None, np.arange(len(of)))] + [(b, np.flatnonzero(of == b))
                                           for b in sorted(set(bins.values()))]
  parts = [(b, t, right[use, :, t].mean(axis=1)) for b, use in inside if use.size
           for t in range(right.shape[2])]
  intervals = statistics.mean_intervals([values for *_, values in parts])
  return [{'step': t + 1, 'bin': b, 'accuracy': float(values.mean()), 'ci95': interval,
           'n': len(values)} for (b, t, values), interval in zip(parts, intervals)]


def _auc(pool: Samples, verifier: str) -> dict[str, Any] | None:
  score = scores(pool, verifier, 'last')
  if score is None:
    return None
  each = statistics.auc_by_question(score, pool.correct, pool.votes)
  each = each[~np.isnan(each)]
  return {'mean': float(each.mean()) if each.size else None, 'n': len(each),
          'ci95': statistics.mean_interval(each)}


def _rises(pool: Samples) -> Iterator[tuple[str, str, np.ndarray]]:
  """How pass@1 moves from a chain's first answer on."""
  right = _chains(pool, pool.correct & pool.votes).mean(axis=1)  # [Q, length]
  length = right.shape[1]
  for step in sorted({_TRAINED, length}):
    if 1 < step <= length:
      yield (f'chain_step_{step}_minus_1', f'pass@1 of answer {step} of a chain minus the first',
             right[:, step - 1] - right[:, 0])
  if length > _TRAINED:
    yield ('chain_beyond_minus_1',
           f'pass@1 of answers {_TRAINED + 1} to {length}, on average, minus the first',
           right[:, _TRAINED:].mean(axis=1) - right[:, 0])


def _proposed(found: Sequence[Outcome]) -> Iterator[tuple[str, str, np.ndarray | None]]:
  """Search for steps of the revision model against search for those of the base."""
  of_base = {(o.budget, o.beam_width): o for o in found
             if o.strategy == 'beam' and curves.is_main(o)}
  for o in found:
    if (o.strategy, o.selection, o.proposal) == ('beam', 'best_of_n_weighted', 'revision'):
      yield (f'proposal_revision_minus_base_n{o.budget}',
             f'beam search at N = {o.budget}, M = {o.beam_width}: steps of the revision model '
             f'after {o.chain_length} answers, charged too, minus steps of the base',
             contrasts.paired(o, of_base.get((o.budget, o.beam_width))))


def _paid_for(spent: Outcome | None, offers: Sequence[Outcome | None]) -> Outcome | None:
  """The last of some outcomes whose mean FLOPs are within another's; None without any."""
  if spent is None or spent.flops is None:
    return None
  within = [o for o in offers if o is not None and o.flops is not None
            and o.flops.mean() <= spent.flops.mean()]
  return within[-1] if within else None


def _between(found: Sequence[Outcome], guide: str) -> Iterator[tuple[str, str, np.ndarray | None]]:
  """Depth against breadth at equal N, and whose word is taken for it."""
  by = {(o.strategy, o.budget, o.selection, o.verifier, o.proposal): o for o in found
        if o.aggregation in (None, 'last')}
  main = REVISION_VERIFIER
  get = lambda *key: by.get((*key, None)[:5])
  budgets = sorted({o.budget for o in found if o.strategy == 'sequential' and o.budget > 1})
  for n in budgets:
    own = get('sequential', n, 'hierarchical', main)
    for verifier in chain_strategies.judges(guide):
      yield (f'sequential_minus_parallel_{verifier}_n{n}',
             f'one chain minus independent answers of the revision model at N = {n}, by {verifier}',
             contrasts.paired(get('sequential', n, 'hierarchical', verifier),
                              get('parallel', n, 'hierarchical', verifier)))
    yield (f'sequential_minus_parallel_majority_n{n}',
           f'the same at N = {n}, by majority',
           contrasts.paired(get('sequential', n, 'majority', None),
                            get('parallel', n, 'majority', None)))
    paid = _paid_for(own, [get('parallel', m, 'hierarchical', main)
                           for m in sorted({o.budget for o in found})])
    if paid is not None:
      yield (f'sequential_minus_parallel_flops_n{n}',
             f'one chain of {n} minus the {paid.budget} independent answers of the revision model '
             f'that its FLOPs pay for, by {main}', contrasts.paired(own, paid))
    yield (f'sequential_minus_newest_n{n}',
           f'the verifier\'s choice over a chain of {n} minus its last answer',
           contrasts.paired(own, get('sequential', n, 'newest', None)))
    for verifier in chain_strategies.judges(guide)[1:]:
      yield (f'revision_orm_minus_{verifier}_sequential_n{n}',
             f'one chain of {n} by revision_orm minus by {verifier}',
             contrasts.paired(own, get('sequential', n, 'hierarchical', verifier)))
    for name, other in (
        ('control', by.get(('parallel', n, 'best_of_n_weighted', 'control_orm',
                            'revision_control'))),
        ('base', get('best_of_n_weighted', n, 'best_of_n_weighted', guide))):
      yield (f'sequential_minus_{name}_n{n}',
             f'one chain of {n} by revision_orm minus {n} independent answers of the {name}, by '
             f'{other.verifier if other else "its verifier"}', contrasts.paired(own, other))
