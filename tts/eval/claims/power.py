"""The power of claims, from a run on `dev` and before `test` is opened.

A claim that so many questions cannot decide is marked before its result is known, and not after.
"""

from __future__ import annotations

import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from tts.eval.claims import claims
from tts.eval.claims.claims import Claim, Look
from tts.eval.claims.measured import Difference
from tts.eval.storage import records
from tts.types import InputError

FILE = 'claims-power.json'
_ALPHA = 0.05
_ENOUGH = 0.5  # below, no verdict is likelier than one


def _normal_quantile(p: float) -> float:
  """z with P(Z > z) = p, by halving."""
  low, high = -9.0, 9.0
  for _ in range(60):
    middle = (low + high) / 2
    low, high = (middle, high) if math.erfc(middle / math.sqrt(2)) / 2 > p else (low, middle)
  return low


def _rejects(mean: float, found: Difference, ratio: float, level: float) -> float:
  """Chance that a one-sided test finds this mean above 0, on `ratio` times as many questions."""
  differing = float((abs(found.values) > 1e-9).sum()) * ratio
  if 0.5 ** differing > level:  # not even if all of them agreed
    return 0.0
  error = found.error / math.sqrt(ratio)
  if error == 0:
    return float(mean > 0)
  return math.erfc((_normal_quantile(level) - mean / error) / math.sqrt(2)) / 2


def rows(written: Sequence[Claim], dev: Look, ratio: float) -> list[dict[str, Any]]:
  """What each claim's chance of a verdict is, if `test` is as `dev` was.

  Args:
    written: the claims.
    dev: what was measured on `dev`.
    ratio: questions of `test` for one of `dev`.

  Returns:
    Per claim `id`, `n` on `test`, the `effect` on `dev`, `power` and `undecidable`; None where
    `dev` has not measured it. The correction is Bonferroni's; Holm's is at most that strict.
  """
  level, out = _ALPHA / 2 / max(len(written), 1), []
  for claim in written:
    found, effect = claims.parts(claim, dev), claims.difference(claim, dev)
    row: dict[str, Any] = {'id': claim.id, 'n': None, 'effect': None, 'power': None,
                           'undecidable': None}
    if found and effect and len(effect.values) > 1:
      each = [_rejects(_decisive(claim, d), d, ratio, level) for d in found.values()]
      power = max(0.0, sum(each) - len(each) + 1)  # all of them must reject
      row |= {'n': round(len(effect.values) * ratio), 'effect': effect.mean, 'power': power,
              'undecidable': power < _ENOUGH}
    out.append(row)
  return out


def _decisive(claim: Claim, found: Difference) -> float:
  """The mean that a one-sided test would have to find above 0."""
  if claim.direction != 'level':
    return abs(found.mean)  # either sign is a verdict
  return found.mean if claim.factor else claims.LEVEL - abs(found.mean)


def save(found: Sequence[Mapping[str, Any]], workdir: pathlib.Path) -> None:
  """Writes powers down beside a run's claims.

  Raises:
    InputError: the run has been reported, so what it found may be known; or it has powers.
  """
  path = workdir / FILE
  for taken, why in ((path, 'has powers already'),
                     (workdir / 'report', 'has been reported')):
    if taken.exists():
      raise InputError(f'{workdir} {why}: power is computed before a run is looked at; give a new '
                       'folder')
  records.write_json(path, list(found))


def marks(workdir: pathlib.Path) -> dict[str, dict[str, Any]]:
  """`power` and `undecidable` by claim; {} where none were computed.

  Raises:
    InputError: the file is damaged.
  """
  path = workdir / FILE
  if not path.exists():
    return {}
  try:
    return {row['id']: {name: row[name] for name in ('power', 'undecidable')}
            for row in records.read_json(path)}
  except (KeyError, TypeError) as error:
    raise InputError(f'{path} is damaged ({error!r}): delete it; the report then goes without '
                     'powers') from error
