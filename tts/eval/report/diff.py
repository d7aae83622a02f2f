"""Two runs side by side: what their configs differ in, and what each question gained or lost."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tts.eval.measures import contrasts, curves
from tts.eval.measures.outcomes import Outcome
from tts.eval.policy import strategy_options

MISSING = '(not there)'


@dataclasses.dataclass(frozen=True)
class Flip:
  """A question that one run answered better by a strategy than the other did."""

  problem_id: str
  before: float  # share of tries that were right
  after: float


def config_differences(a: Mapping[str, Any], b: Mapping[str, Any],
                       path: str = 'config') -> Iterator[tuple[str, Any, Any]]:
  """(field, in the first, in the second) of every leaf that differs, by name."""
  for key in sorted({*a, *b}):
    one, other, where = a.get(key, MISSING), b.get(key, MISSING), f'{path}.{key}'
    if isinstance(one, Mapping) and isinstance(other, Mapping):
      yield from config_differences(one, other, where)
    elif one != other:
      yield where, one, other


def pairs(a: Sequence[Outcome], b: Sequence[Outcome]) -> list[tuple[str, Outcome, Outcome]]:
  """(name, in the first, in the second) of each strategy that both have run as the curves show it.

  Those that share no question are left out; by name, then by budget.
  """
  theirs = {strategy_options.name(o): o for o in b if curves.is_main(o)}
  both = [(strategy_options.name(o), o, theirs[strategy_options.name(o)]) for o in a
          if curves.is_main(o) and strategy_options.name(o) in theirs]
  both = [(name, x, y) for name, x, y in both if set(x.ids) & set(y.ids)]
  return sorted(both, key=lambda p: (p[1].strategy, p[1].budget, p[0]))


def row(name: str, a: Outcome, b: Outcome) -> dict[str, Any]:
  """Accuracy of both on the questions that both asked, and the second minus the first, paired."""
  flips = flipped(a, b)
  mine = np.isin(a.ids, b.ids)
  before = float(a.accuracy[mine].mean())
  found = contrasts.row(name, name, contrasts.paired(b, a))
  return {'name': name, 'n': found['n'], 'before': before, 'after': before + found['difference'],
          'difference': found['difference'], 'ci95': found['ci95'],
          'better': sum(f.after > f.before for f in flips),
          'worse': sum(f.after < f.before for f in flips)}


def flipped(a: Outcome, b: Outcome) -> list[Flip]:
  """Questions whose accuracy differs, the largest changes first, then by id."""
  after = dict(zip(b.ids, b.accuracy.tolist()))
  found = [Flip(i, x, after[i]) for i, x in zip(a.ids, a.accuracy.tolist())
           if i in after and after[i] != x]
  return sorted(found, key=lambda f: (-abs(f.after - f.before), f.problem_id))


def text(runs: tuple[Any, Any], measured: tuple[Sequence[Outcome], Sequence[Outcome]],
         strategy: str | None, questions: int) -> str:
  """What the command prints.

  Args:
    runs: two `RunFiles`.
    measured: the outcomes of each.
    strategy: name of the one whose flipped questions are listed; None for the vote by the PRM of
      the most samples, or else the first that there is.
    questions: how many of them to list.
  """
  configs = [run.run.get('config') or {} for run in runs]
  lines = [f'{where}: {one} -> {other}' for where, one, other in config_differences(*configs)]
  lines = lines or ['the configs are equal']
  both = pairs(*measured)
  if not both:
    return '\n'.join([*lines, '', 'no strategy ran on a question that both have'])
  lines += ['', f'{"strategy":32} {"n":>6} {"first":>7} {"second":>7}  second minus first'
            f'{"better":>15} {"worse":>6}']
  for name, x, y in both:
    r = row(name, x, y)
    interval = '' if r['ci95'] is None else f'[{r["ci95"][0]:+.4f}, {r["ci95"][1]:+.4f}]'
    lines.append(f'{name:32} {r["n"]:6,} {r["before"]:7.4f} {r["after"]:7.4f}  '
                 f'{r["difference"]:+.4f} {interval:20}{r["better"]:6,} {r["worse"]:6,}')
  votes = [p for p in both if p[1].strategy == strategy_options.REFERENCE]
  chosen = next((p for p in both if p[0] == strategy), None) if strategy else (votes or both)[-1]
  if chosen is None:
    return '\n'.join([*lines, '', f'no strategy is called {strategy}'])
  name, x, y = chosen
  flips, prompts = flipped(x, y), runs[0].questions() | runs[1].questions()
  lines += ['', f'{len(flips)} questions flipped by {name}'
            + (f', the first {questions}:' if len(flips) > questions else ':' if flips else '')]
  for f in flips[:questions]:
    prompt = ' '.join((prompts.get(f.problem_id) or {}).get('prompt', '').split())
    lines.append(f'  {f.problem_id}  {f.before:.2f} -> {f.after:.2f}  {prompt[:60]}')
  return '\n'.join(lines)
