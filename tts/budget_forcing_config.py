"""Budget forcing as users give it, in texts: of a call, and of an experiment."""

from __future__ import annotations

import dataclasses

from tts.data.prompts import Prompts
from tts.sampling.budget_forcing import Forcing
from tts.sampling.decode import Limits
from tts.types import InputError, Strategy


@dataclasses.dataclass(frozen=True)
class BudgetForcing:
  """How long a model is to think (s1, arXiv 2501.19393).

  Attributes:
    thinking_tokens: the cap: a thought, with the tokens that open and end it, has so many at most.
      Once it has one fewer, its end is read and the model writes its answer.
    waits: how often a thought that would end goes on: the end is dropped and `wait` is read
      instead, as long as the cap leaves room.
    wait: what is read there.
    lead_in: what is read behind an end that the model has not written itself, e.g. "Final answer:".
  """

  thinking_tokens: int
  waits: int = 0
  wait: str = 'Wait'
  lead_in: str = ''

  def strategy(self, samples: int) -> Strategy:
    """So many solutions of a question, as records and results call it."""
    return Strategy.of('budget_forcing', samples, thinking_tokens=self.thinking_tokens,
                       waits=self.waits)

  def forcing(self, prompts: Prompts, limits: Limits, where: str = 'budget_forcing') -> Forcing:
    """In ids.

    Raises:
      InputError: the model is not said to think, or a number or text is no good; `where` names it.
    """
    thinking, encode = limits.roles.thinking, prompts.tokenizer.encode
    if self.waits < 0:
      raise InputError(f'{where}.waits is {self.waits}: give 0 or more')
    if thinking is None:
      raise InputError(f'{where} needs a model that thinks: name the tokens that open and end its '
                       "thought, prompts.thinking=('<think>', '</think>')")
    found = Forcing(self.thinking_tokens, self.waits,
                    tuple(encode(self.wait)) if self.waits else (), tuple(encode(self.lead_in)))
    if self.waits and not found.wait:
      raise InputError(f'{where}.wait is {self.wait!r}: give a text')
    least = 3 - thinking.opened
    most = limits.max_tokens - len(found.lead_in) - 1
    if not least <= found.cap <= most:
      raise InputError(
          f'{where}.thinking_tokens is {found.cap}: give {least} to {most}, as a solution has '
          f'{limits.max_tokens} tokens at most and its answer comes behind the thought')
    return found


@dataclasses.dataclass(frozen=True)
class BudgetForcingConfig:
  """What is measured of budget forcing on the reported questions; see `BudgetForcing`.

  Attributes:
    thinking_tokens: caps; () measures nothing.
    waits: numbers of waits, each with every cap.
    wait: what is read in the place of an end of a thought.
    lead_in: what is read behind an end that is forced.
    samples: solutions of each question, by every pair of these.
    questions: the first so many of the reported ones.
  """

  thinking_tokens: tuple[int, ...] = ()
  waits: tuple[int, ...] = (0,)
  wait: str = 'Wait'
  lead_in: str = ''
  samples: int = 4
  questions: int = 100

  def settings(self) -> list[BudgetForcing]:
    """Every pair of a cap and a number of waits, once."""
    return [BudgetForcing(cap, waits, self.wait, self.lead_in)
            for cap in dict.fromkeys(self.thinking_tokens) for waits in dict.fromkeys(self.waits)]
