"""Which searches a run makes: the config's methods at its budgets, by its rules for M and k."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tts import methods
from tts.config import Experiment, SearchConfig
from tts.methods import METHODS
from tts.runs import verifiers
from tts.types import InputError, Strategy

_WHERE = 'config.search.methods'


@dataclasses.dataclass(frozen=True)
class Setting:
  """A strategy, run on the first so many questions; where `shown`, some trees are kept."""

  strategy: Strategy
  questions: int
  shown: bool


def of_method(config: SearchConfig, name: str, given: dict[str, Any],
              budgets: Sequence[int]) -> list[Strategy]:
  """A method at budgets. A setting that two rules share is there once.

  A budget that pays for no candidate is left out.

  Args:
    config: its rules for M, and for k and M.
    name: of the method.
    given: parameters that are not the method's defaults; M and k among them replace the rules.
    budgets: charged generations.

  Raises:
    InputError: no such method or parameter, or a rule that is none.
  """
  fixed = methods.made(name, {k: v for k, v in given.items() if k != 'beam_width'}, _WHERE)
  known = {field.name for field in dataclasses.fields(fixed)}
  found = {}
  for budget in budgets:
    for k, width in _rules(config, known, given):
      own = {} if k is None else {'lookahead': k}
      num = budget // ((k or fixed.lookahead) + 1)
      if num and width is not None:
        own['beam_width'] = _width(width, num, 'beam_widths' if k is None else 'lookahead')
      if num:
        strategy = methods.strategy(methods.made(name, given | own, _WHERE), budget)
        found[strategy.name] = strategy
  return list(found.values())


def _rules(config: SearchConfig, known: set[str],
           given: dict[str, Any]) -> Iterable[tuple[int | None, int | str | None]]:
  """(k, M) pairs of a method with these parameters; None is the method's own, or has none."""
  if 'lookahead' in known and not given.keys() & {'lookahead', 'beam_width'}:
    return config.lookahead
  if 'beam_width' not in known:
    return [(None, None)]
  return [(None, m) for m in ([given['beam_width']] if 'beam_width' in given
                              else config.beam_widths)]


def _width(rule: int | str, num: int, field: str) -> int:
  """M of `num` candidates by a rule."""
  if rule == 'sqrt':
    return 2 ** (int(math.log2(num)) // 2)
  if isinstance(rule, int) and rule > 0:
    return min(rule, num)
  raise InputError(f'config.search.{field} has {rule!r}: M is a number or "sqrt"')


def plain(config: SearchConfig) -> list[Strategy]:
  """What the other verifiers guide: beam search of the first width, where there is a choice.

  They are ablations, and every setting takes a search of its own.
  """
  return of_method(dataclasses.replace(config, beam_widths=config.beam_widths[:1]), 'beam', {},
                   [b for b in config.ablation_budgets or config.budgets if b > 1])


def _listed(experiment: Experiment) -> Iterator[tuple[str, dict[str, Any]]]:
  """The methods that the config lists, then its plugins' that it does not."""
  listed = [methods.parsed(text, _WHERE) for text in experiment.search.methods]
  yield from listed
  ours = METHODS.of()
  for name in METHODS.of(experiment.plugins):
    if name not in ours and name not in [each for each, _ in listed]:
      yield name, {}


def searches(experiment: Experiment) -> list[Setting]:
  """What the main verifier guides.

  Raises:
    InputError: a method or a rule that is none.
  """
  config = experiment.search
  few = lambda count: min(count, config.questions)
  found: dict[str, Setting] = {}
  for name, given in _listed(experiment):
    if name == 'best_of_n':
      raise InputError(f'{_WHERE} has "best_of_n": it is computed from the pool, for every N')
    sweep = lambda budgets: of_method(config, name, given, budgets)
    parts = [(sweep(config.budgets), config.questions, True),
             (sweep(config.deep_budgets), few(config.deep_questions), False)]
    if 'lookahead' in {field.name for field in dataclasses.fields(METHODS[name])}:
      parts = [(sweep(config.lookahead_budgets), few(config.lookahead_questions), True)]
    for strategies, count, shown in parts:
      for strategy in strategies if count else ():
        found.setdefault(strategy.name, Setting(strategy, count, shown))
  return list(found.values())


def written(strategy: Strategy, steps: float) -> float:
  """Generations that a search writes of a question whose solutions have so many steps, 1 or more.

  Its candidates, and with lookahead k steps more from the end of each step of theirs, or as many
  as the solution has left: less than the k solutions that it is charged.
  """
  ahead = min(strategy.lookahead or 0, steps)
  simulated = ahead * steps - ahead * (ahead + 1) / 2  # the sum of min(k, steps - s) over steps s
  return strategy.num_candidates * (1 + simulated / steps)


def sampled(experiment: Experiment) -> int:
  """The base's independent samples of stage `search`, its greedy answers among them."""
  config = experiment.search
  deep = min(config.deep_questions, config.questions)
  return config.questions * (1 + config.pool) + deep * config.deep_pool


def by_guide(experiment: Experiment) -> dict[str, list[Setting]]:
  """Per verifier what it guides."""
  config, main = experiment.search, verifiers.main(experiment)
  few = min(config.deep_questions, config.questions) or config.questions
  found = {main: searches(experiment)} | {
      guide: [Setting(strategy, few, shown=False) for strategy in plain(config)]
      for guide in verifiers.beside(experiment)}
  return {name: settings for name, settings in found.items()
          if experiment.models[verifiers.model_of(name)].enabled}


def guided(experiment: Experiment, steps: float) -> dict[str, float]:
  """Per verifier the generations that searches write for it, of solutions of so many steps."""
  return {name: sum(how.questions * written(how.strategy, steps) for how in settings)
          for name, settings in by_guide(experiment).items()}
