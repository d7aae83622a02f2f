"""Splits of problems that are drawn from strata: disjoint, reproducible, mixed in difficulty.

A problem belongs to the split in whose region the hash of its canonical form falls, so splits
share no problem, whatever their generators draw. A stratum that has run dry is closed; in the
split `lm` its problems are repeated instead, so that small ones, from which the facts are learnt,
keep their share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import hashlib
import random
from typing import Any

from tts.types import InputError

_REPEATING = 'lm'
# A stratum is closed after this many draws in a row, counted in the expected draws of a split's
# own problem, that found nothing new: 4% or less are unseen.
_PATIENCE = 25

Sizes = Sequence[tuple[str, int]]


def usual_sizes(verifier: int = 12_000) -> tuple[tuple[str, int], ...]:
  """(split, number of problems) of a benchmark that says nothing else."""
  return (('lm', 40_000), ('verifier', verifier), ('revision', 4_000), ('validation', 1_000),
          ('dev', 2_000), ('test', 4_000))


def check_sizes(family: str, sizes: Sizes) -> None:
  """Raises InputError unless each split is there once, with at least one problem."""
  names = [name for name, _ in sizes]
  if len(set(names)) < len(names) or any(n < 1 for _, n in sizes):
    raise InputError(f'{family}.sizes is {sizes}: give each split once, with 1 or more')


def choose(rng: random.Random, items: Sequence[Any]) -> Any:
  """One of `items`.

  `int(random() * n)` is several times faster than `choice` or `randrange` and, unlike them,
  documented to stay the same in every Python version.
  """
  return items[int(rng.random() * len(items))]


def fill(family: str, seed: int, sizes: Sizes, split: str, strata: list[Any],
         draw: Callable[[random.Random, Any], tuple[str, Any]], widen: str,
         ) -> Iterator[tuple[str, Any]]:
  """Draws a split, uniformly over the strata that still have unseen problems.

  Args:
    family: its name, in messages and in the random stream.
    seed: of the benchmark.
    sizes: (split, number of problems) pairs.
    split: a name in `sizes`.
    strata: arguments of `draw`.
    draw: (random numbers, stratum) -> (canonical form of a problem, the problem).
    widen: what to raise where there are too few problems, for the message.

  Yields:
    (id, problem), in the order of the hashes: the small strata run dry early, and in the order
    drawn a split would grow harder. Those that are there once more follow.

  Raises:
    InputError: an unknown split, or one larger than its number of problems.
  """
  wanted = dict(sizes).get(split)
  if wanted is None:
    raise InputError(f'{family} has no split {split!r}: choose of {[name for name, _ in sizes]}')
  low, high = _region(sizes, split)
  patience = int(_PATIENCE * 2**64 / (high - low))
  rng = random.Random(f'{family}/{seed}/{split}')
  strata = list(strata)
  found, spent, repeats = {}, [], []
  drawn = {stratum: [] for stratum in strata}
  while len(found) + len(repeats) < wanted:
    if spent and rng.random() * (len(strata) + len(spent)) < len(spent):
      repeats.append(choose(rng, drawn[choose(rng, spent)]))
      continue
    if not strata:
      raise InputError(f'{family}.sizes asks for {wanted} problems in {split!r} and only '
                       f'{len(found)} exist: lower it, or raise {widen}')
    stratum = choose(rng, strata)
    for _ in range(patience):
      form, problem = draw(rng, stratum)
      digest = hashlib.sha256(form.encode()).digest()
      key = digest[:6]  # ids hold it: compared by it, ids are unique too
      if low <= int.from_bytes(digest[:8]) < high and key not in found:
        found[key] = problem
        drawn[stratum].append(key)
        break
    else:
      strata.remove(stratum)
      if split == _REPEATING and drawn[stratum]:
        spent.append(stratum)
  name = lambda key: f'{family}-{split}-{key.hex()}'
  yield from ((name(key), found[key]) for key in sorted(found))
  yield from ((f'{name(key)}-again{n}', found[key]) for n, key in enumerate(sorted(repeats)))


def _region(sizes: Sizes, split: str) -> tuple[int, int]:
  """The 64-bit hashes [low, high) that belong to a split, by its size."""
  names, counts = [name for name, _ in sizes], [n for _, n in sizes]
  place, total = names.index(split), sum(counts)
  start, stop = sum(counts[:place]), sum(counts[:place + 1])
  return start * 2**64 // total, stop * 2**64 // total
