"""The models of an experiment, as a config has them."""

from __future__ import annotations

from collections.abc import Iterable
import dataclasses
import re

from tts.model_kinds import Kind, KINDS, LEARNS, NOTHING, STATES
from tts.models.arch import Arch, decoder
from tts.train.latent_config import LatentConfig
from tts.train.steps import TrainConfig
from tts.types import InputError


@dataclasses.dataclass(frozen=True)
class ModelConfig:
  """One model: its shape, where it starts, how it is trained.

  Attributes:
    enabled: False leaves the model out.
    learns: what it is made of, and so what it is for: `solutions` (a language model), `rollouts` (a
      process verifier), `states` (one that reads the base's hidden states), `nothing` (one whose
      values are the base's own log-probabilities), `outcomes` or `more_outcomes` (a verifier of
      whole solutions); see `tts.model_kinds`. None is what the model of this name always learns.
    checkpoint: folder of a trained model, or of an open one, hf://org/name[@revision] or gs://; or
      a GGUF file, F.gguf or hf://org/name/F.gguf; its training is skipped.
    dtype: `float32` or `bfloat16`, in which an open checkpoint is imported; None is its own, and
      float32 for a GGUF file.
    server: of a language model that is on a completions server, its address,
      `http://localhost:8000/v1`; `checkpoint` is the folder of the same model, of which
      tokenizer and shape are read and no weights. `Experiment.lanes` is how many requests are on
      their way.
    served_as: the server's name for the model; None is the only one that it has.
    init: `scratch`, or the model whose weights it starts from, e.g. `base`; layers that this one
      has more are fresh.
    arch: shape of the decoder; vocab_size 0 takes the tokenizer's, num_layers 0 (`AS_INIT`) all of
      the model that it starts from.
    train: how it is trained.
    latent: of one that learns `states`: what it reads and how it is fitted, for `arch` and `train`.
  """

  enabled: bool = True
  learns: str | None = None
  checkpoint: str | None = None
  dtype: str | None = None
  server: str | None = None
  served_as: str | None = None
  init: str = 'scratch'
  arch: Arch = decoder(layers=2, width=32, heads=4)
  train: TrainConfig = TrainConfig(learning_rate=1e-2, tokens=1_000_000)
  latent: LatentConfig = LatentConfig()


# A row has room for five prompts and five solutions of the CPU's studies.
_REVISED = ModelConfig(init='base', train=TrainConfig(
    learning_rate=1e-2, row_length=480, tokens=3_000_000))


def _revision_orm(init: str, row_length: int) -> ModelConfig:
  return ModelConfig(init=init, arch=decoder(layers=3, width=32, heads=4, surprise_layer=2),
                     train=TrainConfig(learning_rate=3e-3, row_length=row_length, steps=600))


# The models that every config has. A study of something else leaves them out by `enabled=False`.
_DEFAULTS = {
    # The generator that test-time compute is spent on.
    'base': ModelConfig(),
    # The same family with about 4x and 14x the parameters, which it is compared with.
    'mid': ModelConfig(arch=decoder(layers=3, width=64, heads=4, kv_heads=2, mlp_width=184)),
    'large': ModelConfig(arch=decoder(layers=3, width=112, heads=4, kv_heads=2, mlp_width=336)),
    # The process reward model; the one that curves and difficulty are made with, unless
    # `Experiment.verifier` names another.
    'prm': ModelConfig(init='base'),
    # The paper's PRM, an ablation: a language model's trunk and a value head, nothing else.
    'prm_plain': ModelConfig(enabled=False, init='base'),
    # A head on the base's own hidden states, which are there when it has written.
    'latent': ModelConfig(enabled=False, init='base'),
    # How likely the base found what it wrote: a head that looks at nothing else.
    'logprob': ModelConfig(enabled=False, init='base'),
    # The outcome reward model, and one on as many solutions as the rollouts' FLOPs pay for.
    'orm': ModelConfig(init='base'),
    'orm_more': ModelConfig(enabled=False, init='base'),
    # The base finetuned to write a right answer after wrong ones; see `RevisionConfig`.
    'revision': _REVISED,
    # On the same answers without what precedes them.
    'revision_control': _REVISED,
    # On the revision model's own chains as far as their first right answer (ReST-EM, appendix K).
    'revision_restem': _REVISED,
    # ORMs on the revision model's answers, those before in their context (appendix J) or not; and
    # on the control's.
    'revision_orm': _revision_orm('revision', 480),
    'revision_orm_alone': _revision_orm('revision', 128),
    'control_orm': _revision_orm('revision_control', 128),
}


class Models(dict[str, ModelConfig]):
  """The models by name: `Models(base=..., prm_wide=ModelConfig(learns='rollouts', ...))`.

  Names that are not given have their defaults; a name of one's own is one model more, which says
  what it `learns`. Not to be changed: `Models(**{**models, 'base': other})` is another one.
  """

  def __init__(self, **given: ModelConfig):
    """Raises ValueError where an entry does not say what it is for."""
    super().__init__({name: _checked(name, model)
                      for name, model in {**_DEFAULTS, **given}.items()})

  def __hash__(self) -> int:
    return hash(tuple(self.items()))

  @property
  def kinds(self) -> dict[str, Kind]:
    """What each is for, in order."""
    return {name: KINDS[model.learns] for name, model in self.items()}

  @property
  def served(self) -> tuple[str, ...]:
    """Those that are on a server, and enabled."""
    return tuple(name for name, model in self.items() if model.enabled and model.server)

  def check_here(self, what: str) -> None:
    """Raises InputError where a model is on a server; `what` says why it may not be."""
    if served := self.served:
      raise InputError(f'config.models.{served[0]}.server is given: {what}')

  def trained(self, names: Iterable[str] | None = None) -> tuple[str, ...]:
    """Those of `names`, or of all, that the run trains: enabled, and not given as a checkpoint."""
    return tuple(name for name in (self if names is None else names)
                 if self[name].enabled and not self[name].checkpoint)

  @property
  def learning(self) -> bool:
    """Whether the run trains anything."""
    return any(self[name].learns != NOTHING for name in self.trained())

  @property
  def learning_states(self) -> tuple[str, ...]:
    """Latent verifiers that the run fits on hidden states."""
    return tuple(name for name in self.trained() if self[name].learns == STATES)


def _checked(name: str, model: ModelConfig) -> ModelConfig:
  """The entry with its `learns`."""
  usual = LEARNS.get(name)
  if not re.fullmatch(r'[a-z][a-z0-9_]*', name):
    raise ValueError(f'{name!r} is no name of a model: give small letters, digits and _')
  found = model.learns or usual
  own = [what for what, kind in KINDS.items() if not kind.revises]
  if usual is None and found not in own:
    raise ValueError(f'{name}.learns is {found!r}: a model of your own says what it learns, one of '
                     f'{", ".join(own)}')
  if usual is not None and found != usual:
    raise ValueError(f'{name}.learns is {found!r}: this model learns {usual}; give another name')
  if KINDS[found].latent and model.init != 'base':
    raise ValueError(f'{name}.init is {model.init!r}: what reads the hidden states of the model '
                     'that writes starts from it; set it to base')
  if model.server and not (KINDS[found].writes and not KINDS[found].revises and model.checkpoint):
    raise ValueError(f'{name}.server is given: it is for a model that learns solutions, and its '
                     f'{name}.checkpoint is to be the folder of the same model, for the tokenizer')
  if model.served_as and not model.server:
    raise ValueError(f'{name}.served_as is given, and {name}.server is not')
  return dataclasses.replace(model, learns=found)
