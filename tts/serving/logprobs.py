"""Scores texts that were made elsewhere with one model."""

from __future__ import annotations

import json
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from tts.data import files, hub, jsonl
from tts.data.batching import length_sorted_blocks
from tts.roles import Roles
from tts.runs.record_rows import f32
from tts.stages import whole_texts
from tts.train import checkpoint
from tts.types import InputError

_BATCH = 32


def run(folder: str, source: str, target: str) -> None:
  """Reads `source`, writes `target` with the same lines in the same order, scored."""
  files.check_place(target)
  arch, params, meta, tokenizer = checkpoint.load_model(hub.local(folder))
  roles = tokenizer.roles()
  rows = [_with_tokens(row, where, tokenizer)
          for where, row in jsonl.read(hub.local(source, 'dataset'))]
  forward = jax.jit(whole_texts.forward_step(arch))
  lengths = [len(row['tokens']) for row in rows]
  for members in tqdm(length_sorted_blocks(lengths, _BATCH), desc='scoring', delay=5):
    # Widths are powers of two, so that few programs are compiled.
    width = 1 << int(max(lengths[i] for i in members) - 1).bit_length()
    tokens = np.zeros((_BATCH, max(width, 2)), np.int32)
    prompt_len = np.zeros(_BATCH, np.int32)
    for r, i in enumerate(members):
      tokens[r, :lengths[i]] = rows[i]['tokens']
      prompt_len[r] = _prompt_length(rows[i], roles)
    result = jax.device_get(forward(params, tokens, prompt_len))
    for r, i in enumerate(members):
      rows[i] |= _outputs(meta['kind'], {k: v[r] for k, v in result.items()}, rows[i]['tokens'],
                          roles)
  with files.written_aside(target) as f:
    for row in rows:
      f.write((json.dumps(row, allow_nan=False) + '\n').encode())


def _with_tokens(row: dict[str, Any], where: str, tokenizer: Any) -> dict[str, Any]:
  given = row.get('prompt_tokens', 1)
  if type(given) is not int or given < 1:
    raise InputError(f'{where}: "prompt_tokens" is {given!r}: it must be how many of the tokens '
                     'are the prompt, 1 or more')
  jsonl.dumped(row, where)  # after hours of scoring is too late to find that it cannot be
  if 'tokens' in row:
    tokens = row['tokens']
    if not isinstance(tokens, list) or not tokens or not all(
        type(t) is int and 0 <= t < tokenizer.vocab_size for t in tokens):
      raise InputError(f'{where}: "tokens" must be a list of ids from 0 to '
                       f'{tokenizer.vocab_size - 1}, at least one')
  elif not isinstance(row.get('text'), str):
    raise InputError(f'{where}: needs "tokens" (a list of ids) or "text" (a string)')
  else:
    try:
      tokens = tokenizer.encode_prompt(row['text'])
    except InputError as error:
      raise InputError(f'{where}: {error}') from error
  if given > len(tokens):
    raise InputError(f'{where}: "prompt_tokens" is {given}, of {len(tokens)} tokens')
  return {**row, 'tokens': tokens}


def _prompt_length(row: dict[str, Any], roles: Roles) -> int:
  """Tokens that were given: what `prompt_tokens` says, or all up to the first delimiter."""
  if 'prompt_tokens' in row:
    return row['prompt_tokens']
  return roles.step_ends(row['tokens'])[0]


def _outputs(kind: str, result: dict[str, np.ndarray], tokens: list[int],
             roles: Roles) -> dict[str, Any]:
  if kind == 'lm':
    return {'logprobs': [f32(x) for x in result['logprobs'][:len(tokens) - 1]]}
  positions = [end - 1 for end in roles.step_ends(tokens)]
  return {'positions': positions, 'scores': [f32(result['values'][i]) for i in positions]}
