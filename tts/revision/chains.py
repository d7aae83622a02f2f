"""Chains of revisions: every answer is written with the last ones in context (paper, 6.1).

A context is the question, then for each of the last `MAX_CONTEXT` answers the answer and the
question again: whatever a chain's length, the question stands right before what is being written,
as in plain sampling. An answer that was cut off is closed by an end-of-sequence.

While a context only grows, its cache does too: the newest answer's last token and the question are
read. Once it drops an answer, all that follows the first question is read anew, since what was
kept has seen the answer that is gone. A chain is one slot, and goes on counting for its keys.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses

import numpy as np

from tts.engine.coroutines import together
from tts.engine.engine_models import attended, EngineGenerator
from tts.engine.nodes import Node
from tts.engine.reader import Read
from tts.engine.writer import Write
from tts.revision.trajectories import MAX_CONTEXT
from tts.roles import Roles
from tts.sampling.pool import Sample


def context(prompt: Sequence[int], answers: Sequence[Sequence[int]], roles: Roles) -> list[int]:
  """Tokens that precede the next answer of a chain.

  Args:
    prompt: of the question, its beginning of sequence included.
    answers: all that the chain has, oldest first.
    roles: say which of them were cut off, and what closes those.
  """
  tokens = list(prompt)
  for answer in answers[-MAX_CONTEXT:]:
    closed = [] if len(answer) and roles.finished(answer) else [roles.ends[0]]
    tokens += [*answer, *closed, *prompt]
  return tokens


@dataclasses.dataclass(frozen=True)
class Revision:
  """One answer of a chain.

  Attributes:
    sample: its own tokens, and what these entered and attended to.
    context: places in the chain of the answers that it was written after, oldest first.
    reencoded: tokens of its context that were read for it: the newest answer's last one and the
      question again, or, once an answer is dropped, all after the first question.
    reencoded_attended: tokens that these attended to.
  """

  sample: Sample
  context: tuple[int, ...]
  reencoded: int
  reencoded_attended: int


async def chains(generator: EngineGenerator, group: int, prompt: Sequence[int], keys: np.ndarray,
                 length: int) -> list[list[Revision]]:
  """Chains of `length` answers to one question, a chain a key.

  The first answers do not depend on how many there are, and no chain on the others.
  prompt: ids; keys: uint32 [N, 2].
  """
  question = await generator.opened(group, prompt)
  found = await together([_chain(generator, group, question, list(prompt), key, length)
                          for key in keys])
  generator.release(group, question)
  return found


async def _chain(generator: EngineGenerator, group: int, question: Node, prompt: list[int],
                 key: np.ndarray, length: int) -> list[Revision]:
  roles = generator.limits.roles
  turns: list[list[int]] = []  # each answer, closed, with the question after it
  found: list[Revision] = []
  text, past_steps, past_tokens = generator.hold(question), 0, 0

  async def read(node: Node, tokens: list[int]) -> Node:
    after = (await Read(generator.reader, group, node, tokens)).node
    generator.release(group, node)
    return after

  for t in range(length):
    unread: list[list[int]] = []
    if t > MAX_CONTEXT:  # what was kept has seen the answer that is dropped
      generator.release(group, text)
      text, unread = generator.hold(question), turns[-MAX_CONTEXT:]
    elif t:
      tokens = found[-1].sample.tokens
      unread = [turns[-1][len(tokens) - 1:]]
    again, keys_seen = 0, 0
    for tokens in unread:
      again, keys_seen = again + len(tokens), keys_seen + attended(text.end, len(tokens))
      text = await read(text, tokens)
    written = await Write(generator.writer, group, text, key, steps=generator.limits.max_steps,
                          place=(0, 0, past_steps, past_tokens), keep_ended=True)
    past_steps, past_tokens = past_steps + written.steps, past_tokens + written.own
    entered = written.own - 1
    sample = Sample(written.tokens, written.logprob, entered, attended(text.end, entered),
                    written.statistics)
    found.append(Revision(sample, tuple(range(max(0, t - MAX_CONTEXT), t)), again, keys_seen))
    generator.release(group, text)
    text = written.node
    turns.append([*written.tokens.tolist(), *([] if written.finished else roles.ends[:1]), *prompt])
  generator.release(group, text)
  return found
