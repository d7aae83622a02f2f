"""Stage `budget_forcing`: the reported questions answered by a base that thinks for so long.

Records: `budget_forcing/budget_forcing-thinking_tokens<cap>-waits<k>-n<samples>`. A stage of a
config that has caps; the curve of accuracy against thinking tokens is computed from these.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
import dataclasses

from tts import rng
from tts.budget_forcing_config import BudgetForcing
from tts.config import Experiment
from tts.estimates import cost as costs
from tts.estimates.cost import Cost, Lengths
from tts.estimates.uses import Texts, Use
from tts.runs import verifiers
from tts.runs.blocks import Block
from tts.runs.models_at_work import PerQuestion, Workers
from tts.runs.record_rows import Rows
from tts.runs.run import Run
from tts.runs.work import Work
from tts.runs.workdir import fingerprint
from tts.sampling import budget_forcing
from tts.sampling.pool import Sample
from tts.stages import sample_pool, scoring, search as search_lib
from tts.stages.stage import Stage

_FORMAT = 1  # of rows; files of another one are made anew
_WHERE = 'config.budget_forcing'


def work(workers: Workers, blocks: list[Block], mark: str, how: BudgetForcing,
         samples: int) -> Work:
  """So many solutions of every question, scored by the main verifier where there is one."""
  run, e = workers.run, workers.run.experiment
  forcing, sampling = how.forcing(run.prompts, run.limits, _WHERE), e.sampling.to_learn_from()
  generator, strategy = workers.generator('base', sampling), how.strategy(samples)
  judges = [run.main] if run.has_model(run.main) else []

  def of(block: Block) -> Callable[[int, int], Coroutine]:
    keys = rng.slot_keys(run.seed, 'test', block.words, range(samples))
    return lambda b, group: budget_forcing.samples(generator, group, block.prompts[b], keys[b],
                                                   forcing)

  def rows(block: Block, b: int, found: list[Sample]) -> Rows:
    return run.rows.sample_rows(block, b, found, strategy, stream='test', model='base',
                                split=e.search.split)

  mark = fingerprint(mark, run.model('base').mark, sampling, dataclasses.astuple(how), samples,
                     run.seed, [run.model(v).mark for v in judges], _FORMAT,
                     *scoring.layout(run, judges))
  return Work(sample_pool.folder('budget_forcing', 'base', strategy), mark, blocks,
              scoring.judged(PerQuestion(of, [generator], samples), rows,
                             [scoring.Scorer(workers, v) for v in judges]), run.rows.grade,
              {'strategy': strategy.method, 'budget': samples, 'theta': strategy.theta,
               'model': 'base', 'stream': 'test'}, workers, e.data.grader)


def works(run: Run) -> Iterator[list[Work]]:
  """Every pair of a cap and a number of waits."""
  e, config, workers = run.experiment, run.experiment.budget_forcing, Workers(run)
  blocks, mark = search_lib.questions(
      run, search_lib.block_size(e.search, config.samples), _asked(e))
  yield [work(workers, blocks, mark, how, config.samples) for how in config.settings()]


def _asked(e: Experiment) -> int:
  return min(e.budget_forcing.questions, e.search.questions)


def stage(e: Experiment) -> Stage:
  """Stage `budget_forcing`."""
  config, texts, main = e.budget_forcing, Texts(e), verifiers.main(e)

  def uses() -> Iterator[Use]:
    # An id is a byte of the lead-in at least.
    thought = max(config.thinking_tokens) + len(config.lead_in.encode())
    yield texts.forced('budget_forcing', 'base', config.samples, thought, max(config.waits))
    yield texts.scores('budget_forcing', main, config.samples)

  def cost(lengths: Lengths) -> Cost:
    """Of solutions as long as others: what they think is not known before."""
    count = _asked(e) * config.samples * len(config.settings())
    return costs.generating('budget_forcing', count, lengths,
                            costs.solutions(e, 'base', count, lengths),
                            costs.solutions(e, main, count, lengths))

  return Stage('budget_forcing', 'search', works, uses=uses, cost=cost, reported=True)
