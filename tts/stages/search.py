"""Stages `search` and `difficulty`: pools of independent samples, and searches."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
import dataclasses
import pathlib
import re
from typing import Any

from tts import hosts, methods, model_kinds, parallel, rng
from tts.config import Experiment, SearchConfig
from tts.estimates import cost as costs
from tts.estimates.cost import Cost, Lengths
from tts.estimates.uses import Texts, Use
from tts.library.tree_json import tree_page
from tts.model_kinds import MAIN
from tts.runs import blocks as blocks_lib, verifiers
from tts.runs.blocks import Block
from tts.runs.models_at_work import PerQuestion, Workers
from tts.runs.run import Run
from tts.runs.work import Work
from tts.runs.workdir import fingerprint
from tts.sampling.logits import SamplingConfig
from tts.searching.search import Question, same_ids, Search
from tts.searching.tree import Tree
from tts.stages import probe, sample_pool, strategies
from tts.stages.stage import Stage
from tts.types import Problem, Strategy

_FORMAT = 3  # of rows; files of another one are made anew


def searcher(workers: Workers, strategy: Strategy, verifier: str, stream: str,
             model: str = 'base') -> PerQuestion:
  """A question's search tree.

  Its coroutine takes a third argument: ids that are searched after, where those are not the
  question's alone.
  """
  run, num = workers.run, strategy.num_candidates
  judge = verifier if verifiers.is_latent(run.experiment, verifier) else None
  generator = workers.generator(model, run.experiment.sampling, judge)
  reading = None if judge else workers.verifier(verifier)
  reader = run.model(verifier).reader
  method = methods.of(strategy)
  rewrite = same_ids if reader is None else reader.search_step

  def of(block: Block) -> Callable[..., Coroutine]:
    # The method draws by the key of slot -1.
    keys = rng.slot_keys(run.seed, stream, block.words, range(-1, num))

    def question(b: int, group: int, prompt: list[int] | None = None) -> Coroutine:
      own = block.prompts[b] if reader is None else reader.prompt(block.problems[b].prompt)
      asked = Question(prompt or block.prompts[b], own, keys[b][1:], keys[b][0])
      return Search(generator, reading, asked, method, group, rewrite).run()

    return question

  return PerQuestion(of, [generator, *([reading] if reading else [])], num)


def search_work(workers: Workers, blocks: list[Block], mark: str, strategy: Strategy, *,
                verifier: str = MAIN, trees: bool = True) -> Work:
  """One setting of a search on every question, guided by a verifier."""
  run, config = workers.run, workers.run.experiment.search
  base, guide = run.model('base'), run.model(verifier)
  trees &= strategy.num_candidates > 1 and parallel.is_first_of(run.mesh)
  shown = {p.id for p in _shown(run, blocks)} if trees else set()

  def rows_of(block: Block, found: list[Tree]) -> list[dict]:
    rows = []
    for b, (problem, tree) in enumerate(zip(block.problems, found)):
      mine = run.rows.tree_rows(problem, strategy, tree, verifier=verifier,
                                split=config.split, stream='test',
                                prompt_tokens=len(block.prompts[b]),
                                own_prompt=guide.own_prompt(problem),
                                latent=verifiers.is_latent(run.experiment, verifier))
      rows += mine
      if problem.id in shown:
        page = tree_page(run.tokenizer, run.experiment.data.grader, problem, strategy, tree, mine)
        run.workdir.write_json(f'trees/{_file_name(problem)}-{strategy.name}.json', page)
    return rows

  # Trees of the main verifier's searches are shown. Its searches and those of the usual main one
  # are made anew where the config has another main verifier than before.
  usual = run.main == MAIN or verifier not in (run.main, MAIN)
  mark = fingerprint(mark, base.mark, guide.mark, run.experiment.sampling,
                     strategy.name, run.seed, _FORMAT, *methods.METHODS.mark(strategy.method),
                     *([] if usual else [run.main]))
  name = strategy.name if verifier == MAIN else f'{verifier}-{strategy.name}'
  return Work(f'search/{name}', mark, blocks, searcher(workers, strategy, verifier, 'test'),
              rows_of,
              {'strategy': strategy.method, 'budget': strategy.budget,
               'theta': strategy.theta, 'verifier': verifier}, workers,
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


def works(run: Run) -> Iterator[list[Work]]:
  """Everything that the curves are made of."""
  config, sampling = run.experiment.search, run.experiment.sampling
  greedy = dataclasses.replace(sampling, temperature=0.0)
  asked = run.problems(config.split, config.questions)
  if hosts.is_first():
    run.workdir.write_json('questions.json', {
        p.id: {'prompt': p.prompt, 'answer': p.answer} for p in asked})
    _forget_trees(run, asked)
  asked_for: list[Work] = []
  workers = Workers(run)

  def pool(num: int, how: SamplingConfig, count: int | None = None, model: str = 'base',
           judges: tuple[str, ...] = ()) -> None:
    blocks, mark = questions(run, block_size(config, num), count)
    asked_for.append(sample_pool.work(
        workers, 'search', blocks, mark, model=model, stream='test', num=num, sampling=how,
        split=config.split, judges=judges))

  def search(verifier: str, how: strategies.Setting) -> None:
    blocks, mark = questions(run, block_size(config, how.strategy.num_candidates), how.questions)
    asked_for.append(search_work(workers, blocks, mark, how.strategy, verifier=verifier,
                             trees=how.shown))

  pool(config.pool, sampling, judges=verifiers.every(run.experiment))
  # With a latent verifier one program writes all samples.
  main = (run.main,) if verifiers.is_latent(run.experiment, run.main) else ()
  pool(1, greedy, judges=main)
  for name in filter(run.has_model, _larger(run.experiment)):
    pool(1, greedy, model=name)
    pool(config.large_samples, sampling, model=name, judges=(run.main,))
  deep = min(config.deep_questions, config.questions)
  if deep and config.deep_pool:
    pool(config.deep_pool, sampling, deep,
         judges=tuple(dict.fromkeys((run.main, *_compared(run.experiment)))))
  if run.has_model(run.main):
    for how in strategies.searches(run.experiment):
      search(run.main, how)
  # Ablations: on fewer questions where there are many.
  for guide in filter(run.has_model, verifiers.beside(run.experiment)):
    for strategy in strategies.plain(config):
      search(guide, strategies.Setting(strategy, deep or config.questions, shown=False))
  yield asked_for


def difficulty_works(run: Run) -> Iterator[list[Work]]:
  """The pool that bins are estimated from."""
  config = run.experiment.difficulty
  blocks, mark = questions(run, config.block)
  yield [sample_pool.work(
      Workers(run), 'difficulty', blocks, mark, model='base', stream='difficulty',
      num=config.samples, sampling=run.experiment.sampling, split=run.experiment.search.split,
      judges=(run.main,))]


def _compared(e: Experiment) -> list[str]:
  """Verifiers that learn from the rollouts' solutions; one on more of them is left out."""
  return [name for name in model_kinds.verifiers(e.models.kinds)
          if e.models[name].learns != 'more_outcomes']


