"""A stage's models at work: each is there once, whatever pools and searches want it."""

from __future__ import annotations

import collections
from collections.abc import Callable, Coroutine, Sequence
import dataclasses
import functools
from typing import Any

from tts.data.prompts import shared_prefix
from tts.engine import engine, engine_models, shape
from tts.engine.engine_models import EngineGenerator, EngineVerifier
from tts.library.models import LanguageModel, RewardModel, writing
from tts.models import latent_states
from tts.models.functions import Functions
from tts.models.generator import Generator
from tts.models.latent import Head
from tts.runs.blocks import Block
from tts.runs.run import Model, Run
from tts.sampling.logits import SamplingConfig


class Computed(collections.Counter):
  """Tokens that models have computed, by (model, kind).

  Kinds: `entered`, what was written or read; `computed`, that and what a program computed beside
  it, as its shape is fixed.
  """

  @property
  def occupancy(self) -> float | None:
    """Which share of what was computed was asked for."""
    total = lambda kind: sum(n for (_, k), n in self.items() if k == kind)
    return round(total('entered') / total('computed'), 4) if total('computed') else None


@dataclasses.dataclass(frozen=True)
class PerQuestion:
  """What is computed of each question of a block.

  Attributes:
    of: block --> (a question's place in it, group of devices) --> the question's coroutine.
    models: that the coroutines use.
    rows: that a question has at a time, at most.
  """

  of: Callable[[Block], Callable[[int, int], Coroutine]]
  models: Sequence[EngineGenerator | EngineVerifier]
  rows: int

  @property
  def in_flight(self) -> int:
    """Questions of a group that have begun and are not done."""
    return engine_models.in_flight(self.models, self.rows)


def reads_states(run: Run, base: Model, head: Head) -> EngineVerifier:
  """A generator that reads texts for their hidden states, as `head` has them."""
  return EngineVerifier(run.mesh, Functions(latent_states.States, base.arch, head), base.params,
                        shape.of(base.arch, run.experiment.lanes),
                        shared_prefix(run.prompts.encode))


class Workers:
  """Models are made to work when they are first asked for; their lanes go with this."""

  def __init__(self, run: Run):
    self.run = run
    self._working: list[tuple[str, EngineGenerator | EngineVerifier]] = []
    self._made = functools.cache(self._generator)
    self.verifier = functools.cache(self._verifier)
    self.language_model = functools.cache(self._language_model)

  def generator(self, name: str, sampling: SamplingConfig,
                judge: str | None = None, states: Head | None = None) -> EngineGenerator:
    """A generator by its model's name.

    judge: a latent verifier that scores what it writes. states: or what is to be learnt from.
    """
    return self._made(name, sampling, judge, states)

  def _generator(self, name: str, sampling: SamplingConfig, judge: str | None,
                 states: Head | None) -> EngineGenerator:
    model = self.run.model(name)
    if model.served is not None:
      return model.served.at_work(sampling, self.run.limits)
    writer = self.language_model(name)
    if states:
      writer = dataclasses.replace(writer, make=writing(
          Functions(latent_states.Collecting, model.arch, states)))
    generator = writer.at_work(sampling, self.run.limits, judge and self.reward_model(judge))
    self._working.append((name, generator))
    return generator

  def _verifier(self, name: str) -> EngineVerifier:
    """A verifier by its name."""
    verifier = self.reward_model(name).at_work(self.run.prompts, self.run.model(name).reader)
    self._working.append((name, verifier))
    return verifier

  def _language_model(self, name: str) -> LanguageModel:
    """A model as what the library writes with."""
    run, model = self.run, self.run.model(name)
    return LanguageModel(writing(Functions(Generator, model.arch)), model.params, run.mesh,
                         run.prompts, shape.of(model.arch, run.experiment.lanes), model.arch, name)

  def reward_model(self, name: str) -> RewardModel:
    """A verifier as what the library scores with."""
    run, model = self.run, self.run.model(name)
    return RewardModel(Functions(model.make, model.arch, model.head), model.params, run.mesh,
                       run.prompts.tokenizer, shape.of(model.arch, run.experiment.lanes), None,
                       model.arch, name, model.head, model.head and self.language_model('base'))

  def computed(self) -> Computed:
    """By all of them, so far."""
    found = Computed()
    for name, model in self._working:
      for worker in model.workers:
        found[name, 'entered'] += worker.entered
        found[name, 'computed'] += worker.computed
    return found

  def ask(self, questions: PerQuestion, blocks: Sequence[Block]) -> list[list[Any]]:
    """What is computed of each question of each block, without records."""
    begun = [functools.partial(of, b) for block in blocks for of in [questions.of(block)]
             for b in range(len(block.problems))]
    found = iter(engine.run(begun, questions.models, questions.in_flight))
    return [[next(found) for _ in block.problems] for block in blocks]
