"""Pools of chains of revisions: every question's chains, judged, as records."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from tts.revision import pool as pool_lib
from tts.stages import blocks as blocks_lib
from tts.stages import programs, rows as rows_lib, scoring
from tts.stages import search as search_lib
from tts.stages.blocks import Block, Work
from tts.stages.context import Model, Run
from tts.stages.workdir import fingerprint
from tts.types import Strategy

_FORMAT = 1  # of rows; files of another one are made anew


def strategy(chains: int, length: int) -> Strategy:
  return Strategy('chains', chains * length, chain_length=length)


def sampler(run: Run, model: Model, stream: str, blocks: list[Block],
            how: Strategy) -> blocks_lib.OnBlocks:
  """A function from blocks to chains: per block, per problem, per chain its answers."""
  num, size = how.budget // how.chain_length, len(blocks[0].valid)
  program = search_lib.cached_program(
      programs.chain_step, run.mesh, model.arch, seed=run.seed, stream=stream,
      length=how.chain_length, sampling=run.experiment.sampling, limits=run.limits)
  slots = np.broadcast_to(np.arange(num, dtype=np.int32), (size, num))
  inputs = lambda b: (b.prefix, b.prefix_len, b.words, slots, b.valid)
  return blocks_lib.OnBlocks(program, model.params, inputs, pool_lib.collect, run.groups)


def work(run: Run, stage: str, blocks: list[Block], mark: str, how: Strategy, *, stream: str,
         split: str, model: str = 'revision', verifiers: tuple[str, ...] = ()) -> Work:
  """Chains of a model for every question, scored by the verifiers that there are."""
  writer = run.model(model)
  sample = sampler(run, writer, stream, blocks, how)
  judges = [run.model(v) for v in verifiers if run.has_model(v)]
  score = [scoring.scorer(run, judge, history=judge.name == 'revision_orm') for judge in judges]

  table = functools.partial(rows_lib.chain_table, run, strategy=how, stream=stream, model=model,
                            split=split)
  mark = fingerprint(mark, writer.mark, dataclasses.asdict(run.experiment.sampling), stream,
                     how.name, run.seed, [judge.mark for judge in judges], _FORMAT,
                     *scoring.layout(run, verifiers))
  return Work(search_lib.pool_folder(stage, model, how), mark, blocks,
              scoring.judged(sample, table, score),
              {'strategy': how.method, 'budget': how.budget, 'theta': how.theta,
               'model': model, 'stream': stream}, sample, run.experiment.data.grader)
