"""Difficulty estimators by name: of the questions that a run reports, and of new ones.

A policy is fitted by an estimator on the former and chooses by it on the latter. One of yours, in a
module that a config names:

  @estimators.register('length')
  class Length(estimators.OfText):
    def of(self, question):
      return -len(question)

and `--config.difficulty.estimator=length`, if `launch.solve` is to go by it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tts.eval.policy import difficulty
from tts.eval.policy.difficulty import Estimator
from tts.eval.storage.runfiles import RunFiles
from tts.plugins import Registry
from tts.types import InputError, Problem

ESTIMATORS = Registry('difficulty estimator')
# Price of so many generated and scored samples, by axis of cost; None = not measured.
Price = Callable[[int], Mapping[str, float | None]]


@dataclasses.dataclass(frozen=True)
class Asked:
  """New questions, and what can be found out about them; estimates are id -> value.

  Attributes:
    problems: the questions.
    probe: () --> pass@1 as the run's probe has it.
    first: s --> mean score of the first s samples, which are drawn, charged, and stay candidates.
  """

  problems: Sequence[Problem]
  probe: Callable[[], Mapping[str, float]]
  first: Callable[[int], Mapping[str, float]]


class Source:
  """An estimator. Higher is easier; bins are quintiles of it."""

  samples = 0  # of each question that it draws first: charged, and candidates afterwards

  def reported(self, run: RunFiles) -> Mapping[str, float]:
    """id -> estimate of a run's questions; {} where the run has not what it takes."""
    raise NotImplementedError

  def new(self, asked: Asked) -> Mapping[str, float]:
    """id -> estimate of new questions."""
    raise NotImplementedError


class OfText(Source):
  """An estimator that reads the question's text, and is free."""

  def of(self, question: str) -> float:
    raise NotImplementedError

  def reported(self, run: RunFiles) -> Mapping[str, float]:
    return {i: float(self.of(q['prompt'])) for i, q in run.questions().items()}

  def new(self, asked: Asked) -> Mapping[str, float]:
    return {p.id: float(self.of(p.prompt)) for p in asked.problems}


def register(name: str) -> Callable[[type[Source]], type[Source]]:
  """A decorator that adds an estimator; InputError where the name is taken, or is none."""
  return ESTIMATORS.register(name, lambda source: source())


class First(Source):
  """Mean score of the first samples."""

  def __init__(self, samples: int):
    self.samples = samples

  def reported(self, run: RunFiles) -> Mapping[str, float]:
    pool = run.setting('base', 'sample')
    if pool is None or self.samples >= pool.setting.strategy.budget:
      return {}
    estimate = difficulty.predicted_estimate(pool, slice(self.samples))
    return {} if estimate is None else dict(zip(pool.ids, estimate.tolist()))

  def new(self, asked: Asked) -> Mapping[str, float]:
    return asked.first(self.samples)


for _samples in difficulty.FIRST:
  ESTIMATORS.add(f'first_{_samples}', First, First(_samples))


@register('probe')
class Probe(Source):
  """The probe on the prompt's hidden state; every strategy reads the prompt anyway."""

  def reported(self, run: RunFiles) -> Mapping[str, float]:
    return run.probe()

  def new(self, asked: Asked) -> Mapping[str, float]:
    return asked.probe()


def every(run: RunFiles, price: Price, free: Mapping[str, float]) -> list[Estimator]:
  """The registered estimators that a run has what it takes for.

  Args:
    run: its files; of plugins, those of its config.
    price: see `Price`.
    free: what costs nothing, by axis.
  """
  out = []
  for name, source in ESTIMATORS.of((run.run.get('config') or {}).get('plugins') or ()).items():
    found = source.reported(run)
    if found:
      ids = tuple(sorted(found))
      out.append(Estimator(name, 'predicted', ids, np.array([found[i] for i in ids], float),
                           price(source.samples) if source.samples else free,
                           stay=source.samples))
  return out


def saved(run: RunFiles) -> tuple[str, ...]:
  """By which estimators a run's policy may be; that of the first that there is."""
  asked = ((run.run.get('config') or {}).get('difficulty') or {}).get('estimator')
  return (asked,) if asked else difficulty.SAVED


def checked(name: str | None, where: str) -> None:
  """InputError unless there is an estimator of this name, or it is None."""
  if name is not None and name not in ESTIMATORS:
    raise InputError(f'{where} is {name!r}: one of {", ".join(ESTIMATORS.names())}')
