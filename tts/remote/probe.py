"""Whether a server can be a generator: it gives ids, and they are those of a tokenizer here."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
from typing import Any, Protocol
import urllib.parse

from tts.remote.client import Client
from tts.remote.protocol import completion, Completion
from tts.types import InputError

_PIECES, _TOKENS = 256, 8  # of the vocabulary that are compared, and tokens that are written
_REPLY = 1 << 20


class Tokenizer(Protocol):
  """What is asked of a `tts.data.tokenizer.Tokenizer`."""

  vocab_size: int

  @property
  def special_texts(self) -> tuple[str, ...]:
    """Texts of control tokens."""

  def encode_prompt(self, text: str) -> list[int]:
    """Ids of a text that begins."""

  def decode_batch(self, batch: Sequence[Sequence[int]]) -> list[str]:
    """Texts of ids."""


@dataclasses.dataclass(frozen=True)
class Engine:
  """What a server says that it is.

  Attributes:
    name: of the program, `vllm`.
    version: of it, or None.
    model: its name for the model.
  """

  name: str
  version: str | None
  model: str

  def as_record(self) -> dict[str, Any]:
    """As records have it. A model that is called by its path there is called by its folder."""
    path = self.model.startswith(('/', './', '../'))
    model = self.model.rstrip('/').rpartition('/')[2] if path else self.model
    return {'name': self.name, 'version': self.version, 'model': model, 'reproducible': False}


def probe(client: Client, tokenizer: Tokenizer, where: str) -> Engine:
  """Asks a server what it is, and compares its ids with a tokenizer's.

  Args:
    client: of the server.
    tokenizer: that the texts here are in.
    where: it is from, for messages.

  Raises:
    InputError: there is no such model, it gives no ids or log-probabilities, or they disagree.
  """
  return client.wait(_probe(client, tokenizer, where))


async def _probe(client: Client, tokenizer: Tokenizer, where: str) -> Engine:
  owner, model = _chosen(await client.get('/models'), client.server.model, client.url)
  text = _text(tokenizer)
  body = {'model': model, 'prompt': text, 'max_tokens': _TOKENS, 'temperature': 0.0, 'logprobs': 0,
          'return_token_ids': True, 'ignore_eos': True}
  found: Completion = await client.post(
      '/completions', body, _REPLY,
      lambda raw: completion(raw, None, _TOKENS, tokenizer.vocab_size))
  if found.prompt is None:
    raise InputError(f'{client.url} gives no ids of prompts (prompt_token_ids): this needs vLLM '
                     '0.10.2 or newer, or a server that answers as it does')
  ours, theirs = tokenizer.encode_prompt(text), found.prompt
  if ours != theirs:
    shorter = min(len(ours), len(theirs))
    at = next((i for i in range(shorter) if ours[i] != theirs[i]), shorter)
    raise InputError(f'{client.url} has other ids than {where}: token {at} of a text is '
                     f'{theirs[at:at + 1]} there and {ours[at:at + 1]} here; give the folder of '
                     'the model that it serves')
  written, = tokenizer.decode_batch([found.tokens.tolist()])
  if '\ufffd' not in written + found.text and written.strip() != found.text.strip():
    raise InputError(f'{client.url} writes {found.text[:40]!r} for ids that are {written[:40]!r} '
                     f'in {where}: give the folder of the model that it serves')
  return Engine(owner, await _version(client), model)


def _chosen(listing: Any, wanted: str | None, url: str) -> tuple[str, str]:
  """Program and model of a server's list of models."""
  entries = listing.get('data') if isinstance(listing, dict) else None
  entries = {e['id']: e for e in entries if isinstance(e, dict) and isinstance(e.get('id'), str)
             } if isinstance(entries, list) else {}
  if not entries:
    raise InputError(f'{url}/models lists no model: give the address of an OpenAI-compatible '
                     'server up to its version, http://HOST:PORT/v1')
  if wanted is None and len(entries) > 1 or wanted is not None and wanted not in entries:
    raise InputError(f'{url} has the models {", ".join(list(entries)[:8])}: name one of them, not '
                     f'{wanted!r}')
  model = wanted or next(iter(entries))
  owner = entries[model].get('owned_by')
  return owner[:40] if isinstance(owner, str) else 'unknown', model


async def _version(client: Client) -> str | None:
  """Of the program, where it says so at `/version`, as vLLM does."""
  parts = urllib.parse.urlsplit(client.url)
  try:
    found = await client.get(f'{parts.scheme}://{parts.netloc}/version')
    return str(found['version'])[:40]
  except (InputError, KeyError, TypeError):
    return None


def _text(tokenizer: Tokenizer) -> str:
  """A text that has many ids of the vocabulary."""
  step = max(1, tokenizer.vocab_size // _PIECES)
  pieces = []
  for piece in tokenizer.decode_batch([[i] for i in range(0, tokenizer.vocab_size, step)]):
    try:  # some ids are no text, and some texts have no ids
      if piece and '\ufffd' not in piece and tokenizer.encode_prompt(piece):
        pieces.append(piece)
    except InputError:
      pass
  text = ''.join(pieces)
  for special in filter(None, tokenizer.special_texts):  # a server reads it as one token
    text = text.partition(special)[0]
  return text
