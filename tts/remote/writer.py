"""Writes steps and solutions by a server: the engine's jobs as requests, many at a time."""

from __future__ import annotations

import collections
from concurrent.futures import Future
import dataclasses
import queue

import numpy as np

from tts.engine.engine_models import attended, Spent
from tts.engine.writer import Write, Written
from tts.remote.client import Client
from tts.remote.cut import Row
from tts.remote.protocol import Completion, completion, Draw, Request
from tts.remote.text import Text
from tts.sampling.decode import Limits
from tts.sampling.logits import SamplingConfig

_BLANK_LINE = '\n\n'
_LAST = 1e-9  # of `worth`: whatever a device has to do comes before waiting


@dataclasses.dataclass
class ServerWritten(Written):
  """What a job wrote, and what it cost: the prompt of each request is in it."""

  spent: Spent = Spent()


class ServerWriter:
  """The jobs of one call, as a worker of `tts.engine.engine`."""

  def __init__(self, client: Client, model: str, sampling: SamplingConfig, limits: Limits):
    """model: its name there."""
    self._client, self._model, self._sampling, self._limits = client, model, sampling, limits
    self._waiting: collections.deque[Write] = collections.deque()
    self._out: set[Future] = set()
    self._arrived: queue.SimpleQueue[tuple[Write, Future]] = queue.SimpleQueue()
    self._wait = False
    self.computed = self.entered = 0  # tokens, that were written

  def submit(self, job: Write) -> None:
    self._waiting.append(job)

  @property
  def _to_send(self) -> int:
    return min(len(self._waiting), self._client.server.requests - len(self._out))

  @property
  def worth(self) -> float:
    """As of a `tts.engine.worker.Worker`: sending and taking in take no time, waiting does."""
    if self._to_send or not self._arrived.empty():
      return 1.0
    return _LAST if self._out else 0.0

  def begin(self) -> None:
    """Sends what waits."""
    self._wait = not self._to_send and self._arrived.empty()
    for _ in range(self._to_send):
      job = self._waiting.popleft()
      self._out.add(self._client.start(
          self._written(job), lambda future, job=job: self._arrived.put((job, future))))

  def end(self) -> tuple[int, list[tuple[Write, ServerWritten]]]:
    """How many tokens came, and the jobs that are done; waits where nobody else has work.

    Raises:
      InputError: a request failed for good; the others are dropped.
    """
    found = []
    while self._wait or not self._arrived.empty():
      self._wait = False
      job, future = self._arrived.get()
      self._out.discard(future)
      try:
        found.append((job, future.result()))
      except BaseException:
        for other in self._out:
          other.cancel()
        raise
    tokens = sum(len(written.tokens) for _, written in found)
    self.entered, self.computed = self.entered + tokens, self.computed + tokens
    return tokens, found

  async def _written(self, job: Write) -> ServerWritten:
    """A job's tokens. Runs in the client's thread and changes nothing here."""
    step, position, past_steps, past_positions = job.place
    row, text = Row(self._limits, step, position), job.node.ids
    left = job.steps + job.ahead
    tokens: list[int] = []
    logprobs: list[float] = []
    own, steps, live, finished, spent = 0, 0, True, False, Spent()
    while row.live and left:
      ahead = left <= job.ahead
      draw = Draw(tuple(map(int, job.key)), past_steps + row.step, past_positions + row.position)
      whole = not ahead and 1 < self._limits.max_steps - row.step <= left - job.ahead
      request = self._request(np.concatenate([text, np.array(tokens, np.int32)]), row, whole,
                              None if ahead or job.greedy else draw)
      reply = await self._asked(request)
      used = 0
      for token, logprob in zip(reply.tokens.tolist(), reply.logprob.tolist()):
        used += 1
        tokens.append(token)
        logprobs.append(logprob)
        ended = row.add(token)
        left -= ended
        if not ahead:
          own, steps, live, finished = own + 1, steps + ended, row.live, row.finished
        if not row.live or not left or (left <= job.ahead) != ahead:
          break
      spent += _spent(request, reply, len(reply.tokens) - used)
    written = np.array(tokens, np.int32)
    kept = job.keep if live else job.keep_ended
    return ServerWritten(
        tokens=written, logprob=np.array(logprobs, np.float32), own=own, steps=steps, live=live,
        finished=finished, ended=not row.live, spent=spent,
        node=Text.behind(job.node, written[:own - (not live)]) if kept else None)

  def _request(self, prompt: np.ndarray, row: Row, whole: bool, draw: Draw | None) -> Request:
    """The row's next tokens, up to the end of a step, or of the whole solution."""
    limits, roles = self._limits, self._limits.roles
    room = limits.max_tokens - row.position
    if whole:
      stop_ids, blank_line = roles.ends, bool(roles.blank_ends)
    else:
      room = min(room, limits.max_step_tokens - row.in_step)
      stop_ids = tuple(dict.fromkeys(roles.ends + roles.delimiters))
      blank_line = bool(roles.first_halves)  # two tokens may be the delimiter
    return Request(prompt, room, draw, stop_ids, (_BLANK_LINE,) if blank_line else ())

  async def _asked(self, request: Request) -> Completion:
    size = self._limits.roles.size or np.iinfo(np.int32).max
    return await self._client.post(
        '/completions', request.body(self._model, self._sampling), request.most_bytes,
        lambda raw: completion(raw, request.prompt, request.max_tokens, size))


def _spent(request: Request, reply: Completion, discarded: int) -> Spent:
  """What a request cost. Its last token never enters."""
  if reply.cached is None:
    return Spent(None, None, discarded)
  entered = len(request.prompt) - reply.cached + len(reply.tokens) - 1
  return Spent(entered, attended(reply.cached, entered), discarded)
