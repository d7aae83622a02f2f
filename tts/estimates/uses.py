"""A model at work in a stage, and how long its texts get, by the config alone.

A stage says what it has at work by `Texts`.

Texts of the limits' size are assumed, which is the worst case: lanes and pages grow with what they
have to hold, and real ones hold less. So is that a verifier reads the generator's ids; one with a
tokenizer of its own may have longer texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import dataclasses

from tts import methods
from tts.config import Experiment
from tts.engine.nodes import pages_for
from tts.engine.pages import SIZE
from tts.model_kinds import LABELS, VERIFIERS
from tts.revision.trajectories import MAX_CONTEXT
from tts.runs import verifiers
from tts.sampling.logits import SamplingConfig
from tts.types import Strategy


@dataclasses.dataclass(frozen=True)
class Use:
  """A model at work in a stage.

  Attributes:
    stage: its name.
    model: the model's name; of a verifier its own.
    sampling: how a generator draws; None of what only reads.
    reads: tokens of the longest text that it reads.
    writes: tokens of the longest text that it writes, its beginning included; 0 of what only
      reads.
    kept: what it does, at different times: rows that a question has, and pages that keep its texts.
    questions: how many there are.
    judge: a latent verifier that scores what it writes, or in stage `labels` is to learn from it;
      None where there is none.
  """

  stage: str
  model: str
  sampling: SamplingConfig | None
  reads: int
  writes: int
  kept: tuple[tuple[int, int], ...]
  questions: int
  judge: str | None = None


class Texts:
  """Lengths of an experiment's texts, in tokens, and the pages of a question's."""

  def __init__(self, e: Experiment):
    limits = e.limits
    self._e, self._sampling = e, e.sampling
    self._questions = {LABELS: e.labels.questions, VERIFIERS: e.labels.questions,
                       'revision': e.revision.questions, 'revise': e.revision.asked,
                       'revision_orms': e.revision.orm_questions,
                       'budget_forcing': e.budget_forcing.questions}
    self.prompt, self.tokens = limits.max_prompt_tokens, limits.max_tokens
    self.whole = self.prompt + self.tokens
    self._step = pages_for(limits.max_step_tokens)
    # Each step begins a page.
    self._steps = self.tokens // SIZE + limits.max_steps
    # A question with the answers that a revision is written after.
    self.told = self.prompt + MAX_CONTEXT * (self.tokens + 1 + self.prompt)

  def questions(self, stage: str) -> int:
    """How many a stage asks, at most."""
    return self._questions.get(stage, self._e.search.questions)

  def solution(self) -> int:
    """Pages of a prompt and a solution step by step."""
    return pages_for(self.prompt) + self._steps

  def samples(self, stage: str, model: str, nums: Iterable[int],
              sampling: SamplingConfig | None = None, judge: str | None = None) -> Use:
    """Independent samples, so many of a question at a time; drawn as the config says if no other.

    judge: the verifier that scores them, if that is a latent one.
    """
    return Use(stage, model, sampling or self._sampling, self.prompt, self.whole,
               tuple((num, pages_for(self.prompt)) for num in sorted(set(nums))),
               self.questions(stage), self._scoring(judge))

  def forced(self, stage: str, model: str, num: int, thought: int, waits: int) -> Use:
    """So many samples of a question with budget forcing.

    A thought, `thought` tokens with a lead-in behind it, is kept between its pieces: its beginning,
    and what stands behind each wait. These begin a page each, and so does what is read.
    """
    pages = pages_for(self.prompt) + num * (pages_for(thought) + 2 * (waits + 2))
    return Use(stage, model, self._sampling, self.prompt + thought, self.whole, ((num, pages),),
               self.questions(stage))

  def _scoring(self, judge: str | None) -> str | None:
    """The verifier, if it is one that scores while it is written."""
    return judge if judge and verifiers.is_latent(self._e, judge) and (
        self._e.models[judge].enabled) else None

  def chained(self, stage: str, model: str, chains: int,
              sampling: SamplingConfig | None = None) -> Use:
    """So many chains of revisions of a question, each with its last answers and the newest."""
    turn = pages_for(self.tokens) + pages_for(self.prompt + 1)
    pages = pages_for(self.prompt) + chains * (MAX_CONTEXT * turn + pages_for(self.tokens))
    return Use(stage, model, sampling or self._sampling, self.told, self.told + self.tokens,
               ((chains, pages),), self.questions(stage))

  def scores(self, stage: str, verifier: str, rows: int, before: int | None = None) -> Use:
    """So many solutions of a question read after `before` tokens, its prompt if no other."""
    before = before or self.prompt
    return Use(stage, verifier, None, before + self.tokens, 0, ((rows, pages_for(before)),),
               self.questions(stage))

  def prompts(self, stage: str, model: str) -> Use:
    """A generator reads prompts, those of the labels too, and a token behind each."""
    return Use(stage, model, None, self.prompt + 1, 0, ((1, pages_for(self.prompt)),),
               max(self.questions(stage), self.questions(LABELS)))

  def searches(self, stage: str, model: str, guide: str, how: Strategy,
               before: int | None = None) -> Iterator[Use]:
    """A search of `model`'s steps after `before` tokens, and the verifier that guides it."""
    num, before = how.num_candidates, before or self.prompt
    judge = self._scoring(guide)
    yield Use(stage, model, self._sampling, before, before + self.tokens,
              ((num, self._searched(how, before)),), self.questions(stage), judge)
    if judge is None:
      yield Use(stage, guide, None, self.whole, 0,
                ((num, self._searched(how, self.prompt, how.lookahead or 0)),),
                self.questions(stage))

  def _searched(self, how: Strategy, prompt: int, ahead: int = 0) -> int:
    """Pages of a question: the rows that were kept, and a step of every candidate's."""
    kept = methods.of(how).kept(how.num_candidates)
    return (pages_for(prompt) + kept * self._steps
            + how.num_candidates * (1 + ahead) * self._step)
