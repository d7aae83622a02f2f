"""What parts of a run cost, by their shapes alone: FLOPs of reading and of training."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from typing import Any

import jax

from tts.config import Experiment
from tts.eval.measures import flops
from tts.model_kinds import STATES
from tts.models.arch import Arch
from tts.models import latent
from tts.models.latent import Head
from tts.models.transformer import Decoder, num_params
from tts.runs import verifiers
from tts.serving import open_checkpoint
from tts.train.steps import init_params


@dataclasses.dataclass(frozen=True)
class Lengths:
  """Mean tokens of a prompt and of a solution, and steps of a solution.

  `shared` are the tokens that all prompts begin with, which are read once for all.
  """

  prompt: float
  solution: float
  steps: float
  shared: float = 0.0

  @property
  def question(self) -> float:
    """Tokens that are read of each prompt."""
    return self.prompt - self.shared

  @property
  def text(self) -> float:
    return self.prompt + self.solution


@dataclasses.dataclass(frozen=True)
class Cost:
  """One stage.

  Attributes:
    stage: its name.
    generations: solutions, whole or begun.
    tokens: that are written, or trained on.
    spent: FLOPs by what they are for: `write`, `read` (a verifier's), and `train W`, a training's
      of a model of that width.
    memory: bytes of one device, by `tts.estimates.memory`; 0 where nothing has said yet.
  """

  stage: str
  generations: int
  tokens: int
  spent: Mapping[str, float]
  memory: int = 0

  @property
  def flops(self) -> int:
    return int(sum(self.spent.values()))

  def with_samples(self, count: int, lengths: Lengths, written: float) -> Cost:
    """A training and the solutions that it learns from; written: their FLOPs."""
    return Cost(self.stage, count, int(count * lengths.solution) + self.tokens,
                {**self.spent, 'write': written})


def model_of(e: Experiment, name: str) -> str:
  """The decoder that a model has: of a verifier of a plugin, or of hidden states, what it reads."""
  return 'base' if verifiers.is_latent(e, name) else verifiers.model_of(name)


def head(e: Experiment, name: str) -> Head | None:
  """What a latent verifier reads; None of any other."""
  if not verifiers.is_latent(e, name):
    return None
  if e.models[name].learns != STATES:
    return latent.LOGPROB
  return e.models[name].latent.head(arch(e, name)['num_layers'])


def arch(e: Experiment, name: str) -> dict:
  """A model's architecture as JSON: its checkpoint's, or over the tokenizer's vocabulary.

  Of a verifier that has no decoder of its own, that of `model_of`.
  """
  name = model_of(e, name)
  config = e.models[name]
  if config.checkpoint:
    return dataclasses.asdict(config.arch) | open_checkpoint.planned_arch(
        config.checkpoint, e.models.kinds[name].writes, config.dtype)
  if not config.arch.num_layers and config.init != 'scratch':
    return arch(e, config.init)
  found = dataclasses.asdict(config.arch)
  return found | {'vocab_size': found['vocab_size'] or e.tokenizer.vocab_size}


def params(arch: dict) -> int:
  return _params(Arch(**{k: tuple(v) if isinstance(v, list) else v for k, v in arch.items()}))


@functools.cache
def _params(arch: Arch) -> int:
  return num_params(jax.eval_shape(lambda: init_params(Decoder(arch), 0)))


def read(e: Experiment, name: str, tokens: float, context: float) -> float:
  """FLOPs of `tokens` entering a model with `context` keys each; of a head on states the head's."""
  if (on_states := head(e, name)) is not None:
    counts = {'entered': tokens, 'kept': tokens, 'pruned': 0, 'simulated': 0}
    return flops.latent({**dataclasses.asdict(on_states), 'width': arch(e, name)['width']}, counts)
  a, of = arch(e, name), verifiers.model_of(name)
  kind = 'lm' if e.models.kinds[of].writes else of
  return tokens * (flops.per_token(a) + context * flops.per_key(a) + flops.per_output(a, kind))


def solutions(e: Experiment, name: str, count: float, lengths: Lengths) -> float:
  """FLOPs of so many solutions, written by a generator or read by a verifier; 0 if that is off."""
  if not e.models[verifiers.model_of(name)].enabled:
    return 0.0
  return read(e, name, count * lengths.solution, lengths.text * 0.75)


def prompts(e: Experiment, name: str, count: float, lengths: Lengths) -> float:
  """FLOPs of so many prompts, each read before its solutions; 0 if the model is off."""
  if not e.models[verifiers.model_of(name)].enabled:
    return 0.0
  return read(e, name, count * lengths.question, lengths.prompt - lengths.question / 2)


def generating(stage: str, generations: float, lengths: Lengths, written: float, read: float,
               ) -> Cost:
  """Of a stage that generates; FLOPs of what is written and read."""
  return Cost(stage, int(generations), int(generations * lengths.solution),
              {'write': written, 'read': read})


def training(e: Experiment, stage: str, names: Iterable[str]) -> Cost:
  """Trainings of models one after the other, those that are given apart."""
  places = 0
  spent: dict[str, float] = {}
  for name in e.models.trained(names):
    t, kind = e.models[name].train, trained_as(e, name)
    places += t.num_steps * t.batch_size * t.row_length
    spent[kind] = spent.get(kind, 0) + t.num_steps * update(e, name, arch(e, name))
  return Cost(stage, 0, places, spent)


def trained_as(e: Experiment, name: str) -> str:
  """The kind of `Cost.spent`: how fast a training is depends on the products' width."""
  return f'train {arch(e, name)["width"]}'


def update(e: Experiment, name: str, arch: Mapping[str, Any]) -> float:
  """FLOPs of one update of a model, were its architecture this one."""
  t, kind = e.models[name].train, 'lm' if e.models.kinds[name].writes else name
  return 3 * t.batch_size * t.row_length * (
      flops.per_token(arch) + t.row_length * flops.per_key(arch) + flops.per_output(arch, kind))
