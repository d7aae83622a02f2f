"""Tiny random models of every open family, each with all that sets its family apart."""

from __future__ import annotations

import pathlib
from typing import Any

VOCAB = 96
_LLAMA3 = {'rope_type': 'llama3', 'rope_theta': 5e5, 'factor': 8.0, 'low_freq_factor': 1.0,
           'high_freq_factor': 4.0, 'original_max_position_embeddings': 16}
_COMMON = {'vocab_size': VOCAB, 'hidden_size': 32, 'intermediate_size': 48, 'num_hidden_layers': 3,
           'num_attention_heads': 4, 'num_key_value_heads': 2, 'max_position_embeddings': 256,
           'bos_token_id': 1, 'eos_token_id': 2, 'pad_token_id': 0}
# family -> (configuration class, what differs from `_COMMON`)
FAMILIES = {
    'llama': ('LlamaConfig', {'rope_parameters': _LLAMA3, 'rms_norm_eps': 1e-5}),
    'mistral': ('MistralConfig', {'head_dim': 12, 'sliding_window': 7}),
    'qwen2': ('Qwen2Config', {'tie_word_embeddings': True}),
    'qwen2_window': ('Qwen2Config', {'use_sliding_window': True, 'sliding_window': 6,
                                     'max_window_layers': 1}),
    'qwen3': ('Qwen3Config', {'head_dim': 16, 'rope_parameters': {
        'rope_type': 'default', 'rope_theta': 1e6}}),
    'gemma2': ('Gemma2Config', {'head_dim': 16, 'sliding_window': 5, 'query_pre_attn_scalar': 24,
                                'attn_logit_softcapping': 2.0, 'final_logit_softcapping': 3.0}),
    'gemma3': ('Gemma3TextConfig', {'head_dim': 16, 'sliding_window': 5, 'num_hidden_layers': 7,
                                    'query_pre_attn_scalar': 24}),
}


def make(family: str, seed: int = 0, **changes: Any):
  """A model of `transformers` in float32, every parameter random, norms and biases too."""
  import torch
  import transformers

  kind, fields = FAMILIES[family]
  config = getattr(transformers, kind)(
      **{**_COMMON, **fields, **changes}, attn_implementation='eager')
  torch.manual_seed(seed)
  model = transformers.AutoModelForCausalLM.from_config(config).eval().float()
  with torch.no_grad():
    for parameter in model.parameters():
      parameter += 0.2 * torch.randn_like(parameter)
  return model


def save(family: str, directory: pathlib.Path, seed: int = 0, shard: str = '5GB', **changes: Any):
  """Writes such a model as `save_pretrained` does; returns it."""
  model = make(family, seed, **changes)
  model.save_pretrained(directory, max_shard_size=shard)
  return model


def logits(model, tokens):
  """float32 [B, T, V] of int [B, T]."""
  import torch

  with torch.no_grad():
    return model(torch.tensor(tokens)).logits.float().numpy()
