"""The sides of claims, as a run has measured them; and the claims that a run was started with."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from tts.eval.claims import claims, measured, power
from tts.eval.claims.claims import Claim, Look, Side
from tts.eval.claims.measured import Answers
from tts.eval.exchange import exchange, exchange_sides
from tts.eval.exchange.exchange import Larger
from tts.eval.measures import contrasts, curves
from tts.eval.measures.outcomes import Outcome
from tts.eval.policy.trials import Trial
from tts.eval.storage import records
from tts.model_kinds import MAIN
from tts.types import InputError, Strategy

# By mechanism: revisions may be added to a run whose searches have been measured.
FILES = {'search': 'claims.json', 'revision': 'claims-revision.json'}


def save(written: Sequence[Claim], workdir: pathlib.Path, mechanism: str = 'search') -> None:
  """Writes the claims down, unless the run was started with some: those hold."""
  path = workdir / FILES[mechanism]
  if not path.exists():
    records.write_json(path, [dataclasses.asdict(c) for c in written])


def load(workdir: pathlib.Path) -> list[Claim]:
  """The run's claims; none where it was started without.

  Raises:
    InputError: a file is damaged.
  """
  return [claim for name in FILES.values() for claim in _load(workdir / name)]


def _load(path: pathlib.Path) -> list[Claim]:
  if not path.exists():
    return []
  try:
    return [Claim(**row | {'left': _side(row['left']), 'right': _side(row['right']),
                           **{name: tuple(row[name]) for name in ('budgets', 'bins', 'less')}})
            for row in records.read_json(path)]
  except (AttributeError, KeyError, TypeError) as error:
    raise InputError(f'{path} is damaged ({error!r}): delete it; the report then goes without '
                     'claims') from error


def _side(row: Mapping[str, Any]) -> Side:
  return Side(**row | {'theta': tuple(map(tuple, row.get('theta', ())))})


def look(found: Sequence[Outcome], trials: Sequence[Trial], larger: Sequence[Larger],
         schemes: Mapping[str, Mapping[str, int]]) -> Look:
  """What claims are about, from a run's outcomes, its policies and the larger models.

  Args:
    found: all outcomes.
    trials: of all estimators.
    larger: the larger models' ways to answer.
    schemes: bins by scheme.
  """
  main = next((o.main for o in found), MAIN)
  greedy = {side.name: side for side in larger if side.strategy == 'greedy'}
  chosen = [t for t in trials if (t.estimator.scheme, t.estimator.name) in exchange_sides.ESTIMATORS
            and t.n]

  @functools.cache
  def policy(side: Side, budget: int) -> Answers | None:
    mine = [t for t in chosen if t.estimator.scheme == side.bins and (
        t.found.mechanism, t.found.revised) == (side.mechanism, side.mechanism == 'revision')]
    most = float(budget)
    if side.inference_ratio is not None:
      if 'large' not in greedy:
        return None
      most = exchange.matched(greedy['large'].scale, side.inference_ratio)
    for trial in mine:  # the most questions first
      budgets = trial.found.budgets_of_reference()
      at = exchange.around(budgets, most)
      if at is not None and (budgets[at[1]] >= most * (1 - exchange.NEAR) or trial is mine[-1]):
        low, high, share = at
        parts = [(1 - share, float(budgets[low])), (share, float(budgets[high]))]
        return measured.policy(trial, [part for part in parts if part[0]])
    return None

  def fixed(side: Side, budget: int) -> Answers | None:
    width, others = side.beam_width, dict(side.theta)
    if width is not None:
      size = Strategy.of('lookahead', budget, lookahead=side.lookahead).num_candidates
      width = contrasts.width(str(width), size) if size else None
    length = side.chain_length
    if length == 'sqrt':
      length = contrasts.width('sqrt', budget)
    verifier = main if side.verifier == MAIN else side.verifier
    want = (side.strategy, budget, width, side.lookahead, verifier, side.aggregation,
            side.selection or curves.own_selection(side.strategy), None)
    like = lambda o: others == {k: v for k, v in o.how.others.items() if k in others}
    for o in found:
      own = (o.strategy, o.budget, o.beam_width, o.lookahead, o.verifier, o.aggregation,
             o.selection, o.proposal)
      if own == want and like(o) and length in (None, o.chain_length):
        return Answers(dict(zip(o.ids, o.accuracy)))
    return None

  def side_of(side: Side, budget: int) -> Answers | None:
    if side.strategy == 'compute_optimal':
      return policy(side, budget)
    if side.strategy in greedy:
      answered = greedy[side.strategy].outcome
      return Answers(dict(zip(answered.ids, answered.accuracy)))
    return fixed(side, budget)

  return Look(side_of, schemes, {t.estimator.scheme: t.estimator for t in chosen})


def rows(workdir: pathlib.Path, found: Look) -> list[dict[str, Any]]:
  """`claims` of the results, with the power that each had before the run, where it was computed."""
  known = power.marks(workdir)
  return [row | known.get(row['id'], {'power': None, 'undecidable': None})
          for row in claims.evaluate(load(workdir), found)]


def encode(workdir: pathlib.Path, found: Look) -> bytes:
  """CSV, gzipped: each claim's difference and what its verdict rests on, question by question."""
  lines = ['claim,part,problem_id,difference']
  for claim in load(workdir):
    parts = claims.parts(claim, found) or {}
    if parts and 'difference' not in parts:
      parts = {'difference': claims.difference(claim, found), **parts}
    for part, d in parts.items():
      lines += [f'{claim.id},{part},{id_},{value:.6g}'
                for id_, value in zip(d.ids, d.values.tolist())]
  return records.gzipped(('\n'.join(lines) + '\n').encode())