def _larger(e: Experiment) -> tuple[str, ...]:
  """Models that the base is compared with."""
  return model_kinds.generators(e.models.kinds)[1:]


def stage(e: Experiment) -> Stage:
  """Stage `search`."""
  config, texts, main = e.search, Texts(e), verifiers.main(e)
  enabled = lambda name: e.models[verifiers.model_of(name)].enabled
  # What reads the samples: a latent main verifier has scored them.
  others = [name for name in verifiers.every(e) if name != main or not verifiers.is_latent(e, name)]

  def uses() -> Iterator[Use]:
    pools = {1, config.pool, *([config.deep_pool] if config.deep_questions else [])} - {0}
    yield texts.samples('search', 'base', pools, judge=main)
    for name in _larger(e):
      yield texts.samples('search', name, {1, config.large_samples} - {0})
    for name in others:
      yield texts.scores('search', name, config.pool)
    for guide in filter(enabled, (main, *verifiers.beside(e))):
      for how in ([s.strategy for s in strategies.searches(e)] if guide == main
                  else strategies.plain(config)):
        yield from texts.searches('search', 'base', guide, how)

  def cost(lengths: Lengths) -> Cost:
    solutions = lambda name, count: costs.solutions(e, name, count, lengths)
    sampled, guided = strategies.sampled(e), strategies.guided(e, lengths.steps)
    pool, greedy = config.questions * config.large_samples, config.questions
    larger = [name for name in _larger(e) if enabled(name)]
    prompts = lambda name, count: costs.prompts(e, name, count, lengths)
    searched = {guide: sum(how.questions for how in settings)
                for guide, settings in strategies.by_guide(e).items()}
    pools = 2 * greedy + min(config.deep_questions, greedy) * bool(config.deep_pool)
    written = (solutions('base', sampled + sum(guided.values()))
               + prompts('base', pools + sum(searched.values()))
               + sum(solutions(name, pool + greedy) + prompts(name, 2 * greedy)
                     for name in larger))
    scored = [costs.model_of(e, name) for name in others if enabled(name)]
    read = (sum(solutions(name, sampled) + prompts(name, pools) for name in scored)
            + sum(solutions(guide, count) + prompts(guide, searched[guide])
                  for guide, count in guided.items())
            + len(larger) * (solutions(main, pool) + prompts(main, greedy)))
    return costs.generating('search', sampled + len(larger) * (pool + greedy)
                            + sum(guided.values()), lengths, written, read)

  return Stage('search', 'search', works, uses=uses, cost=cost, reported=True)


def difficulty_stage(e: Experiment) -> Stage:
  """Stage `difficulty`."""
  config, texts, main = e.difficulty, Texts(e), verifiers.main(e)

  def uses() -> Iterator[Use]:
    yield texts.samples('difficulty', 'base', [config.samples], judge=main)
    if not verifiers.is_latent(e, main):
      yield texts.scores('difficulty', main, config.samples)
    yield texts.prompts('difficulty', 'base')

  def cost(lengths: Lengths) -> Cost:
    pool = e.search.questions * config.samples
    of = lambda name: (costs.solutions(e, name, pool, lengths)
                       + costs.prompts(e, name, e.search.questions, lengths))
    probed = (e.search.questions + e.labels.questions) * e.models.learning
    return costs.generating('difficulty', pool, lengths,
                            of('base') + costs.prompts(e, 'base', probed, lengths), of(main))

  return Stage('difficulty', 'search', difficulty_works, probe.run_probe, uses=uses, cost=cost,
               reported=True)
