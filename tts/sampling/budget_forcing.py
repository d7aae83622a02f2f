"""Budget forcing (s1, arXiv 2501.19393): how long a model thinks is set while it thinks.

A cap: once the thought has so many tokens, its end is read, as if the model had written it, and a
lead-in to the answer behind it. And "Wait", up to k times: where the model would end its thought,
that token is dropped and "Wait" is read in its place, so that it goes on. What is read so is in the
solution; it enters the model and is not drawn. An end of sequence within the thought counts as an
end of the thought.

A place of a solution is drawn at most once, by its own key. So with a cap that is never reached and
no waits, where the prompt has opened the thought, the solution is a plain sample, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
from typing import Any

import numpy as np

from tts.engine.coroutines import together
from tts.engine.engine_models import attended, EngineGenerator
from tts.engine.nodes import Node
from tts.engine.reader import Read
from tts.engine.writer import Write
from tts.sampling.pool import Forced, Sample


@dataclasses.dataclass(frozen=True)
class Forcing:
  """What is forced, in ids.

  Attributes:
    cap: tokens of a thought, its marks among them, at most.
    waits: k, how often a thought that would end goes on; it does as long as the cap leaves room for
      `wait` and a token after it.
    wait: what is read in the place of the end of a thought that goes on; with waits one id at
      least.
    lead_in: what is read behind an end that the model has not written.
  """

  cap: int
  waits: int
  wait: tuple[int, ...]
  lead_in: tuple[int, ...] = ()


async def samples(generator: EngineGenerator, group: int, prompt: Sequence[int], keys: np.ndarray,
                  forcing: Forcing) -> list[Sample]:
  """Of one question, a sample a key. prompt: ids; keys: uint32 [N, 2].

  The generator's `limits.roles` have a thinking part, and its limits room for the cap, the lead-in
  and a token of an answer. It does not score what it writes: a verifier reads the solutions.
  """
  question = await generator.opened(group, prompt)
  found = await together([_Solution(generator, group, question, key, forcing).written()
                          for key in keys])
  generator.release(group, question)
  return found


class _Solution:
  """One solution, while it is written."""

  def __init__(self, generator: EngineGenerator, group: int, question: Node, key: np.ndarray,
               forcing: Forcing):
    self._generator, self._group, self._key, self._forcing = generator, group, key, forcing
    self._limits, self._roles = generator.limits, generator.limits.roles
    self._begins = question.end
    self._text: Node | None = generator.hold(question)
    self._tokens: list[int] = []
    self._logprob: list[float] = []
    self._unread = 0  # the last so many tokens have not entered
    self._spans: list[tuple[int, int]] = []
    self._suppressed = 0

  async def written(self) -> Sample:
    """The whole solution."""
    thinking, forcing, waits = self._roles.thinking, self._forcing, 0
    assert thinking is not None  # a `Forcing` is of a model that thinks
    if not thinking.opened:
      self._force((thinking.begin,))
    while True:
      last = await self._write(until=thinking.end, most=forcing.cap - 1)
      ended, finished = last == thinking.end, last in self._roles.ends
      if ((ended or finished) and waits < forcing.waits
          and len(self._tokens) - 1 + len(forcing.wait) < forcing.cap - 1
          and self._fits(forcing.wait, suppressing=True)):
        self._force(forcing.wait, suppressing=True)
        waits += 1
        continue
      closing = () if ended else (thinking.end, *forcing.lead_in)
      over = ended or finished or len(self._tokens) == forcing.cap - 1
      if over and self._fits(closing, suppressing=finished):  # else it is cut off at a limit
        self._force(closing, suppressing=finished)
        await self._write(keep_ended=False)
      break
    self._generator.release(self._group, self._text)
    entered = len(self._tokens) - 1  # the last one never does
    return Sample(np.array(self._tokens, np.int32), np.array(self._logprob, np.float32), entered,
                  attended(self._begins, entered),
                  forced=Forced(tuple(self._spans), self._suppressed, waits))

  def _fits(self, more: Sequence[int], suppressing: bool) -> bool:
    """Whether the solution could go on behind these, instead of its last token or behind it."""
    tokens = [*self._tokens[:len(self._tokens) - suppressing], *more]
    steps, inside, _ = self._roles.progress(tokens)
    return (len(tokens) < self._limits.max_tokens and steps < self._limits.max_steps
            and inside < self._limits.max_step_tokens)

  def _force(self, more: Sequence[int], suppressing: bool = False) -> None:
    """Has these read next; suppressing: instead of the last token, which is dropped."""
    if suppressing:
      del self._tokens[-1], self._logprob[-1]
      self._unread -= 1
      self._suppressed += 1
    if more:
      self._spans.append((len(self._tokens), len(self._tokens) + len(more)))
    self._tokens += more
    self._logprob += [0.0] * len(more)
    self._unread += len(more)

  async def _write(self, keep_ended: bool = True, **ends: Any) -> int:
    """Reads what is unread, and writes until one of the ends; the last token written."""
    if self._unread:
      seen = await Read(self._generator.reader, self._group, self._text,
                        self._tokens[-self._unread:], own=True)
      self._hold(seen.node)
    assert self._text is not None  # it goes on
    steps, count, half = self._roles.progress(self._tokens)
    written = await Write(
        self._generator.writer, self._group, self._text, self._key, steps=self._limits.max_steps,
        place=(steps, len(self._tokens), 0, 0), inside=(count, half), keep_ended=keep_ended, **ends)
    self._hold(written.node)
    self._tokens += written.tokens.tolist()
    self._logprob += written.logprob.tolist()
    self._unread = 1
    return self._tokens[-1]

  def _hold(self, node: Node | None) -> None:
    self._generator.release(self._group, self._text)
    self._text = node
