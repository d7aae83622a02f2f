"""The exact test of paired differences: every sign of every difference flipped (Fisher, 1935).

Where both sides are equally good a question's difference is as likely to have the other sign. The
distribution of the sum over all 2^n ways to choose signs has the product of cosines as its
characteristic function, so that a Fourier transform gives it whole: nothing is drawn. Differences
that are all 1, 0 or -1 make it the sign test of the discordant pairs.
"""

from __future__ import annotations

import numpy as np

# Denominators of differences: tries that were averaged, budgets or splits that were.
_UNITS = (1, 2, 4, 8, 16, 32, 64, 128, 3, 6, 12, 24, 48, 96, 5, 10, 20, 40, 80)
_STEPS = 64      # of the largest difference, where none of these fits
_LEAST = 1e-12   # rounding of the transform


def _whole(values: np.ndarray) -> np.ndarray:
  """The differences that are not 0 as whole numbers, int64 [m], rounded where they are no lattice.

  Rounding treats both signs alike, so that the test stays exact.
  """
  values = values[np.abs(values) > 1e-9]
  if not values.size:
    return np.zeros(0, np.int64)
  for unit in _UNITS:
    scaled = values * unit
    if np.abs(scaled - np.rint(scaled)).max() < 1e-4 and np.abs(scaled).max() <= 4 * _STEPS:
      break
  else:
    scaled = values * (_STEPS / np.abs(values).max())
  whole = np.rint(scaled).astype(np.int64)
  whole = whole[whole != 0]
  return whole // np.gcd.reduce(whole)


def chances(values: np.ndarray) -> tuple[float, float]:
  """P(sum >= the one seen) and P(sum <= it), where signs are chance.

  The first is small where the differences are above 0, the second where they are below.

  Args:
    values: float64 [Q], differences question by question; those of 0 say nothing.
  """
  whole = _whole(np.asarray(values, float))
  total = int(np.abs(whole).sum())
  if not total:
    return 1.0, 1.0
  size = 1 << int(2 * total + 1).bit_length()
  angle = 2 * np.pi / size * np.arange(size // 2 + 1)
  phi = np.ones(len(angle))
  for step, count in zip(*np.unique(np.abs(whole), return_counts=True)):
    phi *= np.cos(step * angle) ** count
  mass = np.fft.irfft(phi, size)
  mass = np.concatenate([mass[-total:], mass[:total + 1]])  # of -total..total
  seen = total + int(whole.sum())
  clip = lambda p: float(min(max(p, _LEAST), 1.0))
  return clip(mass[seen:].sum()), clip(mass[:seen + 1].sum())
