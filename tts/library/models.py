"""Models in hand: a generator and a verifier on the devices, of ours or of an open checkpoint."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from typing import Any, cast, TYPE_CHECKING, TypeVar

from tts import parallel, placement
from tts.data import hub
from tts.data.prompts import PromptConfig, Prompts, shared_prefix
from tts.data.tokenizer import Tokenizer
from tts.data.verifier_format import Reader
from tts.engine import shape as shape_lib
from tts.engine.engine_models import EngineGenerator, EngineVerifier
from tts.engine.shape import Shape
from tts.models import latent, open_heads, open_weights, placed_weights
from tts.models.arch import Arch
from tts.models.functions import Functions
from tts.models.generator import Generator
from tts.models.transformer import abstract
from tts.models.verifier import Verifier
from tts.protocols import MakeGenerator, MakeVerifier, Params
from tts.sampling.decode import Limits
from tts.sampling.logits import SamplingConfig
from tts.train import checkpoint, latent_folder
from tts.types import InputError

if TYPE_CHECKING:
  from _typeshed import DataclassInstance

Source = str | os.PathLike[str]
T = TypeVar('T', bound='DataclassInstance')
_SHAPE = Shape(lanes=32, write=8, readers=16, tile=16)  # of models that are not a decoder of ours


@dataclasses.dataclass(frozen=True, eq=False)
class LanguageModel:
  """A generator on the devices. `load_generator` makes one; a model of your own is one too.

  Attributes:
    make: parameters --> a `tts.protocols.Generator`.
    params: its parameters, on the devices of the mesh.
    mesh: the devices; see `tts.make_mesh`.
    prompts: its tokenizer, with how questions are put and what ends a step.
    shape: sizes of the programs that write and read with it.
    arch: of a decoder of ours, which says what a token costs; None where FLOPs are not known.
    source: where it is from, for messages.
  """

  make: MakeGenerator
  params: Params
  mesh: parallel.Mesh
  prompts: Prompts
  shape: Shape
  arch: Arch | None = None
  source: str = 'the generator'

  @classmethod
  def of(cls, make: MakeGenerator, params: Params, tokenizer: Tokenizer, *,
         mesh: parallel.Mesh | None = None, shape: Shape = _SHAPE, **prompts: Any) -> LanguageModel:
    """A model of your own, whole on every device. prompts: as of `load_generator`."""
    mesh = _mesh(mesh)
    return cls(make, placement.replicate(params, mesh), mesh,
               Prompts(given(PromptConfig, prompts), tokenizer), shape)

  @property
  def tokenizer(self) -> Tokenizer:
    return self.prompts.tokenizer

  def at_work(self, sampling: SamplingConfig, limits: Limits,
              verifier: RewardModel | None = None, window: int = 0) -> EngineGenerator:
    """What writes with it, for one call; with a latent verifier it scores what it writes.

    window: of a `Writer`.

    Raises:
      InputError: such a verifier is of another generator.
    """
    make, params, judge = self.make, self.params, None
    if verifier is not None and verifier.head is not None:
      if (own := verifier.generator) is not self:
        raise InputError(f'{verifier.source} reads the states of {own and own.source}: give the '
                         'generator that it was loaded with')
      assert self.arch is not None  # else it could have no head
      params, judge = verifier.params, verifier.make
      make = writing(Functions(latent.Generator, self.arch, verifier.head))
    return EngineGenerator(self.mesh, make, params, self.shape, sampling, limits,
                           shared_prefix(self.prompts.encode), judge, window)


@dataclasses.dataclass(frozen=True, eq=False)
class RewardModel:
  """A verifier on the devices. `load_verifier` makes one; a model of your own is one too.

  Attributes:
    make: parameters --> a `tts.protocols.Verifier`.
    params, mesh, shape, arch, source: as of a `LanguageModel`.
    tokenizer: its own.
    layout: how it reads a solution, a name of `tts.data.verifier_format.FORMATS`; None for a
      verifier that reads the generator's ids.
    head: of a latent verifier, which reads the hidden states of its generator; else None. Where
      that generator writes, it reads nothing; a solution that is given is read by the generator.
    generator: of a latent verifier, the one that it is of.
  """

  make: MakeVerifier
  params: Params
  mesh: parallel.Mesh
  tokenizer: Tokenizer
  shape: Shape
  layout: str | None = None
  arch: Arch | None = None
  source: str = 'the verifier'
  head: latent.Head | None = None
  generator: LanguageModel | None = None

  @classmethod
  def of(cls, make: MakeVerifier, params: Params, tokenizer: Tokenizer, *,
         mesh: parallel.Mesh | None = None, shape: Shape = _SHAPE) -> RewardModel:
    """A model of your own that reads its generator's ids, its parameters whole on every device."""
    mesh = _mesh(mesh)
    return cls(make, placement.replicate(params, mesh), mesh, tokenizer, shape)

  @classmethod
  def of_head(cls, generator: LanguageModel, head: latent.Head, params: Params,
              source: str = 'the latent verifier') -> RewardModel:
    """A latent verifier. params: of the head, as `latent.zeros` has them.

    Raises:
      InputError: the generator is no decoder of ours, or has no such layer.
    """
    if not isinstance(generator, LanguageModel) or generator.arch is None:
      raise InputError(f'{generator.source} is a model of your own or on a server: a latent '
                       'verifier needs one that tts.load_generator has loaded')
    head.check_fits(generator.arch.num_layers)
    own = {latent.NAME: placement.replicate(params, generator.mesh)}
    return cls(Functions(latent.Verifier, generator.arch, head), generator.params | own,
               generator.mesh, generator.tokenizer, generator.shape, None, generator.arch, source,
               head, generator)

  def reader(self, prompts: Prompts, limits: Limits, max_prompt_tokens: int) -> Reader | None:
    """What writes a generator's solutions in its own ids; None where these are the same.

    Raises:
      InputError: they are not, and it has no layout.
    """
    if self.layout is not None:
      return Reader(self.layout, self.tokenizer, prompts.tokenizer, max_prompt_tokens,
                    limits.max_step_tokens, limits.max_tokens, limits.max_steps)
    if self.tokenizer.proto != prompts.tokenizer.proto:
      raise InputError(f'{self.source} has another tokenizer than the generator: give a '
                       'verifier that was trained with it, or load an open one, which has a layout')
    return None

  def at_work(self, prompts: Prompts, reader: Reader | None) -> EngineVerifier:
    """What reads with it, for one call."""
    encode = prompts.encode if reader is None else reader.prompt
    return EngineVerifier(self.mesh, self.make, self.params, self.shape, shared_prefix(encode))


