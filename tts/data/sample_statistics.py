"""What a row keeps of how sure a model was of each of its tokens: the field `statistics`.

Numbers are kept in half precision, as the shortest decimals that say which ones they are; a token
each, so that a mean over any window of them can still be made.
"""

from __future__ import annotations

from collections.abc import Mapping
import functools
from typing import Any

import numpy as np

from tts.data.sample_scores import number
from tts.types import InputError

# Of each token, natural logs at temperature 1: entropy of the distribution that it was drawn from;
# mean of -log P of the 20 likeliest tokens there (DeepConf, arXiv 2508.15260); its own log P.
OF_TOKENS = ('entropy', 'confidence', 'logprob')
# Of a sample: mean over tokens and vocabulary of -log(V P) (arXiv 2502.18581).
WHOLE = ('self_certainty',)
_LARGEST = float(np.finfo(np.float16).max)


def rounded(found: Mapping[str, Any]) -> dict[str, Any]:
  """A field's numbers and arrays [T] as JSON values; the largest half precision for larger ones."""
  return {name: _halves(values) for name, values in found.items()}


def given(value: Any, where: str, tokens: int | None) -> dict[str, Any]:
  """The field as a file has it, rounded: any of `OF_TOKENS` and `WHOLE`.

  Args:
    value: of the field.
    where: `file, line n`.
    tokens: how many the sample has, None where that is not known.

  Raises:
    InputError: it is no such object, or a list has another length than the others or `tokens`.
  """
  if not isinstance(value, dict) or not value or not set(value) <= {*OF_TOKENS, *WHOLE}:
    raise InputError(f'{where}: field "statistics" is to be an object of some of '
                     f'{", ".join((*OF_TOKENS, *WHOLE))}')
  found: dict[str, Any] = {}
  for name, values in value.items():
    label = f'statistics.{name}'
    if name in WHOLE:
      found[name] = number(values, label, where)
      continue
    if not isinstance(values, list) or not values:
      raise InputError(f'{where}: field "{label}" is to be a list, a number a token')
    found[name] = [number(x, label, where) for x in values]
    tokens = len(values) if tokens is None else tokens
    if len(values) != tokens:
      raise InputError(f'{where}: field "{label}" has {len(values)} numbers for {tokens} tokens')
  return rounded(found)


def _halves(values: Any) -> Any:
  """A number, or a list of them, each the decimal of the float16 that is nearest."""
  bits = np.clip(np.asarray(values, np.float64), -_LARGEST, _LARGEST).astype(np.float16)
  bits = bits.view(np.uint16).tolist()
  return [_decimal(x) for x in bits] if isinstance(bits, list) else _decimal(bits)


@functools.cache  # of 65,536
def _decimal(bits: int) -> float:
  return float(str(np.uint16(bits).view(np.float16)))
