"""A GGUF file as an open checkpoint: its `config.json`, and its tensors by their usual names."""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any

import numpy as np

from tts import gguf_file
from tts.gguf_file import GgufFile
from tts.types import InputError

ARCHITECTURES = ('llama', 'qwen2', 'qwen3')
_SIZES = {'hidden_size': 'embedding_length', 'num_hidden_layers': 'block_count',
          'intermediate_size': 'feed_forward_length', 'num_attention_heads': 'attention.head_count'}
# What would change what a model computes, and is not computed here; 0 is without it.
_REFUSED = {'expert_count': 'a mixture of experts',
            'attention.sliding_window': 'attention within a window'}
_NAMES = {'token_embd': 'model.embed_tokens', 'output_norm': 'model.norm', 'output': 'lm_head'}
_LAYER_NAMES = {
    'attn_norm': 'input_layernorm', 'ffn_norm': 'post_attention_layernorm',
    'attn_q': 'self_attn.q_proj', 'attn_k': 'self_attn.k_proj', 'attn_v': 'self_attn.v_proj',
    'attn_output': 'self_attn.o_proj', 'attn_q_norm': 'self_attn.q_norm',
    'attn_k_norm': 'self_attn.k_norm', 'ffn_gate': 'mlp.gate_proj', 'ffn_up': 'mlp.up_proj',
    'ffn_down': 'mlp.down_proj'}
_LAYER = re.compile(r'blk\.(\d+)\.(\w+)\.(weight|bias)')
_EMBEDDING, _ROPE = 'token_embd.weight', 'rope_freqs.weight'
# Llama 3.1 and later, of which the file has the outcome alone.
_LLAMA_3 = {'rope_type': 'llama3', 'low_freq_factor': 1.0, 'high_freq_factor': 4.0,
            'original_max_position_embeddings': 8192}


