"""The models of an experiment, as a config has them."""

from __future__ import annotations

import dataclasses

from tts.models.arch import Arch, decoder
from tts.train.steps import TrainConfig


@dataclasses.dataclass(frozen=True)
class ModelConfig:
  """One model: its shape, where it starts, how it is trained.

  Attributes:
    enabled: False leaves the model out.
    checkpoint: folder of a trained model, or of an open one, hf://org/name[@revision] or gs://; or
      a GGUF file, F.gguf or hf://org/name/F.gguf; its training is skipped.
    init: `scratch`, or the model whose weights it starts from, e.g. `base`; layers that this one
      has more are fresh.
    arch: shape of the decoder; vocab_size 0 takes the tokenizer's, num_layers 0 (`AS_INIT`) all of
      the model that it starts from.
    train: how it is trained.
  """

  enabled: bool = True
  checkpoint: str | None = None
  init: str = 'scratch'
  arch: Arch = decoder(layers=2, width=32, heads=4)
  train: TrainConfig = TrainConfig(learning_rate=1e-2, tokens=1_000_000)


# A row has room for five prompts and five solutions of the CPU's studies.
_REVISED = ModelConfig(init='base', train=TrainConfig(
    learning_rate=1e-2, row_length=480, tokens=3_000_000))


def _revision_orm(init: str, row_length: int) -> ModelConfig:
  return ModelConfig(init=init, arch=decoder(layers=3, width=32, heads=4, surprise_layer=2),
                     train=TrainConfig(learning_rate=3e-3, row_length=row_length, steps=600))


@dataclasses.dataclass(frozen=True)
class ModelsConfig:
  """The models.

  Attributes:
    base: the generator that test-time compute is spent on.
    mid: the same family with about 4x the parameters.
    large: the same with about 14x.
    prm: process reward model, the one that the curves and the difficulty estimate are made with
      unless `Experiment.verifier` is another.
    prm_plain: the paper's PRM, an ablation: a language model's trunk and a value head, nothing
      else.
    orm: outcome reward model, the comparison.
    orm_more: an ORM on more solutions, as many as the PRM's label FLOPs would have paid for.
    revision: the base finetuned to write a right answer after wrong ones; see `RevisionConfig`.
    revision_control: the base finetuned on the same right answers without what precedes them.
    revision_restem: the base finetuned on the revision model's own chains as far as their first
      right answer (ReST-EM, appendix K).
    revision_orm: an ORM on the revision model's answers, those before in its context (appendix J).
    revision_orm_alone: an ORM on the same answers without what precedes them.
    control_orm: an ORM on the control's answers.
  """

  base: ModelConfig = ModelConfig()
  mid: ModelConfig = ModelConfig(
      arch=decoder(layers=3, width=64, heads=4, kv_heads=2, mlp_width=184))
  large: ModelConfig = ModelConfig(
      arch=decoder(layers=3, width=112, heads=4, kv_heads=2, mlp_width=336))
  prm: ModelConfig = ModelConfig(init='base')
  prm_plain: ModelConfig = ModelConfig(enabled=False, init='base')
  orm: ModelConfig = ModelConfig(init='base')
  orm_more: ModelConfig = ModelConfig(enabled=False, init='base')
  revision: ModelConfig = _REVISED
  revision_control: ModelConfig = _REVISED
  revision_restem: ModelConfig = _REVISED
  revision_orm: ModelConfig = _revision_orm('revision', 480)
  revision_orm_alone: ModelConfig = _revision_orm('revision', 128)
  control_orm: ModelConfig = _revision_orm('revision_control', 128)
