"""Stage `revise`: chains of revisions on the reported questions, and the control's answers.

Records: `revise/<pool>`. Every split of a budget into p chains of s answers, and every way to
choose among these, is computed from the pools.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tts.revision import pool as pool_lib
from tts.stages import blocks as blocks_lib
from tts.stages import programs, rows as rows_lib, scoring
from tts.stages import search as search_lib
from tts.stages.blocks import Block, Work
from tts.stages.context import Model, Run
from tts.stages.workdir import fingerprint
from tts.types import InputError, Strategy

_FORMAT = 1  # of rows; files of another one are made anew


def chain_strategy(chains: int, length: int) -> Strategy:
  return Strategy('chains', chains * length, chain_length=length)


def sampler(run: Run, model: Model, stream: str, blocks: list[Block],
            strategy: Strategy) -> blocks_lib.OnBlocks:
  """A function from blocks to chains: per block, per problem, per chain its answers."""
  num, size = strategy.budget // strategy.chain_length, len(blocks[0].valid)
  program = blocks_lib.Program(
      programs.chain_step(model.arch, seed=run.seed, stream=stream, length=strategy.chain_length,
                          sampling=run.experiment.sampling, limits=run.limits), run.mesh)
  slots = np.broadcast_to(np.arange(num, dtype=np.int32), (size, num))
  inputs = lambda b: (b.prefix, b.prefix_len, b.words, slots, b.valid)
  return blocks_lib.OnBlocks(program, model.params, inputs, pool_lib.collect, run.groups)


def chain_work(run: Run, stage: str, blocks: list[Block], mark: str, strategy: Strategy, *,
               stream: str, split: str, model: str = 'revision',
               verifiers: tuple[str, ...] = ()) -> Work:
  """Chains of a model for every question, scored by the verifiers that there are."""
  writer = run.model(model)
  sample = sampler(run, writer, stream, blocks, strategy)
  judges = [run.model(v) for v in verifiers if run.has_model(v)]
  score = [scoring.scorer(run, judge, history=judge.name == 'revision_orm') for judge in judges]

  def compute(group: list[Block]) -> list[list[dict]]:
    tables = [rows_lib.chain_table(run, block, chains, strategy, stream=stream, model=model,
                                   split=split)
              for block, chains in zip(group, sample(group))]
    for add in score:
      add(group, tables)
    return [[row for of_problem in table for row in of_problem] for table in tables]

  mark = fingerprint(mark, writer.mark, dataclasses.asdict(run.experiment.sampling), stream,
                     strategy.name, run.seed, [judge.mark for judge in judges], _FORMAT)
  return Work(search_lib.pool_folder(stage, model, strategy), mark, blocks, compute,
              {'strategy': strategy.method, 'budget': strategy.budget, 'theta': strategy.theta,
               'model': model, 'stream': stream}, sample)


def run_revise(run: Run) -> int | bool:
  """Every pool that the revision study is made of; how much of it was there already."""
  config, search = run.experiment.revision, run.experiment.search
  if not config.enabled:
    return True
  if not run.has_model('revision'):
    raise InputError(f'{run.model_folder("revision")} is missing: run launch.train_revision first')
  works = []

  def chained(pair: tuple[int, int], model: str, verifiers: tuple[str, ...] = ()) -> None:
    blocks, mark = search_lib.questions(run, search_lib.block_size(search, pair[0]), config.asked)
    works.append(chain_work(run, 'revise', blocks, mark, chain_strategy(*pair), stream='test',
                            split=search.split, model=model, verifiers=verifiers))

  for pair in config.chains:
    chained(pair, 'revision', ('prm', 'revision_orm', 'revision_orm_alone'))
  if run.has_model('revision_restem'):
    chained(max(config.chains, key=lambda pair: pair[1]), 'revision_restem')
  if run.has_model('revision_control'):
    num = max(chains * length for chains, length in config.chains)
    blocks, mark = search_lib.questions(run, search_lib.block_size(search, num), config.asked)
    works.append(search_lib.pool_work(
        run, 'revise', blocks, mark, model='revision_control', stream='test', num=num,
        sampling=run.experiment.sampling, split=search.split, widest=search.block,
        verifiers=('prm', 'control_orm')))
  return blocks_lib.run(run.workdir, works, run.groups)
