"""A task of your own: sort letters, the first of those that are left at each step.

  --config.plugins="('examples.my_task',)" --config.data.family=sort_letters

  prompt    `dab`
  solution  `a db`, `b d`, `#### abd`: the first, then the rest; then all of them
"""

from __future__ import annotations

from tts.data import tasks


@tasks.register('sort_letters', strata=(2, 3, 4, 5, 6))
def sort_letters(rng, count):
  """Letters in order (`examples.my_task`)."""
  left = list('abcdefghijkl')
  # `random()` is the same in every version of Python.
  letters = [left.pop(int(rng.random() * len(left))) for _ in range(count)]
  rest, steps = list(letters), []
  while len(rest) > 1:
    rest.remove(first := min(rest))
    steps.append(f'{first} {"".join(rest)}')
  return tasks.problem(''.join(letters), steps, ''.join(sorted(letters)), level=count - 1)
