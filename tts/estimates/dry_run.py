"""`--dry_run`: what each stage would generate and cost, before anything is run."""

from __future__ import annotations

from collections.abc import Collection
import dataclasses

import numpy as np

from tts.config import Experiment
from tts.data import problems as problems_lib
from tts.estimates import calibrate, device_programs
from tts.estimates.cost import Cost, Lengths
from tts.stages import graph

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
  most = device_programs.most(experiment)
  return [dataclasses.replace(cost, memory=most.get(cost.stage, 0))
          for cost in graph.costs(experiment, lengths or _lengths(experiment))]


def duration(seconds: float) -> str:
  """In the largest unit that there are two of: `90 s`, `25 min`, `31 h`, `12 days`."""
  unit, size = next((u, s) for u, s in (('days', 86_400), ('h', 3600), ('min', 60), ('s', 1))
                    if seconds >= 2 * s or s == 1)
  return f'{seconds / size:,.0f} {unit}'


def table(experiment: Experiment, stages: Collection[str] | None = None,
          timed: bool = True, done: Collection[str] = ()) -> str:
  """The plan as text, a line a stage, and what it goes by; columns are as wide as what is in them.

  Args:
    experiment: what is planned.
    stages: those that will be run; None for all.
    timed: whether it is to run here, so that this machine is asked how long it will take.
    done: stages whose results are there already.
  """
  given = timed and experiment.models['base'].checkpoint
  lengths = (calibrate.sampled if given else _lengths)(experiment)
  speeds = calibrate.speeds(experiment, lengths) if timed else None
  lines = [('stage', 'generations', 'tokens', 'GFLOP', 'MB/device', 'about')]
  for c in costs(experiment, lengths):
    if stages is not None and c.stage not in stages:
      continue
    time = 'done' if c.stage in done else duration(speeds.seconds(c.spent)) if speeds else '?'
    lines.append((c.stage, f'{c.generations:,}', f'{c.tokens:,}', f'{c.flops / 1e9:,.1f}',
                  f'{c.memory / 1e6:,.1f}', time))
  first, *others = (max(map(len, column)) for column in zip(*lines))
  rows = ['  '.join([f'{stage:<{first}}', *(f'{v:>{w}}' for v, w in zip(values, others))])
          for stage, *values in lines]
  return '\n'.join([*rows, _assumed(lengths, 'some samples' if given else 'the data')])


def _assumed(lengths: Lengths, source: str) -> str:
  """What the plan goes by, in a line."""
  same = f' ({lengths.shared:.0f} of them the same)' if lengths.shared else ''
  return (f'by {source}: prompts of {lengths.prompt:.0f} tokens{same}, solutions of '
          f'{lengths.solution:.0f} in {lengths.steps:.1f} steps. Every text counts, and equal ones '
          'are computed once: where solutions are short it takes less, down to a third. Compiling '
          'is not in it')