def load_generator(source: Source, *, mesh: parallel.Mesh | None = None, dtype: str | None = None,
                   lanes: int = 0, **prompts: Any) -> LanguageModel:
  """A language model on the devices.

  Args:
    source: folder of a model of ours (`W/models/base`) or of an open checkpoint, hf://org/name or
      gs://...; or a GGUF file, F.gguf or hf://org/name/F.gguf.
    mesh: the devices; None is all that this process has, each with the whole model.
    dtype: `float32` or `bfloat16`, of an open checkpoint; None is the checkpoint's own.
    lanes: texts that are written at a time on each group of devices; 0 chooses by the model.
    prompts: how questions are put, fields of `tts.data.prompts.PromptConfig`: `kind='chat'`,
      `system=...`, `delimiter='blank_line'`, `template_arguments='{"enable_thinking": false}'`.

  Raises:
    InputError: there is no such model, or it is damaged; the message says what to do.
  """
  mesh = _mesh(mesh)
  found = _read(source, 'lm', mesh, dtype)
  return LanguageModel(writing(Functions(Generator, found.arch)), found.params, mesh,
                       Prompts(given(PromptConfig, prompts), found.tokenizer),
                       shape_lib.of(found.arch, lanes), found.arch, str(source))


def load_verifier(source: Source, *, mesh: parallel.Mesh | None = None, dtype: str | None = None,
                  lanes: int = 0, kind: str | None = None, layout: str | None = None,
                  reads: MakeVerifier | None = None,
                  generator: LanguageModel | None = None) -> RewardModel:
  """A process reward model, an outcome reward model or a latent verifier, on the devices.

  Args:
    source, mesh, dtype, lanes: as of `load_generator`.
    kind: of an open checkpoint, of `tts.models.open_heads.KINDS`; None is what its tensors say.
    layout: how an open one reads a solution, of `tts.data.verifier_format.FORMATS`; None is its
      kind's.
    reads: a class like `tts.models.verifier.Verifier` that reads the model in another way, called
      with (decoder, parameters).
    generator: the model whose states a latent verifier reads, which is given nothing else; others
      have no use for it.

  Raises:
    InputError: as of `load_generator`; or a latent verifier is of another generator.
  """
  if latent_folder.is_head(hub.local(os.fspath(source))):
    given_too = [name for name, value in (
        ('mesh', mesh), ('dtype', dtype), ('lanes', lanes or None), ('kind', kind),
        ('layout', layout), ('reads', reads)) if value is not None]
    return _latent(source, generator, given_too)
  mesh = _mesh(mesh)
  found = _read(source, kind, mesh, dtype, layout)
  return RewardModel(Functions(reads or Verifier, found.arch), found.params, mesh, found.tokenizer,
                     shape_lib.of(found.arch, lanes), (found.meta.get('open') or {}).get('format'),
                     found.arch, str(source))


