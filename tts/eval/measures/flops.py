"""FLOPs of the matrix products, from counted tokens and counted context, exact in Python integers.

A multiply and an add are two. Norms, softmax, rotary angles and the embedding look-up are not
matrix products and are left out; so is padding, which the counts do not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def per_token(arch: Mapping[str, Any]) -> int:
  """Projections and MLP of all layers for one token that enters."""
  width, heads, head = arch['width'], arch['num_heads'], arch['head_size']
  attention = width * heads * head * 2 + width * arch['num_kv_heads'] * head * 2  # q and o, k and v
  mlp = width * arch['mlp_width'] * (3 if arch['gated'] else 2)
  return 2 * arch['num_layers'] * (attention + mlp)


def per_key(arch: Mapping[str, Any]) -> int:
  """Scores and weighted sum of all layers for one key that one token attends to.

  Grouped queries share keys but not products: every query head counts.
  """
  return 2 * 2 * arch['num_layers'] * arch['num_heads'] * arch['head_size']


def per_output(arch: Mapping[str, Any], kind: str) -> int:
  """The heads, once: `lm` gives logits over the vocabulary, a verifier one value.

  A verifier with a `surprise_layer` has both, and reads four numbers from the logits.
  """
  logits, value = arch['vocab_size'], 1
  if kind == 'lm':
    return 2 * arch['width'] * logits
  if arch.get('value_hidden'):
    return 2 * arch['value_hidden'] * (arch['width'] + value)
  return 2 * arch['width'] * (value + (logits + 4 if arch.get('surprise_layer') else 0))


def counted(arch: Mapping[str, Any], kind: str, counts: Mapping[str, Any]) -> Any:
  """FLOPs of what a model computed.

  A generator's logits are needed once per token that it samples, not once per token that enters: a
  prompt's inner tokens have none, and of the last sampled token only the choice is used. A verifier
  reads a value at every token that enters.

  Args:
    arch: of `model.json`.
    kind: `lm`, `prm` or `orm`.
    counts: sums of records' `counts`, integers or int64 arrays: kept, pruned, simulated, entered,
      attended are read.
  """
  c = counts
  outputs = c['kept'] + c['pruned'] + c['simulated'] if kind == 'lm' else c['entered']
  return (c['entered'] * per_token(arch) + c['attended'] * per_key(arch)
          + outputs * per_output(arch, kind))


def of_token(meta: Mapping[str, Any]) -> int | None:
  """Of one token that enters the model of a `model.json`, keys apart; None where it is unknown."""
  if meta.get('uncounted'):
    return None
  if is_latent(meta):
    return spent(meta, {'entered': 1, 'kept': 1, 'pruned': 0, 'simulated': 0})
  if meta.get('arch') is None:
    return None if meta.get('params') is None else 2 * meta['params']
  return per_token(meta['arch']) + per_output(meta['arch'], meta['kind'])


def latent(head: Mapping[str, Any], counts: Mapping[str, Any]) -> Any:
  """FLOPs of a head that reads its generator's states: two products a token, a gate and a value.

  Args:
    head: of `model.json`: layers, width and what is beside them.
    counts: the generator's, as of `counted`. States are read of each token that enters it, what is
      beside them of each that it samples.
  """
  c = counts
  states, beside = 4 * len(head['layers']) * head['width'], 4 * len(head['beside'])
  return c['entered'] * states + (c['kept'] + c['pruned'] + c['simulated']) * beside


def is_latent(meta: Mapping[str, Any] | None) -> bool:
  """Whether it is the `model.json` of a latent verifier: it reads states, and no tokens."""
  return meta is not None and meta.get('kind') == 'latent'


def spent(meta: Mapping[str, Any], counts: Mapping[str, Any]) -> Any:
  """`counted` by a model's `model.json`; 2 n a token, the paper's count, where that has no `arch`.

  Of a model that is not here only the number of parameters may be known; None where neither is, or
  where it is `uncounted`: a server does not say what entered it. Of a latent verifier, `latent` of
  its generator's counts.
  """
  if meta.get('uncounted') or meta.get('arch') is meta.get('params') is None:
    return None
  if is_latent(meta):
    return latent(meta['head'], counts)
  if meta.get('arch') is None:
    return 2 * meta['params'] * counts['entered']
  return counted(meta['arch'], meta['kind'], counts)


def training(meta: Mapping[str, Any]) -> int | None:
  """6 n D, the paper's count of a training on D tokens of a model of n parameters (section 7).

  Forward 2 n D, backward twice that; where layers are left as they are the backward has less to do,
  and this is a bound from above. To it comes what a latent verifier's generator computed for it.
  None where `model.json` does not say on how many tokens.
  """
  metrics = meta.get('metrics') or {}
  tokens = metrics.get('tokens')
  return None if tokens is None else 6 * meta['params'] * tokens + metrics.get('flops', 0)


def full_forward(arch: Mapping[str, Any], kind: str, batch: int, length: int) -> int:
  """Matrix-product FLOPs of an unmasked forward over [batch, length], as a compiler counts them.

  A compiled forward multiplies the masked half of attention too, and a head at every position.
  """
  tokens = batch * length
  return (tokens * per_token(arch) + tokens * length * per_key(arch)
          + tokens * per_output(arch, kind))
