"""Independent samples of a question, and of what has been written of a solution."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
from typing import Any

import numpy as np

from tts.engine.coroutines import together
from tts.engine.engine_models import EngineGenerator, Spent
from tts.engine.nodes import Node
from tts.engine.reader import Read
from tts.engine.writer import Write
from tts.sampling.confidence import Statistics


@dataclasses.dataclass(frozen=True)
class Forced:
  """What budget forcing did to a solution.

  Attributes:
    spans: (begin, end) of the tokens that were read and not drawn; their `logprob` is 0.
    suppressed: tokens that were drawn and are not in the solution, and never entered.
    waits: how often the thought was made to go on.
  """

  spans: tuple[tuple[int, int], ...]
  suppressed: int
  waits: int

  @property
  def tokens(self) -> int:
    """That were read and not drawn."""
    return sum(end - begin for begin, end in self.spans)


@dataclasses.dataclass(frozen=True)
class Sample:
  """One outcome. Counts are tokens of the generator."""

  tokens: np.ndarray   # [length] int32, its own tokens, the end-of-sequence included
  logprob: np.ndarray  # [length] float32, natural log at temperature 1
  entered: int | None  # None where a server does not say
  attended: int | None  # keys that the tokens that entered attended to, summed
  statistics: Statistics | None = None  # [length], where they are asked for
  values: np.ndarray | None = None  # [length, ...], of a generator that scores what it writes
  forced: Forced | None = None  # of budget forcing
  stopped: bool = False  # where the model was too unsure
  discarded: int = 0     # tokens that a server wrote behind its end

  @property
  def num_drawn(self) -> int:
    """Tokens that were drawn, those that are not in it among them."""
    more = self.forced.suppressed - self.forced.tokens if self.forced else 0
    return len(self.tokens) + more + self.discarded


async def draw(generator: EngineGenerator, group: int, node: Node, key: np.ndarray,
               greedy: bool = False, **ends: Any) -> Sample:
  """A solution's rest behind a text, which the caller holds. key: uint32 [2]; ends: of `Write`."""
  written = await Write(generator.writer, group, node, key, steps=generator.limits.max_steps,
                        greedy=greedy, **ends)
  spent = generator.spent(node, written)
  return Sample(written.tokens, written.logprob, spent.entered, spent.attended,
                written.statistics, written.values, stopped=written.stopped,
                discarded=spent.discarded)


async def samples(generator: EngineGenerator, group: int, prompt: Sequence[int], keys: np.ndarray,
                  greedy: bool = False) -> list[Sample]:
  """Of one question, a sample a key. prompt: ids; keys: uint32 [N, 2]."""
  question = await generator.opened(group, prompt)
  found = await together([draw(generator, group, question, key, greedy) for key in keys])
  generator.release(group, question)
  if found:
    spent = Spent(found[0].entered, found[0].attended) + generator.opening(prompt)
    found[0] = dataclasses.replace(found[0], entered=spent.entered, attended=spent.attended)
  return found


async def rollouts(generator: EngineGenerator, group: int, prompt: Sequence[int],
                   steps: Sequence[Sequence[int]],
                   keys: Sequence[np.ndarray]) -> list[list[Sample]]:
  """Continuations from the ends of a solution's steps, as cheap as they can be.

  The solution is read once; every rollout branches off what was read.

  Args:
    generator: a generator.
    group: of devices.
    prompt: ids of the question.
    steps: ids of the solution's steps, as many as are needed.
    keys: per step those of its rollouts, uint32 [n, 2]; n may be 0.

  Returns:
    Per step the rollouts from its end.
  """
  nodes = [await generator.opened(group, prompt)]
  for tokens in steps:
    nodes.append((await Read(generator.reader, group, nodes[-1], tokens, own=True)).node)

  async def of_step(node: Node, of: np.ndarray) -> list[Sample]:
    return await together([draw(generator, group, node, key) for key in of])

  found = await together([of_step(node, of) for node, of in zip(nodes[1:], keys)])
  for node in nodes:
    generator.release(group, node)
  return found
