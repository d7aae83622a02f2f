"""`config.json` of an open checkpoint, as transformers 4 and 5 write it --> `Arch`, and back.

What changes what a model computes is read or refused, by name; nothing is passed over in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
import json
import pathlib
from typing import Any

from tts import gguf_file
from tts.models import open_gguf
from tts.models.arch import Arch
from tts.types import InputError

FAMILIES = ('llama', 'mistral', 'qwen2', 'qwen3', 'gemma2', 'gemma3_text')
_SUPPORTED = 'Llama 3, Mistral, Qwen 2.5, Qwen 3, Gemma 2 and Gemma 3 (text) are supported'
_SIZES = {'vocab_size': 'vocab_size', 'num_layers': 'num_hidden_layers', 'width': 'hidden_size',
          'num_heads': 'num_attention_heads', 'mlp_width': 'intermediate_size'}
# What the text part of a Gemma 3 of text and pictures leaves to its class; alone it says all of it.
_GEMMA3_TEXT = {'vocab_size': 262_208, 'hidden_size': 2304, 'intermediate_size': 9216,
                'num_hidden_layers': 26, 'num_attention_heads': 8, 'num_key_value_heads': 4,
                'head_dim': 256}
_OF_BOTH = ('architectures', 'dtype', 'torch_dtype', 'tie_word_embeddings', 'quantization_config')
_ACTIVATIONS = {'silu': 'silu', 'gelu_pytorch_tanh': 'gelu_tanh'}
_MAX_BYTES = 1 << 20


class Source:
  """One `config.json`, read field by field; a message names the file and the field."""

  def __init__(self, path: pathlib.Path, fields: Mapping[str, Any]):
    self.path, self.fields = path, fields

  def wrong(self, field: str, why: str) -> InputError:
    return InputError(f'{self.path}: {field} is {json.dumps(self.fields.get(field))}: {why}')

  def number(self, field: str, default: float | None = None, kind: type = float) -> Any:
    """A positive number, or `default` where the field is missing or null."""
    value = self.fields.get(field)
    if value is None:
      if default is None:
        raise InputError(f'{self.path} has no {field}: it is not a whole config.json')
      return default
    right = type(value) in ((int,) if kind is int else (int, float))
    if not right or value <= 0:
      raise self.wrong(field, f'it must be a positive {"integer" if kind is int else "number"}')
    return kind(value)

  def maybe(self, field: str, default: float | None = None, kind: type = float) -> Any:
    """A positive number, or None where the field is null; `default` where it is missing."""
    if field not in self.fields:
      return default
    return None if self.fields[field] is None else self.number(field, kind=kind)

  def refuse(self, field: str, fine: tuple[Any, ...], what: str) -> None:
    """Raises where a field has a value that would change what the model computes."""
    if self.fields.get(field) not in (None, *fine):
      raise self.wrong(field, f'{what} is not supported')


def read(directory: pathlib.Path) -> dict[str, Any]:
  """`config.json` of a folder; of a model of text and pictures what its text part is.

  That leaves some sizes to the family's defaults, and the dtype to the whole.

  Of a GGUF file, what its metadata say in the same terms.

  Raises:
    InputError: it is missing, no JSON object, or of a family that is not supported.
  """
  if gguf_file.is_gguf(directory):
    return open_gguf.config(directory)
  path = directory / 'config.json'
  try:
    if path.stat().st_size > _MAX_BYTES:
      raise InputError(f'{path} is larger than a configuration: copy it again')
    fields = json.loads(path.read_bytes())
  except OSError as e:
    raise InputError(f'cannot read {path}: {e.strerror}: give the folder of an open checkpoint, '
                     'with config.json, *.safetensors and its tokenizer') from e
  except (ValueError, RecursionError) as e:
    raise InputError(f'{path} is not JSON ({e}): copy it again') from e
  if not isinstance(fields, dict):
    raise InputError(f'{path} is not a JSON object: copy it again')
  if isinstance(fields.get('text_config'), dict):
    inner = fields['text_config']
    family = inner.get('model_type', f'{fields.get("model_type")}_text')
    defaults = _GEMMA3_TEXT if family == 'gemma3_text' else {}
    of_both = {name: fields[name] for name in _OF_BOTH if fields.get(name) is not None}
    fields = {**defaults, **inner, 'model_type': family, **of_both}
  if fields.get('model_type') not in FAMILIES:
    raise InputError(f'{path}: model_type is {json.dumps(fields.get("model_type"))}: {_SUPPORTED}')
  return fields


def to_arch(directory: pathlib.Path, fields: Mapping[str, Any]) -> Arch:
  """The architecture that a family's `config.json` describes, its heads `lm` alone.

  Raises:
    InputError: a field is missing, or asks for what no family here has.
  """
  named = directory if gguf_file.is_gguf(directory) else directory / 'config.json'
  source = Source(named, fields)
  family = fields['model_type']
  gemma = family.startswith('gemma')
  for field in ('attention_bias', 'mlp_bias', 'use_bidirectional_attention', 'add_cross_attention'):
    source.refuse(field, (False,), field)
  source.refuse('quantization_config', (), 'a quantised checkpoint')
  sizes = {ours: source.number(theirs, kind=int) for ours, theirs in _SIZES.items()}
  heads, width = sizes['num_heads'], sizes['width']
  head_size = source.number('head_dim', 256 if gemma else width // heads, int)
  act = fields.get('hidden_activation' if gemma else 'hidden_act')
  act = act or ('gelu_pytorch_tanh' if gemma else 'silu')
  if act not in _ACTIVATIONS:
    raise source.wrong('hidden_act', f'one of {", ".join(_ACTIVATIONS)} is supported')
  return Arch(
      **sizes, num_kv_heads=source.number('num_key_value_heads', heads, int),
      head_size=head_size, activation=_ACTIVATIONS[act], gated=True,
      tied=bool(fields.get('tie_word_embeddings', gemma)),
      norm_eps=source.number('rms_norm_eps', 1e-6), qkv_bias=family == 'qwen2',
      qk_norm=family in ('qwen3', 'gemma3_text'), post_norms=gemma,
      norm_offset=1.0 if gemma else None, embed_scale=width**0.5 if gemma else None,
      query_scale=source.number('query_pre_attn_scalar', 256)**-0.5 if gemma else None,
      attn_softcap=source.maybe('attn_logit_softcapping', 50.0 if family == 'gemma2' else None),
      final_softcap=source.maybe('final_logit_softcapping', 30.0 if family == 'gemma2' else None),
      windows=_windows(source, sizes['num_layers']), **_rope(source))


def _windows(source: Source, layers: int) -> tuple[int, ...]:
  """Tokens that each layer sees, 0 for all; () where all see all."""
  fields, family = source.fields, source.fields['model_type']
  gemma = family.startswith('gemma')
  if family.startswith('qwen') and not fields.get('use_sliding_window'):
    return ()
  size = source.maybe('sliding_window', 4096 if gemma else None, int)
  if size is None or family == 'llama':
    return ()
  types = fields.get('layer_types')
  if types is not None:
    known = ('full_attention', 'sliding_attention')
    if not isinstance(types, list) or len(types) != layers or not set(types) <= set(known):
      raise source.wrong('layer_types', f'one of {" and ".join(known)} per layer is supported')
    sliding = [t == 'sliding_attention' for t in types]
  elif family == 'gemma2':
    sliding = [i % 2 == 0 for i in range(layers)]
  elif gemma:
    every = source.number('sliding_window_pattern', 6, int)
    sliding = [(i + 1) % every > 0 for i in range(layers)]
  elif family.startswith('qwen'):
    first = source.fields.get('max_window_layers', 28)
    sliding = [i >= first for i in range(layers)]
  else:
    sliding = [True] * layers
  return tuple(size if s else 0 for s in sliding) if any(sliding) else ()


def _rope(source: Source) -> dict[str, Any]:
  """The rotary fields of `Arch`; transformers 5 has `rope_parameters`, 4 has them apart."""
  fields, local = source.fields, source.fields['model_type'] == 'gemma3_text'
  default = 1e6 if local else 1e4
  given = fields.get('rope_parameters')
  if given is not None:
    given = given if isinstance(given, dict) else {}
    near = given.get('sliding_attention')
    given = given.get('full_attention', given)
    theta = Source(source.path, given).number('rope_theta', default)
    if near is not None:
      _scaling(Source(source.path, near), ('default',))
    window = Source(source.path, near or {}).number('rope_theta', 1e4)
    scaling = _scaling(Source(source.path, given))
  else:
    theta = source.number('rope_theta', default)
    window = source.number('rope_local_base_freq', 1e4)
    scaling = _scaling(Source(source.path, fields.get('rope_scaling') or {}))
  return {'rope_theta': theta, 'rope_scaling': scaling,
          'window_rope_theta': window if local else None}


def _scaling(rope: Source, known=('default', 'linear', 'llama3')) -> tuple[float, ...]:
  """`Arch.rope_scaling` of rotary parameters."""
  kind = rope.fields.get('rope_type', rope.fields.get('type', 'default'))
  if kind not in known:
    raise InputError(f'{rope.path}: rope_type is {json.dumps(kind)}: {", ".join(known)} '
                     'is supported')
  if kind == 'default':
    return ()
  factor = rope.number('factor')
  if kind == 'linear':
    return (factor,)
  return (factor, rope.number('low_freq_factor'), rope.number('high_freq_factor'),
          rope.number('original_max_position_embeddings'))
