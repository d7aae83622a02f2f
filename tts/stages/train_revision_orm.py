"""Stage `revision_orms`: outcome verifiers of revisions (paper, appendix J), and the control's.

The revision model answers questions of the split `verifier` in chains, the control as often, each
answer on its own; records: `revision_orms`. An answer is labelled by whether it is right, and read
with what it was written after in its context, or without.
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import functools
from typing import Any

from tts import model_kinds
from tts.config import Experiment
from tts.estimates import cost as costs
from tts.estimates.cost import Cost, Lengths
from tts.estimates.uses import Texts, Use
from tts.eval.storage import records
from tts.revision import chains
from tts.runs import blocks as blocks_lib
from tts.runs.blocks import Block
from tts.runs.models_at_work import Workers
from tts.runs.run import Run
from tts.runs.work import Work
from tts.runs.workdir import fingerprint
from tts.stages import chain_pool, sample_pool, train_verifiers
from tts.stages.stage import Stage
from tts.train.packed import Labelled
from tts.types import InputError, Strategy

_STAGE = 'revision_orms'
_FORMAT = 1  # of rows and labels; files of another one are made anew


def _models(e: Experiment) -> tuple[str, ...]:
  return model_kinds.revision_verifiers(e.models.kinds)


def works(run: Run) -> Iterator[list[Work]]:
  """Answers to training questions, as far as verifiers are to be trained on them."""
  names = run.experiment.models.trained(_models(run.experiment))
  made = [_control(run) if name == 'control_orm' else _chains(run) for name in names]
  # Two of them learn from one pool.
  yield list({work.folder: work for work in made}.values())


def train(run: Run) -> None:
  """Trains the verifiers on these answers."""
  for name in run.experiment.models.trained(_models(run.experiment)):
    folder = _control_folder(run) if name == 'control_orm' else chain_folder(run)
    mark = fingerprint(run.workdir.mark(f'records/{folder}'), _FORMAT)
    train_verifiers.fit_verifier(run, name, mark, functools.partial(_labelled, run, name, folder))


def _questions(run: Run) -> tuple[list[Block], str]:
  config, limits = run.experiment.revision, run.experiment.limits
  problems = run.problems('verifier', config.orm_questions, 'revision.orm_questions')
  blocks = blocks_lib.cut(problems, run.prompts, limits.max_prompt_tokens, config.block)
  return blocks, fingerprint(run.data_mark('verifier'), config.orm_questions, config.block, limits,
                             run.tokenizer_mark())


def _strategy(run: Run) -> Strategy:
  return chain_pool.strategy(*run.experiment.revision.orm_chains)


def chain_folder(run: Run) -> str:
  """Where the revision model's chains are, under `records/`."""
  return sample_pool.folder(_STAGE, 'revision', _strategy(run))


def _control_folder(run: Run) -> str:
  """Where the control's answers are."""
  return sample_pool.folder(_STAGE, 'revision_control', Strategy('sample', _strategy(run).budget))


def _chains(run: Run) -> Work:
  blocks, mark = _questions(run)
  return chain_pool.work(Workers(run), _STAGE, blocks, mark, _strategy(run), stream='orm_chains',
                         split='verifier', sampling=run.experiment.sampling.to_learn_from())


def _control(run: Run) -> Work:
  """As many answers of the control, each on its own."""
  blocks, mark = _questions(run)
  return sample_pool.work(
      Workers(run), _STAGE, blocks, mark, model='revision_control', stream='orm_control',
      num=_strategy(run).budget, sampling=run.experiment.sampling.to_learn_from(), split='verifier')


@dataclasses.dataclass(frozen=True)
class Answers:
  """What a pool of this stage holds.

  Attributes:
    prompts: question -> its tokens.
    held_out: the last tenth of the questions.
    rows: question -> slot -> record.
  """

  prompts: dict[str, list[int]]
  held_out: set[str]
  rows: dict[str, dict[int, dict[str, Any]]]

  @classmethod
  def read(cls, run: Run, folder: str) -> Answers:
    problems = run.problems('verifier', run.experiment.revision.orm_questions,
                            'revision.orm_questions')
    rows: dict[str, dict[int, dict[str, Any]]] = {}
    for row in records.iterate(run.workdir.root, *folder.split('/')):
      rows.setdefault(row['problem_id'], {})[row['slot']] = row
    return cls({p.id: run.prompts.encode(p.prompt) for p in problems},
               {p.id for p in problems[-(len(problems) // 10):]}, rows)


def _labelled(run: Run, name: str, folder: str) -> tuple[list[Labelled], list[Labelled]]:
  """Answers to learn from, and those to the held-out questions."""
  answers = Answers.read(run, folder)
  sets: tuple[list, list] = ([], [])
  for question, rows in answers.rows.items():
    for row in rows.values():
      if row['answer'] is None:
        continue  # it has no vote, so its score is never read
      before = [rows[slot]['tokens'] for slot in row['context']] if name == 'revision_orm' else []
      sets[question in answers.held_out].append(Labelled(
          question, chains.context(answers.prompts[question], before, run.limits.roles),
          row['tokens'], row['step_ends'], [float(row['correct'])] * len(row['step_ends'])))
  if not all(sets):
    raise InputError(f'{run.workdir.path("records", folder)} has too few answers to train on: '
                     'raise --config.revision.orm_questions')
  return sets


def stage(e: Experiment) -> Stage:
  """Stage `revision_orms`."""
  config, texts = e.revision, Texts(e)
  chains_, length = config.orm_chains

  def uses() -> Iterator[Use]:
    sampling = e.sampling.to_learn_from()
    yield texts.chained(_STAGE, 'revision', chains_, sampling)
    yield texts.samples(_STAGE, 'revision_control', [chains_ * length], sampling)

  def cost(lengths: Lengths) -> Cost:
    answers = config.orm_questions * chains_ * length
    written = (config.orm_questions * chain_pool.flops(e, 'revision', [config.orm_chains], lengths)
               + costs.solutions(e, 'revision_control', answers, lengths))
    return costs.training(e, _STAGE, _models(e)).with_samples(2 * answers, lengths, written)

  return Stage(_STAGE, 'train_revision', works, train, trains=_models(e), uses=uses, cost=cost)
