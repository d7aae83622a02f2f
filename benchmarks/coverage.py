"""How often the report's intervals hold a known truth, and how often nothing is said to hold.

  python -m benchmarks.coverage [--studies=1000] [--families=4000] [--questions=80,300,1000,2000]

A line per condition and statistic: the truth, the mean estimate, the share of 95% intervals that
hold the truth. The made-up studies are `tests/eval/known_truth.py`'s; one core, the conditions of a
thousand studies of 2,000 questions each take some 3 minutes.
"""

from __future__ import annotations

import time

from absl import app, flags

from tests.eval import coverage, known_truth

_STUDIES = flags.DEFINE_integer('studies', 1000, 'made-up studies a condition')
_FAMILIES = flags.DEFINE_integer('families', 4000, 'families of 16 claims of nothing')
_QUESTIONS = flags.DEFINE_list('questions', ['80', '300', '1000', '2000'], 'questions of a study')

FACTORS = {'1': known_truth.constant(1), '2': known_truth.constant(2),
           '4': known_truth.constant(4), 'crossing': known_truth.crossing}
GRIDS = {'every budget': known_truth.BUDGETS, 'each fourth': (1, 4, 16, 64)}
# Share of questions that differ, what the left is ahead by, tries that are averaged.
PAIRS = ((0.0125, 0.0125, 1), (0.05, 0.02, 1), (0.3, 0.0, 1), (0.3, 0.1, 4))


def main(argv: list[str]) -> None:
  del argv
  begun = time.time()

  def say(text: str) -> None:
    print(f'{time.time() - begun:6.0f} s  {text}', flush=True)

  for questions in map(int, _QUESTIONS.value):
    for discordant, shift, tries in PAIRS:
      found = coverage.pairs(questions, discordant, shift, _STUDIES.value, tries)
      say(f'{questions} questions, {discordant:.1%} differ, {tries} tries: {found}')
    for factor, worth in FACTORS.items():
      for grid, searched in GRIDS.items():
        found = coverage.policies(questions, worth, searched, _STUDIES.value)
        for name, held in found.items():
          say(f'{questions} questions, factor {factor}, searches at {grid}, {name}: {held}')
  share, bound, verdicts = coverage.null_families(300, _FAMILIES.value)
  say(f'{_FAMILIES.value} families of nothing: {share:.4f} with a claim that held, at most '
      f'{bound:.4f} (95%), {verdicts:.4f} with any verdict')


if __name__ == '__main__':
  app.run(main)
