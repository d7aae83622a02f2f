"""Text to ids and back, whatever the vocabulary: the interface of all tokenizers, and `load`.

`tts.data.sentencepiece_tokenizer` has the ones that are trained here and other SentencePiece
models, `tts.data.json_tokenizer` those of the library `tokenizers`.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import functools
import os
import pathlib

from tts import gguf_file
from tts.data import files as files_lib
from tts.data import gguf_tokenizer, tokenizer_files
from tts.roles import Roles
from tts.types import InputError

FILE_NAME = 'tokenizer.model'       # SentencePiece
JSON_NAME = 'tokenizer.json'        # the library `tokenizers`
DELIMITERS = ('newline', 'blank_line')


@dataclasses.dataclass(frozen=True)
class TokenizerConfig:
  """The SentencePiece model trained on the training text.

  Attributes:
    vocab_size: largest number of pieces.
    byte_fallback: spell characters that the training text lacks in bytes (256 pieces more);
      without it such a character is an error.
  """

  vocab_size: int = 32
  byte_fallback: bool = False


class Tokenizer(abc.ABC):
  """Ids of texts, and what some ids mean.

  A text either begins a sequence (`encode_prompt`, `encode_chat`) or continues one (`encode`): some
  vocabularies put a blank before the first word of the one and not of the other. `decode` gives
  back exactly what continues: `decode(encode(text)) == text`, unless the vocabulary rewrites
  characters (e.g. into NFC).

  Attributes:
    vocab_size: ids are smaller; a model may have more, which are padding.
    bos_id: what a sequence begins with where `encode_prompt` says so, or None.
    eos_ids: end a solution; the first is the tokenizer's own.
    chat_template: Jinja, or None.
    specials: text of each special token by name (`bos_token`, `eos_token`, ...).
    files: all that it was made of, by file name: equal bytes, equal tokenizer.
  """

  vocab_size: int
  bos_id: int | None
  eos_ids: tuple[int, ...]

  def __init__(self, files: Mapping[str, bytes], source: str):
    self.files = dict(files)
    self._source = source
    self._settings = tokenizer_files.settings(files, source)
    self.chat_template = self._settings.chat_template
    self.specials = self._settings.specials

  @staticmethod
  def train(texts: Iterable[str], vocab_size: int, byte_fallback: bool = False) -> Tokenizer:
    """Trains a SentencePiece model; see `sentencepiece_tokenizer.train`."""
    from tts.data import sentencepiece_tokenizer
    return sentencepiece_tokenizer.train(texts, vocab_size, byte_fallback)

  @staticmethod
  def load(path: str | os.PathLike[str]) -> Tokenizer:
    """Reads a tokenizer's folder, or its one file.

    A folder may have `tokenizer.json` or else `tokenizer.model`, and beside it what says which ids
    are special and how a chat is written: `tokenizer_config.json`, `special_tokens_map.json`,
    `generation_config.json`, `chat_template.jinja`.

    A GGUF file has all of this in its metadata.

    Raises:
      InputError: neither is there, a file is damaged, too large, or they do not fit.
    """
    from tts.data import json_tokenizer, sentencepiece_tokenizer
    path = pathlib.Path(path)
    if gguf_file.is_gguf(path):
      found = gguf_tokenizer.files(gguf_file.opened(path))
      kind = (json_tokenizer.JsonTokenizer if JSON_NAME in found
              else sentencepiece_tokenizer.SentencePieceTokenizer)
      return kind(found, str(path / next(iter(found))))
    folder = path if path.is_dir() else None
    if folder is not None:
      path = folder / (JSON_NAME if (folder / JSON_NAME).exists() else FILE_NAME)
    kind = (json_tokenizer.JsonTokenizer if path.suffix == '.json'
            else sentencepiece_tokenizer.SentencePieceTokenizer)
    name = JSON_NAME if path.suffix == '.json' else FILE_NAME
    found = {name: tokenizer_files.read(path, tokenizer_files.MAX_VOCABULARY)}
    if folder is not None:
      found |= tokenizer_files.read_beside(folder)
    return kind(found, str(path))

  def save(self, directory: str | os.PathLike[str]) -> None:
    """Writes the files that it was made of into an existing folder."""
    for name, data in self.files.items():
      with files_lib.written_aside(pathlib.Path(directory) / name) as file:
        file.write(data)

  @property
  def proto(self) -> bytes:
    """The vocabulary's file: equal bytes, equal ids of texts."""
    return self.files.get(JSON_NAME) or self.files[FILE_NAME]

  @property
  def eos_id(self) -> int:
    """The id that ends a solution that is learnt."""
    return self.eos_ids[0]

  def check_fits(self, vocab_size: int, where: str) -> None:
    """Raises InputError where a model, which `where` names, lacks an id that a text may have.

    Special tokens that no text begins or ends with may have none: Gemma 3 1B has no pictures, and
    the tokenizer of its family a token for them.
    """
    beyond = [self.token(i) for i in range(vocab_size, self.vocab_size)]
    spare = set(self.special_texts) - {self.token(i) for i in (*self.eos_ids, self.bos_id or 0)}
    if any(text not in spare or text in (self.chat_template or '') for text in beyond):
      name = os.path.basename(self._source)
      raise InputError(
          f'{where}: {name} has {self.vocab_size} ids, the model {vocab_size}: there is none for '
          f'{", ".join(map(repr, beyond[:3]))}; they are of different models')

  def encode(self, text: str) -> list[int]:
    """Ids of a text that continues another, none of them special.

    Raises:
      InputError: a character that has no id.
    """
    return self.encode_batch([text])[0]

  @abc.abstractmethod
  def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
    """`encode` of many texts, several times faster than one by one."""

  @abc.abstractmethod
  def encode_prompts(self, texts: Sequence[str]) -> list[list[int]]:
    """Ids of texts that begin sequences, after what the vocabulary puts before them."""

  def encode_prompt(self, text: str) -> list[int]:
    """Ids of one prompt; a beginning of sequence first where the vocabulary has it so."""
    return self.encode_prompts([text])[0]

  @abc.abstractmethod
  def encode_chat(self, text: str) -> list[int]:
    """Ids of a text that begins a sequence, in which special tokens are written out."""

  def encode_solution(self, text: str) -> list[int]:
    """Ids of a solution: the text, then end of sequence."""
    return [*self.encode(text), self.eos_id]

  def decode(self, ids: Iterable[int]) -> str:
    """Text of `ids`; special ids are dropped, and so are ids of padding."""
    return self.decode_batch([ids])[0]

  @abc.abstractmethod
  def decode_batch(self, batch: Iterable[Iterable[int]]) -> list[str]:
    """`decode` of many sequences. One that begins with `bos_id` is a whole text."""

  @abc.abstractmethod
  def token(self, i: int) -> str:
    """An id's name in the vocabulary, for messages."""

  @property
  @abc.abstractmethod
  def special_texts(self) -> tuple[str, ...]:
    """What `encode_chat` reads as special tokens."""

  @functools.cached_property
  def _texts(self) -> list[str]:
    """Text of each id alone: a piece of a character shows as U+FFFD."""
    return self.decode_batch([[i] for i in range(self.vocab_size)])

  @functools.cache
  def roles(self, delimiter: str = 'newline', ends_at_blank_line: bool = False) -> Roles:
    """What ids mean to a sampler.

    Args:
      delimiter: of steps, one of DELIMITERS. A step ends with the token in whose text it is.
      ends_at_blank_line: whether a blank line ends a solution, as between worked examples.

    Raises:
      InputError: no id has the delimiter in it.
    """
    having = lambda test: tuple(i for i, text in enumerate(self._texts) if test(text))
    blank = having(lambda text: '\n\n' in text)
    first, second = (), ()
    delimiters = having(lambda text: '\n' in text)
    begins = having(lambda text: text.startswith('\n'))
    if not delimiters:
      raise InputError(f'{self._source} has no id for a newline: steps cannot be told apart, use '
                       'a model whose tokenizer has one')
    if delimiter == 'blank_line':
      first, second = having(lambda text: text.endswith('\n')), begins
      delimiters = blank
    if not ends_at_blank_line:
      return Roles(self.eos_ids, delimiters, first, second, size=self.vocab_size)
    ends = tuple(dict.fromkeys(self.eos_ids + blank))
    return Roles(ends, delimiters, first, second, begins, self.vocab_size)

  def __reduce__(self):
    return type(self), (self.files, self._source)

  def _all_ends(self, eos: int) -> tuple[int, ...]:
    """The tokenizer's own end, then what else ends a generation."""
    beyond = [i for i in self._settings.eos_ids if i >= self.vocab_size]
    if beyond:
      raise InputError(f'{os.path.dirname(self._source)}/{tokenizer_files.GENERATION} has '
                       f'eos_token_id {beyond[0]}, {os.path.basename(self._source)} only '
                       f'{self.vocab_size} ids: they are of different models')
    return tuple(dict.fromkeys((eos, *self._settings.eos_ids)))

  def _checked(self, texts: Sequence[str]) -> list[str]:
    """The texts, if each can be written in UTF-8."""
    texts = list(texts)
    for text in texts:
      if not text.isascii():
        try:
          text.encode()
        except UnicodeEncodeError as e:
          raise self._unknown(text[e.start]) from e
    return texts

  def _unknown(self, character: str, fix: str = 'remove it from the text') -> InputError:
    return InputError(f'{self._source} has no id for {character!r} (U+{ord(character):04X}): {fix}')
