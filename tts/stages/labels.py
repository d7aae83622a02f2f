"""Stage `labels`: step values of sampled solutions by Monte-Carlo rollouts, no human labels.

A step's label is the fraction of continuations from its end that reach the gold answer: the value
of the prefix under the generator itself (paper, section 5.1 and appendix D). The samples that went
through a prefix are continuations of it as well, and count. Records: `labels/rollouts`.

An outcome reward model needs no rollouts. For one that learns `more_outcomes` their FLOPs buy
further samples instead, labelled by whether they are right: `labels/outcomes`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
import dataclasses
import functools
from typing import Any

import numpy as np

from tts import model_kinds, parallel
from tts.config import Experiment
from tts.engine.nodes import pages_for
from tts.estimates import cost as costs
from tts.estimates.cost import Cost, Lengths
from tts.estimates.uses import Texts, Use
from tts.eval.measures import flops
from tts.eval.storage import records
from tts.eval.storage.samples import COUNTS
from tts.model_kinds import LABELS
from tts.runs import blocks as blocks_lib, record_rows
from tts.runs.blocks import Block
from tts.runs.models_at_work import PerQuestion, Workers
from tts.runs.record_rows import Rows
from tts.runs.run import Run
from tts.runs.work import Work
from tts.runs.workdir import fingerprint
from tts.sampling import pool as pool_lib
from tts.sampling.logits import SamplingConfig
from tts.stages import kept_states, rollouts as rollouts_lib, sample_pool
from tts.stages.rollouts import Solution
from tts.stages.stage import Stage
from tts.train import packed
from tts.types import InputError, Strategy

_FOLDER = 'labels/rollouts'
_FORMAT = 3  # of rows; files of another one are made anew


@dataclasses.dataclass(frozen=True)
class Labelled:
  """What is sampled of a question.

  Attributes:
    rows: of its samples, read and not graded.
    solutions: those that have an answer.
    rollouts: of each solution.
    states: of each solution what a latent verifier learns from, where one is trained.
  """

  rows: Rows
  solutions: list[Solution]
  rollouts: list[list[pool_lib.Sample]]
  states: list[np.ndarray] | None = None


def questions(workers: Workers, sampling: SamplingConfig) -> PerQuestion:
  """A question's samples and the rollouts from their steps, a `Labelled`."""
  run, config, head = workers.run, workers.run.experiment.labels, kept_states.to_learn(workers.run)
  sampler = sample_pool.sampler(workers, 'base', 'train_pool', config.samples, sampling,
                                states=head)
  generator = workers.generator('base', sampling)

  def of(block: Block) -> Callable[[int, int], Coroutine]:
    sample = sampler.of(block)
    keys = rollouts_lib.all_keys(run, block) if config.rollouts else None

    async def question(b: int, group: int) -> Labelled:
      samples = await sample(b, group)
      rows = _rows(run, block, b, samples)
      run.rows.read(rows)
      solutions = rollouts_lib.wanted(block, b, rows)
      states = [samples[s.row['slot']].values for s in solutions] if head else None
      if not config.rollouts:
        return Labelled(rows, solutions, [[] for _ in solutions], states)
      return Labelled(rows, solutions, await rollouts_lib.roll_out(
          generator, group, solutions, keys[b]), states)

    return question

  models = dict.fromkeys([*sampler.models, *([generator] if config.rollouts else [])])
  return PerQuestion(of, list(models), config.samples * max(1, config.rollouts))


def _rows(run: Run, block: Block, b: int, samples: list[pool_lib.Sample]) -> Rows:
  return run.rows.sample_rows(block, b, samples, Strategy('sample', len(samples)),
                              stream='train_pool', model='base', split='verifier')


def rows_of(run: Run, block: Block, found: list[Labelled]) -> Rows:
  """One row per solution that has an answer, `labels` (one per step) in it."""
  graded = run.rows.grade(block, [each.rows for each in found])
  solutions = [solution for each in found for solution in each.solutions]
  for each in found:
    for row in each.rows if each.solutions else ():
      _count(each.solutions[0].outcomes, row)
  rollouts_lib.read(run, solutions, [rollouts for each in found for rollouts in each.rollouts])
  return _with_dropped([labelled(s) for s in solutions], graded, rollout_attended=0,
                       continuations=[])


