"""A decoder's functions as something that programs can be compiled for, and shared by."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import jax

from tts import parallel, placement
from tts.models import latent, placed_weights
from tts.models.arch import Arch
from tts.models.latent import Head
from tts.models.stacks import Stack
from tts.models.transformer import Decoder
from tts.protocols import Params


M = TypeVar('M')  # of `tts.protocols`: a Generator or a Verifier


@dataclasses.dataclass(frozen=True)
class Functions(Generic[M]):
  """A `tts.protocols.Make`: parameters --> a model's functions. Equal ones share their programs.

  Attributes:
    kind: (decoder, parameters) --> the functions; where there is a head, it has that too.
    arch: of the decoder.
    head: of a latent verifier (`tts.models.latent`), or None.
    doubled: as of the decoder.
  """

  kind: Callable[..., M]
  arch: Arch
  head: Head | None = None
  doubled: Stack | None = None

  @property
  def reader(self) -> Functions[Any]:
    """What reads with it: of a generator with a head the verifier on its texts, else itself."""
    return (dataclasses.replace(self, kind=latent.Verifier) if self.kind is latent.Generator
            else self)

  def shapes(self, mesh: parallel.Mesh) -> Params:
    """Shapes of the parameters that it is called with on a mesh, with their shardings."""
    found = placed_weights.shapes(self.arch, mesh)
    if self.kind not in (latent.Generator, latent.Verifier):
      return found
    where = placement.replicated(mesh)
    return found | {latent.NAME: {
        name: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where)
        for name, x in latent.zeros(self.head, self.arch.width).items()}}

  def __call__(self, params: Params) -> M:
    more = () if self.head is None else (self.head,)
    return self.kind(Decoder(self.arch, doubled=self.doubled), params, *more)
