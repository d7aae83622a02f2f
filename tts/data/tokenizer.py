"""Text to ids and back, without loss: SentencePiece, trained in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import io
import os
import pathlib
import re

import sentencepiece

from tts.data import files
from tts.types import BOS_ID
from tts.types import EOS_ID
from tts.types import InputError
from tts.types import PAD_ID
from tts.types import UNK_ID

FILE_NAME = 'tokenizer.model'
# SentencePiece writes a blank as this character, and reads it back as a blank.
_BLANK = '\u2581'


class Tokenizer:
  """A SentencePiece model in which a newline is one token that nothing crosses.

  So `encode(a) + encode(b) == encode(a + b)` wherever `a` ends in a newline:
  steps may be encoded apart. A digit is always a token of its own.

  Attributes:
    vocab_size: number of ids, the special ones included.
    newline_id: the id of `\\n`, the end of a step.
    bos_id, eos_id: what frames a sequence; as in `tts.types` for models trained
      here.
  """

  def __init__(self, model: bytes, source: str = 'the tokenizer'):
    """Reads a serialised model; `source` is its name in messages."""
    self._model = model
    self._source = source
    try:
      # An empty model is not initialised, and prints when asked for anything.
      if not model:
        raise ValueError('empty')
      self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
      newline = self._processor.encode('\n')
    except (RuntimeError, ValueError) as e:
      raise InputError(
          f'{source} is not a SentencePiece model: it may be damaged or half '
          'copied, copy it again'
      ) from e
    self.vocab_size = self._processor.vocab_size()
    self.bos_id = self._processor.bos_id()
    self.eos_id = self._processor.eos_id()
    self.newline_id = newline[-1]
    self._unk_id = self._processor.unk_id()

  @classmethod
  def train(
      cls, texts: Iterable[str], vocab_size: int, byte_fallback: bool = False
  ) -> Tokenizer:
    """Trains byte-pair merges; the same texts give the same model, bit for bit.

    Args:
      texts: what to learn from, whole problems and solutions.
      vocab_size: upper bound on the number of ids.
      byte_fallback: spell unseen characters as bytes (256 more ids); without it
        they are an error at `encode`.

    Raises:
      InputError: a vocabulary too small for the characters, or no text.
    """
    model = io.BytesIO()
    try:
      sentencepiece.SentencePieceTrainer.train(
          sentence_iterator=iter(texts),
          model_writer=model,
          model_type='bpe',
          vocab_size=vocab_size,
          byte_fallback=byte_fallback,
          normalization_rule_name='identity',
          remove_extra_whitespaces=False,
          add_dummy_prefix=False,
          split_digits=True,
          user_defined_symbols=['\n'],
          character_coverage=1.0,
          hard_vocab_limit=False,
          # Longer lines would be left out, and their characters with them.
          max_sentence_length=1 << 24,
          num_threads=1,
          pad_id=PAD_ID,
          bos_id=BOS_ID,
          eos_id=EOS_ID,
          unk_id=UNK_ID,
          minloglevel=2,
      )
    except RuntimeError as e:
      needed = re.search(r'required_chars\. \d+ vs (\d+)', str(e))
      fix = f'raise it to {needed[1]} or more' if needed else 'is there any text?'
      raise InputError(
          f'cannot train a tokenizer of vocab_size={vocab_size}: {fix}'
      ) from e
    return cls(model.getvalue())

  @classmethod
  def load(cls, path: str | os.PathLike[str]) -> Tokenizer:
    """Reads a model file, or `tokenizer.model` in a folder."""
    path = pathlib.Path(path)
    if path.is_dir():
      path = path / FILE_NAME
    try:
      model = path.read_bytes()
    except OSError as e:
      raise InputError(f'cannot read tokenizer {path}: {e.strerror}') from e
    return cls(model, source=str(path))

  def save(self, directory: str | os.PathLike[str]) -> None:
    """Writes `tokenizer.model` into an existing folder."""
    with files.written_aside(pathlib.Path(directory) / FILE_NAME) as file:
      file.write(self._model)

  @property
  def proto(self) -> bytes:
    """The serialised model: equal bytes, equal tokenizer."""
    return self._model

  def encode(self, text: str) -> list[int]:
    """Ids of `text`, none of them special.

    Raises:
      InputError: a character that has no id.
    """
    return self.encode_batch([text])[0]

  def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
    """`encode` of many texts, several times faster than one by one."""
    texts = list(texts)
    for text in texts:
      if _BLANK in text:
        raise self._unknown(_BLANK)
      if not text.isascii():
        self._check_unicode(text)
    batch = self._processor.encode(texts)
    for text, ids in zip(texts, batch, strict=True):
      if self._unk_id in ids:
        raise self._unknown(
            next(c for c in text if self._unk_id in self._processor.encode(c))
        )
    return batch

  def decode(self, ids: Iterable[int]) -> str:
    """Text of `ids`; special ids are dropped, the unknown one shows as U+2047."""
    return self._processor.decode([int(i) for i in ids])

  def decode_batch(self, batch: Iterable[Iterable[int]]) -> list[str]:
    """`decode` of many sequences."""
    return self._processor.decode([[int(i) for i in ids] for ids in batch])

  def encode_prompt(self, text: str) -> list[int]:
    """Ids of a prompt: beginning of sequence, then the text."""
    return [self.bos_id, *self.encode(text)]

  def encode_solution(self, text: str) -> list[int]:
    """Ids of a solution: the text, then end of sequence."""
    return [*self.encode(text), self.eos_id]

  def encode_on(self, text: str) -> list[int]:
    """Ids of a text that goes on from another: no blank is put before it."""
    return self.encode(text)

  def encode_control(self, text: str) -> list[int]:
    """Ids of a format's own words, in which control tokens count as such."""
    return self.encode_on(text) if text else []

  def __reduce__(self):
    return Tokenizer, (self._model, self._source)

  def _check_unicode(self, text: str) -> None:
    try:
      text.encode()
    except UnicodeEncodeError as e:
      raise self._unknown(text[e.start]) from e

  def _unknown(self, character: str) -> InputError:
    fix = 'remove it from the text'
    if character != _BLANK and not '\ud800' <= character <= '\udfff':
      fix += ', or train on text that holds it, or with byte_fallback=True'
    return InputError(
        f'{self._source} has no id for {character!r} '
        f'(U+{ord(character):04X}): {fix}'
    )
