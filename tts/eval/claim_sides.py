"""The sides of claims, as a run has measured them; and the claims that a run was started with."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from tts.eval import claims, contrasts, curves, exchange, records
from tts.eval.claims import Claim, Lookup, Side
from tts.eval.exchange import Larger, Small
from tts.eval.outcomes import Outcome
from tts.types import InputError, num_candidates

FILE = 'claims.json'


def save(written: Sequence[Claim], workdir: pathlib.Path) -> None:
  """Writes the claims down, unless the run was started with some: those hold."""
  if not (workdir / FILE).exists():
    records.write_json(workdir / FILE, [dataclasses.asdict(c) for c in written])


def load(workdir: pathlib.Path) -> list[Claim]:
  """The run's claims; none where it was started without.

  Raises:
    InputError: the file is damaged.
  """
  path = workdir / FILE
  if not path.exists():
    return []
  try:
    return [Claim(**row | {'left': Side(**row['left']), 'right': Side(**row['right']),
                           **{name: tuple(row[name]) for name in ('budgets', 'bins', 'less')}})
            for row in records.read_json(path)]
  except (AttributeError, KeyError, TypeError) as error:
    raise InputError(f'{path} is damaged ({error!r}): delete it; the report then goes without '
                     'claims') from error


def lookup(found: Sequence[Outcome], small: Small, larger: Sequence[Larger]) -> Lookup:
  """Accuracy of a side at a budget, from a run's outcomes, its policy and the larger models."""
  greedy = {side.name: side for side in larger if side.strategy == 'greedy'}

  def policy(side: Side, budget: int) -> Mapping[str, float] | None:
    if side.inference_ratio is not None:
      if 'large' not in greedy:
        return None
      budget = small.budget(exchange.matched(greedy['large'].scale, side.inference_ratio)) or 0
    try:
      answers = small.choose(side.bins, 'generations', budget, True)
    except KeyError:  # bins that the run cannot make
      return None
    return answers and dict(zip(answers.ids, answers.accuracy))

  def fixed(side: Side, budget: int) -> Mapping[str, float] | None:
    width = side.beam_width
    if width is not None:
      size = num_candidates(budget, side.lookahead)
      width = contrasts.width(str(width), size) if size else None
    want = (side.strategy, budget, width, side.lookahead, side.verifier, side.aggregation)
    for o in found:
      own = (o.strategy, o.budget, o.beam_width, o.lookahead, o.verifier, o.aggregation)
      if own == want and o.selection == curves.own_selection(o.strategy):
        return dict(zip(o.ids, o.accuracy))
    return None

  def look(side: Side, budget: int) -> Mapping[str, float] | None:
    if side.strategy == 'compute_optimal':
      return policy(side, budget)
    if side.strategy in greedy:
      answered = greedy[side.strategy].outcome
      return dict(zip(answered.ids, answered.accuracy))
    return fixed(side, budget)

  return look


def rows(workdir: pathlib.Path, look: Lookup, schemes: Mapping[str, Mapping[str, int]],
         ) -> list[dict[str, Any]]:
  """`claims` of the results."""
  return claims.evaluate(load(workdir), look, schemes)
