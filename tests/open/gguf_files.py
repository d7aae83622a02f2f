"""Small GGUF files, written by the library `gguf`, and the same weights as a folder."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np

VOCAB = 96
_SIZES = {'hidden_size': 64, 'intermediate_size': 96, 'num_hidden_layers': 2,
          'num_attention_heads': 4, 'num_key_value_heads': 2, 'head_dim': 16}
_LAYER = {
    'attn_norm': 'input_layernorm', 'ffn_norm': 'post_attention_layernorm',
    'attn_q': 'self_attn.q_proj', 'attn_k': 'self_attn.k_proj', 'attn_v': 'self_attn.v_proj',
    'attn_output': 'self_attn.o_proj', 'ffn_gate': 'mlp.gate_proj', 'ffn_up': 'mlp.up_proj',
    'ffn_down': 'mlp.down_proj'}


def weights(family: str, tied: bool, vocab: int = VOCAB) -> dict[str, np.ndarray]:
  """Random tensors by the names that they have in a GGUF file, in a folder's order of rows."""
  rng = np.random.default_rng(len(family) + tied)
  normal = lambda *shape: rng.normal(size=shape, scale=0.3).astype(np.float32)
  width, inner, head = _SIZES['hidden_size'], _SIZES['intermediate_size'], _SIZES['head_dim']
  q, kv = (head * _SIZES[f'num_{kind}_heads'] for kind in ('attention', 'key_value'))
  out = {'token_embd.weight': normal(vocab, width), 'output_norm.weight': 1 + normal(width)}
  if not tied:
    out['output.weight'] = normal(vocab, width)
  for i in range(_SIZES['num_hidden_layers']):
    shapes = {'attn_norm': (width,), 'ffn_norm': (width,), 'attn_q': (q, width),
              'attn_k': (kv, width), 'attn_v': (kv, width), 'attn_output': (width, q),
              'ffn_gate': (inner, width), 'ffn_up': (inner, width), 'ffn_down': (width, inner)}
    if family == 'qwen3':
      shapes |= {'attn_q_norm': (head,), 'attn_k_norm': (head,)}
    out |= {f'blk.{i}.{name}.weight': normal(*shape) for name, shape in shapes.items()}
    if family == 'qwen2':
      out |= {f'blk.{i}.attn_{p}.bias': normal(n) for p, n in (('q', q), ('k', kv), ('v', kv))}
  return out


def usual(name: str) -> str:
  """A tensor's name in a folder."""
  top = {'token_embd.weight': 'model.embed_tokens.weight', 'output.weight': 'lm_head.weight',
         'output_norm.weight': 'model.norm.weight'}
  if name in top:
    return top[name]
  _, number, part, kind = name.split('.')
  norms = {f'attn_{p}_norm': f'self_attn.{p}_norm' for p in 'qk'}
  return f'model.layers.{number}.{(_LAYER | norms)[part]}.{kind}'


def write_folder(folder: pathlib.Path, family: str, tensors: dict[str, np.ndarray], tied: bool,
                 **fields: Any) -> None:
  """`config.json` and safetensors, as everyone but llama.cpp has them."""
  from safetensors.numpy import save_file
  folder.mkdir(parents=True, exist_ok=True)
  (folder / 'config.json').write_text(json.dumps({
      'model_type': family, 'vocab_size': len(tensors['token_embd.weight']), **_SIZES,
      'rms_norm_eps': 2**-17, 'rope_parameters': {'rope_theta': 5e4, 'rope_type': 'default'},
      'tie_word_embeddings': tied, 'dtype': 'float32', 'hidden_act': 'silu', **fields}))
  save_file({usual(name): value for name, value in tensors.items()}, folder / 'model.safetensors')


def write(path: pathlib.Path, family: str, tensors: dict[str, np.ndarray], kind: str = 'F32',
          vocabulary: dict[str, Any] | None = None, **metadata: Any) -> dict[str, np.ndarray]:
  """Writes a GGUF file with its matrices quantised.

  Args:
    path: of the file.
    family: `llama`, `qwen2` or `qwen3`.
    tensors: of `weights`.
    kind: what matrices are quantised to.
    vocabulary: the tokenizer's metadata; None is of single characters.
    metadata: what else is written, or written otherwise, `__` for a dot.

  Returns:
    What there is to be read of the file: the tensors after quantisation, in a folder's order.
  """
  import gguf
  whole = 'ALL_F32' if kind == 'F32' else f'MOSTLY_{kind}'
  kind = gguf.GGMLQuantizationType[kind]
  writer = gguf.GGUFWriter(path, family)
  fields = {
      'context_length': 128, 'embedding_length': _SIZES['hidden_size'],
      'block_count': _SIZES['num_hidden_layers'],
      'feed_forward_length': _SIZES['intermediate_size'],
      'attention.head_count': _SIZES['num_attention_heads'],
      'attention.head_count_kv': _SIZES['num_key_value_heads'],
      'attention.layer_norm_rms_epsilon': 2**-17, 'rope.freq_base': 5e4}
  fields = {f'{family}.{k}': v for k, v in fields.items()}
  fields['general.file_type'] = int(gguf.LlamaFileType[whole])
  fields |= vocabulary or byte_vocabulary(len(tensors['token_embd.weight']))
  for key, value in {**fields, **{k.replace('__', '.'): v for k, v in metadata.items()}}.items():
    if value is not None:
      add(writer, key, value)
  read = {}
  for name, value in tensors.items():
    of = kind if value.ndim == 2 else gguf.GGMLQuantizationType.F32
    read[name] = gguf.dequantize(gguf.quantize(value, of), of)
    stored = interleaved(value, name) if family == 'llama' else value
    writer.add_tensor(name, gguf.quantize(stored, of), raw_dtype=of)
  writer.write_header_to_file()
  writer.write_kv_data_to_file()
  writer.write_tensors_to_file()
  writer.close()
  return read


def add(writer: Any, key: str, value: Any) -> None:
  """One entry of the metadata, of the type that llama.cpp's converter gives it."""
  if isinstance(value, bool):
    writer.add_bool(key, value)
  elif isinstance(value, int):
    writer.add_uint32(key, value)
  elif isinstance(value, float):
    writer.add_float32(key, value)
  elif isinstance(value, str):
    writer.add_string(key, value)
  else:
    writer.add_array(key, value)


def interleaved(value: np.ndarray, name: str) -> np.ndarray:
  """Rows of Llama's queries and keys as llama.cpp writes them: a half beside the other."""
  heads = {'attn_q': 4, 'attn_k': 2}.get(name.split('.')[-2])
  if heads is None:
    return value
  rows = np.arange(len(value)).reshape(heads, 2, -1)  # head, half, place
  return value[np.stack([rows[:, 0], rows[:, 1]], axis=-1).ravel()]


def byte_vocabulary(count: int) -> dict[str, Any]:
  """A tokenizer of single characters and one merge; it loses what it has no id for."""
  tokens = ['<|im_end|>', 'Ċ', 'ab', *map(chr, range(ord('~'), ord('~') - count + 3, -1))]
  return byte_level(tokens, ['a b'], [3] + [1] * (count - 1))


def byte_level(tokens: list[str], merges: list[str], kinds: list[int], pre: str = 'qwen2',
               **more: Any) -> dict[str, Any]:
  """Metadata of byte-level merges."""
  more = {'eos_token_id': 0} | more
  return {'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.pre': pre,
          'tokenizer.ggml.tokens': tokens, 'tokenizer.ggml.token_type': kinds,
          'tokenizer.ggml.merges': merges,
          **{f'tokenizer.ggml.{k}': v for k, v in more.items()}}
