"""Stage `revise`: chains of revisions on the reported questions, and the control's answers.

Records: `revise/<pool>`. Every split of a budget into p chains of s answers, and every way to
choose among these, is computed from the pools.
"""

from __future__ import annotations

from tts.runs import blocks as blocks_lib
from tts.runs.models_at_work import Workers
from tts.runs.run import Run
from tts.stages import chain_pool, proposal, search as search_lib
from tts.types import InputError


def run_revise(run: Run) -> int | bool:
  """Every pool that the revision study is made of; how much of it was there already."""
  config, search = run.experiment.revision, run.experiment.search
  if not run.has_model('revision'):
    raise InputError(f'{run.model_folder("revision")} is missing: run launch.train_revision first')
  works, workers = [], Workers(run)

  def chained(pair: tuple[int, int], model: str, verifiers: tuple[str, ...] = ()) -> None:
    blocks, mark = search_lib.questions(run, search_lib.block_size(search, pair[0]), config.asked)
    works.append(chain_pool.work(workers, 'revise', blocks, mark, chain_pool.strategy(*pair),
                                 stream='test', split=search.split, model=model,
                                 verifiers=verifiers))

  for pair in config.chains:
    chained(pair, 'revision', (run.main, 'revision_orm', 'revision_orm_alone'))
  for answers, budget in config.searched if run.has_model(run.main) else ():
    how = proposal.strategy(answers, budget)
    blocks, mark = search_lib.questions(
        run, search_lib.block_size(search, how.num_candidates), config.asked)
    works.append(proposal.work(workers, blocks, mark, how, search.split))
  if run.has_model('revision_restem'):
    chained(max(config.chains, key=lambda pair: pair[1]), 'revision_restem')
  if run.has_model('revision_control'):
    num = max(chains * length for chains, length in config.chains)
    blocks, mark = search_lib.questions(run, search_lib.block_size(search, num), config.asked)
    works.append(search_lib.pool_work(
        workers, 'revise', blocks, mark, model='revision_control', stream='test', num=num,
        sampling=run.experiment.sampling, split=search.split,
        verifiers=(run.main, 'control_orm')))
  return blocks_lib.run(run.workdir, works, run.mesh)