def _count(outcomes: dict[tuple[int, ...], list[int]], row: dict[str, Any]) -> None:
  """A sample is a continuation of each of its prefixes."""
  for end in row['step_ends']:
    outcome = outcomes[tuple(row['tokens'][:end])]
    outcome[0] += row['correct']
    outcome[1] += 1


def labelled(solution: Solution) -> dict[str, Any]:
  """The solution's row with each step's label, and how many continuations that is the mean of."""
  outcomes = [solution.outcomes[solution.prefix(step)]
              for step in range(len(solution.row['step_ends']) - 1)]
  return {'rollout_attended': 0, **solution.row,
          'labels': [*(right / num for right, num in outcomes), float(solution.row['correct'])],
          'continuations': [*(num for _, num in outcomes), 1]}


def _with_dropped(rows: Rows, samples: Rows, **unlabelled: Any) -> Rows:
  """The rows, with the counts of their block's samples that have no answer added.

  A question's first row carries what its dropped samples took; if it has none, the block's first.
  A block without any row keeps its first sample for that: a row with `unlabelled` and no labels.
  """
  dropped = [row for row in samples if row['answer'] is None]
  if not rows:
    rows, dropped = [{**dropped[0], **unlabelled, 'labels': []}], dropped[1:]
  first = {}
  for row in rows:
    first.setdefault(row['problem_id'], row)
  for row in dropped:
    owner, c = first.get(row['problem_id'], rows[0]), row['counts']['base']
    owner['counts']['base'] = record_rows.add(
        owner['counts']['base'], prompt=c['prompt'], pruned=c['kept'], last=c['last'],
        entered=c['entered'], attended=c['attended'])
  return rows


def works(run: Run) -> Iterator[list[Work]]:
  """Labels by rollouts; then outcomes of as many samples as these cost, if a verifier learns them.

  A block without a solution that has an answer has one row without labels, which carries its
  counts.
  """
  config, limits = run.experiment.labels, run.experiment.limits
  sampling = run.experiment.sampling.to_learn_from(temperature=config.temperature)
  problems = run.problems('verifier', config.questions, 'labels.questions')
  blocks = blocks_lib.cut(problems, run.prompts, limits.max_prompt_tokens, config.block)
  mark = fingerprint(run.model('base').mark, run.data_mark('verifier'), config, limits, sampling,
                     run.seed, run.tokenizer_mark(), _FORMAT)
  workers = Workers(run)
  yield [Work(_FOLDER, mark, blocks, questions(workers, sampling),
              functools.partial(_kept, run, mark),
              {'strategy': 'rollouts', 'budget': config.samples, 'theta': {}}, workers)]
  models = run.experiment.models
  if any(models[name].learns == 'more_outcomes' for name in models.trained()):
    yield [_outcomes(run, blocks, sampling, mark)]


def _kept(run: Run, mark: str, block: Block, found: list[Labelled]) -> Rows:
  """`rows_of`, and the solutions' states in a place of their own, where they are wanted."""
  head = kept_states.to_learn(run)
  for problem, each in zip(block.problems, found):
    if head and each.solutions and parallel.is_first_of(run.mesh):
      kept_states.keep(run, mark, head, problem.id, each.states)
  return rows_of(run, block, found)


def _outcomes(run: Run, blocks: list[Block], sampling: SamplingConfig, mark: str) -> Work:
  """Samples alone, as many as the FLOPs of `labels/rollouts` give; the first ones are its own."""
  config, workers = run.experiment.labels, Workers(run)
  num = samples_for_flops(records.read(run.workdir.root, *_FOLDER.split('/')),
                          dataclasses.asdict(run.model('base').arch), config.questions,
                          config.samples)

  def rows(block: Block, found: list[list[pool_lib.Sample]]) -> Rows:
    graded = run.rows.grade(block, [_rows(run, block, b, s) for b, s in enumerate(found)])
    kept = [{**row, 'labels': [float(row['correct'])] * len(row['step_ends'])}
            for row in graded if row['answer'] is not None]
    return _with_dropped(kept, graded)

  return Work('labels/outcomes', fingerprint(mark, num), blocks,
              sample_pool.sampler(workers, 'base', 'train_pool', num, sampling), rows,
              {'strategy': 'sample', 'budget': num, 'theta': {}}, workers)