def _latent(source: Source, generator: LanguageModel | None,
            given_too: list[str]) -> RewardModel:
  """A head in its folder, on its generator. given_too: arguments that it has no use for."""
  folder = hub.local(os.fspath(source))
  if generator is None:
    raise InputError(f'{source} is a latent verifier: give generator=, the model that '
                     'tts.load_generator has loaded and whose states it reads')
  if given_too:
    raise InputError(f'{given_too[0]} is given, and a latent verifier runs as its generator does: '
                     'leave it out')
  if not isinstance(generator, LanguageModel) or generator.arch is None:
    raise InputError(f'{generator.source} has no states that {source} could read: load it by '
                     'tts.load_generator')
  head, params, _ = latent_folder.load(folder, generator.arch, latent_folder.fingerprint(
      generator.arch, generator.params))
  return RewardModel.of_head(generator, head, params, str(source))


def writing(functions: Functions) -> MakeGenerator:
  """The same, for type checkers: a model's writing is of its own class, a `Writing` for others."""
  return cast(MakeGenerator, functions)


def _mesh(mesh: parallel.Mesh | None) -> parallel.Mesh:
  return parallel.make_mesh() if mesh is None else mesh


def given(kind: type[T], options: dict[str, Any]) -> T:
  """A dataclass of keyword arguments; InputError names one that it has not, or a bad value."""
  known = [field.name for field in dataclasses.fields(kind)]
  if unknown := [name for name in options if name not in known]:
    raise InputError(f'there is no option {unknown[0]!r}: one of {", ".join(known)}')
  number = lambda x: isinstance(x, (int, float)) and not isinstance(x, bool)
  for field in dataclasses.fields(kind):
    value = options.get(field.name, field.default)
    if number(field.default) and not number(value):
      raise InputError(f'{field.name} is {value!r}: it is to be a number')
  try:
    return kind(**options)
  except (TypeError, ValueError) as error:
    raise InputError(str(error)) from error


@dataclasses.dataclass(frozen=True)
class _Found:
  arch: Arch
  params: Params
  meta: dict[str, Any]
  tokenizer: Tokenizer


def _read(source: Source, kind: str | None, mesh: parallel.Mesh, dtype: str | None,
          layout: str | None = None) -> _Found:
  """A model's parts, its parameters on the mesh. kind: None for a verifier of whichever."""
  from tts.serving import open_checkpoint
  folder = pathlib.Path(hub.local(os.fspath(source)))
  if open_checkpoint.is_open(folder):
    kind = kind or open_heads.kind_of(folder, open_weights.shards(folder))
    opened = open_checkpoint.read(os.fspath(source), kind, dtype, layout=layout)
    params = placement.shared(placement.place(
        opened.params, abstract(opened.arch), placement.holders(mesh)), mesh)
    return _Found(opened.arch, placed_weights.hold(params, opened.arch, mesh), opened.meta,
                  opened.tokenizer)
  for name, value in (('dtype', dtype), ('layout', layout)):
    if value is not None:
      raise InputError(f'{name} is given, and {source} is no open checkpoint: leave it out')
  found = _Found(*checkpoint.load_model(folder, mesh))
  if (kind == 'lm') != (found.meta['kind'] == 'lm'):
    raise InputError(f'{source} is a model of kind {found.meta["kind"]}: give '
                     + ('a language model' if kind == 'lm' else 'a verifier'))
  return found
