"""Stage `restem`: a revision model on its predecessor's own chains (ReST-EM; paper, appendix K).

Of the chains that the revision verifiers learn from (`tts.stages.train_revision_orm`) each is kept
as far as its first right answer, as many of every length, and the base learns that answer in its
context.
"""

from __future__ import annotations

from tts.config import Experiment
from tts.estimates import cost as costs
from tts.revision import chains, trajectories
from tts.revision.trajectories import Answer
from tts.runs.run import Run
from tts.runs.workdir import fingerprint
from tts.stages import train_revision, train_revision_orm
from tts.stages.stage import Stage
from tts.train.packed import Continuation
from tts.types import InputError

MODEL = 'revision_restem'
_FORMAT = 1  # of trajectories; a model of another one is made anew


def run_restem(run: Run) -> None:
  """Trains the model."""
  config = run.model_config(MODEL)
  if not config.enabled or config.checkpoint:
    return
  folder = train_revision_orm.chain_folder(run)
  mark = run.workdir.mark(f'records/{folder}')
  if mark is None:
    raise InputError(f'{run.workdir.path("records", folder)} is missing: run '
                     'launch.train_revision, which makes it')
  train_revision.finetune(run, MODEL, fingerprint(mark, _FORMAT),
                          lambda: _examples(run, folder))


def _examples(run: Run, folder: str) -> train_revision.Sets:
  """Right answers after what led to them, to learn from and held out."""
  length = run.experiment.revision.orm_chains[1]
  answers = train_revision_orm.Answers.read(run, folder)
  stopped = []
  for question, rows in answers.rows.items():
    ordered = [rows[slot] for slot in sorted(rows)]
    for first in range(0, len(ordered), length):
      chain = [Answer('', row['correct'] if row['answer'] is not None else None)
               for row in ordered[first:first + length]]
      if (one := trajectories.stopped(chain)) is not None:
        stopped.append((f'{question} {first}', one))
  found: dict[str, list[Continuation]] = {}
  for name, one in trajectories.balanced(stopped, trajectories.of_question(MODEL, run.seed)):
    question, first = name.rsplit(' ', 1)
    tokens = lambda turn: answers.rows[question][int(first) + turn]['tokens']
    found.setdefault(question, []).append(Continuation(
        f'a chain of {question}',
        chains.context(answers.prompts[question], [tokens(turn) for turn in one.context],
                       run.limits.roles),
        tokens(one.target)))
  in_order = {name: found[name] for name in answers.prompts if name in found}
  return train_revision.split(in_order, run.workdir.path('records', folder),
                        'config.revision.orm_questions')


def stage(e: Experiment) -> Stage:
  """Stage `restem`."""
  return Stage('restem', 'train_revision', run=run_restem, trains=(MODEL,),
               cost=lambda lengths: costs.training(e, 'restem', (MODEL,)))