def samples_for_flops(rows: list[dict[str, Any]], arch: dict[str, Any], questions: int,
                      samples: int) -> int:
  """Samples per question for the FLOPs of samples and rollouts together.

  Args:
    rows: of `labels/rollouts`.
    arch: of the generator.
    questions: how many there are.
    samples: per question, in `rows`.
  """
  whole = {name: sum(row['counts']['base'][name] for row in rows) for name in COUNTS}
  # What sampling alone took: the last token of each sample never entered.
  alone = {**whole, 'simulated': 0,
           'entered': whole['prompt'] + whole['kept'] + whole['pruned'] - questions * samples,
           'attended': whole['attended'] - sum(row['rollout_attended'] for row in rows)}
  spent, for_samples = (flops.counted(arch, 'lm', counts) for counts in (whole, alone))
  return round(samples * spent / for_samples)


def mark_of(run: Run, folder: str) -> str:
  """Fingerprint of the labels in `records/labels/<folder>`; InputError where there are none."""
  found = run.workdir.mark(f'records/labels/{folder}')
  if found is None:
    raise InputError(f'{run.workdir.path("records/labels", folder)} is missing: run '
                     'launch.rollouts first')
  return found


def learnt(run: Run, folder: str) -> tuple[list[packed.Labelled], list[packed.Labelled]]:
  """Labelled solutions to learn from, and those of the last tenth of the questions."""
  problems = {p.id: p for p in run.problems(
      'verifier', run.experiment.labels.questions, 'labels.questions')}
  prompts = {i: run.prompts.encode(p.prompt) for i, p in problems.items()}
  held_out = set(list(problems)[-(len(problems) // 10):])
  sets: tuple[list, list] = ([], [])
  for row in records.iterate(run.workdir.root, 'labels', folder):
    name = row['problem_id']
    if row['labels']:
      sets[name in held_out].append(packed.Labelled(
          name, prompts[name], row['tokens'], row['step_ends'], row['labels']))
  if not all(sets):
    raise InputError(f'{run.workdir.path("records/labels", folder)} has too few labelled '
                     'solutions to train on: raise --config.labels.questions or .samples')
  return sets


def stage(e: Experiment) -> Stage:
  """Stage `labels`."""
  config, texts = e.labels, Texts(e)

  def uses() -> Iterator[Use]:
    sampling = e.sampling.to_learn_from(temperature=config.temperature)
    if e.models.trained(model_kinds.verifiers(e.models.kinds)):
      kept = ((config.samples, pages_for(texts.prompt)),)
      if config.rollouts:  # a question's solutions are kept while all of them are rolled out
        kept = ((config.samples * config.rollouts, config.samples * texts.solution()),)
      learns = next(iter(e.models.learning_states), None)
      yield Use(LABELS, 'base', sampling, texts.whole, texts.whole, kept, config.questions, learns)
      if learns and config.rollouts:
        yield Use(LABELS, 'base', sampling, texts.whole, texts.whole, kept, config.questions)

  def cost(lengths: Lengths) -> Cost:
    samples = config.questions * config.samples
    rollouts = samples * (lengths.steps - 1) * config.rollouts
    written = samples + rollouts / 2  # a rollout writes about half a solution
    return Cost(LABELS, int(samples + rollouts), int(written * lengths.solution),
                {'write': costs.solutions(e, 'base', written, lengths)
                 + costs.prompts(e, 'base', config.questions, lengths)})

  return Stage(LABELS, 'rollouts', works, uses=uses, cost=cost)
