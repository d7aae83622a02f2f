"""Hidden states of labelled solutions, kept as these are written until they have been learnt from.

A file a question under `states/`, float16. What is lost is read again (`tts.stages.train_latent`).
"""

from __future__ import annotations

from collections.abc import Sequence
import os
import shutil

import numpy as np

from tts import hosts
from tts.data import files
from tts.models.latent import Head
from tts.runs.run import Run
from tts.runs.workdir import fingerprint

_FOLDER = 'states'


def to_learn(run: Run) -> Head | None:
  """What the first latent verifier that the run trains reads; None where it trains none."""
  models = run.experiment.models
  if not models.learning_states:
    return None
  return models[models.learning_states[0]].latent.head(run.model('base').arch.num_layers)


def _path(run: Run, mark: str, head: Head, question: str) -> str:
  return run.workdir.path(_FOLDER, fingerprint(mark, head), f'{fingerprint(question)}.npy')


def keep(run: Run, mark: str, head: Head, question: str, states: Sequence[np.ndarray]) -> None:
  """Keeps the states [tokens, F] of a question's labelled solutions.

  mark: fingerprint of the labels. question: its id.
  """
  path = _path(run, mark, head, question)
  os.makedirs(os.path.dirname(path), exist_ok=True)
  with files.written_aside(path) as file:
    np.save(file, np.concatenate(states))


def known(run: Run, mark: str, head: Head, question: str) -> np.ndarray | None:
  """What was kept of a question, its solutions one after the other; None where it is not there."""
  try:
    return np.load(_path(run, mark, head, question))
  except (OSError, ValueError, EOFError):  # lost, or damaged
    return None


@hosts.by_first
def forget(run: Run) -> None:
  """Removes what all verifiers have learnt from."""
  shutil.rmtree(run.workdir.path(_FOLDER), ignore_errors=True)
