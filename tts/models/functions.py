"""A decoder's functions as something that programs can be compiled for, and shared by."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from tts.models.arch import Arch
from tts.models.latent import Head
from tts.models.stacks import Stack
from tts.models.transformer import Decoder
from tts.protocols import Generator, Params, Verifier


@dataclasses.dataclass(frozen=True)
class Functions:
  """A `tts.protocols.Make`: parameters --> a model's functions. Equal ones share their programs.

  Attributes:
    kind: (decoder, parameters) --> the functions; where there is a head, it has that too.
    arch: of the decoder.
    head: of a latent verifier (`tts.models.latent`), or None.
    doubled: as of the decoder.
  """

  kind: Callable[..., Generator | Verifier]
  arch: Arch
  head: Head | None = None
  doubled: Stack | None = None

  def __call__(self, params: Params) -> Generator | Verifier:
    more = () if self.head is None else (self.head,)
    return self.kind(Decoder(self.arch, doubled=self.doubled), params, *more)
