"""A generator on a server: `tts.connect_generator`."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from typing import Any

from absl import logging

from tts import parallel
from tts.data import hub
from tts.data.prompts import PromptConfig, Prompts
from tts.data.tokenizer import Tokenizer
from tts.library.models import given, RewardModel, Source
from tts.models import open_config
from tts.models.arch import Arch
from tts.remote import probe
from tts.remote.client import Client, ServerConfig
from tts.remote.generator import ServerGenerator
from tts.remote.probe import Engine
from tts.sampling.decode import Limits
from tts.sampling.logits import SamplingConfig
from tts.train import checkpoint
from tts.types import InputError


@dataclasses.dataclass(frozen=True, eq=False)
class ServedModel:
  """A generator behind a completions server, as `tts.sample` and `tts.search` take it.

  What it draws is not reproducible bit for bit: a server's rounding depends on what it computes
  beside it. Tokens written are counted exactly, tokens that entered it as it says itself.

  Attributes:
    client: of the server.
    engine: what it says that it is.
    source: where tokenizer and shape are from.
    mesh: devices of the verifier.
    prompts: the tokenizer, with how questions are put and what ends a step.
    arch: what a token costs; None where FLOPs are not known.
  """

  client: Client
  engine: Engine
  source: str
  mesh: parallel.Mesh
  prompts: Prompts
  arch: Arch | None

  @property
  def tokenizer(self) -> Tokenizer:
    return self.prompts.tokenizer

  def at_work(self, sampling: SamplingConfig, limits: Limits,
              verifier: RewardModel | None = None) -> ServerGenerator:
    """What writes with it, for one call; InputError where that takes what no server gives."""
    if verifier is not None and verifier.head is not None:
      raise InputError(f'{verifier.source} reads hidden states, which a server does not give: give '
                       'a verifier that reads tokens')
    return ServerGenerator(self.client, self.engine.model, self.mesh, sampling, limits)

  def close(self) -> None:
    """Ends the connections."""
    self.client.close()


def connect_generator(url: str, folder: Source, *, mesh: parallel.Mesh | None = None,
                      model: str | None = None, requests: int = ServerConfig.requests,
                      seconds: float = ServerConfig.seconds,
                      patience: float = ServerConfig.patience, **prompts: Any) -> ServedModel:
  """A generator that a completions server has, such as vLLM 0.10.2 or newer.

  Args:
    url: `http://localhost:8000/v1`; a key is in the environment variable TTS_SERVER_KEY.
    folder: of a checkpoint, or GGUF file, of the same model, for its tokenizer and its shape;
      weights are not read. A folder of a tokenizer alone will do: FLOPs are None then.
    mesh: devices of the verifier, the same as its own.
    model, requests, seconds, patience: fields of `tts.remote.client.ServerConfig`.
    prompts: how questions are put, as of `tts.load_generator`.

  Raises:
    tts.InputError: the server is not there, gives no token ids or others than the tokenizer; or an
      argument is no good.
  """
  server = given(ServerConfig, {'url': url, 'model': model, 'requests': requests,
                                'seconds': seconds, 'patience': patience})
  return connected(server, folder, parallel.make_mesh() if mesh is None else mesh,
                   given(PromptConfig, prompts))


def connected(server: ServerConfig, folder: Source, mesh: parallel.Mesh,
              prompts: PromptConfig) -> ServedModel:
  """As `connect_generator`."""
  tokenizer, arch = described(folder)
  put = Prompts(prompts, tokenizer)
  client = Client(server)
  try:
    engine = probe.probe(client, tokenizer, os.fspath(folder))
  except BaseException:
    client.close()
    raise
  return ServedModel(client, engine, os.fspath(folder), mesh, put, arch)


def described(source: Source) -> tuple[Tokenizer, Arch | None]:
  """A model's tokenizer and shape without its weights; no shape where the folder has none."""
  folder = pathlib.Path(hub.local(os.fspath(source)))
  if not folder.exists():
    raise InputError(f'{source} is not there: give the folder of the model that the server has')
  tokenizer = Tokenizer.load(folder)
  if (folder / checkpoint.MODEL_FILE).is_file():
    return tokenizer, checkpoint.read_arch(folder)
  try:  # a server has models of more families than we do
    return tokenizer, open_config.to_arch(folder, open_config.read(folder))
  except InputError as error:
    logging.info('FLOPs of the generator will not be known: %s', error)
    return tokenizer, None
