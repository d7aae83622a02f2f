"""Answers graded per second, by stage and kind of answer.

  python -m benchmarks.grading

Every answer is a new one: what has been graded before is looked up, and costs nothing. Processor
seconds are of this process and of its workers, whose start is not counted. Linux alone.
"""

from __future__ import annotations

import os
import pathlib
import random
import time

from absl import app, flags

from tts.answers import grading

_COUNT = flags.DEFINE_integer('count', 2000, 'Answers of each kind.')


def _integers(rng: random.Random, right: bool) -> tuple[str, str]:
  gold = rng.randint(-10**6, 10**6)
  return str(gold), f'{gold if right else gold + rng.randint(1, 99):,}'


def _fractions(rng: random.Random, right: bool) -> tuple[str, str]:
  top, bottom, by = rng.randint(1, 10**4), rng.randint(1, 10**4), rng.randint(2, 9)
  other = by * top + (not right) * bottom
  return rf'\frac{{{top}}}{{{bottom}}}', rf'\frac{{{other}}}{{{by * bottom}}}'


def _pairs(rng: random.Random, right: bool) -> tuple[str, str]:
  a, b = rng.randint(-10**4, 10**4), rng.randint(-10**4, 10**4)
  return f'({a},{b})', rf'\left({a}, {b if right else b + 1}\right)'


def _roots(rng: random.Random, right: bool) -> tuple[str, str]:
  a, b = rng.randint(2, 500), rng.choice((2, 3, 5, 7, 11))
  return rf'{a}\sqrt{{{b}}}', rf'\sqrt{{{a * a * b + (not right)}}}'


def _products(rng: random.Random, right: bool) -> tuple[str, str]:
  a, b = rng.randint(1, 500), rng.randint(1, 500)
  return f'(x+{a})(x-{b})', f'x^2+{a - b + (not right)}x-{a * b}'.replace('+-', '-')


_KINDS = {'integers': _integers, 'fractions': _fractions, 'pairs': _pairs, 'roots': _roots,
          'products': _products}


def _processor_seconds() -> float:
  """Of this process and its children."""
  children = pathlib.Path(f'/proc/self/task/{os.getpid()}/children').read_text().split()
  times = [pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[11:13]
           for pid in children]
  ticks = sum(int(t) for pair in times for t in pair)
  return time.process_time() + ticks / os.sysconf('SC_CLK_TCK')


def main(argv: list[str]) -> None:
  del argv
  rng = random.Random(0)
  grading.are_correct('math', [('#### 0', str(n)) for n in range(1, 1000)])  # starts the workers
  print(f'{_COUNT.value} answers of each kind, {len(os.sched_getaffinity(0))} processors')
  print(f'{"kind":>10} {"":>6} {"exact/s":>9} {"math/s":>8} {"CPU ms each":>12} {"taken":>6}')
  for name, kind in _KINDS.items():
    for right in (True, False):
      pairs = [(f'#### {answer}', gold) for gold, answer in
               (kind(rng, right) for _ in range(_COUNT.value))]
      begun = time.perf_counter()
      grading.are_correct('exact', pairs)
      exact = time.perf_counter() - begun
      begun, spent = time.perf_counter(), _processor_seconds()
      taken = sum(grading.are_correct('math', pairs))
      both, spent = time.perf_counter() - begun, _processor_seconds() - spent
      print(f'{name:>10} {"right" if right else "wrong":>6} {len(pairs) / exact:>9,.0f} '
            f'{len(pairs) / both:>8,.0f} {1e3 * spent / len(pairs):>12.2f} '
            f'{taken / len(pairs):>6.3f}')


if __name__ == '__main__':
  app.run(main)
