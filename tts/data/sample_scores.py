"""Numbers of one sample, as another program has written them: its verifiers' scores above all."""

from __future__ import annotations

from collections.abc import Collection, Mapping
import math
from typing import Any

from tts.types import InputError

UNNAMED = 'prm'  # the verifier of scores that have no name; it is the main one

# Verifier -> (values of the steps, value of the whole), all from 0 to 1.
Scores = dict[str, tuple[list[float], float]]


def whole(row: Mapping[str, Any], field: str, where: str, least: int, most: int = 2**31 - 1) -> int:
  """A field that is a whole number from `least` to `most`; InputError if it is none."""
  value = row.get(field)
  if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
    raise InputError(f'{where}: field "{field}" is not a whole number from {least} to {most}')
  return value


def number(value: Any, field: str, where: str) -> float:
  """A finite number; InputError if it is none."""
  if isinstance(value, (int, float)) and not isinstance(value, bool):
    try:
      found = float(value)
    except OverflowError:
      found = math.inf
    if math.isfinite(found):
      return found
  raise InputError(f'{where}: field "{field}" holds {str(value)[:20]!r}, which is no finite number')


def scores(own: Mapping[str, Any], where: str, logits: Collection[str]) -> Scores:
  """What the fields `score`, `step_scores` and `scores` say of one sample.

  Args:
    own: its fields.
    where: `file, line n`.
    logits: verifiers whose scores are any number and are mapped by 1 / (1 + exp(-x)).

  Raises:
    InputError: a score is no number or not from 0 to 1, or a verifier has two.
  """
  given: dict[str, tuple[str, Any]] = {}  # verifier -> (field, its values)
  for field in ('score', 'step_scores', 'scores'):
    value = own.get(field)
    named = value if isinstance(value, dict) else {UNNAMED: value}
    for name, values in named.items():
      if values is None or values == []:
        continue
      if name in given and field == 'scores':
        raise InputError(f'{where}: two scores by {name!r}: give "score" or "scores"')
      given[name] = field, values
  out = {}
  for name, (field, values) in given.items():
    label = field if name == UNNAMED else f'{field}.{_shown(name)}'
    steps = [_score(v, label, where, name, logits)
             for v in (values if isinstance(values, list) else [values])]
    out[name] = steps, steps[-1]
  if UNNAMED in out and given[UNNAMED][0] == 'step_scores' and 'score' in own:
    out[UNNAMED] = out[UNNAMED][0], _score(own['score'], 'score', where, UNNAMED, logits)
  return out


def _score(value: Any, label: str, where: str, name: str, logits: Collection[str]) -> float:
  found = number(value, label, where)
  if name in logits:  # in the form that does not overflow
    return 1 / (1 + math.exp(-found)) if found >= 0 else 1 - 1 / (1 + math.exp(max(found, -700)))
  if not 0 <= found <= 1:
    raise InputError(f'{where}: field "{label}" holds {found:g}, and a vote weighs by numbers '
                     f'from 0 to 1: give probabilities, or --logits={_shown(name)} for '
                     '1/(1+exp(-x))')
  return found


def _shown(name: str) -> str:
  """Of whatever characters, on one line."""
  return repr(name)[1:-1]
