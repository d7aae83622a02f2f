"""A grader of your own: a number that is off by one at most is right.

  --config.plugins="('examples.my_grader',)" --config.data.grader=within_one

It may read the question; and it says which answers are one in a vote, beside those of one form.
"""

from __future__ import annotations

from tts.answers import graders


@graders.register('within_one')
class WithinOne(graders.Grader):

  def right(self, question: str, answer: str, gold: str) -> bool:
    try:
      return abs(float(answer) - float(gold)) <= 1
    except ValueError:  # no number
      return False
