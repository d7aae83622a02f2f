"""Labelled steps per second: the label factory against rolling out every step by itself.

  python -m benchmarks.labels --config=configs/quickstart.py --workdir=W

W holds a trained base model; nothing is written. One block of the config's questions, one device
group. Naive use of the same kernels: every rollout is a row with its whole prefix prefilled,
nothing is shared or merged or refilled, a batch waits for its longest row. Its batches are all
alike, so that a few of them, spread over the block, stand for all. The bound is what the ratio
would be at equal FLOP/s: token-FLOPs of every row and column that was computed, padding too.
"""

from __future__ import annotations

import copy
import dataclasses
import time
from unittest import mock

import numpy as np

from launch import experiment as experiment_lib
from tts.config import Experiment
from tts import answers
from tts.eval import flops
from tts.sampling import pool as pool_lib
from tts.stages import blocks as blocks_lib, labels, programs, rollouts, search
from tts.stages.context import Run
from tts.stages.workdir import Workdir

_ROLLOUTS = (1, 4, 16)
_REPEATS = 3
_NAIVE_BATCHES = 3  # timed in each repeat
_WANTED = 5.0


def _variant(experiment: Experiment, **changes) -> Experiment:
  return dataclasses.replace(
      experiment, mesh=dataclasses.replace(experiment.mesh, data=1),
      labels=dataclasses.replace(experiment.labels, **changes))


class _Flops:
  """Stands in for `blocks.on_groups` and counts what the calls compute."""

  def __init__(self, run: Run, arch: dict):
    self._run, self._arch, self._call = run, arch, blocks_lib.on_groups
    self.total = 0

  def __call__(self, program, shared, inputs, groups):
    logs = self._call(program, shared, inputs, groups)
    (size, width), arch = inputs[0][0].shape, self._arch
    token, key = flops.per_token(arch), flops.per_key(arch)
    job = logs[0].job
    rows = int((job >= 0).any(axis=(1, 2)).sum()) * job.shape[1] * job.shape[2]
    columns = width + self._run.limits.max_tokens
    self.total += size * width * (token + width * key)
    self.total += rows * (token + columns * key + flops.per_output(arch, 'lm'))
    return logs


class _Setting:
  """One number of rollouts a step: the factory's and the naive way over the same solutions."""

  def __init__(self, run: Run, block: blocks_lib.Block, table: list[list[dict]]):
    config = run.experiment.labels
    self._run, self._block, self.base = run, block, run.model('base')
    sampling = dataclasses.replace(run.experiment.sampling, temperature=config.temperature)
    step = lambda slots: programs.sample_step(
        self.base.arch, seed=run.seed, stream='rollout', num_slots=slots, sampling=sampling,
        limits=run.limits)
    self._roll_out = rollouts.roller(run, step(rollouts.num_slots(config)), self.base.params)
    self._program = blocks_lib.Program(step(1), run.mesh)
    self._jobs = [(s, i, j) for s in labels.solutions(block, copy.deepcopy(table))
                  for i in range(len(s.row['step_ends']) - 1) for j in range(config.rollouts)]
    self.steps = len(self._jobs) // config.rollouts
    self._size = config.in_flight
    self.num_batches = -(-len(self._jobs) // self._size)

  def factory(self, table: list[list[dict]]) -> list[dict]:
    """Labels the samples of `table`, whose rows it changes."""
    found = labels.solutions(self._block, table)
    self._roll_out([found])
    return [labels.labelled(s) for s in found]

  def naive(self, number: int) -> int:
    """One full batch from somewhere in the block; how many of its rollouts are right."""
    first = number * (len(self._jobs) - self._size) // max(1, self.num_batches - 1)
    batch, limits = self._jobs[first:first + self._size], self._run.experiment.limits
    prefix = np.zeros((self._size, limits.max_prompt_tokens + limits.max_tokens), np.int32)
    lengths = np.ones((self._size, 1), np.int32)
    words, identity = np.zeros((self._size, 2), np.uint32), np.zeros((self._size, 1, 3), np.int32)
    for i, (solution, step, rollout) in enumerate(batch):
      text = [*solution.prompt, *solution.prefix(step)]
      lengths[i], words[i] = len(text), solution.words
      prefix[i, :len(text)] = text
      identity[i] = solution.row['slot'], step, rollout
    log, = blocks_lib.on_groups(
        self._program, self.base.params,
        [(prefix, lengths, words, identity, np.ones(self._size, np.int32))], 1)
    samples = [by_job[0] for by_job in pool_lib.collect(log)]
    texts = self._run.tokenizer.decode_batch([s.tokens.tolist() for s in samples])
    finished = self._run.limits.roles.finished
    return sum(finished(s.tokens) and answers.is_correct(text, solution.problem.answer)
               for s, text, (solution, *_) in zip(samples, texts, batch))


def _seconds(function, *args) -> float:
  """Of a call, without compiling."""
  begun = time.monotonic() - blocks_lib.Program.compile_seconds
  function(*args)
  return time.monotonic() - blocks_lib.Program.compile_seconds - begun


def _flops(setting: _Setting, run: Run, function, *args) -> int:
  counter = _Flops(run, dataclasses.asdict(setting.base.arch))
  with mock.patch.object(blocks_lib, 'on_groups', counter):
    function(*args)
  return counter.total


def main(experiment: Experiment, workdir: str) -> None:
  config, limits = experiment.labels, experiment.limits
  run = lambda **changes: Run(_variant(experiment, questions=config.block, **changes),
                              Workdir(workdir), experiment.seeds[0])
  first = run()
  base = first.model('base')
  block, = blocks_lib.cut(first.problems('verifier', config.block), first.prompts,
                          limits.max_prompt_tokens, config.block)
  sampling = dataclasses.replace(experiment.sampling, temperature=config.temperature)
  sample = search.sampler(first, base, 'train_pool', [block], config.samples, sampling)
  table = labels.sample_rows(first, block, sample([block])[0])
  rows, of_samples = [], []
  for num in _ROLLOUTS:
    setting_run = run(rollouts=num)
    setting = _Setting(setting_run, block, table)
    places = np.linspace(0, setting.num_batches - 1, _NAIVE_BATCHES * _REPEATS).astype(int)
    # The first time of each is not timed: it compiles.
    factory_flops = _flops(setting, setting_run, setting.factory, copy.deepcopy(table))
    naive_flops = _flops(setting, setting_run, setting.naive, 0)
    scale = setting.num_batches
    rows.append((num, setting, places, scale * naive_flops / factory_flops, []))
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
  experiment_lib.launch(main)
