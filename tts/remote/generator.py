"""A generator on a server, as samplers and searches call it."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses

import numpy as np

from tts import parallel
from tts.engine.engine_models import attended, Spent
from tts.remote.client import Client
from tts.remote.text import Text
from tts.remote.writer import ServerWriter, ServerWritten
from tts.sampling.decode import Limits
from tts.sampling.logits import SamplingConfig
from tts.types import InputError


@dataclasses.dataclass(frozen=True)
class Window:
  """How many questions go through a server at a time, as of `tts.engine.shape.Shape`."""

  requests: int
  groups: int

  def in_flight(self, rows: int) -> int:
    """Questions of a group, each with so many rows, half of which are with the verifier."""
    return max(2, -(-2 * self.requests // (rows * self.groups)))


class ServerGenerator:
  """What `tts.engine.engine_models.EngineGenerator` is, of a model that a server has."""

  def __init__(self, client: Client, model: str, mesh: parallel.Mesh, sampling: SamplingConfig,
               limits: Limits):
    """A generator.

    Args:
      client: of the server.
      model: its name there.
      mesh: devices of the verifier, whose groups share the questions.
      sampling, limits: how it writes.

    Raises:
      InputError: as `check_sampling`.
    """
    check_sampling(sampling)
    self.limits, self.mesh, self.groups = limits, mesh, parallel.num_groups(mesh)
    self.shape = Window(client.server.requests, self.groups)
    self.writer = ServerWriter(client, model, sampling, limits)

  @property
  def workers(self) -> list[ServerWriter]:
    return [self.writer]

  async def opened(self, group: int, prompt: Sequence[int]) -> Text:
    """A text of a question's ids. It is not sent before something is to be written behind it."""
    del group
    return Text(np.array(prompt, np.int32))

  def hold(self, text: Text | None, times: int = 1) -> Text | None:
    del times
    return text

  def release(self, group: int, text: Text | None) -> None:
    """Nothing: a text goes when nobody has it."""

  def opening(self, prompt: Sequence[int]) -> Spent:
    """What jobs of a question cost without its prompt: that is counted with the requests here."""
    return Spent(-len(prompt), -attended(0, len(prompt)))

  def spent(self, text: Text, written: ServerWritten) -> Spent:
    del text
    return written.spent


def check_sampling(sampling: SamplingConfig, where: str = 'sampling') -> None:
  """Raises InputError where it takes what a server does not give."""
  if sampling.statistics:
    raise InputError(f'{where}.statistics is of whole next-token distributions, which a server '
                     'does not give: leave it out')
  if sampling.top_n_sigma is not None:
    raise InputError(f'{where}.top_n_sigma is unknown to servers: use min_p, top_p or top_k')
