"""SentencePiece models: ours, trained in memory, and those of open checkpoints.

Of ours a newline is one token that nothing crosses, so `encode(a) + encode(b) == encode(a + b)`
wherever `a` ends in a newline: steps may be encoded apart. A digit is always a token of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
import contextlib
import io
import os
import re

import sentencepiece

from tts.data.tokenizer import FILE_NAME, Tokenizer
from tts.types import BOS_ID, EOS_ID, PAD_ID, UNK_ID, InputError

# SentencePiece writes a blank as this character, and reads it back as a blank.
_BLANK = '\u2581'
# Bytes that, put after a model, change its normalizer_spec: add_dummy_prefix and
# remove_extra_whitespaces are false (fields of Protocol Buffers merge, and the last one counts).
_CONTINUES = b'\x1a\x04\x18\x00\x20\x00'


class SentencePieceTokenizer(Tokenizer):
  """A SentencePiece model."""

  def __init__(self, files: Mapping[str, bytes], source: str = 'the tokenizer'):
    """Reads a serialised model, `tokenizer.model` of `files`; `source` names it in messages."""
    super().__init__(files, source)
    model = files[FILE_NAME]
    with _sound(source):
      # An empty model is not initialised, and prints when asked for anything.
      if not model:
        raise ValueError('empty')
      self._begins = sentencepiece.SentencePieceProcessor(model_proto=model)
      self._continues = sentencepiece.SentencePieceProcessor(model_proto=model + _CONTINUES)
      self.vocab_size = self._begins.vocab_size()
      if self._begins.encode('a') == self._continues.encode('a'):
        self._begins = self._continues
    own = {'bos_token': self._begins.bos_id(), 'eos_token': self._begins.eos_id(),
           'unk_token': self._begins.unk_id(), 'pad_token': self._begins.pad_id()}
    ids = {}
    for name, i in own.items():
      ids[name] = self._id(name, self.specials[name]) if name in self.specials else i
    # Templates write special tokens out.
    self.specials = {name: self.token(i) for name, i in ids.items() if i >= 0}
    if ids['eos_token'] < 0:
      raise InputError(f'{source} has no end of sequence: a solution would have no end')
    bos = ids['bos_token']
    if self._settings.add_bos and bos < 0:
      raise InputError(f'{os.path.dirname(source)}/tokenizer_config.json has add_bos_token, and '
                       f'{source} no beginning of sequence: they are of different models')
    self.bos_id = bos if bos >= 0 and self._settings.add_bos is not False else None
    self._unk_id = self._begins.unk_id()
    self.eos_ids = self._all_ends(ids['eos_token'])
    control = [i for i in range(self.vocab_size) if self._begins.is_control(i)]
    self._control = {self.token(i): i for i in control}

  def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
    return self._encode(self._continues, texts)

  def encode_prompts(self, texts: Sequence[str]) -> list[list[int]]:
    first = [] if self.bos_id is None else [self.bos_id]
    return [[*first, *ids] for ids in self._encode(self._begins, texts)]

  def encode_chat(self, text: str) -> list[int]:
    ids: list[int] = []
    pattern = '|'.join(map(re.escape, sorted(self._control, key=len, reverse=True)))
    for place, part in enumerate(re.split(f'({pattern})', text)):
      if place % 2:
        ids.append(self._control[part])
      elif part:
        ids += self._encode(self._continues if ids else self._begins, [part])[0]
    return ids

  def decode_batch(self, batch: Iterable[Iterable[int]]) -> list[str]:
    rows = [[i for i in map(int, ids) if i < self.vocab_size] for ids in batch]
    with _sound(self._source):
      # One by one: for a batch the library starts threads, which takes longer than a few texts.
      return [(self._begins if ids[:1] == [self.bos_id] else self._continues).decode(ids)
              for ids in rows]

  def token(self, i: int) -> str:
    with _sound(self._source):
      return self._begins.id_to_piece(i)

  @property
  def special_texts(self) -> tuple[str, ...]:
    return tuple(self._control)

  def _id(self, name: str, text: str) -> int:
    i = self._begins.piece_to_id(text)
    if self.token(i) != text:
      raise InputError(f'{self._source} has no id for {name} {text!r}, which is named beside it: '
                       'they are of different models')
    return i

  def _encode(self, processor: sentencepiece.SentencePieceProcessor,
              texts: Sequence[str]) -> list[list[int]]:
    texts = self._checked(texts)
    for text in texts:
      if _BLANK in text:
        raise self._unknown(_BLANK)
    with _sound(self._source):
      batch = processor.encode(texts)
    for text, ids in zip(texts, batch, strict=True):
      if self._unk_id in ids:
        raise self._unknown(
            next(c for c in text if self._unk_id in self._continues.encode(c)),
            'remove it from the text, or train on text that holds it, or with byte_fallback=True')
    return batch


@contextlib.contextmanager
def _sound(source: str) -> Iterator[None]:
  """What the library makes of a damaged model, whose pieces may not even be UTF-8."""
  try:
    yield
  except (RuntimeError, ValueError, IndexError) as e:
    raise InputError(f'{source} is not a SentencePiece model: it may be damaged or half '
                     'copied, copy it again') from e


def train(texts: Iterable[str], vocab_size: int,
          byte_fallback: bool = False) -> SentencePieceTokenizer:
  """Trains byte-pair merges; the same texts give the same model, bit for bit.

  Args:
    texts: what to learn from, whole problems and solutions.
    vocab_size: upper bound on the number of ids.
    byte_fallback: spell unseen characters as bytes (256 more ids); without it they are an error at
      `encode`.

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
    raise InputError(f'cannot train a tokenizer of vocab_size={vocab_size}: {fix}') from e
  return SentencePieceTokenizer({FILE_NAME: model.getvalue()})
