"""Mistakes of an experiment that show without a model, before anything is loaded or written."""

from __future__ import annotations

from collections.abc import Iterator
import os

from tts.answers import grading
from tts.config import Experiment
from tts.data import hub, problems as problems_lib
from tts.eval.policy import estimators
from tts.remote.generator import check_sampling
from tts.runs import verifiers
from tts.stages import strategies
from tts.types import InputError


def check(e: Experiment) -> None:
  """Looks at names, settings, paths of checkpoints, and at how many questions there are.

  Raises:
    InputError: the first mistake.
  """
  grading.check(e.data.grader)
  verifiers.main(e)
  verifiers.check_served(e)
  if e.models.served:
    check_sampling(e.sampling, 'config.sampling')
  estimators.checked(e.difficulty.estimator, 'config.difficulty.estimator')
  strategies.searches(e)
  strategies.plain(e.search)
  if e.budget_forcing.settings() and not e.prompts.thinking:
    raise InputError('config.budget_forcing.thinking_tokens needs a model that thinks: name the '
                     'tokens that open and end its thought, '
                     "--config.prompts.thinking=\"('<think>', '</think>')\"")
  for name, model in e.models.items():
    if model.enabled and model.checkpoint and not os.path.exists(hub.local(model.checkpoint)):
      raise InputError(f'config.models.{name}.checkpoint: there is no {model.checkpoint}')
  for split, count, field in asked(e):
    problems_lib.check_enough(split, problems_lib.count(e.data, split), count, field)


def asked(e: Experiment) -> Iterator[tuple[str, int, str]]:
  """(split, questions, the field that says so) of what is measured, and of what is learnt from."""
  yield e.search.split, e.search.questions, 'search.questions'
  if e.models.learning:
    yield 'verifier', e.labels.questions, 'labels.questions'
    if e.revision.enabled:
      yield 'revision', e.revision.questions, 'revision.questions'
      yield 'verifier', e.revision.orm_questions, 'revision.orm_questions'
