"""Tiny random models of every open family, each with all that sets its family apart.

With problems, and a vocabulary of them. It can be imported without PyTorch.
"""

from __future__ import annotations

import json
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

PROBLEMS = [  # in MATH's form: question, answer, level
    ('What is the value of $\\sqrt{144} + \\frac{1}{2}$?', '\\frac{25}{2}', 1),
    ('If $f(x) = x^2 - 3x + 2$, for how many integers $n$ is $f(n) = 0$?', '2', 3),
    ('Compute $\\dbinom{6}{2}$.', '15', 2), ('Let $a = 5$.\n\nFind $2a + 1$.', '11', 1),
    ('Evaluate $\\lfloor \\pi \\rfloor$.', '3', 5),
    ('Express $0.\\overline{3}$ as a fraction.', '\\frac13', 4)]
_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    '{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}')


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


def save_with_head(family: str, directory: pathlib.Path, own: bool):
  """A model whose `config.json` ties its tables, and both are stored; as `transformers` reads it.

  own: the output table is another than the embedding, else a copy of it.
  """
  import torch
  import transformers
  from safetensors.torch import save_file

  model = make(family, tie_word_embeddings=True)
  state = {name: value.clone() for name, value in model.state_dict().items()}
  torch.manual_seed(7)
  state['lm_head.weight'] += own * torch.randn_like(state['lm_head.weight'])
  model.config.save_pretrained(directory)
  fields = json.loads((directory / 'config.json').read_text())
  (directory / 'config.json').write_text(json.dumps({**fields, 'tie_word_embeddings': True}))
  save_file(state, directory / 'model.safetensors', metadata={'format': 'pt'})
  return transformers.AutoModelForCausalLM.from_pretrained(
      directory, attn_implementation='eager').eval().float()


def save_tokenizer(folder: pathlib.Path, system: str, special: tuple[str, ...] = (),
                   added: tuple[str, ...] = (), size: int = 480):
  """A byte-level vocabulary in Qwen's manner, with a chat template; returns it."""
  import tokenizers

  made = tokenizers.Tokenizer(tokenizers.models.BPE())
  made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
  made.decoder = tokenizers.decoders.ByteLevel()
  special = ['<|endoftext|>', '<|im_start|>', '<|im_end|>', *special]
  # The formats' own words become few ids, as in a real vocabulary.
  words = [q for q, *_ in PROBLEMS] + ['system\nuser\nassistant\n', system] * 9
  made.train_from_iterator(words, tokenizers.trainers.BpeTrainer(
      vocab_size=size + len(special), special_tokens=special, show_progress=False,
      initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet()))
  made.add_tokens(list(added))
  made.save(str(folder / 'tokenizer.json'))
  (folder / 'tokenizer_config.json').write_text(json.dumps(
      {'eos_token': '<|im_end|>', 'chat_template': _TEMPLATE}))
  return made


def logits(model, tokens):
  """float32 [B, T, V] of int [B, T]."""
  import torch

  with torch.no_grad():
    return model(torch.tensor(tokens)).logits.float().numpy()
