"""Stage `verifiers`: every verifier of the config, trained on the labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import dataclasses

from tts import model_kinds
from tts.config import Experiment
from tts.estimates import cost as costs
from tts.estimates.cost import Cost, Lengths
from tts.estimates.uses import Texts, Use
from tts.model_kinds import VERIFIERS
from tts.runs.run import Run
from tts.runs.workdir import fingerprint
from tts.stages import kept_states, labels, train as train_lib, train_latent
from tts.stages.stage import Stage
from tts.train import packed
from tts.train.steps import TrainConfig


def train_verifier(run: Run, name: str) -> None:
  """Trains a PRM on every step's label, or an ORM on the last one's alone."""
  config = run.model_config(name)
  if config.checkpoint:
    return
  folder = 'outcomes' if config.learns == 'more_outcomes' else 'rollouts'
  fit_verifier(run, name, labels.mark_of(run, folder), lambda: labels.learnt(run, folder))


def fit_verifier(run: Run, name: str, labels_mark: str,
                 labelled: Callable[[], tuple[list[packed.Labelled], list[packed.Labelled]]],
                 ) -> None:
  """Trains a verifier from the model that its config starts from.

  Args:
    run: gives the config and the folder.
    name: one that scores whole solutions alone learns the last label of each.
    labels_mark: fingerprint of what `labelled` gives.
    labelled: makes the solutions to learn from, and those that are held out.
  """
  config = run.model_config(name)
  trunk = None if config.init == 'scratch' else run.model(config.init)
  mark = fingerprint(labels_mark, trunk and trunk.mark, config.arch, config.train, run.seed, name)
  reads_lm = config.train.lm_loss_weight or config.arch.surprise_layer
  stepwise = run.experiment.models.kinds[name].steps

  def sets(train: TrainConfig) -> tuple[packed.Packed, packed.Packed]:
    return tuple(packed.pack_labels(some, train.row_length, train.seed,
                                    last_only=not stepwise) for some in labelled())

  train_lib.trained(run, name, mark, ('lm', 'value') if reads_lm else ('value',), sets, trunk)


def stage(e: Experiment) -> Stage:
  """Stage `verifiers`."""
  kinds = e.models.kinds
  names = [name for name in model_kinds.verifiers(kinds) if e.models[name].enabled]
  decoders = tuple(name for name in names if not kinds[name].latent)
  heads = e.models.learning_states

  def train_all(run: Run) -> None:
    for name in names:
      (train_latent.train_latent if kinds[name].latent else train_verifier)(run, name)
    kept_states.forget(run)

  def uses() -> Iterator[Use]:
    for name in heads:
      yield Texts(e).scores(VERIFIERS, name, e.labels.samples)

  def cost(lengths: Lengths) -> Cost:
    found = costs.training(e, VERIFIERS, decoders)
    solutions = e.labels.questions * e.labels.samples
    read = len(heads) * costs.solutions(e, 'base', solutions, lengths)
    return dataclasses.replace(found, spent={**found.spent, 'read': read}) if heads else found

  return Stage(VERIFIERS, 'train_verifier', run=train_all, trains=decoders, uses=uses, cost=cost)
