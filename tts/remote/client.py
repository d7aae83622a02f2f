"""Many requests to one server at a time, from a thread of their own; what fails is asked again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
import dataclasses
import json
import logging as python_logging
import os
import random
import threading
import time
from typing import Any

from absl import logging

from tts.remote.protocol import BadReply
from tts.types import InputError

KEY_VARIABLE = 'TTS_SERVER_KEY'
_AGAIN = (408, 409, 425, 429)  # and 500 and above: a later try may do
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 10.0  # seconds between tries
_BAD_REPLIES = 3  # so many of one request are no accident
_CONNECT_SECONDS = 10.0
_SAID = 200  # characters of an error of the server's that are shown
_SAID_SECONDS = 30.0  # between lines that say that it is asked again


@dataclasses.dataclass(frozen=True)
class ServerConfig:
  """An OpenAI-compatible completions server whose replies have token ids, such as vLLM.

  Attributes:
    url: up to the version, `http://localhost:8000/v1`. None is no server. A key, where the server
      wants one, is in the environment variable TTS_SERVER_KEY.
    model: the name by which it knows the model; None is the only one that it has.
    requests: that are on their way at a time, of all questions.
    seconds: that one request may take.
    patience: seconds that a server which is gone or too busy is asked again.
  """

  url: str | None = None
  model: str | None = None
  requests: int = 128
  seconds: float = 600.0
  patience: float = 300.0

  def __post_init__(self):
    if self.url is not None and not self.url.startswith(('http://', 'https://')):
      raise ValueError(f'url is {self.url!r}: give http://HOST:PORT/v1')
    for name in ('requests', 'seconds', 'patience'):
      if not getattr(self, name) > 0:
        raise ValueError(f'{name} is {getattr(self, name)}: it is to be above 0')


class Client:
  """Asks one server. Coroutines run in one thread, which ends with the program or by `close`."""

  def __init__(self, server: ServerConfig):
    """Raises InputError where the package `httpx` is missing."""
    try:
      import httpx
    except ImportError as error:
      raise InputError('a server as generator needs the package httpx: '
                       'pip install -e ".[engine]"') from error
    python_logging.getLogger('httpx').setLevel(python_logging.WARNING)  # a line for every request
    self.server, self._errors = server, (httpx.TransportError, TimeoutError)
    self.url = (server.url or '').rstrip('/')
    key = os.environ.get(KEY_VARIABLE)
    signed = {'Authorization': f'Bearer {key}'} if key else {}
    self._http = httpx.AsyncClient(
        headers={'Accept-Encoding': 'identity', **signed},
        timeout=httpx.Timeout(server.seconds, connect=_CONNECT_SECONDS, pool=None),
        limits=httpx.Limits(max_connections=server.requests,
                            max_keepalive_connections=server.requests),
        trust_env=False)
    self._silent_until = 0.0
    self._loop = asyncio.new_event_loop()
    threading.Thread(target=self._loop.run_forever, name='requests', daemon=True).start()

  def start(self, coroutine: Coroutine, done: Callable[[Future], Any]) -> Future:
    """Runs a coroutine in the thread, and `done` there when it is over."""
    future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
    future.add_done_callback(done)
    return future

  def wait(self, coroutine: Coroutine) -> Any:
    """What a coroutine returns."""
    return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

  def close(self) -> None:
    """Ends the thread; what is on its way is dropped."""
    async def end():
      for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
      await self._http.aclose()
      self._loop.call_soon(self._loop.stop)

    asyncio.run_coroutine_threadsafe(end(), self._loop)

  async def get(self, path: str, most: int = 1 << 20) -> Any:
    """A JSON document at a path behind the URL; BadReply or InputError where there is none."""
    return await self._asked('GET', path, None, most, _json)

  async def post(self, path: str, body: dict[str, Any], most: int,
                 read: Callable[[bytes], Any]) -> Any:
    """What `read` makes of the reply to a JSON document.

    Args:
      path: behind the URL.
      body: the document.
      most: bytes that the reply may have.
      read: the reply's bytes --> what is returned; BadReply where they are no good.

    Raises:
      InputError: the server refuses, is gone, or gives bad replies; the message says which.
    """
    return await self._asked('POST', path, body, most, read)

  async def _asked(self, method: str, path: str, body: Any, most: int,
                   read: Callable[[bytes], Any]) -> Any:
    """Asks until there is a good reply, the server refuses, or patience ends."""
    failing, wait, bad = None, _FIRST_WAIT, 0
    while True:
      try:
        return read(await self._reply(method, path, body, most))
      except _Again as error:
        why, wait = str(error), max(wait, error.seconds)
      except self._errors as error:
        why = f'{type(error).__name__} {error}'.strip()
      except BadReply as error:
        bad += 1
        if bad >= _BAD_REPLIES:
          raise InputError(f'{self.url} gave {error}: this needs vLLM 0.10.2 or newer, or a server '
                           'that answers as it does, and a checkpoint= of its model') from error
        why = f'it gave {error}'
      failing = failing or time.monotonic()
      left = failing + self.server.patience - time.monotonic()
      if left <= 0:
        raise InputError(f'{self.url} does not answer, for {self.server.patience:g} s ({why}): '
                         'start it again and then the same command, which goes on where it is')
      self._say(why, left)
      # Those that failed together are not to come back together.
      await asyncio.sleep(min(left, wait * random.uniform(0.5, 1.0)))
      wait = min(2 * wait, _LONGEST_WAIT)

  def _say(self, why: str, left: float) -> None:
    """Logs that it is asked again; not for every request."""
    if (now := time.monotonic()) > self._silent_until:
      self._silent_until = now + _SAID_SECONDS
      logging.warning('%s: %s; asked again, for %.0f s', self.url, why, left)

  async def _reply(self, method: str, path: str, body: Any, most: int) -> bytes:
    """The bytes of a good reply, `most` at most."""
    async with asyncio.timeout(self.server.seconds), self._http.stream(
        method, self.url + path, json=body) as response:
      if response.headers.get('Content-Encoding', 'identity') != 'identity':
        raise BadReply('a compressed reply')
      raw = bytearray()
      async for part in response.aiter_raw():
        raw += part
        if len(raw) > most:
          raise BadReply(f'a reply of more than {most} bytes')
    status = response.status_code
    if status == 200:
      return bytes(raw)
    said = ' '.join(_message(bytes(raw)).split())[:_SAID]
    if status in _AGAIN or status >= 500:
      raise _Again(f'status {status} {said}'.strip(), response.headers.get('Retry-After', ''))
    raise InputError(f'{self.url}{path} refuses with status {status}: {said}')


class _Again(Exception):
  """A reply that says to come again."""

  def __init__(self, why: str, after: str):
    super().__init__(why)
    self.seconds = min(float(after), _LONGEST_WAIT) if after.isdecimal() else 0.0


def _json(raw: bytes) -> Any:
  try:
    return json.loads(raw)
  except (ValueError, RecursionError) as error:
    raise BadReply('no JSON') from error


def _message(raw: bytes) -> str:
  """What an error says: OpenAI's form or vLLM's, else its bytes."""
  try:
    found = _json(raw)
    error = found.get('error', found)
    return str(error.get('message') or error)
  except (BadReply, AttributeError):
    return raw.decode(errors='replace')
