"""How sure a generator was of each token of a solution, as records and results have it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tts.data import sample_statistics
from tts.sampling.confidence import Statistics

# Log-probabilities float32 [n] and statistics [n] of one part's tokens; None where not asked for.
Part = tuple[np.ndarray | None, Statistics | None]


def joined(parts: Sequence[Part]) -> dict[str, Any] | None:
  """Of a solution that was written in parts; None where they were not asked for.

  Returns:
    `entropy`, `confidence`, `logprob`: lists, a number a token; `self_certainty`: a number; all in
    half precision. See `tts.data.sample_statistics`.
  """
  if any(found is None for _, found in parts):
    return None
  join = lambda name: np.concatenate([getattr(found, name) for _, found in parts])
  return sample_statistics.rounded({
      'entropy': join('entropy'), 'confidence': join('confidence'),
      'logprob': np.concatenate([logprob for logprob, _ in parts]),
      'self_certainty': join('certainty').mean(dtype=np.float64)})
