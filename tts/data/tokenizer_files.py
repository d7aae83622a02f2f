"""What lies beside a vocabulary in an open checkpoint: special tokens, and how a chat is written.

The files are someone else's: JSON alone, of a bounded size; code that they name is not run.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import json
import os
import pathlib
from typing import Any

from tts.types import InputError

MAX_VOCABULARY = 1 << 27  # bytes; the largest that is known has 33 MB
_MAX_BYTES = 1 << 23
MAX_TEMPLATE = 1 << 18    # characters

CONFIG = 'tokenizer_config.json'
SPECIALS = 'special_tokens_map.json'
GENERATION = 'generation_config.json'
TEMPLATE = 'chat_template.jinja'
BESIDE = (CONFIG, SPECIALS, GENERATION, TEMPLATE)  # a vocabulary
NAMES = ('bos_token', 'eos_token', 'unk_token', 'pad_token')


@dataclasses.dataclass(frozen=True)
class Settings:
  """What the files say.

  Attributes:
    specials: text of each of NAMES that is given.
    eos_ids: what ends a generation, by `generation_config.json`.
    add_bos: whether texts begin with the beginning of sequence; None where nothing is said.
    chat_template: Jinja, or None.
  """

  specials: dict[str, str]
  eos_ids: tuple[int, ...]
  add_bos: bool | None
  chat_template: str | None


def read(path: str | os.PathLike[str], limit: int = _MAX_BYTES) -> bytes:
  """A file's bytes.

  Raises:
    InputError: it cannot be read, or has more than `limit`.
  """
  try:
    with open(path, 'rb') as file:
      data = file.read(limit + 1)
  except OSError as e:
    raise InputError(f'cannot read tokenizer {path}: {e.strerror}') from e
  if len(data) > limit:
    raise InputError(f'tokenizer {path} has more than {limit >> 20} MiB: it is damaged, or not a '
                     'tokenizer')
  return data


def read_beside(folder: pathlib.Path) -> dict[str, bytes]:
  """The files of a folder that `settings` reads, by name."""
  return {name: read(folder / name) for name in BESIDE if (folder / name).exists()}


def parsed(data: bytes, where: str) -> dict[str, Any]:
  """A JSON object; anything else is an InputError that names the file `where`."""
  try:
    found = json.loads(data.decode())
  except (ValueError, RecursionError) as e:
    raise InputError(f'{where} is not JSON: copy the checkpoint again') from e
  if not isinstance(found, dict):
    raise InputError(f'{where} is not a JSON object: copy the checkpoint again')
  return found


def settings(files: Mapping[str, bytes], source: str) -> Settings:
  """What `files` say; `source` is the vocabulary's name in messages.

  Raises:
    InputError: one is not JSON, or a field is not what it should be.
  """
  folder = os.path.dirname(source)
  where = lambda name: os.path.join(folder, name)
  config, other, generation = (
      parsed(files[name], where(name)) if name in files else {}
      for name in (CONFIG, SPECIALS, GENERATION))
  specials = {}
  for name in NAMES:
    text = _special(config, name, where(CONFIG)) or _special(other, name, where(SPECIALS))
    if text:
      specials[name] = text
  add_bos = config.get('add_bos_token')
  if add_bos not in (None, True, False):
    raise InputError(f'{where(CONFIG)}: "add_bos_token" is {add_bos!r}: it is true or false')
  eos = generation.get('eos_token_id')
  eos = [] if eos is None else eos if isinstance(eos, list) else [eos]
  if not all(type(i) is int and i >= 0 for i in eos):
    raise InputError(f'{where(GENERATION)}: "eos_token_id" is {eos!r}: it is an id or a list of '
                     'ids')
  template = _template(config, where(CONFIG))
  if TEMPLATE in files:
    try:
      template = files[TEMPLATE].decode()
    except UnicodeDecodeError as e:
      raise InputError(f'{where(TEMPLATE)} is not UTF-8: copy it again') from e
  if template is not None and len(template) > MAX_TEMPLATE:
    raise InputError(f'the chat template of {folder or source} has more than {MAX_TEMPLATE} '
                     'characters: it is damaged')
  return Settings(specials, tuple(eos), add_bos, template)


def _special(config: dict[str, Any], name: str, where: str) -> str | None:
  """A special token's text: given as it is, or as the field `content` of an object."""
  value = config.get(name)
  if isinstance(value, dict):
    value = value.get('content')
  half = isinstance(value, str) and any('\ud800' <= c <= '\udfff' for c in value)  # of a character
  if value is not None and not isinstance(value, str) or half:
    raise InputError(f'{where}: "{name}" is {str(value)[:40]!r}: it is the text of a token')
  return value


def _template(config: dict[str, Any], where: str) -> str | None:
  """The template itself, or the one called `default` of several."""
  value = config.get('chat_template')
  if isinstance(value, list):
    named = {t.get('name'): t.get('template') for t in value if isinstance(t, dict)}
    value = named.get('default')
  if value is not None and not isinstance(value, str):
    raise InputError(f'{where}: "chat_template" is not a text: copy the checkpoint again')
  return value
