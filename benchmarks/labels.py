"""Labelled steps per second: the label factory against rolling out every step by itself.

  python -m benchmarks.labels --config=configs/quickstart.py --workdir=W

W holds a trained base model; nothing is written. One block of the config's questions, one device
group. Naive use of the same programs: every rollout reads its whole prefix, nothing is shared, and
as many as there are lanes begin together and wait for the longest. Such batches are all alike, so
that a few of them, spread over the block, stand for all. The bound is what the ratio would be if
every token took the same time: tokens that were computed, padding too.
"""

from __future__ import annotations

import dataclasses
import functools
import time

import numpy as np

from launch import experiment as experiment_lib
from tts import answers
from tts.config import Experiment
from tts.engine import engine
from tts.engine.program import Program
from tts.engine.reader import Read
from tts.runs import blocks as blocks_lib
from tts.runs.blocks import Block
from tts.runs.models_at_work import PerQuestion, Workers
from tts.runs.run import Run
from tts.runs.workdir import Workdir
from tts.sampling import pool as pool_lib
from tts.sampling.logits import SamplingConfig
from tts.sampling.pool import Sample
from tts.stages import rollouts, sample_pool
from tts.types import Strategy

_ROLLOUTS = (1, 4, 16)
_REPEATS = 3
_NAIVE_BATCHES = 3  # timed in each repeat
_WANTED = 5.0


def _variant(experiment: Experiment, **changes) -> Experiment:
  return dataclasses.replace(
      experiment, mesh=dataclasses.replace(experiment.mesh, data=1),
      labels=dataclasses.replace(experiment.labels, **changes))


class _Setting:
  """One number of rollouts a step: the factory's and the naive way over the same solutions."""

  def __init__(self, run: Run, block: Block, samples: list[list[Sample]], sampling: SamplingConfig):
    config = run.experiment.labels
    self._run, self._block, self._samples, self.workers = run, block, samples, Workers(run)
    self._generator = self.workers.generator('base', sampling)
    self._keys = rollouts.all_keys(run, block)
    solutions = [s for b in range(len(samples)) for s in self._wanted(b)]
    self._jobs = [(s, i, j) for s in solutions
                  for i in range(len(s.row['step_ends']) - 1) for j in range(config.rollouts)]
    self.steps = len(self._jobs) // config.rollouts
    self._size = self._generator.writer.lanes
    self.num_batches = -(-len(self._jobs) // self._size)

  def _wanted(self, b: int) -> list[rollouts.Solution]:
    mine = self._samples[b]
    rows = self._run.rows.sample_rows(self._block, b, mine, Strategy('sample', len(mine)),
                                      stream='train_pool', model='base', split='verifier')
    self._run.rows.read(rows)
    return rollouts.wanted(self._block, b, rows)

  def factory(self) -> None:
    """Rolls out and grades the steps of all samples."""
    config = self._run.experiment.labels
    wanted = [self._wanted(b) for b in range(len(self._samples))]
    questions = PerQuestion(lambda block: lambda b, group: rollouts.roll_out(
        self._generator, group, wanted[b], self._keys[b]),
                            [self._generator], config.samples * config.rollouts)
    found, = self.workers.ask(questions, [self._block])
    rollouts.read(self._run, [s for of in wanted for s in of], [r for of in found for r in of])

  def naive(self, number: int) -> int:
    """One full batch from somewhere in the block; how many of its rollouts are right."""
    first = number * max(0, len(self._jobs) - self._size) // max(1, self.num_batches - 1)
    batch, generator = self._jobs[first:first + self._size], self._generator
    places = {problem.id: b for b, problem in enumerate(self._block.problems)}
    keys = [self._keys[places[s.problem.id], s.row['slot'], step, rollout]
            for s, step, rollout in batch]

    async def continued(place: int, group: int) -> Sample:
      solution, step, _ = batch[place]
      tokens = [*solution.prompt, *solution.prefix(step)]
      node = (await Read(generator.reader, group, None, tokens)).node
      sample = await pool_lib.draw(generator, group, node, keys[place])
      generator.release(group, node)
      return sample

    samples = engine.run([functools.partial(continued, i) for i in range(len(batch))], [generator],
                         generator.shape.in_flight(1))
    texts = self._run.tokenizer.decode_batch([s.tokens.tolist() for s in samples])
    finished = self._run.limits.roles.finished
    return sum(finished(s.tokens) and answers.is_correct(text, solution.problem.answer)
               for s, text, (solution, *_) in zip(samples, texts, batch))


def _seconds(function, *args) -> float:
  """Of a call, without compiling."""
  begun = time.monotonic() - Program.compile_seconds
  function(*args)
  return time.monotonic() - Program.compile_seconds - begun


def _computed(setting: _Setting, function, *args) -> int:
  """Tokens that the base model computes in a call."""
  before = setting.workers.computed()
  function(*args)
  return setting.workers.computed()['base', 'computed'] - before['base', 'computed']


def main(experiment: Experiment, workdir: str) -> None:
  config, limits = experiment.labels, experiment.limits
  run = lambda **changes: Run(_variant(experiment, questions=config.block, **changes),
                              Workdir(workdir), experiment.seeds[0])
  first = run()
  block, = blocks_lib.cut(first.problems('verifier', config.block), first.prompts,
                          limits.max_prompt_tokens, config.block)
  sampling = dataclasses.replace(experiment.sampling, temperature=config.temperature)
  workers = Workers(first)
  sampler = sample_pool.sampler(workers, 'base', 'train_pool', config.samples, sampling)
  sample = lambda: workers.ask(sampler, [block])[0]
  samples = sample()
  rows, of_samples = [], []
  for num in _ROLLOUTS:
    setting = _Setting(run(rollouts=num), block, samples, sampling)
    places = np.linspace(0, setting.num_batches - 1, _NAIVE_BATCHES * _REPEATS).astype(int)
    # The first time of each is not timed: it compiles.
    factory = _computed(setting, setting.factory)
    naive = np.mean([_computed(setting, setting.naive, i) for i in places[::_REPEATS]])
    rows.append((num, setting, places, setting.num_batches * naive / factory, []))
  for repeat in range(_REPEATS):
    of_samples.append(_seconds(sample))
    for _, setting, places, _, times in rows:
      naive = np.mean([_seconds(setting.naive, i) for i in places[repeat::_REPEATS]])
      times.append((_seconds(setting.factory), naive * setting.num_batches))
  plain = float(np.median(of_samples))
  print(f'{config.block} questions, {config.samples} samples each; sampling them: {plain:.2f} s. '
        f'Steps per second, median of {_REPEATS}.')
  print(f'{"rollouts":>8} {"steps":>7} {"factory/s":>10} {"naive/s":>9} {"ratio":>7} '
        f'{"least, most":>13} {"bound":>7} {"with sampling":>14}')
  for num, setting, _, bound, times in rows:
    factory, naive = np.median(times, axis=0)
    ratios = [n / f for f, n in times]
    print(f'{num:>8} {setting.steps:>7,} {setting.steps / factory:>10,.0f} '
          f'{setting.steps / naive:>9,.0f} {naive / factory:>6.1f}x '
          f'{min(ratios):>6.1f},{max(ratios):>5.1f}x {bound:>6.1f}x '
          f'{(naive + plain) / (factory + plain):>13.1f}x'
          f'{"" if naive / factory >= _WANTED else f"  below {_WANTED:g}x"}')


if __name__ == '__main__':
  with experiment_lib.opened() as (experiment, workdir):
    main(experiment, workdir)
