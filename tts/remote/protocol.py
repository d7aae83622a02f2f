"""What is asked of a completions server, and what it says. Replies are untrusted: all is checked.

The protocol is OpenAI's `/v1/completions` with what vLLM adds to it: prompts as ids,
`return_token_ids`, `stop_token_ids` and `ignore_eos`. Only the check at the start reads texts.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import hashlib
import math
from typing import Any

import msgspec
import numpy as np

from tts.sampling.logits import SamplingConfig

_SEED_BITS = 53  # what every JSON reader keeps of a whole number
_REPLY_BYTES, _TOKEN_BYTES = 1 << 16, 1 << 10  # of a reply, and more of it for each token
_ROUNDING = 1e-3  # so far above 0 may a log-probability be


class BadReply(Exception):
  """A reply that is no reply to what was asked; says what is wrong with it."""


@dataclasses.dataclass(frozen=True)
class Draw:
  """Which draw it is: the key of the row's slot and the place of the first token.

  `seed` is made of it, so that a server which honours seeds draws the same for a request that is
  sent again, and `name` is in the request's field `user`, which servers only log.
  """

  key: tuple[int, int]  # two words
  step: int
  position: int

  @property
  def name(self) -> str:
    return f'{self.key[0]:08x}{self.key[1]:08x}-{self.step}-{self.position}'

  @property
  def seed(self) -> int:
    digest = hashlib.blake2b(self.name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, 'big') >> (64 - _SEED_BITS)


@dataclasses.dataclass(frozen=True)
class Request:
  """Tokens that are wanted behind a prompt.

  Attributes:
    prompt: int32 [P], ids.
    max_tokens: of the reply.
    draw: which draw it is; None for the likeliest tokens.
    stop_ids: end it, and are in the reply.
    stop_texts: end it where the reply's text has one.
  """

  prompt: np.ndarray
  max_tokens: int
  draw: Draw | None
  stop_ids: Sequence[int]
  stop_texts: Sequence[str] = ()

  def body(self, model: str, sampling: SamplingConfig) -> dict[str, Any]:
    """As JSON; sampling: as `check_sampling` allows it."""
    # Ends are ours alone: a server's own may be others than the tokenizer's folder says.
    body = {'model': model, 'prompt': self.prompt.tolist(), 'max_tokens': self.max_tokens,
            'stop_token_ids': list(self.stop_ids), 'ignore_eos': True, 'return_token_ids': True,
            'logprobs': 0, 'skip_special_tokens': False, 'temperature': 0.0}
    if self.stop_texts:
      body['stop'] = list(self.stop_texts)
    if self.draw is not None and sampling.temperature > 0:
      body |= {'temperature': sampling.temperature, 'top_p': sampling.top_p,
               'seed': self.draw.seed, 'user': self.draw.name}
      if sampling.top_k:
        body['top_k'] = sampling.top_k
      if sampling.min_p is not None:
        body['min_p'] = sampling.min_p
    return body

  @property
  def most_bytes(self) -> int:
    """Of a reply."""
    return _REPLY_BYTES + _TOKEN_BYTES * self.max_tokens + 16 * len(self.prompt)


class _Logprobs(msgspec.Struct):
  token_logprobs: list[float | None] = []


class _Choice(msgspec.Struct):
  text: str = ''
  token_ids: list[int] | None = None
  prompt_token_ids: list[int] | None = None
  logprobs: _Logprobs | None = None
  finish_reason: str | None = None


class _Details(msgspec.Struct):
  cached_tokens: int | None = None


class _Usage(msgspec.Struct):
  prompt_tokens: int | None = None
  completion_tokens: int | None = None
  prompt_tokens_details: _Details | None = None


class _Reply(msgspec.Struct):
  choices: list[_Choice]
  usage: _Usage | None = None


_REPLIES = msgspec.json.Decoder(_Reply)


@dataclasses.dataclass(frozen=True)
class Completion:
  """A reply.

  Attributes:
    tokens: int32 [n], n from 1 to `max_tokens`.
    logprob: float32 [n], natural log, as the server has it: of vLLM at temperature 1.
    cached: tokens of the prompt that the server had read before; None where it does not say.
    text: of the tokens, as the server writes it.
    prompt: ids of the prompt as the server has them; None where it does not say.
  """

  tokens: np.ndarray
  logprob: np.ndarray
  cached: int | None
  text: str
  prompt: list[int] | None


def completion(raw: bytes, prompt: Sequence[int] | None, max_tokens: int,
               vocab_size: int) -> Completion:
  """Reads a reply.

  Args:
    raw: its bytes.
    prompt: ids that it is a reply to; None where a text was sent.
    max_tokens: that were asked for.
    vocab_size: ids are smaller.

  Raises:
    BadReply: it lacks something, or has what it cannot have.
  """
  try:
    reply = _REPLIES.decode(raw)
  except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
    raise BadReply(f'no completion: {str(error)[:200]}') from error
  if len(reply.choices) != 1:
    raise BadReply(f'{len(reply.choices)} completions, 1 was asked for')
  choice, usage = reply.choices[0], reply.usage or _Usage()
  if choice.token_ids is None:
    raise BadReply('no token ids')
  count = len(choice.token_ids)
  if not 1 <= count <= max_tokens:
    raise BadReply(f'{count} tokens, 1 to {max_tokens} were asked for')
  beyond = next((i for i in choice.token_ids if not 0 <= i < vocab_size), None)
  if beyond is not None:
    raise BadReply(f'the id {beyond}, the tokenizer has {vocab_size}')
  logprob = choice.logprobs.token_logprobs if choice.logprobs else []
  if len(logprob) != count:
    raise BadReply(f'{len(logprob)} log-probabilities of {count} tokens')
  if not all(x is not None and math.isfinite(x) and x <= _ROUNDING for x in logprob):
    raise BadReply('a log-probability that is none')
  if choice.finish_reason not in ('stop', 'length'):
    raise BadReply(f'finish_reason {str(choice.finish_reason)[:40]!r}')
  if usage.completion_tokens not in (None, count):
    raise BadReply(f'{count} tokens, and usage says {usage.completion_tokens}')
  if prompt is not None:
    if choice.prompt_token_ids is not None and choice.prompt_token_ids != list(prompt):
      raise BadReply('another prompt than was sent')
    if usage.prompt_tokens not in (None, len(prompt)):
      raise BadReply(f'a prompt of {usage.prompt_tokens} tokens, {len(prompt)} were sent')
  cached = usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens
  if prompt is not None and cached is not None and not 0 <= cached <= len(prompt):
    raise BadReply(f'{cached} cached tokens of a prompt of {len(prompt)}')
  return Completion(np.array(choice.token_ids, np.int32), np.array(logprob, np.float32), cached,
                    choice.text, choice.prompt_token_ids)
