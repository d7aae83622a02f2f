"""`--dry_run`: what each stage would generate and cost, before anything is run."""

from __future__ import annotations

from collections.abc import Collection
import dataclasses

import numpy as np

from tts.config import Experiment
from tts.data import problems as problems_lib
from tts.estimates import calibrate, cost, device_programs, dry_run_revisions
from tts.estimates.calibrate import Lengths
from tts.estimates.cost import Cost
from tts.eval.storage.runfiles import GENERATORS
from tts.eval.storage.samples import VERIFIERS
from tts.runs import verifiers
from tts.stages import strategies
from tts.types import Strategy

_SAMPLE = 200        # problems whose lengths stand for all


def _lengths(experiment: Experiment) -> Lengths:
  """By the data: mean characters, hence at most as many tokens."""
  data = experiment.data
  if data.test:
    problems = problems_lib.load_jsonl(data.test, graded=False)[:_SAMPLE]
  else:
    stream = problems_lib.draw(data, experiment.search.split)
    problems = [p for p, _ in zip(stream, range(_SAMPLE))]
  solution = [len(p.solution) + 1 for p in problems if p.solution]
  mean = float(np.mean(solution)) if solution else experiment.limits.max_tokens / 2
  return Lengths(float(np.mean([len(p.prompt) + 1 for p in problems])), mean,
                 max(1.0, mean / experiment.limits.max_step_tokens * 1.5))


def costs(experiment: Experiment, lengths: Lengths | None = None) -> list[Cost]:
  """The stages that compute, in order. Counts are expectations, not bounds.

  lengths: of prompts and solutions; None takes those of the data.
  """
  e = experiment
  lengths = lengths or _lengths(e)
  prompt, solution, steps = lengths.prompt, lengths.solution, lengths.steps
  text = prompt + solution
  main, trained = verifiers.main(e), [name for name in VERIFIERS if _enabled(e, name)]
  # Over that many solutions, by a generator or a verifier.
  read = lambda name, generations: cost.read(e, name, generations * solution, text * 0.75)

  rows = []
  for name in GENERATORS:
    config = getattr(e.models, name)
    if config.enabled and not config.checkpoint:
      rows.append(cost.training(e, name, [name]))
  labels = e.labels
  samples = labels.questions * labels.samples
  rollouts = samples * (steps - 1) * labels.rollouts
  generations = samples + rollouts / 2  # a rollout writes about half a solution
  rows.append(Cost('labels', int(samples + rollouts), int(generations * solution),
                   {'write': read('base', generations)}))
  rows.append(cost.training(e, 'verifiers', trained))
  if e.revision.enabled:
    rows += dry_run_revisions.training(e, prompt, solution)
  sampled, guided = search_generations(e, steps)
  judges = [*trained, *(name for name in verifiers.added(e) if _enabled(e, name))]
  scored = sum(read(name, sampled) for name in judges)
  scored += sum(read(guide, n) for guide, n in guided.items())
  written_ = read('base', sampled) + sum(read('base', n) for n in guided.values())
  larger = [name for name in GENERATORS[1:] if getattr(e.models, name).enabled]
  pool = e.search.questions * e.search.large_samples
  for name in larger:
    written_ += read(name, pool + e.search.questions)
    scored += read(main, pool) if main in judges else 0
  sampled_larger = len(larger) * (pool + e.search.questions)
  rows.append(_generating('search', sampled + sampled_larger + sum(guided.values()), solution,
                          written_, scored))
  pool = e.search.questions * e.difficulty.samples
  rows.append(_generating('difficulty', pool, solution, read('base', pool),
                          read(main, pool) if main in judges else 0.0))
  if e.revision.enabled:
    rows.append(dry_run_revisions.answering(e, prompt, solution))
  most = device_programs.most(e)
  return [dataclasses.replace(row, memory=most.get(row.stage, 0)) for row in rows]


def _enabled(e: Experiment, verifier: str) -> bool:
  return getattr(e.models, verifiers.model_of(verifier)).enabled


def written(strategy: Strategy, steps: float) -> float:
  """Generations that a search writes of a question whose solutions have so many steps, 1 or more.

  Its candidates, and with lookahead k steps more from the end of each step of theirs, or as many
  as the solution has left: less than the k solutions that it is charged.
  """
  ahead = min(strategy.lookahead or 0, steps)
  simulated = ahead * steps - ahead * (ahead + 1) / 2  # the sum of min(k, steps - s) over steps s
  return strategy.num_candidates * (1 + simulated / steps)


def search_generations(e: Experiment, steps: float) -> tuple[int, dict[str, float]]:
  """The base's independent samples of stage `search`; per guide the generations written for it.

  Args:
    e: the experiment.
    steps: of one solution.
  """
  config = e.search
  deep = min(config.deep_questions, config.questions)
  guided, main = {}, verifiers.main(e)
  if _enabled(e, main):
    guided[main] = sum(how.questions * written(how.strategy, steps)
                       for how in strategies.searches(e))
  for guide in verifiers.beside(e):
    if _enabled(e, guide):
      guided[guide] = (deep or config.questions) * sum(
          written(s, steps) for s in strategies.plain(config))
  return config.questions * (1 + config.pool) + deep * config.deep_pool, guided


def _generating(stage: str, generations: float, solution: float, written_: float,
                read: float) -> Cost:
  return Cost(stage, int(generations), int(generations * solution),
              {'write': written_, 'read': read})


def duration(seconds: float) -> str:
  """In the largest unit that there are two of: `90 s`, `25 min`, `31 h`, `12 days`."""
  unit, size = next((u, s) for u, s in (('days', 86_400), ('h', 3600), ('min', 60), ('s', 1))
                    if seconds >= 2 * s or s == 1)
  return f'{seconds / size:,.0f} {unit}'


def table(experiment: Experiment, stages: Collection[str] | None = None,
          timed: bool = True) -> str:
  """The plan as text, a line a stage; columns are as wide as what is in them.

  Args:
    experiment: what is planned.
    stages: those that will be run; None for all.
    timed: whether it is to run here, so that this machine is asked how long it will take.
  """
  given = timed and experiment.models.base.checkpoint
  lengths = (calibrate.sampled if given else _lengths)(experiment)
  speeds = calibrate.speeds(experiment, lengths) if timed else None
  lines = [('stage', 'generations', 'tokens', 'GFLOP', 'MB/device', 'about')]
  for c in costs(experiment, lengths):
    if stages is not None and c.stage not in stages:
      continue
    lines.append((c.stage, f'{c.generations:,}', f'{c.tokens:,}', f'{c.flops / 1e9:,.1f}',
                  f'{c.memory / 1e6:,.1f}', duration(speeds.seconds(c.spent)) if speeds else '?'))
  first, *others = (max(map(len, column)) for column in zip(*lines))
  return '\n'.join('  '.join([f'{stage:<{first}}', *(f'{v:>{w}}' for v, w in zip(values, others))])
                   for stage, *values in lines)
