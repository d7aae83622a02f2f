"""Labelled steps per second: the label factory against rolling out every step by itself.

  python -m benchmarks.labels --config=configs/quickstart.py --workdir=W

W holds a trained base model; nothing is written. One block of the config's questions, one device
group. Naive use of the same programs: every rollout reads its whole prefix, nothing is shared, and
as many as there are lanes begin together and wait for the longest. Such batches are all alike, so
that a few of them, spread over the block, stand for all. The bound is what the ratio would be if
every token took the same time: tokens that were computed, padding too.
"""

from __future__ import annotations

import copy
import dataclasses
import time

import numpy as np

from launch import experiment as experiment_lib
from tts import answers
from tts.config import Experiment
from tts.engine.program import Program
from tts.engine.reader import Read
from tts.runs import blocks as blocks_lib, models_at_work
from tts.runs.models_at_work import Workers
from tts.runs.run import Run
from tts.runs.workdir import Workdir
from tts.sampling import pool as pool_lib
from tts.sampling.logits import SamplingConfig
from tts.stages import labels, rollouts, search

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

  def __init__(self, run: Run, block: blocks_lib.Block, table: list[list[dict]],
               sampling: SamplingConfig):
    config = run.experiment.labels
    self._run, self._block, self.workers = run, block, Workers(run)
    self._roll_out = rollouts.roller(self.workers, sampling)
    self._generator = self.workers.generator('base', sampling)
    self._jobs = [(s, i, j) for s in labels.solutions(block, copy.deepcopy(table))
                  for i in range(len(s.row['step_ends']) - 1) for j in range(config.rollouts)]
    self.steps = len(self._jobs) // config.rollouts
    self._size = self._generator.writer.lanes
    self.num_batches = -(-len(self._jobs) // self._size)

  def factory(self, table: list[list[dict]]) -> list[dict]:
    """Labels the samples of `table`, whose rows it changes."""
    found = labels.solutions(self._block, table)
    self._roll_out([self._block], [found])
    return [labels.labelled(s) for s in found]

  def naive(self, number: int) -> int:
    """One full batch from somewhere in the block; how many of its rollouts are right."""
    first = number * max(0, len(self._jobs) - self._size) // max(1, self.num_batches - 1)
    batch, generator = self._jobs[first:first + self._size], self._generator
    keys = models_at_work.keys(
        self._run.seed, 'rollout', np.array([s.words for s, *_ in batch]),
        np.array([[[s.row['slot'], step, rollout]] for s, step, rollout in batch], np.int32))[:, 0]

    async def continued(place: int, group: int) -> pool_lib.Sample:
      solution, step, _ = batch[place]
      tokens = [*solution.prompt, *solution.prefix(step)]
      node = (await Read(generator.reader, group, None, tokens)).node
      sample = await pool_lib.draw(generator, group, node, keys[place])
      generator.release(group, node)
      return sample

    samples = self.workers.on_items(range(len(batch)), continued, [generator], 1)
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
  sample = search.sampler(Workers(first), 'base', 'train_pool', config.samples, sampling)
  table = labels.sample_rows(first, block, sample([block])[0])
  rows, of_samples = [], []
  for num in _ROLLOUTS:
    setting = _Setting(run(rollouts=num), block, table, sampling)
    places = np.linspace(0, setting.num_batches - 1, _NAIVE_BATCHES * _REPEATS).astype(int)
    # The first time of each is not timed: it compiles.
    factory = _computed(setting, setting.factory, copy.deepcopy(table))
    naive = np.mean([_computed(setting, setting.naive, i) for i in places[::_REPEATS]])
    rows.append((num, setting, places, setting.num_batches * naive / factory, []))
  for repeat in range(_REPEATS):
    of_samples.append(_seconds(lambda: labels.sample_rows(first, block, sample([block])[0])))
    for _, setting, places, _, times in rows:
      naive = np.mean([_seconds(setting.naive, i) for i in places[repeat::_REPEATS]])
      times.append((_seconds(setting.factory, copy.deepcopy(table)),
                    naive * setting.num_batches))
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
