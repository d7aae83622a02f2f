"""Graders by name: how an answer is compared with the gold one, and with another in a vote.

`exact` and `math` are `tts.answers.grading`'s own. One of yours, in a module that a config names:

  @graders.register('countdown')
  class Countdown(graders.Grader):
    def right(self, question, answer, gold):
      return value_of(answer) == target_in(question)

and `--config.data.grader=countdown`. It runs in this process: what a model wrote is untrusted, so a
grader that computes with it has to bound what that takes.
"""

from __future__ import annotations

from collections.abc import Callable

from tts import answers
from tts.plugins import Registry

GRADERS = Registry('grader')


class Grader:
  """A grader of your own; the project's are these defaults."""

  def right(self, question: str, answer: str, gold: str) -> bool:
    """Whether an answer is right.

    Args:
      question: the problem's text; '' where it is not known.
      answer: as it was found in what a model wrote.
      gold: of the problem.
    """
    del question
    return answers.same(answers.read(answer), answers.read(answers.gold_answer(gold))) is True

  def equal(self, answer: str, other: str) -> bool | None:
    """Whether two answers of one question are one in a vote; None if it cannot be said.

    Answers of the same normal form (`answers.normalize`) are one without being asked about.
    """
    del answer, other
    return False


def register(name: str) -> Callable[[type[Grader]], type[Grader]]:
  """A decorator that adds a grader; InputError where the name is taken, or is none."""
  return GRADERS.register(name, lambda grader: grader())


class Exact(Grader):
  """By normal forms and kinds of values."""


class Math(Grader):
  """By algebra too, in worker processes: see `grading`."""


GRADERS.add('exact', Exact, Exact())
GRADERS.add('math', Math, Math())
