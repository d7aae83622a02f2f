"""A stage's models at work: each is there once, whatever pools and searches want it."""

from __future__ import annotations

import collections
from collections.abc import Callable, Sequence
import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from tts import rng
from tts.data.prompts import shared_prefix
from tts.engine import engine, shape
from tts.engine.workers import Author, Judge
from tts.models.generator import Generator
from tts.models.stacks import Stack
from tts.models.arch import Arch
from tts.models.transformer import Decoder
from tts.sampling.logits import SamplingConfig
from tts.stages.blocks import Block
from tts.stages.context import Run


@dataclasses.dataclass(frozen=True)
class Functions:
  """Parameters --> a model's functions. Equal ones share their programs.

  Attributes:
    kind: (decoder, parameters) --> the functions.
    arch: of the decoder.
    doubled: as of the decoder.
  """

  kind: Callable[[Decoder, Any], Any]
  arch: Arch
  doubled: Stack | None = None

  def __call__(self, params: Any) -> Any:
    return self.kind(Decoder(self.arch, doubled=self.doubled), params)


class Computed(collections.Counter):
  """Tokens that models have computed, by (model, kind).

  Kinds: `entered`, what was written or read; `computed`, that and what a program computed beside
  it, as its shape is fixed.
  """

  @property
  def occupancy(self) -> float | None:
    """Which share of what was computed was asked for."""
    total = lambda kind: sum(n for (_, k), n in self.items() if k == kind)
    return round(total('entered') / total('computed'), 4) if total('computed') else None


class Workers:
  """Models are made to work when they are first asked for; their lanes go with this."""

  def __init__(self, run: Run):
    self.run = run
    self.tick: Callable[[int, float], None] = lambda tokens, share: None  # see `engine.run`
    self._working: list[tuple[str, Author | Judge]] = []
    self.author = functools.cache(self._author)
    self.judge = functools.cache(self._judge)

  def _author(self, name: str, sampling: SamplingConfig) -> Author:
    """A generator by its model's name."""
    model = self.run.model(name)
    author = Author(self.run.mesh, Functions(Generator, model.arch), model.params,
                    shape.of(model.arch, self.run.experiment.lanes), sampling, self.run.limits,
                    shared_prefix(self.run.prompts.encode))
    self._working.append((name, author))
    return author

  def _judge(self, name: str) -> Judge:
    """A verifier by its name."""
    model = self.run.model(name)
    encode = self.run.prompts.encode if model.reader is None else model.reader.prompt
    judge = Judge(self.run.mesh, Functions(model.make, model.arch), model.params,
                  shape.of(model.arch, self.run.experiment.lanes), shared_prefix(encode))
    self._working.append((name, judge))
    return judge

  def computed(self) -> Computed:
    """By all of them, so far."""
    found = Computed()
    for name, model in self._working:
      for worker in model.workers:
        found[name, 'entered'] += worker.entered
        found[name, 'computed'] += worker.computed
    return found

  def on_blocks(self, blocks: Sequence[Block], question: Callable[[Block, int, int], Any],
                models: Sequence[Author | Judge], rows: int) -> list[list[Any]]:
    """What coroutines give for each question of each block; all groups work on all blocks.

    Args:
      blocks: of this process.
      question: block, place in it, group --> a coroutine.
      models: that the coroutines use.
      rows: that a question has at a time.
    """
    found = iter(self.on_items(
        [(block, b) for block in blocks for b in range(len(block.problems))],
        lambda item, group: question(*item, group), models, rows))
    return [[next(found) for _ in block.problems] for block in blocks]

  def on_items(self, items: Sequence[Any], coroutine: Callable[[Any, int], Any],
               models: Sequence[Author | Judge], rows: int) -> list[Any]:
    """The same of anything: (one of the items, group) --> a coroutine."""
    begin = lambda item: lambda group: coroutine(item, group)
    return engine.run([begin(item) for item in items], models,
                      max(model.shape.in_flight(rows) for model in models), self.tick)


@functools.cache
def _keys(seed: int, stream: str) -> Callable[..., jax.Array]:
  """Problems' words uint32 [B, 2], identity int32 [B, N, I] --> keys' data uint32 [B, N, 2]."""
  return jax.jit(lambda words, identity: jax.random.key_data(rng.identity_keys(
      rng.problem_keys(rng.stream_key(seed, stream), words), identity)))


def keys(seed: int, stream: str, words: np.ndarray, identity: np.ndarray) -> np.ndarray:
  """Keys of rows as uint32 [B, N, 2]; see `tts.rng`.

  Args:
    seed: of the run.
    stream: purpose.
    words: uint32 [B, 2], of the questions.
    identity: int32 [B, N, I], what names a row.
  """
  return np.asarray(_keys(seed, stream)(words, identity))


def slot_keys(seed: int, stream: str, words: np.ndarray, slots: range) -> np.ndarray:
  """Of rows that a slot names, uint32 [B, N, 2]."""
  identity = np.broadcast_to(np.array(slots, np.int32)[:, None], (len(words), len(slots), 1))
  return keys(seed, stream, words, identity)