def config(path: pathlib.Path) -> dict[str, Any]:
  """The `config.json` that a file's metadata amount to; weights count as float32.

  Raises:
    InputError: the file is no good, or of an architecture that is not supported.
  """
  file = gguf_file.opened(path)
  family = file.get('general.architecture', str)
  if family not in ARCHITECTURES:
    raise InputError(f'{path}: general.architecture is {json.dumps(family)}: GGUF files of '
                     f'{", ".join(ARCHITECTURES)} are supported; take the model\'s safetensors')
  for key, what in _REFUSED.items():
    if file.metadata.get(f'{family}.{key}'):
      raise InputError(f'{path}: {family}.{key} is {file.metadata[f"{family}.{key}"]}: {what} is '
                       'not supported in GGUF files')
  fields = {ours: _number(file, f'{family}.{theirs}', int) for ours, theirs in _SIZES.items()}
  if fields['num_hidden_layers'] > len(file.tensors):
    raise InputError(f'{path}: {family}.block_count is {fields["num_hidden_layers"]}, and the file '
                     f'has {len(file.tensors)} tensors: it is damaged, download it again')
  heads = fields['num_attention_heads']
  kv_heads = _number(file, f'{family}.attention.head_count_kv', int, heads)
  head = _number(file, f'{family}.attention.key_length', int, fields['hidden_size'] // heads)
  if head % 2:
    raise InputError(f'{path}: heads are {head} wide: rotary positions need an even number')
  for key in ('attention.value_length', 'rope.dimension_count'):
    if (found := _number(file, f'{family}.{key}', int, head)) != head:
      raise InputError(f'{path}: {family}.{key} is {found} and heads are {head} wide: one that is '
                       'not as wide as its head is not supported')
  if _EMBEDDING not in file.tensors:
    raise InputError(f'{path} has no tensor {_EMBEDDING}: it holds no language model')
  return {
      'model_type': family, **fields, 'num_key_value_heads': kv_heads, 'head_dim': head,
      'vocab_size': file.tensors[_EMBEDDING].shape[0], 'hidden_act': 'silu',
      'rms_norm_eps': _number(file, f'{family}.attention.layer_norm_rms_epsilon', float),
      'rope_parameters': {'rope_theta': _number(file, f'{family}.rope.freq_base', float, 1e4),
                          **_rope(file, family, head)},
      'max_position_embeddings': _number(file, f'{family}.context_length', int, 2048),
      'tie_word_embeddings': 'output.weight' not in file.tensors, 'dtype': 'float32'}


def quantisation(path: pathlib.Path) -> str | None:
  """What a checkpoint's weights were rounded to, e.g. `Q4_K_M`; None of a folder's."""
  return gguf_file.opened(path).quantisation if gguf_file.is_gguf(path) else None


def _number(file: GgufFile, key: str, kind: type, default: float | None = None) -> Any:
  value = file.get(key, kind, default)
  if value is None or not value > 0:
    raise InputError(f'{file.path}: {key} is {json.dumps(value)}: it is to be above 0; the file is '
                     'damaged, download it again')
  return value


def _rope(file: GgufFile, family: str, head: int) -> dict[str, Any]:
  """How rotary frequencies are scaled; the file has a divisor for each, or a kind and a factor."""
  kind = file.get(f'{family}.rope.scaling.type', str, 'none')
  if kind == 'linear':
    return {'rope_type': 'linear', 'factor': _number(file, f'{family}.rope.scaling.factor', float)}
  if kind != 'none':
    raise InputError(f'{file.path}: {family}.rope.scaling.type is {kind!r}: none, linear and Llama '
                     '3\'s are supported')
  if _ROPE not in file.tensors:
    return {'rope_type': 'default'}
  divisors = file.read(_ROPE)
  found = {**_LLAMA_3, 'factor': float(divisors.max(initial=1))}
  theta = _number(file, f'{family}.rope.freq_base', float, 1e4)
  if not np.allclose(divisors, _llama_3_divisors(found, theta, head), rtol=1e-4):
    raise InputError(f'{file.path}: {_ROPE} scales frequencies otherwise than Llama 3 does, which '
                     'is not supported')
  return found


def _llama_3_divisors(scaling: dict[str, Any], theta: float, head: int) -> np.ndarray:
  """[head / 2]: 1 for short waves, `factor` for long ones, between them in the middle."""
  turns = (scaling['original_max_position_embeddings'] / (2 * np.pi)
           * theta ** -(np.arange(0, head, 2) / head))
  low, high = scaling['low_freq_factor'], scaling['high_freq_factor']
  smooth = np.clip((turns - low) / (high - low), 0, 1)
  return 1 / ((1 - smooth) / scaling['factor'] + smooth)


def names(file: GgufFile) -> dict[str, str]:
  """Usual name --> the file's, of all tensors but those that `config` has used."""
  found = {}
  for name in file.tensors:
    base, _, kind = name.rpartition('.')
    if match := _LAYER.fullmatch(name):
      number, part, kind = match.groups()
      if part in _LAYER_NAMES:
        found[f'model.layers.{number}.{_LAYER_NAMES[part]}.{kind}'] = name
        continue
    elif base in _NAMES:
      found[f'{_NAMES[base]}.{kind}'] = name
      continue
    if name != _ROPE:
      found[name] = name
  return found


def usual(file: GgufFile, name: str, tensor: np.ndarray) -> np.ndarray:
  """A tensor as it lies in a folder's safetensors.

  llama.cpp turns pairs of neighbours in a head where everyone else turns its halves, so Llama's
  queries and keys are written with their rows in another order.
  """
  match = _LAYER.fullmatch(name)
  if file.metadata['general.architecture'] != 'llama' or not match:
    return tensor
  counts = {'attn_q': 'head_count', 'attn_k': 'head_count_kv'}
  if match[2] not in counts:
    return tensor
  heads = file.metadata.get(f'llama.attention.{counts[match[2]]}',
                            file.metadata['llama.attention.head_count'])
  pairs = tensor.reshape(heads, -1, 2, *tensor.shape[1:])
  return pairs.swapaxes(1, 2).reshape(tensor.shape)
