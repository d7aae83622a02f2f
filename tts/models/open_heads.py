"""Open process reward models as value heads.

Whatever an open PRM computes at a step's end, two classes, two words or one number, is a logit of
one value: so each is a trunk and a value head, and searches know no other kind.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import Any

import numpy as np

from tts.models.open_weights import Shards
from tts.models.arch import Arch
from tts.types import InputError

# What launch.import_checkpoint --kind takes, and what each is for.
KINDS = {
    'lm': 'a language model',
    'qwen_prm': 'Qwen2.5-Math-PRM: two classes, read at <extra_0> after each step',
    'token_prm': 'Math-Shepherd, RLHFlow: the probability of a good word against a bad one',
    'value_prm': 'Skywork-o1-Open-PRM: one number, read at the step\'s last token',
    'classifier_prm': 'TRL\'s token classification: two classes, read at the step\'s last token',
}

OF_WORDS = ('lm', 'token_prm')  # kinds that read the output table


def kind_of(folder: Any, shards: Shards) -> str:
  """A verifier's kind by its tensors.

  Raises:
    InputError: it has no head of its own, so that nothing says which words it answers with.
  """
  for name, kind in (('score.0.weight', 'qwen_prm'), ('v_head.summary.weight', 'value_prm'),
                     ('score.weight', 'classifier_prm')):
    if name in shards:
      return kind
  raise InputError(f'{folder} has no verifier\'s head: one that answers in words is imported by '
                   'launch.import_checkpoint --kind=token_prm --words=GOOD,BAD')


def arch_of(kind: str, trunk: Arch) -> Arch:
  """The architecture with the kind's head in place of the language model's."""
  if kind == 'lm':
    return trunk
  return dataclasses.replace(trunk, heads=('value',), tied=True,
                             value_hidden=trunk.width if kind == 'qwen_prm' else None)


def read(kind: str, arch: Arch, shards: Shards, embed: np.ndarray, tied: bool,
         words: tuple[int, int] | None) -> dict[str, Any]:
  """The head's parameters, float32.

  Args:
    kind: of `KINDS`.
    arch: from `arch_of`.
    shards: of the checkpoint.
    embed: the embedding [V, D].
    tied: whether the checkpoint's output table is the embedding.
    words: ids of the good and the bad word, for `token_prm` alone.
  """
  width = arch.width
  f32 = lambda name, *shape: shards.take(name, shape).astype(np.float32)
  if kind == 'lm':
    return {}
  if kind == 'qwen_prm':
    hidden = {'kernel': f32('score.0.weight', width, width).T, 'bias': f32('score.0.bias', width)}
    return {'value_hidden': hidden,
            'value': _margin(f32('score.2.weight', 2, width), f32('score.2.bias', 2))}
  if kind == 'value_prm':
    return {'value': {'kernel': f32('v_head.summary.weight', 1, width).T,
                      'bias': f32('v_head.summary.bias', 1)}}
  if kind == 'classifier_prm':
    bias = f32('score.bias', 2) if 'score.bias' in shards else np.zeros(2, np.float32)
    return {'value': _margin(f32('score.weight', 2, width), bias)}
  if arch.final_softcap is not None:
    raise InputError('--kind=token_prm: a model with capped logits is not a linear value head')
  table = embed if tied else shards.take('lm_head.weight', (arch.vocab_size, width))
  good, bad = (table[i].astype(np.float32) for i in words)
  return {'value': _margin(np.stack([bad, good]), np.zeros(2, np.float32))}


def _margin(kernel: np.ndarray, bias: np.ndarray) -> Mapping[str, np.ndarray]:
  """Softmax of two classes is the sigmoid of the second's lead: [2, D], [2] --> one value."""
  return {'kernel': (kernel[1] - kernel[0])[:, None], 'bias': (bias[1] - bias[0])[None]}
