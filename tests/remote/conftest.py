"""Generators and verifiers: on toys' programs, and in folders with what serves the generator."""

from __future__ import annotations

import dataclasses
import pathlib

import pytest

from tests import toy
from tests.remote import serving
from tests.remote.server import Server
from tts.data import problems
from tts.data.arith import ArithConfig
from tts.data.problems import DataConfig
from tts.data.tokenizer import Tokenizer
from tts.models.arch import Arch
from tts.models.transformer import num_params
from tts.sampling import decode
from tts.train import checkpoint

DATA = DataConfig(arith=ArithConfig(max_ops=2, ranges=(5, 10), max_value=30, sizes=(
    ('lm', 40), ('verifier', 10), ('revision', 10), ('validation', 10), ('dev', 10), ('test', 12))))


@dataclasses.dataclass(frozen=True)
class Folders:
  """Models that were saved, of random weights."""

  base: pathlib.Path
  prm: pathlib.Path
  arch: Arch
  params: dict
  tokenizer: Tokenizer

  def served(self, **how) -> Server:
    """A server that has the generator."""
    limits = decode.Limits(1, 1, 1, self.tokenizer.roles())
    return Server(self.params, limits, arch=self.arch, tokenizer=self.tokenizer, **how)


@pytest.fixture(scope='session')
def folders(tmp_path_factory):
  root = tmp_path_factory.mktemp('served')
  texts = [p.prompt + p.solution for p in problems.load_split(DATA, 'lm', str(root))]
  tokenizer = Tokenizer.train(texts, 32)
  found = {}
  for seed, (name, kind, more) in enumerate((
      ('base', 'lm', {'heads': ('lm',)}), ('prm', 'prm', {'surprise_layer': 1}))):
    arch = dataclasses.replace(toy.ARCH, vocab_size=tokenizer.vocab_size, **more)
    params = toy.decoder_params(arch, seed)
    checkpoint.save_model(root / name, arch, params, {
        'kind': kind, 'metrics': {}, 'params': num_params(params)}, tokenizer)
    found[name] = arch, params
  return Folders(root / 'base', root / 'prm', *found['base'], tokenizer)


@pytest.fixture(scope='session')
def params():
  return toy.decoder_params()


@pytest.fixture(scope='session')
def verifier():
  return toy.verifier(toy.judges(), toy.decoder_params(toy.JUDGE, 1), shape=serving.SHAPE)


@pytest.fixture
def served():
  """A server, and more for `serving.connected` --> the generator on it."""
  clients = []

  def make(server, *args, **kwargs):
    client, generator = serving.connected(server, *args, **kwargs)
    clients.append(client)
    return generator

  yield make
  for client in clients:
    client.close()
