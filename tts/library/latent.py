"""`tts.train_latent`: a verifier of a generator's own hidden states, fitted on graded solutions."""

from __future__ import annotations

from collections.abc import Sequence
import os
import pathlib
import shutil
from typing import Any

from tts.data.prompts import shared_prefix
from tts.engine.engine_models import EngineVerifier
from tts.library import calls, features
from tts.library.calls import Limits, Questions
from tts.library.models import given, LanguageModel, RewardModel
from tts.models import latent, latent_states
from tts.models.functions import Functions
from tts.models.latent import Head
from tts.train import latent_fit, latent_folder
from tts.train.latent_config import FitConfig
from tts.types import InputError

_FEATURES, _FIT = 'features', 'fit'


def logprob_verifier(generator: LanguageModel) -> RewardModel:
  """The verifier that nobody has to train: how likely a generator found what it wrote.

  A step's score is sigmoid(10 m), m the mean log-probability (nats a token, temperature 1) of the
  solution up to there. It is a latent verifier that looks at nothing else, and costs as little.

  Raises:
    tts.InputError: the generator has not been loaded by `tts.load_generator`.
  """
  model = calls.language_model(generator)
  if model.arch is None:
    raise InputError(f'{model.source} has no states to read: load it by tts.load_generator')
  return RewardModel.of_head(model, *latent.of_logprob(model.arch.width), 'the log-probability')


def train_latent(generator: LanguageModel, questions: Sequence[str],
                 solutions: Sequence[Sequence[str]], labels: Sequence[Sequence[float]],
                 folder: str | os.PathLike[str], *, layers: Sequence[int],
                 beside: Sequence[str] = ('logprob',), limits: Limits = Limits(),
                 progress: bool = True, **fit: Any) -> RewardModel:
  """Fits a latent verifier on solutions whose answers are right or wrong, and saves it.

  Solutions that the generator has drawn itself are what it will be asked about: `tts.sample`, then
  `tts.grade`. Some thousands, eight or more of a question, and questions that it does not always
  get right or wrong. It goes on where the same call was ended.

  Args:
    generator: of `tts.load_generator`.
    questions: texts.
    solutions: of each question, texts.
    labels: of each solution 1 or 0, or the chance that it comes to a right answer.
    folder: of the head, for `tts.load_verifier(folder, generator=...)`; what has been read lies
      beside it, in `folder.work`, until it is done: two bytes a token, layer and number of a state.
    layers: whose states are read, ascending numbers from 1. Several are better than one.
    beside: of `tts.models.latent.BESIDE`: what else of each token is read.
    limits, progress: as of `tts.sample`.
    fit: options of `tts.train.latent_config.FitConfig`: `l2=0.1`, `epochs=10`, ...

  Raises:
    tts.InputError: an argument is no good; the message says why.
  """
  model, config = calls.language_model(generator), given(FitConfig, fit)
  head = Head(tuple(layers), tuple(beside))
  if model.arch is None:
    raise InputError(f'{model.source} has no states to read: load it by tts.load_generator')
  head.check_fits(model.arch.num_layers)
  asked = Questions(questions, model.prompts, limits, 0)
  if not len(questions) == len(solutions) == len(labels) or any(
      len(of) != len(told) for of, told in zip(solutions, labels)):
    raise InputError('questions, solutions and labels are to be of the same number, and so is what '
                     'they have of each question')
  ids = [[calls.encoded(model.prompts, text, i, limits) for text in of]
         for i, of in enumerate(solutions)]
  mark = latent_folder.fingerprint(model.arch, model.params)
  work = pathlib.Path(f'{os.fspath(folder)}.work')
  reading = EngineVerifier(model.mesh, Functions(latent_states.States, model.arch, head),
                           model.params, model.shape, shared_prefix(model.prompts.encode))
  examples = features.read(reading, latent.num_features(head, model.arch.width), asked.ids, ids,
                           labels, work / _FEATURES, f'{mark} {head}', progress)
  params = latent_fit.fit(head, model.arch.width, examples, config, work / _FIT)
  latent_folder.save(folder, head, params, mark, {'metrics': {
      'questions': len(questions), 'solutions': len(examples.label),
      'tokens': len(examples.features)}})
  shutil.rmtree(work)
  return RewardModel.of_head(model, head, params, str(folder))
