"""Searches by a generator on a test's server, and what they are compared with."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from tests import toy
from tests.remote.server import MODEL, Server
from tts import parallel
from tts.engine import engine
from tts.engine.shape import Shape
from tts.remote.client import Client, ServerConfig
from tts.remote.generator import ServerGenerator
from tts.sampling import decode
from tts.sampling.logits import SamplingConfig

LIMITS = decode.Limits(max_tokens=16, max_steps=4, max_step_tokens=6, roles=dataclasses.replace(
    toy.ROLES, size=toy.ARCH.vocab_size))
QUESTIONS = 5
PROMPTS = toy.ragged(*toy.prompts(0, QUESTIONS, 6, toy.ARCH.vocab_size))
NUM = 8
KEYS = toy.slot_keys(QUESTIONS, NUM)
SHAPE = Shape(lanes=8, write=3, readers=8, tile=4)  # multiples of 8: no lane has bytes of its own
FAST = ServerConfig(requests=16, seconds=60.0, patience=120.0)


def connected(server: Server, sampling=SamplingConfig(), limits=LIMITS,
              config=FAST) -> tuple[Client, ServerGenerator]:
  """A client of a server, to be closed, and a generator on it."""
  client = Client(dataclasses.replace(config, url=server.url))
  return client, ServerGenerator(client, MODEL, parallel.make_mesh(1, 1), sampling, limits)


def searched(generator, verifier, method, num=NUM) -> list:
  """A search's tree of each question."""
  data = np.asarray(jax.random.key_data(KEYS[:, :num]))
  begin = lambda prompt, key: lambda group: toy.Search(
      generator, verifier, toy.Question(prompt, prompt, key, key[0] + 1), method, group).run()
  found = engine.run([begin(*each) for each in zip(PROMPTS, data)], [generator, verifier], 3)
  assert not any(worker.worth for worker in generator.workers)
  return found


def assert_equal(got, want) -> None:
  """Trees that say the same; log-probabilities are of two programs."""
  for ours, theirs in zip(got, want, strict=True):
    assert ours.candidates == theirs.candidates
    for a, b in zip(ours.nodes, theirs.nodes, strict=True):
      for name in ('parent', 'round', 'slot', 'live', 'finished', 'score'):
        assert getattr(a, name) == getattr(b, name), name
      np.testing.assert_array_equal(a.tokens, b.tokens)
      np.testing.assert_allclose(a.logprob, b.logprob, atol=1e-4)
      assert (a.simulation is None) == (b.simulation is None)
      if a.simulation is not None:
        np.testing.assert_array_equal(a.simulation.tokens, b.simulation.tokens)
        assert (a.simulation.score, a.simulation.ended) == (b.simulation.score, b.simulation.ended)
