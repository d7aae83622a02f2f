"""A completions server with a decoder of ours behind it, which draws with the keys of its clients.

It speaks the part of vLLM's protocol that `tts.remote` uses, over real sockets, and breaks off when
it is told to. What it draws comes from the field `user`, where a client says which draw it wants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import functools
import http.server
import json
import re
import socket
import threading
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests import toy
from tts import rng
from tts.models.arch import Arch
from tts.models.transformer import Decoder
from tts.remote.cut import Row
from tts.sampling import logits as logits_lib
from tts.sampling.decode import Limits
from tts.sampling.logits import SamplingConfig

_WIDTH = 32  # texts are padded to multiples of it
MODEL = 'toy'
Fault = Callable[[int], str | None]  # number of a completion, from 0 --> what goes wrong with it


@functools.partial(jax.jit, static_argnums=(0, 5))
def _next(arch: Arch, params, tokens, length, draw, sampling: SamplingConfig):
  """(token, log-probability) behind the first `length` of tokens int32 [1, W]."""
  decoder = Decoder(arch)
  hidden, _ = decoder.apply(params, tokens, jnp.arange(tokens.shape[1])[None])
  last = jax.lax.dynamic_slice_in_dim(hidden.lm, length - 1, 1, axis=1)[:, 0]
  logits = decoder.apply(params, last, method='logits')
  key, step, position = draw
  uniforms = lambda attempt: rng.token_uniforms(
      key[None], step[None], position[None], logits_lib.num_uniforms(logits.shape[-1]), attempt)
  token, logprob = logits_lib.sample(logits, uniforms(None), sampling, again=uniforms)
  return token[0], logprob[0]


class Server:
  """Serves until `close`; a killed one comes back at the same port by `start`.

  Attributes:
    written: tokens of all replies that were made, those that nobody got among them.
    entered: tokens that the model read for them; `probed`, for the first, whose prompt is a text.
    drawn: name of a draw --> how often it was asked for, of the replies that were sent whole.
    bodies: of all requests for completions.
  """

  def __init__(self, params, limits: Limits, *, arch: Arch = toy.ARCH, tokenizer=None,
               fault: Fault = lambda number: None, change=lambda reply: reply, caches: bool = True):
    """A server.

    Args:
      params, arch: of the decoder.
      limits: whose roles say how draws are numbered; `max_tokens` and so on are the client's.
      tokenizer: for prompts that are texts.
      fault: `close`, `half` of a reply, a status, or None.
      change: a reply as JSON --> what is sent.
      caches: whether usage says what was cached.
    """
    self._params, self._limits, self._arch, self._tokenizer = params, limits, arch, tokenizer
    self.fault, self.change, self._caches = fault, change, caches
    self.written = self.entered = self.probed = self.number = 0
    self.drawn: dict[str, int] = {}
    self.bodies: list[dict[str, Any]] = []
    self._known: set[tuple[int, ...]] = set()
    self._lock = threading.Lock()
    self._sockets: set[socket.socket] = set()
    self._port, self._http = 0, None
    self.start()

  @property
  def url(self) -> str:
    return f'http://127.0.0.1:{self._port}/v1'

  def start(self) -> None:
    server = self

    class Handler(http.server.BaseHTTPRequestHandler):
      """One connection."""

      protocol_version = 'HTTP/1.1'

      def setup(self):
        super().setup()
        server._sockets.add(self.connection)  # pylint: disable=protected-access

      def log_message(self, *_):
        pass

      def do_GET(self):
        self.reply(200, {'data': [{'id': MODEL, 'owned_by': 'tests', 'max_model_len': 512}]}
                   if self.path == '/v1/models' else {'version': '1.2'})

      def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        with server._lock:  # pylint: disable=protected-access
          number, server.number = server.number, server.number + 1
        fault = server.fault(number)
        if fault == 'close':
          self.connection.shutdown(socket.SHUT_RDWR)
        elif fault and fault.isdigit():
          self.reply(int(fault), {'error': {'message': 'asked for'}})
        else:
          self.reply(200, server.complete(body), half=fault == 'half', name=body.get('user'))

      def reply(self, status: int, found: Any, half: bool = False, name: str | None = None):
        raw = json.dumps(found).encode()
        try:
          self.send_response(status)
          self.send_header('Content-Length', str(len(raw)))
          if status == 429:
            self.send_header('Retry-After', '0')
          self.end_headers()
          self.wfile.write(raw[:len(raw) // 2] if half else raw)
          self.wfile.flush()
          if half:
            self.connection.shutdown(socket.SHUT_RDWR)
          elif name:
            server.drawn[name] = server.drawn.get(name, 0) + 1
        except OSError:
          self.close_connection = True

    class Listening(http.server.ThreadingHTTPServer):
      daemon_threads = True
      request_queue_size = 128

      def handle_error(self, *_):
        pass

    for _ in range(100):  # the port of one that was killed is free again soon
      try:
        self._http = Listening(('127.0.0.1', self._port), Handler)
        break
      except OSError:
        time.sleep(0.05)
    self._port = self._http.server_address[1]
    threading.Thread(target=functools.partial(self._http.serve_forever, 0.01), daemon=True).start()

  def kill(self) -> None:
    """Breaks off all that is being done, and listens no longer."""
    self._http.shutdown()
    self._http.server_close()
    for each in list(self._sockets):
      try:
        each.shutdown(socket.SHUT_RDWR)
      except OSError:
        pass
    self._sockets.clear()

  close = kill

  def __enter__(self) -> Server:
    return self

  def __exit__(self, *_) -> None:
    self.kill()

  def complete(self, body: dict[str, Any]) -> dict[str, Any]:
    """The reply to a request."""
    prompt = body['prompt']
    if isinstance(prompt, str):
      prompt = self._tokenizer.encode_prompt(prompt)
    tokens, logprobs = self._tokens(prompt, body)
    choice = {'index': 0, 'text': self._tokenizer.decode(tokens) if self._tokenizer else '',
              'logprobs': {'token_logprobs': logprobs},
              'finish_reason': 'length' if len(tokens) == body['max_tokens'] else 'stop'}
    if body.get('return_token_ids'):
      choice |= {'token_ids': tokens, 'prompt_token_ids': prompt}
    usage = {'prompt_tokens': len(prompt), 'completion_tokens': len(tokens)}
    with self._lock:
      cached = self._cached(tuple(prompt), [*prompt, *tokens][:-1])
      self.bodies.append(body)
      self.written += len(tokens)
      self.entered += len(prompt) - cached + len(tokens) - 1
      if isinstance(body['prompt'], str):
        self.probed = self.entered
    if self._caches:
      usage['prompt_tokens_details'] = {'cached_tokens': cached}
    return self.change({'choices': [choice], 'usage': usage, 'model': MODEL})

  def _cached(self, prompt: tuple[int, ...], text: Sequence[int]) -> int:
    """Tokens of the prompt that another text began with, never all of them; keeps `text`."""
    found = next((n for n in range(len(prompt) - 1, 0, -1) if prompt[:n] in self._known), 0)
    self._known.update(tuple(text[:n]) for n in range(1, len(text) + 1))
    return found

  def _tokens(self, prompt: Sequence[int], body: dict[str, Any]) -> tuple[list[int], list[float]]:
    sampling = SamplingConfig(temperature=body.get('temperature', 1.0),
                              top_p=body.get('top_p', 1.0), top_k=body.get('top_k', 0),
                              min_p=body.get('min_p'))
    high, low, step, position = _draw(body.get('user'))
    row = Row(self._limits, step, position)  # counts delimiters as the client does
    text, logprobs, stop = list(prompt), [], set(body.get('stop_token_ids', ()))
    while len(logprobs) < body['max_tokens']:
      padded = np.zeros((1, -(-len(text) // _WIDTH) * _WIDTH), np.int32)
      padded[0, :len(text)] = text
      draw = np.array([high, low], np.uint32), np.int32(row.step), np.int32(row.position)
      token, logprob = _next(self._arch, self._params, padded, len(text), draw, sampling)
      text.append(int(token))
      logprobs.append(float(logprob))
      row.add(text[-1])
      said = self._tokenizer.decode(text[len(prompt):]) if self._tokenizer else ''
      if text[-1] in stop or any(s in said for s in body.get('stop', ())):
        break
    return text[len(prompt):], logprobs


def _draw(name: str | None) -> tuple[int, int, int, int]:
  """Key, step and position of a draw's name, as `tts.remote.protocol.Draw` has it."""
  found = re.fullmatch(r'([0-9a-f]{8})([0-9a-f]{8})-(\d+)-(\d+)', name or '')
  if found is None:
    return 0, 0, 0, 0
  return int(found[1], 16), int(found[2], 16), int(found[3]), int(found[4])
