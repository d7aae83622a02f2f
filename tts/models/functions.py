"""A decoder's functions as something that programs can be compiled for, and shared by."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from tts.models.arch import Arch
from tts.models.stacks import Stack
from tts.models.transformer import Decoder
from tts.protocols import Generator, Params, Verifier


@dataclasses.dataclass(frozen=True)
class Functions:
  """A `tts.protocols.Make`: parameters --> a model's functions. Equal ones share their programs.

  Attributes:
    kind: (decoder, parameters) --> the functions.
    arch: of the decoder.
    doubled: as of the decoder.
  """

  kind: Callable[[Decoder, Params], Generator | Verifier]
  arch: Arch
  doubled: Stack | None = None

  def __call__(self, params: Params) -> Generator | Verifier:
    return self.kind(Decoder(self.arch, doubled=self.doubled), params)
