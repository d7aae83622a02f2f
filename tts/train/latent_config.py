"""How a latent verifier is fitted, as the library and a config have it."""

from __future__ import annotations

import dataclasses

from tts.models.latent import Head
from tts.types import InputError

LABELS = ('outcomes', 'rollouts')
_LAYERS = 6


@dataclasses.dataclass(frozen=True)
class FitConfig:
  """How a head is fitted.

  Attributes:
    l2: weight of the squared weights, of features that vary by 1 within questions, beside the mean
      loss of a question. What is beside the states is free.
    epochs: passes over the questions in which gates are learnt; 0 leaves every token the same.
    learning_rate: of these, times sqrt(F).
    batch: questions of an update.
    seed: of their order.
  """

  l2: float = 0.1
  epochs: int = 10
  learning_rate: float = 0.03
  batch: int = 16
  seed: int = 0


@dataclasses.dataclass(frozen=True)
class LatentConfig:
  """A latent verifier: what it reads of its generator, and what it learns from.

  Attributes:
    layers: whose hidden states are read, ascending from 1; () takes six, evenly spaced up to the
      last.
    beside: what else of each token is read: logprob, entropy.
    labels: `outcomes`, whether a solution is right, or `rollouts`, the value of each of its steps.
    fit: how.
  """

  layers: tuple[int, ...] = ()
  beside: tuple[str, ...] = ('logprob',)
  labels: str = 'outcomes'
  fit: FitConfig = FitConfig()

  def __post_init__(self):
    if self.labels not in LABELS:
      raise ValueError(f'labels is {self.labels!r}: one of {", ".join(LABELS)}')
    try:
      Head(self.layers or (1,), self.beside)
    except InputError as error:
      raise ValueError(str(error)) from error

  def head(self, num_layers: int) -> Head:
    """What is read of a generator of so many layers.

    Raises:
      InputError: it does not have one of them.
    """
    count = min(_LAYERS, num_layers)
    found = Head(self.layers or tuple(num_layers * i // count for i in range(1, count + 1)),
                 self.beside)
    found.check_fits(num_layers)
    return found
