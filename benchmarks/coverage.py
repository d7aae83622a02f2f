"""How often the report's intervals hold a known truth, and how often nothing is said to hold.

  python -m benchmarks.coverage --out=FILE [--studies=1000] [--families=4000]
    [--questions=80,300,1000,2000]

A line per condition and statistic: the truth, the mean estimate, the share of 95% intervals that
hold the truth. The made-up studies are `tests/eval/known_truth.py`'s. A condition of a thousand
studies takes 2 to 4 minutes of one core; it is added to FILE when it is done, and not made again.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator

from absl import app, flags

from tests.eval import coverage, known_truth

_OUT = flags.DEFINE_string('out', None, 'text file of what was found', required=True)
_STUDIES = flags.DEFINE_integer('studies', 1000, 'made-up studies a condition')
_FAMILIES = flags.DEFINE_integer('families', 4000, 'families of 16 claims of nothing')
_QUESTIONS = flags.DEFINE_list('questions', ['80', '300', '1000', '2000'], 'questions of a study')

FACTORS = {'1': known_truth.constant(1), '2': known_truth.constant(2),
           '4': known_truth.constant(4), 'crossing': known_truth.crossing}
GRIDS = {'every budget': known_truth.BUDGETS, 'each fourth': (1, 4, 16, 64)}
# Share of questions that differ, what the left is ahead by, tries that are averaged.
PAIRS = ((0.0125, 0.0125, 1), (0.05, 0.02, 1), (0.3, 0.0, 1), (0.3, 0.1, 4))


def conditions() -> Iterator[tuple[str, Callable[[], str]]]:
  """A name, and what finds out and says it in a line per statistic."""
  studies = _STUDIES.value
  for questions in map(int, _QUESTIONS.value):
    for discordant, shift, tries in PAIRS:
      yield (f'{questions} questions, {discordant:.2%} differ, {tries} tries',
             lambda q=questions, d=discordant, s=shift, t=tries:
             f'  {coverage.pairs(q, d, s, studies, t)}')
    for factor, worth in FACTORS.items():
      for grid, searched in GRIDS.items():
        yield (f'{questions} questions, factor {factor}, searches at {grid}',
               lambda q=questions, w=worth, at=searched: '\n'.join(
                   f'  {name}: {held}'
                   for name, held in coverage.policies(q, w, at, studies).items()))
  yield f'{_FAMILIES.value} families of nothing', _families


def _families() -> str:
  share, bound, verdicts = coverage.null_families(300, _FAMILIES.value)
  return (f'  {share:.4f} with a claim that held, at most {bound:.4f} (95%), '
          f'{verdicts:.4f} with any verdict')


def main(argv: list[str]) -> None:
  del argv
  out = pathlib.Path(_OUT.value)
  done = out.read_text() if out.exists() else ''
  for name, find in conditions():
    heading = f'{name}, {_STUDIES.value} studies'
    if f'{heading}\n' in done:
      continue
    print(heading, flush=True)
    found = find()
    print(found, flush=True)
    with out.open('a') as file:
      file.write(f'{heading}\n{found}\n')


if __name__ == '__main__':
  app.run(main)
