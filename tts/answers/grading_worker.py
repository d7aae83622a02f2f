"""A worker process of `workers`: compares answers by math-verify, one pair at a time.

  python -P grading_worker.py SECONDS BYTES

Standard input has a JSON list [gold, prediction] a line. Standard output gets `r` when
the worker is ready, then a byte a pair, `1` or `0`. A pair that takes more than SECONDS of
processor time ends the process, and so does the end of the input. The process may map
so many BYTES of memory. Only the parent starts it; it imports nothing of this package.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable


def main(seconds: float, memory: int) -> None:
  # The kernel's own timer and default action: no loop in C can keep it from ending the process.
  signal.signal(signal.SIGPROF, signal.SIG_DFL)
  _limit(resource.RLIMIT_AS, memory)
  _limit(resource.RLIMIT_CORE, 0)
  verdicts, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
  os.dup2(nowhere, 1)  # what libraries print is no verdict
  logging.disable()  # that the library's own time limits are off is as it should be
  equal = _comparer()
  equal(r'\frac{1}{2}', '0.5')  # the first call builds the parser's tables
  os.dup2(nowhere, 2)
  os.write(verdicts, b'r')
  for line in sys.stdin.buffer:
    gold, prediction = json.loads(line)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    verdict = equal(gold, prediction)
    signal.setitimer(signal.ITIMER_PROF, 0)
    os.write(verdicts, b'1' if verdict else b'0')


def _limit(which: int, most: int) -> None:
  try:
    resource.setrlimit(which, (most, most))
  except (OSError, ValueError):  # macOS has no limit of this kind
    pass


def _comparer() -> Callable[[str, str], bool]:
  """The comparison of a gold answer with another. Imports the library."""
  import math_verify
  from sympy.core import random

  # LaTeX alone: the library reads other expressions with SymPy's parser, which uses `eval`.
  latex = [math_verify.LatexExtractionConfig()]

  def parse(answer: str) -> list:
    return math_verify.parse(f'\\boxed{{{answer}}}', latex, parsing_timeout=None)

  def equal(gold: str, prediction: str) -> bool:
    random.seed(0)  # SymPy tries random points: a verdict must not depend on the pairs before
    try:
      sides = parse(gold), parse(prediction)
      return bool(math_verify.verify(*sides, float_rounding=12, timeout_seconds=None)) and not (
          _numbers_differ(*(side[0] for side in sides)))
    except Exception:  # pylint: disable=broad-except
      return False

  return equal


def _numbers_differ(gold, prediction) -> bool:
  """Whether two constants are not the same one: the library takes small, close ones for equal."""
  if getattr(gold, 'free_symbols', True) or getattr(prediction, 'free_symbols', True):
    return False
  a, b = gold.evalf(40), prediction.evalf(40)
  return bool(a.is_number and b.is_number and abs(a - b) > abs(a) * 10**-15)


if __name__ == '__main__':
  main(float(sys.argv[1]), int(sys.argv[2]))
