"""Which models a stage has at work, and how long their texts get, by the config alone.

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
from tts.eval.storage.runfiles import GENERATORS
from tts.eval.storage.samples import VERIFIERS
from tts.revision.trajectories import MAX_CONTEXT
from tts.runs import verifiers
from tts.sampling.logits import SamplingConfig
from tts.stages import chain_pool, proposal, strategies
from tts.types import Strategy


@dataclasses.dataclass(frozen=True)
class Use:
  """A model at work in a stage.

  Attributes:
    stage: its name.
    model: the model's name; of a verifier its own.
    sampling: how a generator draws; None of a verifier.
    reads: tokens of the longest text that it reads.
    writes: tokens of the longest text that it writes, its beginning included; 0 of a verifier.
    kept: what it does, at different times: rows that a question has, and pages that keep its texts.
  """

  stage: str
  model: str
  sampling: SamplingConfig | None
  reads: int
  writes: int
  kept: tuple[tuple[int, int], ...]


def of(e: Experiment) -> list[Use]:
  """All of them, by stage in order, each model of a stage once for each way to draw."""
  found: dict[tuple, Use] = {}
  for use in _all(e, _Texts(e)):
    if not getattr(e.models, verifiers.model_of(use.model)).enabled:
      continue
    key = use.stage, use.model, use.sampling
    old = found.setdefault(key, use)
    found[key] = dataclasses.replace(use, reads=max(use.reads, old.reads),
                                     writes=max(use.writes, old.writes),
                                     kept=tuple(dict.fromkeys(old.kept + use.kept)))
  return list(found.values())


class _Texts:
  """Lengths of texts, and pages of a question's."""

  def __init__(self, e: Experiment):
    limits = e.limits
    self.prompt, self.tokens = limits.max_prompt_tokens, limits.max_tokens
    self._step = pages_for(limits.max_step_tokens)
    # Each step begins a page.
    self._steps = self.tokens // SIZE + limits.max_steps
    self.history = MAX_CONTEXT * (self.tokens + 1 + self.prompt)

  def solution(self) -> int:
    """Pages of a prompt and a solution step by step."""
    return pages_for(self.prompt) + self._steps

  def search(self, how: Strategy, prompt: int, ahead: int = 0) -> int:
    """Of a question that is searched: the rows that were kept, and a step of every candidate's."""
    kept = methods.of(how).kept(how.num_candidates)
    return (pages_for(prompt) + kept * self._steps
            + how.num_candidates * (1 + ahead) * self._step)

  def chains(self, count: int) -> int:
    """Of a question's chains, each with its last answers and the newest."""
    turn = pages_for(self.tokens) + pages_for(self.prompt + 1)
    return pages_for(self.prompt) + count * (MAX_CONTEXT * turn + pages_for(self.tokens))


def _all(e: Experiment, texts: _Texts) -> Iterator[Use]:
  prompt, whole = texts.prompt, texts.prompt + texts.tokens
  question = pages_for(prompt)

  def samples(stage: str, model: str, nums: Iterable[int], sampling=e.sampling) -> Use:
    return Use(stage, model, sampling, prompt, whole,
               tuple((num, question) for num in sorted(set(nums))))

  def scores(stage: str, name: str, rows: int, before: int = prompt) -> Use:
    return Use(stage, name, None, before + texts.tokens, 0, ((rows, pages_for(before)),))

  def searches(stage: str, model: str, guide: str, how: Strategy, before: int) -> Iterator[Use]:
    num = how.num_candidates
    yield Use(stage, model, e.sampling, before, before + texts.tokens,
              ((num, texts.search(how, before)),))
    yield Use(stage, guide, None, whole, 0,
              ((num, texts.search(how, prompt, how.lookahead or 0)),))

  main, added = verifiers.main(e), (*VERIFIERS, *verifiers.added(e))
  has = lambda name: getattr(e.models, verifiers.model_of(name)).enabled
  if any(has(v) and not getattr(e.models, v).checkpoint for v in VERIFIERS):
    config = e.labels
    sampling = e.sampling.to_learn_from(temperature=config.temperature)
    yield samples('labels', 'base', [config.samples], sampling)
    yield Use('labels', 'base', sampling, whole, whole, ((config.rollouts, texts.solution()),))

  config = e.search
  pools = {1, config.pool, *([config.deep_pool] if config.deep_questions else [])} - {0}
  yield samples('search', 'base', pools)
  for name in GENERATORS[1:]:
    yield samples('search', name, {1, config.large_samples} - {0})
  for name in added:
    yield scores('search', name, config.pool)
  for guide in filter(has, (main, *verifiers.beside(e))):
    for how in ([s.strategy for s in strategies.searches(e)] if guide == main
                else strategies.plain(config)):
      yield from searches('search', 'base', guide, how, prompt)
  yield samples('difficulty', 'base', [e.difficulty.samples])
  yield scores('difficulty', main, e.difficulty.samples)
  if e.revision.enabled:
    yield from _revisions(e, texts, main, samples, scores, searches)


def _revisions(e: Experiment, texts: _Texts, main: str, samples, scores, searches) -> Iterator[Use]:
  """Of the stages of revisions; the last three are as in `_all`."""
  config, told = e.revision, texts.prompt + texts.history

  def chained(stage: str, model: str, chains: int, sampling=e.sampling) -> Use:
    return Use(stage, model, sampling, told, told + texts.tokens,
               ((chains, texts.chains(chains)),))

  yield samples('revision', 'base', [config.samples],
                e.sampling.to_learn_from(temperature=config.temperature))
  learnt = e.sampling.to_learn_from()
  yield chained('revision_orms', 'revision', config.orm_chains[0], learnt)
  yield samples('revision_orms', 'revision_control',
                [chain_pool.strategy(*config.orm_chains).budget], learnt)
  most = max(chains * length for chains, length in config.chains)
  for chains, length in config.chains:
    yield chained('revise', 'revision', chains)
    for name in (main, 'revision_orm_alone'):
      yield scores('revise', name, chains * length)
    yield scores('revise', 'revision_orm', chains * length, told)
  for answers, budget in config.searched:
    yield chained('revise', 'revision', 1)
    if getattr(e.models, verifiers.model_of(main)).enabled:
      yield from searches('revise', 'revision', main, proposal.strategy(answers, budget), told)
  yield chained('revise', 'revision_restem', max(config.chains, key=lambda pair: pair[1])[0])
  yield samples('revise', 'revision_control', [most])
  for name in (main, 'control_orm'):
    yield scores('revise', name, most)
