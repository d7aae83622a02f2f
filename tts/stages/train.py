"""Stage `data`, and one for each language model: models trained and published."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

from absl import logging
import jax

from tts import hosts, model_kinds, parallel, placement
from tts.config import Experiment
from tts.data import tokenizer as tokenizer_lib
from tts.estimates import cost as costs
from tts.estimates.cost import Cost, Lengths
from tts.models.arch import Arch
from tts.models.transformer import num_params
from tts.runs import blocks, watch
from tts.runs.run import Model, Run
from tts.runs.workdir import fault, fingerprint
from tts.stages import checks
from tts.stages.stage import Stage
from tts.train import checkpoint, fit as fit_lib, latent_folder, packed
from tts.train.steps import TrainConfig
from tts.types import InputError, Problem


@hosts.by_first
def prepare(run: Run) -> None:
  """Stage `data`: the embedded benchmark on disk, and a tokenizer trained on its text.

  The prompts of all questions that later stages ask are looked at, before anything is trained.
  """
  e = run.experiment
  problems = run.problems('lm')
  if not run.model_config('base').checkpoint:
    _train_tokenizer(run, problems)
  for problem in (p for one in checks.asked(e) for p in run.problems(*one)):
    blocks.encode(problem, run.prompts, e.limits.max_prompt_tokens)


def _train_tokenizer(run: Run, problems: list[Problem]) -> None:
  config = run.experiment.tokenizer
  mark = fingerprint(run.data_mark('lm'), config)
  if run.workdir.is_sealed('tokenizer', mark):
    return
  folder = run.workdir.claim('tokenizer', mark)
  texts = [p.prompt + (p.solution or '') for p in problems]
  tokenizer_lib.Tokenizer.train(texts, config.vocab_size, config.byte_fallback).save(folder)
  run.workdir.seal('tokenizer', mark)


def with_heads(run: Run, name: str, heads: tuple[str, ...], trunk: Model | None = None) -> Arch:
  """A model's architecture over the run's vocabulary, or its trunk's: an open one may be padded.

  Raises:
    InputError: it is to be its trunk's, and there is none.
  """
  size = trunk.arch.vocab_size if trunk else run.tokenizer.vocab_size
  arch = run.model_config(name).arch
  if not arch.num_layers:
    if trunk is None:
      raise InputError(f'config.models.{name}.arch.num_layers is 0: give it layers, or set .init '
                       'to the model that it starts from')
    arch = trunk.arch
  return dataclasses.replace(arch, vocab_size=size, heads=heads)


def trained(run: Run, name: str, mark: str, heads: tuple[str, ...],
            sets: Callable[[TrainConfig], tuple[packed.Packed, packed.Packed]],
            trunk: Model | None = None) -> None:
  """Trains a model and publishes it, unless it is there: by the first process, or by all together.

  Args:
    run: gives the config, the devices and the folder.
    name: of the model.
    mark: fingerprint of all that it is made of.
    heads: of the model; one without a value is a language model.
    sets: rows to learn from, and those that are held out.
    trunk: what it starts from; None starts from nothing.
  """
  if is_there(run, name, mark):
    return
  if hosts.index() in parallel.members(run.train_mesh):
    arch, config = with_heads(run, name, heads, trunk), run.model_config(name).train
    config = dataclasses.replace(config, seed=config.seed + run.seed)
    data, validation = sets(config)
    init = trunk and _lower(arch, jax.device_get(placement.collected(trunk.params)))
    params, metrics = fit_lib.fit(
        arch, config, data, kind='value' if 'value' in heads else 'lm', name=name, init=init,
        workdir=run.workdir.root, validation=validation, mesh=run.train_mesh,
        **watch.training(run.workdir))
    params = placement.collected(params, hosts.is_first())
    if hosts.is_first():
      _publish(run, name, mark, arch, params, name if 'value' in heads else 'lm', metrics, trunk)
  hosts.wait()


def _publish(run: Run, name: str, mark: str, arch: Arch, params: Any, kind: str,
             metrics: dict[str, Any], trunk: Model | None) -> None:
  """Writes a trained model's checkpoint and removes what its training kept.

  What was finetuned from an open checkpoint stays one: its tables are padded, it can be exported.
  """
  origin = {'open': {**trunk.open, 'format': None}} if trunk and trunk.open else {}
  meta = {**origin, 'kind': kind, 'params': num_params(params), 'metrics': metrics,
          'seed': run.seed,
          'fingerprint': mark}
  checkpoint.save_model(run.workdir.path('models', name), arch, params, meta, run.tokenizer)
  fit_lib.forget(run.workdir.root, name)


def is_there(run: Run, name: str, mark: str) -> bool:
  """Whether a model with this fingerprint is there; one with another is moved away."""
  _drop_other(run, name, mark)
  there = run.workdir.mark(f'models/{name}', checkpoint.MODEL_FILE) == mark
  hosts.wait()  # none writes before all have looked
  if there:
    logging.info('models/%s is there already', name)
  return there


@hosts.by_first
def _drop_other(run: Run, name: str, mark: str) -> None:
  """Moves the model away that was made with another config, or is damaged."""
  folder = f'models/{name}'
  if run.workdir.mark(folder, checkpoint.MODEL_FILE) != mark:
    run.workdir.retire(folder)
    return
  of = latent_folder if run.experiment.models.kinds[name].latent else checkpoint
  try:
    of.check_files(run.workdir.path(folder))
  except InputError as error:
    logging.warning('trained anew: %s', fault(error))
    run.workdir.retire(folder, 'is damaged')


def train_lm(run: Run, name: str) -> None:
  """Trains a language model on problems and worked solutions."""
  config = run.model_config(name)
  if config.checkpoint:
    return
  mark = fingerprint(run.data_mark('lm'), run.tokenizer_mark(), config.arch, config.train,
                     run.seed)

  def sets(train: TrainConfig) -> tuple[packed.Packed, packed.Packed]:
    return tuple(_lm_rows(run, split, train.row_length, train.seed)
                 for split in ('lm', 'validation'))

  trained(run, name, mark, ('lm',), sets)


@functools.lru_cache(maxsize=2)
def _lm_rows(run: Run, split: str, row_length: int, seed: int) -> packed.Packed:
  """A split in rows; kept, as language models of all sizes read the same."""
  return packed.pack_lm(run.problems(split), run.prompts, row_length, seed)


def _lower(arch: Arch, params: Any) -> Any:
  """A language model's parameters as the lower layers of a verifier."""
  if arch.surprise_layer is None:
    return params
  return {'params': {**params['params'], 'surprise_norm': params['params']['final_norm']}}


def stages(e: Experiment) -> Iterator[Stage]:
  """Stage `data`, and a stage for each language model, of its name."""
  yield Stage('data', 'train_lm', run=prepare)
  for name in model_kinds.generators(e.models.kinds):
    if e.models[name].enabled:
      yield Stage(name, 'train_lm', run=functools.partial(train_lm, name=name), trains=(name,),
                  cost=functools.partial(_cost, e, name, (name,)))


def _cost(e: Experiment, stage: str, names: tuple[str, ...], lengths: Lengths) -> Cost | None:
  """Of a stage that trains; None of models that are given."""
  return costs.training(e, stage, names) if e.models.trained(names) else None
