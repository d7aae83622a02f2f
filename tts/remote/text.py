"""A text that a server is sent: its ids. What it has read of them is the server's own affair."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Text:
  """What a generator on a server has for `tts.engine.nodes.Node`; ids: int32 [n]."""

  ids: np.ndarray

  @classmethod
  def behind(cls, text: Text, tokens: np.ndarray) -> Text:
    return cls(np.concatenate([text.ids, tokens]))

  @property
  def end(self) -> int:
    """Its tokens."""
    return len(self.ids)
