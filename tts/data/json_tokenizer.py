"""Tokenizers of open checkpoints: `tokenizer.json`, read by the library `tokenizers`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
import contextlib
import functools
import json
import os
from typing import Any

from absl import logging

from tts.data import tokenizer_files
from tts.data.tokenizer import JSON_NAME, Tokenizer
from tts.types import InputError

_MAX_IDS = 1 << 22  # the largest vocabulary that is known has 2^18


class JsonTokenizer(Tokenizer):
  """A `tokenizer.json`."""

  def __init__(self, files: Mapping[str, bytes], source: str):
    """Reads `tokenizer.json` of `files`; `source` is its name in messages."""
    super().__init__(files, source)
    spec = tokenizer_files.parsed(files[JSON_NAME], source)
    decoder = spec.get('decoder')
    if not isinstance(decoder, dict):
      raise InputError(f'{source} has no decoder: ids cannot be read back, use another checkpoint')
    self._begins = self._continues = _build(files[JSON_NAME].decode(), source)
    parts = ['normalizer', 'pre_tokenizer']
    if decoder.get('type') != 'ByteLevel':  # which gives back every byte
      parts.append('decoder')
    continuing = {**spec, **{part: _without_prefix(spec.get(part)) for part in parts}}
    if continuing != spec:
      self._continues = _build(json.dumps(continuing), source)
    self.vocab_size = 1 + max(self._begins.get_vocab(with_added_tokens=True).values(), default=-1)
    if self.vocab_size > _MAX_IDS:
      raise InputError(f'{source} has an id {self.vocab_size - 1}: it is damaged, copy it again')
    added = self._begins.get_added_tokens_decoder().values()
    self._special_texts = tuple(t.content for t in added if t.special)
    ids = {name: self._id(name, text) for name, text in self.specials.items()}
    self._unk_id = ids.get('unk_token')
    self._prefix = self._template_prefix(ids, spec.get('post_processor') is not None)
    self.bos_id = ids.get('bos_token') if self._prefix else None
    if 'eos_token' in ids:
      self.eos_ids = self._all_ends(ids['eos_token'])
    elif self._settings.eos_ids:
      self.eos_ids = self._all_ends(self._settings.eos_ids[0])
    else:
      folder = os.path.dirname(source)
      raise InputError(f'{folder} says nowhere which token ends a solution: give it a '
                       f'{tokenizer_files.CONFIG} with "eos_token"')

  def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
    return self._encode(self._continues, texts)

  def encode_prompts(self, texts: Sequence[str]) -> list[list[int]]:
    return [[*self._prefix, *ids] for ids in self._encode(self._begins, texts)]

  def encode_chat(self, text: str) -> list[int]:
    return self._encode(self._begins, [text], with_specials=True)[0]

  def decode_batch(self, batch: Iterable[Iterable[int]]) -> list[str]:
    rows = [[i for i in map(int, ids) if i < self.vocab_size] for ids in batch]
    with _sound(self._source):
      if self._begins is self._continues or self.bos_id is None:
        return self._continues.decode_batch(rows)
      return [(self._begins if ids[:1] == [self.bos_id] else self._continues).decode(ids)
              for ids in rows]

  def token(self, i: int) -> str:
    return self._begins.id_to_token(i) or ''

  @property
  def special_texts(self) -> tuple[str, ...]:
    return self._special_texts

  def _id(self, name: str, text: str) -> int:
    i = self._begins.token_to_id(text)
    if i is None:
      raise InputError(f'{self._source} has no id for {name} {text!r}, which is named beside it: '
                       'they are of different models')
    return i

  def _template_prefix(self, ids: dict[str, int], processed: bool) -> list[int]:
    """What stands before a text: by the file's post-processor, as in `transformers`.

    Without one it is what `tokenizer_config.json` says.
    """
    beside = f'{os.path.dirname(self._source)}/{tokenizer_files.CONFIG}'
    says = self._settings.add_bos
    if not processed:
      if says and 'bos_token' not in ids:
        raise InputError(f'{beside} has "add_bos_token" and no "bos_token": copy the checkpoint '
                         'again')
      return [ids['bos_token']] if says else []
    with _sound(self._source):
      whole, alone = (self._begins.encode('a', add_special_tokens=x).ids for x in (True, False))
      prefix = whole[:whole.index(alone[0])] if alone else []
    if says is not None and says != bool(prefix):
      _say(f'{beside} has "add_bos_token": {json.dumps(says)}, and {self._source} puts '
           f'{" ".join(map(self.token, prefix)) or "nothing"} before a text: the latter counts')
    return prefix

  def _encode(self, tokenizer: Any, texts: Sequence[str],
              with_specials: bool = False) -> list[list[int]]:
    texts = self._checked(texts)
    # Else a question that has the text of a special token in it would end its own turn.
    tokenizer.encode_special_tokens = not with_specials
    with _sound(self._source):
      batch = [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
    if self._unk_id is not None and not with_specials:
      for text, ids in zip(texts, batch, strict=True):
        if self._unk_id in ids:
          raise self._unknown(next((c for c in text if self._unk_id in tokenizer.encode(
              c, add_special_tokens=False).ids), text[0]))
    return batch


@functools.cache
def _say(line: str) -> None:
  """Warns once: a run loads a tokenizer several times."""
  logging.warning('%s', line)


def _build(text: str, source: str) -> Any:
  """A `tokenizers.Tokenizer` that neither cuts off nor pads."""
  try:
    import tokenizers
  except ImportError as e:
    raise InputError(f'{source} needs the library tokenizers: pip install -e ".[open]"') from e
  with _sound(source):
    built = tokenizers.Tokenizer.from_str(text)
  built.no_truncation()
  built.no_padding()
  return built


@contextlib.contextmanager
def _sound(source: str) -> Iterator[None]:
  """What the library makes of a bad file: it raises plain exceptions, and its panics are not even
  those."""
  try:
    yield
  except (KeyboardInterrupt, SystemExit, MemoryError):
    raise
  except BaseException as e:  # pylint: disable=broad-exception-caught
    reason = ' '.join(str(e).split())[:100]
    raise InputError(f'{source} is not a tokenizer ({reason}): copy it again') from e


def _without_prefix(part: Any) -> Any:
  """A normalizer, pre-tokenizer or decoder that adds, and takes away, no blank at the start."""
  if not isinstance(part, dict):
    return part
  kind, changed = part.get('type'), dict(part)
  if kind == 'Sequence':
    for key, members in part.items():  # under `normalizers`, `pretokenizers` or `decoders`
      if isinstance(members, list):
        changed[key] = [_without_prefix(m) for m in members
                        if not isinstance(m, dict) or m.get('type') != 'Prepend']
  elif kind == 'Prepend':
    return None
  elif kind == 'Metaspace':
    changed |= {'prepend_scheme': 'never'}
    changed.pop('add_prefix_space', None)  # what older files have instead
  elif kind == 'ByteLevel':
    changed |= {'add_prefix_space': False}
  elif kind == 'Strip' and 'start' in part:
    changed |= {'start': 0}
  return changed
