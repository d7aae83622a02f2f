"""Stage `revise`: chains of revisions on the reported questions, and the control's answers.

Records: `revise/<pool>`. Every split of a budget into p chains of s answers, and every way to
choose among these, is computed from the pools.
"""

from __future__ import annotations

from collections.abc import Iterator

from tts.config import Experiment
from tts.estimates import cost as costs
from tts.estimates.cost import Cost, Lengths
from tts.estimates.uses import Texts, Use
from tts.revision.trajectories import MAX_CONTEXT
from tts.runs import verifiers
from tts.runs.models_at_work import Workers
from tts.runs.run import Run
from tts.runs.work import Work
from tts.stages import chain_pool, proposal, sample_pool, search as search_lib
from tts.stages.stage import Stage
from tts.types import InputError


def works(run: Run) -> Iterator[list[Work]]:
  """Every pool that the revision study is made of."""
  config, search = run.experiment.revision, run.experiment.search
  if not run.has_model('revision'):
    raise InputError(f'{run.model_folder("revision")} is missing: run launch.train_revision first')
  workers = Workers(run)
  made: list[Work] = []

  def chained(pair: tuple[int, int], model: str, judges: tuple[str, ...] = ()) -> None:
    blocks, mark = search_lib.questions(run, search_lib.block_size(search, pair[0]), config.asked)
    made.append(chain_pool.work(workers, 'revise', blocks, mark, chain_pool.strategy(*pair),
                                 stream='test', split=search.split, model=model,
                                 judges=judges))

  for pair in config.chains:
    chained(pair, 'revision', (run.main, 'revision_orm', 'revision_orm_alone'))
  guided = run.has_model(run.main) and verifiers.reads(run.experiment, run.main, 'revision')
  for answers, budget in config.searched if guided else ():
    how = proposal.strategy(answers, budget)
    blocks, mark = search_lib.questions(
        run, search_lib.block_size(search, how.num_candidates), config.asked)
    made.append(proposal.work(workers, blocks, mark, how, search.split))
  if run.has_model('revision_restem'):
    chained(max(config.chains, key=lambda pair: pair[1]), 'revision_restem')
  if run.has_model('revision_control'):
    num = max(chains * length for chains, length in config.chains)
    blocks, mark = search_lib.questions(run, search_lib.block_size(search, num), config.asked)
    made.append(sample_pool.work(
        workers, 'revise', blocks, mark, model='revision_control', stream='test', num=num,
        sampling=run.experiment.sampling, split=search.split,
        judges=(run.main, 'control_orm')))
  yield made


def stage(e: Experiment) -> Stage:
  """Stage `revise`."""
  config, texts, main = e.revision, Texts(e), verifiers.main(e)
  most = max(chains * length for chains, length in config.chains)
  enabled = lambda name: e.models[verifiers.model_of(name)].enabled
  guided = verifiers.reads(e, main, 'revision')  # what the revision model writes
  searched = config.searched if guided and enabled(main) else ()
  judges = (main,) if guided else ()

  def uses() -> Iterator[Use]:
    for chains, length in config.chains:
      yield texts.chained('revise', 'revision', chains)
      for name in (*judges, 'revision_orm_alone'):
        yield texts.scores('revise', name, chains * length)
      yield texts.scores('revise', 'revision_orm', chains * length, texts.told)
    for answers, budget in config.searched:
      yield texts.chained('revise', 'revision', 1)
      if searched:
        yield from texts.searches('revise', 'revision', main, proposal.strategy(answers, budget),
                                  texts.told)
    longest = max(config.chains, key=lambda pair: pair[1])
    yield texts.chained('revise', 'revision_restem', longest[0])
    yield texts.samples('revise', 'revision_control', [most])
    for name in (*judges, 'control_orm'):
      yield texts.scores('revise', name, most)

  def cost(lengths: Lengths) -> Cost:
    solutions = lambda name, count: costs.solutions(e, name, count, lengths)
    answers = sum(chains * length for chains, length in config.chains)
    control = most if enabled('revision_control') else 0
    written = chain_pool.flops(e, 'revision', config.chains, lengths)
    written += solutions('revision_control', control)
    read = _read_with_history(e, lengths) if enabled('revision_orm') else 0.0
    # Without an answer's history.
    read += sum(solutions(name, answers) for name in (*judges, 'revision_orm_alone'))
    read += sum(solutions(name, control) for name in ('control_orm', *judges))
    for k, budget in searched:
      written += chain_pool.flops(e, 'revision', [(1, k)], lengths)
      kept, context = budget - k, min(k, MAX_CONTEXT) * lengths.text
      written += costs.read(e, 'revision', context + kept * lengths.solution,
                            lengths.prompt + context)
      read += solutions(main, kept)
    generations = answers + control + sum(budget for _, budget in searched)
    return costs.generating('revise', config.asked * generations, lengths, config.asked * written,
                            config.asked * read)

  return Stage('revise', 'revise', works, uses=uses, cost=cost, reported=True)


def _read_with_history(e: Experiment, lengths: Lengths) -> float:
  """FLOPs of reading a question's chains, each answer with those before it in its context."""
  spent = 0.0
  for chains, length in e.revision.chains:
    for t in range(length):
      tokens = min(t, MAX_CONTEXT) * lengths.text + lengths.solution
      spent += chains * costs.read(e, 'revision_orm', tokens, (tokens + lengths.prompt) / 2)
  return spent
