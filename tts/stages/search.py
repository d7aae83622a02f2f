"""Stages `search` and `difficulty`: pools of independent samples, and searches."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import functools
import math
import pathlib
import re
from typing import Any

import numpy as np

from tts import hosts, parallel
from tts.eval.runfiles import GENERATORS
from tts.eval.samples import VERIFIERS
from tts.config import Experiment, SearchConfig
from tts.sampling import pool as pool_lib
from tts.sampling.logits import SamplingConfig
from tts.search.search import BeamConfig
from tts.search import methods, tree as tree_lib
from tts.stages import blocks as blocks_lib
from tts.stages import driven, probe, programs, rows as rows_lib, scoring, verifiers
from tts.stages.blocks import Block, Work
from tts.stages.context import Run
from tts.stages.workdir import fingerprint
from tts.types import InputError, Problem, Strategy, num_candidates

MAX_SLOTS = 16  # rows of one question in flight; a pool's other samples take their places
_FORMAT = 2  # of rows; files of another one are made anew


def beam_strategies(budgets: tuple[int, ...], widths: tuple[Any, ...],
                    method: str = 'beam') -> list[Strategy]:
  """The settings of a sweep; one that two rules share is there once."""
  found = {}
  for budget in budgets:
    for width in widths:
      strategy = Strategy(method, budget, beam_width=_width(width, budget, 'beam_widths'))
      found[strategy.name] = strategy
  return list(found.values())


def plain_strategies(config: SearchConfig) -> list[Strategy]:
  """What the other verifiers guide: the first width, where a choice is left to a verifier.

  They are ablations, and every setting is a program to compile.
  """
  return beam_strategies(tuple(b for b in config.budgets if b > 1), config.beam_widths[:1])


def lookahead_strategies(budgets: tuple[int, ...],
                         rules: tuple[tuple[int, Any], ...],
                         method: str = 'lookahead') -> list[Strategy]:
  """The same for lookahead: rules (k, M). M is of the N = B // (k + 1) candidates.

  A budget that has no candidate is left out.
  """
  found = {}
  for budget in budgets:
    for k, width in rules:
      num = num_candidates(method, budget, k)
      if num:
        strategy = Strategy(method, budget, _width(width, num, 'lookahead'), k)
        found[strategy.name] = strategy
  return list(found.values())


@dataclasses.dataclass(frozen=True)
class Search:
  """A setting, run on the first so many questions; where `shown`, some trees are kept."""

  strategy: Strategy
  questions: int
  shown: bool


def searches(experiment: Experiment) -> list[Search]:
  """What the main verifier guides: our own strategies and those of the config's plugins."""
  config, found = experiment.search, []
  few = lambda count: min(count, config.questions)
  for method in methods.METHODS.of(experiment.plugins).values():
    beams = lambda budgets: beam_strategies(budgets, config.beam_widths, method.name)
    sweeps = [(lookahead_strategies(config.lookahead_budgets, config.lookahead, method.name),
               few(config.lookahead_questions), True)] if method.lookahead else [
        (beams(config.budgets), config.questions, True),
        (beams(config.deep_budgets), few(config.deep_questions), False)]
    found += [Search(strategy, count, shown) for strategies, count, shown in sweeps if count
              for strategy in strategies]
  return found


