"""A GGUF file's vocabulary as the files that a tokenizer is made of elsewhere.

Byte-level merges (`gpt2`) become a `tokenizer.json`, and SentencePiece's pieces (`llama`) the
`tokenizer.model` that they were taken from; special ids and the template go where they are looked
for beside these.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from tts.data.tokenizer_files import CONFIG, GENERATION
from tts.gguf_file import GgufFile
from tts.types import InputError

_CONTROL, _USER_DEFINED, _UNUSED = 3, 4, 5  # token types, as GGUF numbers them
_NORMAL = 1
_SPECIALS = {'bos_token': 'bos', 'eos_token': 'eos', 'unk_token': 'unknown', 'pad_token': 'padding'}
# What ends a generation: ids that the file names, and tokens that llama.cpp knows by their text.
_ENDS = ('eos', 'eot', 'eom')
_END_TEXTS = frozenset({'<|endoftext|>', '<|im_end|>', '<|end_of_text|>', '<|eot_id|>',
                        '<|eom_id|>', '</s>', '<|end|>', '<end_of_turn>'})

_LETTERS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s"
            r'| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+')


def _split(digits: str) -> list[dict[str, Any]]:
  """Splits as Llama 3 and Qwen have them, which differ in how many digits stay together."""
  return [{'type': 'Split', 'pattern': {'Regex': _LETTERS % digits}, 'behavior': 'Isolated',
           'invert': False}, _bytes(use_regex=False)]


def _bytes(use_regex: bool) -> dict[str, Any]:
  return {'type': 'ByteLevel', 'add_prefix_space': False, 'trim_offsets': True,
          'use_regex': use_regex}


class _Kind(NamedTuple):
  """A kind of byte-level merges.

  Attributes:
    before: what parts a text before merges.
    whole: whether a token that is a whole part wins over merges.
    begins: whether texts begin with the beginning of sequence where the file does not say.
  """

  before: list[dict[str, Any]]
  whole: bool = False
  begins: bool = False


# As llama.cpp has them, who named them. No text is normalised there, nor does the file ask for it.
_LLAMA_3 = _Kind(_split(r'\p{N}{1,3}'), whole=True, begins=True)
_KINDS = {
    'gpt-2': _Kind([_bytes(use_regex=True)]),
    'smollm': _Kind([{'type': 'Digits', 'individual_digits': True}, _bytes(use_regex=True)]),
    'qwen2': _Kind(_split(r'\p{N}')),
    'llama-bpe': _LLAMA_3, 'llama3': _LLAMA_3, 'llama-v3': _LLAMA_3}


def files(file: GgufFile) -> dict[str, bytes]:
  """`tokenizer.json` or `tokenizer.model`, `tokenizer_config.json` and `generation_config.json`.

  Raises:
    InputError: the vocabulary is of a kind that is not supported, or does not hold together.
  """
  tokens = file.many('tokenizer.ggml.tokens', str)
  kinds = file.many('tokenizer.ggml.token_type', int) or [_NORMAL] * len(tokens)
  if not tokens or len(kinds) != len(tokens) or not set(kinds) <= set(range(1, 7)):
    raise InputError(f'{file.path} has {len(tokens)} tokens, and types of {len(kinds)}, each of '
                     'which is to be one of 1 to 6: it is damaged, or holds no language model')
  model = file.get('tokenizer.ggml.model', str, 'none')
  if model == 'gpt2':
    found, add_bos = _byte_level(file, tokens, kinds)
  elif model == 'llama':
    found, add_bos = _sentencepiece(file, tokens, kinds), True
  else:
    raise InputError(f'{file.path} has a tokenizer of kind {model!r}: gpt2 (byte-level merges) and '
                     'llama (SentencePiece) are supported; take the model\'s safetensors')
  config = {name: tokens[i] for name, i in _special_ids(file, len(tokens)).items()}
  if model == 'gpt2':
    config.pop('unk_token', None)  # every byte has an id
  config['add_bos_token'] = file.get('tokenizer.ggml.add_bos_token', bool,
                                     add_bos and 'bos_token' in config)
  template = file.get('tokenizer.chat_template', str)
  if template is not None:
    config['chat_template'] = template
  ends = [i for name in _ENDS if (i := _id(file, name, len(tokens))) is not None]
  ends += [i for i, (text, kind) in enumerate(zip(tokens, kinds, strict=True))
           if kind == _CONTROL and text in _END_TEXTS]
  return {**found, CONFIG: json.dumps(config).encode(),
          GENERATION: json.dumps({'eos_token_id': list(dict.fromkeys(ends))}).encode()}


def _special_ids(file: GgufFile, count: int) -> dict[str, int]:
  found = {name: _id(file, key, count) for name, key in _SPECIALS.items()}
  return {name: i for name, i in found.items() if i is not None}


def _id(file: GgufFile, name: str, count: int) -> int | None:
  key = f'tokenizer.ggml.{name}_token_id'
  i = file.get(key, int)
  if i is not None and not 0 <= i < count:
    raise InputError(f'{file.path}: {key} is {i}, and there are {count} tokens: it is damaged, '
                     'download it again')
  return i


def _byte_level(file: GgufFile, tokens: list[str],
                kinds: list[int]) -> tuple[dict[str, bytes], bool]:
  """`tokenizer.json`, and whether its kind begins texts with the beginning of sequence."""
  kind = file.get('tokenizer.ggml.pre', str, 'none')
  if kind not in _KINDS:
    raise InputError(f'{file.path} parts texts in the manner {kind!r} (tokenizer.ggml.pre): '
                     f'{", ".join(_KINDS)} are supported; take the model\'s safetensors')
  merges = [tuple(merge.split(' ')) for merge in file.many('tokenizer.ggml.merges', str)]
  wrong = next((m for m in merges if len(m) != 2), None)
  if wrong is not None or not merges:
    raise InputError(f'{file.path} has no merges, or one that is not of two tokens '
                     f'({" ".join(wrong or ())[:40]!r}): it is damaged, download it again')
  # Rows of the embedding that no text has an id for are not the tokenizer's.
  vocab = {token: i for i, token in enumerate(tokens) if kinds[i] != _UNUSED}
  added = [{'id': i, 'content': token, 'single_word': False, 'lstrip': False, 'rstrip': False,
            'normalized': False, 'special': kinds[i] == _CONTROL}
           for i, token in enumerate(tokens) if kinds[i] in (_CONTROL, _USER_DEFINED)]
  spec = {
      'version': '1.0', 'truncation': None, 'padding': None, 'added_tokens': added,
      'normalizer': None,
      'pre_tokenizer': {'type': 'Sequence', 'pretokenizers': _KINDS[kind].before},
      'post_processor': None, 'decoder': _bytes(use_regex=True),
      'model': {'type': 'BPE', 'dropout': None, 'unk_token': None, 'fuse_unk': False,
                'byte_fallback': False, 'ignore_merges': _KINDS[kind].whole, 'vocab': vocab,
                'merges': merges}}
  return {'tokenizer.json': json.dumps(spec).encode()}, _KINDS[kind].begins


def _sentencepiece(file: GgufFile, tokens: list[str], kinds: list[int]) -> dict[str, bytes]:
  """The model that GGUF's pieces, scores and types were read off."""
  from sentencepiece import sentencepiece_model_pb2 as proto
  scores = file.many('tokenizer.ggml.scores', float)
  if len(scores) != len(tokens):
    raise InputError(f'{file.path} has {len(tokens)} tokens and {len(scores)} scores: it is '
                     'damaged, download it again')
  model = proto.ModelProto()
  for token, score, kind in zip(tokens, scores, kinds, strict=True):
    model.pieces.add(piece=token, score=score, type=kind)
  ids = _special_ids(file, len(tokens))
  model.trainer_spec.model_type = proto.TrainerSpec.BPE
  model.trainer_spec.byte_fallback = 6 in kinds
  model.trainer_spec.unk_id = ids.get('unk_token', 0)
  model.trainer_spec.bos_id = ids.get('bos_token', -1)
  model.trainer_spec.eos_id = ids.get('eos_token', -1)
  model.trainer_spec.pad_id = ids.get('pad_token', -1)
  model.normalizer_spec.name = 'identity'
  model.normalizer_spec.remove_extra_whitespaces = False
  model.normalizer_spec.add_dummy_prefix = file.get('tokenizer.ggml.add_space_prefix', bool, True)
  return {'tokenizer.model': model.SerializeToString()}
