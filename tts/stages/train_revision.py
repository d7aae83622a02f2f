"""Stage `revision`: the model that corrects its own answers, and its control.

The base's samples on questions of their own become trajectories (`tts.revision.trajectories`);
records: `revision/sample-n<N>`. The control learns the same answers without what precedes them.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator
from typing import Any

from tts.config import Experiment
from tts.estimates import cost as costs
from tts.estimates.cost import Cost, Lengths
from tts.estimates.uses import Texts
from tts.eval.storage import records
from tts.revision import chains, trajectories
from tts.revision.trajectories import Answer, Trajectory
from tts.runs import blocks as blocks_lib
from tts.runs.models_at_work import Workers
from tts.runs.run import Run
from tts.runs.work import Work
from tts.runs.workdir import fingerprint
from tts.stages import sample_pool, train as train_lib
from tts.stages.stage import Stage
from tts.train import packed
from tts.train.packed import Continuation
from tts.train.steps import TrainConfig
from tts.types import InputError, Strategy

MODELS = ('revision', 'revision_control')
Sets = tuple[list[Continuation], list[Continuation]]  # to learn from, held out

_STAGE = 'revision'
_FORMAT = 1  # of trajectories; models of another one are made anew


def _folder(run: Run) -> str:
  return sample_pool.folder(_STAGE, 'base', Strategy('sample', run.experiment.revision.samples))


def works(run: Run) -> Iterator[list[Work]]:
  """A pool of the base's samples for every training question, if there is a model to train."""
  config, limits = run.experiment.revision, run.experiment.limits
  if not run.experiment.models.trained(MODELS):
    return
  problems = run.problems('revision', config.questions, 'revision.questions')
  blocks = blocks_lib.cut(problems, run.prompts, limits.max_prompt_tokens, config.block)
  yield [sample_pool.work(
      Workers(run), _STAGE, blocks,
      fingerprint(run.data_mark('revision'), config.questions, config.block, limits,
                  run.tokenizer_mark()),
      model='base', stream='revision_pool', num=config.samples, split='revision',
      sampling=run.experiment.sampling.to_learn_from(temperature=config.temperature))]


def train(run: Run) -> None:
  """Trains both models on these samples."""
  for name in run.experiment.models.trained(MODELS):
    _train(run, name)


def _train(run: Run, name: str) -> None:
  """Trains one of MODELS."""
  config = run.experiment.revision
  mark = fingerprint(run.workdir.mark(f'records/{_folder(run)}'), config.targets, config.contexts,
                     _FORMAT)
  finetune(run, name, mark, lambda: _examples(run, name == 'revision'))


def finetune(run: Run, name: str, data_mark: str, examples: Callable[[], Sets]) -> None:
  """Trains a language model from the one that its config starts from.

  Args:
    run: gives the config and the folder.
    name: of the model.
    data_mark: fingerprint of what `examples` gives.
    examples: makes what is learnt, and what is held out.
  """
  config = run.model_config(name)
  trunk = None if config.init == 'scratch' else run.model(config.init)
  mark = fingerprint(data_mark, trunk and trunk.mark, config.arch, config.train, run.seed, name)

  def sets(train: TrainConfig) -> tuple[packed.Packed, packed.Packed]:
    return tuple(packed.pack_continuations(items, train.row_length, train.seed)
                 for items in examples())

  train_lib.trained(run, name, mark, ('lm',), sets, trunk)


def _examples(run: Run, with_context: bool) -> Sets:
  """Trajectories to learn from, and those to held-out questions.

  Without context they end in the same answers, right after the question.
  """
  problems = run.problems('revision', run.experiment.revision.questions, 'revision.questions')
  prompts = {p.id: run.prompts.encode(p.prompt) for p in problems}
  pools = collections.defaultdict(list)
  for row in records.iterate(run.workdir.root, *_folder(run).split('/')):
    pools[row['problem_id']].append(row)
  found: dict[str, list[Continuation]] = {}
  for name, prompt in prompts.items():
    rows = sorted(pools[name], key=lambda row: row['slot'])
    for trajectory in _trajectories(run, name, rows):
      before = [rows[i]['tokens'] for i in trajectory.context] if with_context else []
      found.setdefault(name, []).append(Continuation(
          f'a revision of {name}', chains.context(prompt, before, run.limits.roles),
          rows[trajectory.target]['tokens']))
  return split(found, run.workdir.path('records', _folder(run)),
               'config.revision.questions or .samples')


def split(found: dict[str, list[Continuation]], where: str, fields: str) -> Sets:
  """What is learnt, and what is held out: the last tenth of the questions, at least one.

  Args:
    found: by question, those alone that have some.
    where: the records, for an error.
    fields: of the config, what to raise then.
  """
  if len(found) < 2:
    raise InputError(f'{where} has too few right answers to train on: raise --{fields}')
  names = list(found)
  least = max(1, len(names) // 10)
  flat = lambda some: [item for name in some for item in found[name]]
  return flat(names[:-least]), flat(names[-least:])


def _trajectories(run: Run, name: str, rows: list[dict[str, Any]]) -> list[Trajectory]:
  """Of one question, from its pool in the order of the slots."""
  texts = run.tokenizer.decode_batch([row['tokens'] for row in rows])
  answers = [Answer(text, None if row['answer'] is None else row['correct'])
             for text, row in zip(texts, rows)]
  config = run.experiment.revision
  return trajectories.build(answers, config.targets, trajectories.of_question(name, run.seed),
                            config.contexts)


def stage(e: Experiment) -> Stage:
  """Stage `revision`."""
  config = e.revision
  sampling = e.sampling.to_learn_from(temperature=config.temperature)

  def cost(lengths: Lengths) -> Cost:
    pool = config.questions * config.samples
    return costs.training(e, _STAGE, MODELS).with_samples(
        pool, lengths, costs.solutions(e, 'base', pool, lengths))

  return Stage(_STAGE, 'train_revision', works, train, trains=MODELS, cost=cost,
               uses=lambda: [Texts(e).samples(_STAGE, 'base', [config.samples], sampling)])