def _width(rule: int | str, num: int, field: str) -> int:
  """M of `num` candidates by a rule."""
  if rule == 'sqrt':
    return 2 ** (int(math.log2(num)) // 2)
  if isinstance(rule, int) and rule > 0:
    return min(rule, num)
  raise InputError(f'config.search.{field} has {rule!r}: M is a number or "sqrt"')


@functools.cache
def cached_program(step: Any, mesh: Any, *arch: Any, **fixed: Any) -> blocks_lib.Program:
  """A compiled program, once for all that differ in weights alone."""
  return blocks_lib.Program(step(*arch, **fixed), mesh)


@functools.cache
def _driven(mesh: Any, *arch: Any, reader: Any, shape: tuple[int, int],
            **fixed: Any) -> driven.Driven:
  """The same of a search whose verifier has a tokenizer of its own. It has one `shape`."""
  del shape
  parts = programs.search_parts(*arch, width=reader.width, past=reader.past, **fixed)
  return driven.Driven(parts, mesh, reader, fixed['limits'].max_steps, fixed['config'].lookahead)


def sampler(run: Run, model: Any, stream: str, blocks: list[Block], num: int,
            sampling: SamplingConfig, max_slots: int = MAX_SLOTS,
            first: int = 0) -> blocks_lib.OnBlocks:
  """A function from blocks to samples of slots `first` and on: per block, per problem, a list."""
  size = len(blocks[0].valid)
  program = cached_program(programs.sample_step, run.mesh, model.arch, seed=run.seed,
                           stream=stream, num_slots=min(num, max_slots), sampling=sampling,
                           limits=run.limits)
  identity = np.broadcast_to(np.arange(first, first + num, dtype=np.int32)[:, None], (size, num, 1))

  def inputs(b: Block) -> tuple:
    return (b.prefix, np.repeat(b.prefix_len[:, None], num, 1), b.words, identity,
            np.where(b.valid, num, 0).astype(np.int32))

  return blocks_lib.OnBlocks(program, model.params, inputs, pool_lib.collect, run.groups)


def pool_folder(stage: str, model: str, strategy: Strategy) -> str:
  """Where a model's answers are, under `records/`."""
  return f'{stage}/{strategy.name}' if model == 'base' else f'{stage}/{model}-{strategy.name}'


def pool_work(run: Run, stage: str, blocks: list[Block], mark: str, *, model: str, stream: str,
              num: int, sampling: SamplingConfig, split: str, widest: int,
              verifiers: tuple[str, ...] = ()) -> Work:
  """A pool of `num` independent samples per question, scored by the verifiers that there are.

  A block of fewer than `widest` questions has as many rows in flight as one of so many.
  """
  greedy = sampling.temperature == 0
  strategy = Strategy('greedy' if greedy else 'sample', num)
  loaded = run.model(model)
  sample = sampler(run, loaded, stream, blocks, num, sampling,
                   MAX_SLOTS * widest // len(blocks[0].valid))
  score = [scoring.scorer(run, run.model(v)) for v in verifiers if run.has_model(v)]

  table = functools.partial(rows_lib.sample_table, run, strategy=strategy, stream=stream,
                            model=model, split=split)
  mark = fingerprint(mark, loaded.mark, dataclasses.asdict(sampling), stream, num, run.seed,
                     [run.model(v).mark for v in verifiers if run.has_model(v)], _FORMAT,
                     *scoring.layout(run, verifiers))
  return Work(pool_folder(stage, model, strategy), mark, blocks,
              scoring.judged(sample, table, score),
              {'strategy': strategy.method, 'budget': num, 'theta': strategy.theta,
               'model': model, 'stream': stream}, sample,
              run.experiment.data.grader if stage == 'search' else 'exact')


def searcher(run: Run, strategy: Strategy, verifier: str, stream: str, size: int,
             model: str = 'base') -> blocks_lib.OnBlocks:
  """A function from blocks of `size` problems to search trees: per block, per problem, one."""
  writer, guide = run.model(model), run.model(verifier)
  num = strategy.num_candidates
  made = (functools.partial(cached_program, programs.search_step) if guide.reader is None
          else functools.partial(_driven, reader=guide.reader, shape=(size, num)))
  program = made(run.mesh, writer.arch, guide.arch, seed=run.seed, stream=stream,
                 sampling=run.experiment.sampling, limits=run.limits, make=guide.make,
                 config=BeamConfig(num, strategy.beam_width, strategy.lookahead or 0),
                 priority=methods.METHODS[strategy.method].priority)
  slots = np.broadcast_to(np.arange(num, dtype=np.int32), (size, num))

  def inputs(b: Block) -> tuple:
    question = b.question if guide.reader is None else guide.reader.prompts(
        [p.prompt for p in b.problems], len(b.valid))
    return (b.prefix, b.prefix_len, b.words, slots, b.valid, *question)

  return blocks_lib.OnBlocks(program, (writer.params, guide.params), inputs, tree_lib.unroll,
                             run.groups)


def beam_work(run: Run, blocks: list[Block], mark: str, strategy: Strategy, *,
              verifier: str = 'prm', trees: bool = True) -> Work:
  """One setting of a search on every question, guided by a verifier."""
  config = run.experiment.search
  base, guide = run.model('base'), run.model(verifier)
  search = searcher(run, strategy, verifier, 'test', len(blocks[0].valid))
  trees &= strategy.num_candidates > 1 and parallel.is_first_of(run.mesh)
  shown = {p.id for p in _shown(run, blocks)} if trees else set()

  def compute(group: list[Block]) -> list[list[dict]]:
    results = []
    for block, found in zip(group, search(group)):
      rows = []
      for b, (problem, tree) in enumerate(zip(block.problems, found)):
        mine = rows_lib.tree_rows(run, problem, strategy, tree, verifier=verifier,
                                  split=config.split, stream='test',
                                  prompt_tokens=int(block.prefix_len[b]),
                                  own_prompt=guide.own_prompt(problem))
        rows += mine
        if problem.id in shown:
          page = rows_lib.tree_page(run, problem, strategy, tree, mine)
          run.workdir.write_json(f'trees/{_file_name(problem)}-{strategy.name}.json', page)
      results.append(rows)
    return results

  # The main verifier's trees are shown, so a search is made anew where that is another than was.
  usual = (verifier == run.main) == (verifier == 'prm')
  mark = fingerprint(mark, base.mark, guide.mark, dataclasses.asdict(run.experiment.sampling),
                     strategy.name, run.seed, _FORMAT, *methods.METHODS.mark(strategy.method),
                     *([] if usual else [run.main]))
  name = strategy.name if verifier == 'prm' else f'{verifier}-{strategy.name}'
  return Work(f'search/{name}', mark, blocks, compute,
              {'strategy': strategy.method, 'budget': strategy.budget,
               'theta': methods.theta(strategy), 'verifier': verifier}, search,
              run.experiment.data.grader)


def _shown(run: Run, blocks: list[Block]) -> list[Any]:
  """The questions whose trees are kept: evenly spaced over the blocks, so short and long."""
  problems = [p for block in blocks for p in block.problems]
  count = min(run.experiment.search.trees, len(problems))
  return [problems[(2 * i + 1) * len(problems) // (2 * count)] for i in range(count)]


def _file_name(problem: Problem) -> str:
  return re.sub(r'[^\w.-]', '_', problem.id)


def _forget_trees(run: Run, asked: Sequence[Problem]) -> None:
  """Removes the trees of questions that are not asked any more."""
  names = tuple(f'{_file_name(p)}-' for p in asked)
  for path in pathlib.Path(run.workdir.path('trees')).glob('*.json'):
    if not path.name.startswith(names):
      path.unlink()


def questions(run: Run, block: int, count: int | None = None) -> tuple[list[Block], str]:
  """The first `count` reported questions, or all, in blocks; and the fingerprint of these."""
  config, limits = run.experiment.search, run.experiment.limits
  problems = run.problems(config.split, config.questions if count is None else count)
  blocks = blocks_lib.cut(problems, run.prompts, limits.max_prompt_tokens, block)
  return blocks, fingerprint(run.data_mark(config.split), config.split, len(problems), block,
                             limits, run.tokenizer_mark())


def block_size(config: SearchConfig, num: int) -> int:
  """Questions of a block with `num` rows each: `block`, or as many as `max_rows` has room for."""
  return max(1, min(config.block, config.max_rows // num))


def run_search(run: Run) -> int:
  """Stage `search`: everything that the curves are made of."""
  config, sampling = run.experiment.search, run.experiment.sampling
  greedy = dataclasses.replace(sampling, temperature=0.0)
  asked = run.problems(config.split, config.questions)
  if hosts.is_first():
    run.workdir.write_json('questions.json', {
        p.id: {'prompt': p.prompt, 'answer': p.answer} for p in asked})
    _forget_trees(run, asked)
  works: list[Work] = []

  def pool(num: int, how: SamplingConfig, count: int | None = None, model: str = 'base',
           judges: tuple[str, ...] = ()) -> None:
    blocks, mark = questions(run, block_size(config, num), count)
    works.append(pool_work(run, 'search', blocks, mark, model=model, stream='test', num=num,
                           sampling=how, split=config.split, widest=config.block,
                           verifiers=judges))

  def search(verifier: str, how: Search) -> None:
    blocks, mark = questions(run, block_size(config, how.strategy.num_candidates), how.questions)
    works.append(beam_work(run, blocks, mark, how.strategy, verifier=verifier, trees=how.shown))

  pool(config.pool, sampling, judges=(*VERIFIERS, *verifiers.added(run.experiment)))
  pool(1, greedy)
  for name in filter(run.has_model, GENERATORS[1:]):
    pool(1, greedy, model=name)
    pool(config.large_samples, sampling, model=name, judges=(run.main,))
  deep = min(config.deep_questions, config.questions)
  if deep and config.deep_pool:
    pool(config.deep_pool, sampling, deep,
         judges=tuple(dict.fromkeys((run.main, 'prm', 'prm_plain', 'orm'))))
  if run.has_model(run.main):
    for how in searches(run.experiment):
      search(run.main, how)
  # Ablations: on fewer questions where there are many.
  for guide in filter(run.has_model, verifiers.beside(run.experiment)):
    for strategy in plain_strategies(config):
      search(guide, Search(strategy, deep or config.questions, shown=False))
  return blocks_lib.run(run.workdir, works, run.mesh)


def run_difficulty(run: Run) -> int:
  """Stage `difficulty`: the pool that bins are estimated from, and the probe."""
  config = run.experiment.difficulty
  blocks, mark = questions(run, config.block)
  work = pool_work(run, 'difficulty', blocks, mark, model='base', stream='difficulty',
                   num=config.samples, sampling=run.experiment.sampling,
                   split=run.experiment.search.split, widest=config.block, verifiers=(run.main,))
  reused = blocks_lib.run(run.workdir, [work], run.mesh)
  probe.run_probe(run)
  return reused
