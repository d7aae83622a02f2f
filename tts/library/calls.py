"""Questions in, results out: what `tts.sample`, `tts.score` and `tts.search` have in common."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeAlias, TypeVar

import msgspec
import numpy as np
from tqdm import tqdm

from tts import answers, config_bounds, hosts, rng
from tts.config import LimitsConfig
from tts.data import problems as problems_lib
from tts.data.prompts import Prompts, within
from tts.data.verifier_format import Reader
from tts.engine import engine, engine_models
from tts.engine.coroutines import together
from tts.engine.engine_models import attended, EngineGenerator, EngineVerifier
from tts.engine.reader import Read
from tts.eval.measures import flops
from tts.library.models import given, LanguageModel, RewardModel
from tts.library.served import ServedModel
from tts.library.results import Solution
from tts.models.arch import Arch
from tts.models.latent import Head
from tts.roles import Ids
from tts.sampling import decode
from tts.sampling.logits import SamplingConfig
from tts.sampling.pool import Sample
from tts.types import InputError, Problem

_STREAM = 'library'
_SHOWN_SECONDS = 1
T = TypeVar('T')
Values: TypeAlias = Sequence[float] | np.ndarray  # of a verifier, at the ends of steps


@dataclasses.dataclass(frozen=True)
class Limits(LimitsConfig):
  """Where texts are cut off, in tokens; they cost nothing where they are generous.

  Attributes:
    max_prompt_tokens: of a question as the model is given it; a longer one is an error.
    max_tokens: of a solution. One that comes to a limit is truncated: it has no answer.
    max_steps: of a solution.
    max_step_tokens: of a step.
  """

  max_prompt_tokens: int = 512
  max_tokens: int = 1024
  max_steps: int = 40
  max_step_tokens: int = 256


class Questions:
  """Questions as problems, prompts and limits; keys come from their texts."""

  def __init__(self, texts: Sequence[str], prompts: Prompts, limits: Limits, seed: int):
    """Raises InputError where there is none, or one is no text or too long."""
    if isinstance(texts, str):
      raise InputError('questions is one text: give a list of them')
    self.problems: list[Problem] = problems_lib.of_texts(texts)
    if not self.problems:
      raise InputError('there are no questions: give one at least')
    self.ids = [within(prompts, problem.prompt, limits.max_prompt_tokens, f'question {i}',
                       'give tts.Limits with max_prompt_tokens=')
                for i, problem in enumerate(self.problems)]
    self.limits = decode.Limits(limits.max_tokens, limits.max_steps, limits.max_step_tokens,
                                prompts.roles)
    self.max_prompt_tokens, self._prompts, self._seed = limits.max_prompt_tokens, prompts, seed

  def keys(self, slots: range) -> np.ndarray:
    """Of each question's slots, uint32 [questions, slots, 2]."""
    return rng.slot_keys(self._seed, _STREAM, rng.problem_words(
        [p.identity for p in self.problems]), slots)

  def solution(self, tokens: Ids, logprob: float | None, steps: Values,
               weight: int = 1, statistics: dict[str, Any] | None = None,
               forced_tokens: int = 0) -> Solution:
    """A solution of its tokens, with a verifier's values at its steps."""
    roles, decode_ = self.limits.roles, lambda ids: self._prompts.tokenizer.decode(
        list(map(int, ids)))
    answer = roles.answer(tokens)
    return Solution(
        text=decode_(tokens), answer=None if answer is None else answers.extract(decode_(answer)),
        finished=roles.finished(tokens),
        score=float(steps[-1]) if len(steps) else None, step_scores=tuple(map(float, steps)),
        logprob=logprob, num_tokens=len(tokens), weight=weight, statistics=statistics,
        thinking_tokens=roles.thinking.length(tokens) if roles.thinking else None,
        forced_tokens=forced_tokens)


@dataclasses.dataclass(frozen=True)
class Scores:
  """What a verifier says of a question's solutions."""

  steps: list[np.ndarray]  # of each solution float32 [steps], at each step's end
  prompt: int              # tokens of the question in its own ids
  entered: int             # of the solutions
  attended: int            # keys that these attended to


class Scorer:
  """A verifier that reads solutions in a generator's tokens."""

  def __init__(self, verifier: RewardModel, questions: Questions, prompts: Prompts):
    self.reader: Reader | None = verifier.reader(prompts, questions.limits,
                                                 questions.max_prompt_tokens)
    self.reading: EngineVerifier = verifier.at_work(prompts, self.reader)
    self.arch: Arch | None = verifier.arch
    self._questions = questions

  def prompt(self, i: int) -> list[int]:
    """Question i in the verifier's ids."""
    if self.reader is None:
      return self._questions.ids[i]
    return self.reader.prompt(self._questions.problems[i].prompt)

  async def scored(self, i: int, group: int, solutions: Sequence[Ids]) -> Scores:
    """The values of question i's solutions, int32 [n] each."""
    prompt, step_ends = self.prompt(i), self._questions.limits.roles.step_ends
    ends = [step_ends(tokens) for tokens in solutions]
    # Ids, and how many of them are read at each step's end.
    texts: list[tuple[Ids, list[int]]] = [
        (tokens, of) if self.reader is None else self.reader.solution(tokens, of)
        for tokens, of in zip(solutions, ends)]
    found = map(_sound, await values(self.reading, group, prompt, [ids for ids, _ in texts]))
    # Before it has read anything a verifier is undecided, as in a search.
    steps = [np.array([seen[r - 1] if r else 0.5 for r in read], np.float32)
             for seen, (_, read) in zip(found, texts)]
    return Scores(steps, len(prompt), sum(len(ids) for ids, _ in texts),
                  sum(attended(len(prompt), len(ids)) for ids, _ in texts))


def written_scores(samples: Sequence[Sample], limits: decode.Limits) -> Scores:
  """Of samples whose generator scored them as it wrote them: nothing was read."""
  return Scores([_sound(s.values)[np.array(limits.roles.step_ends(s.tokens)) - 1]
                 for s in samples], 0, 0, 0)


def _sound(values: np.ndarray | None) -> np.ndarray:
  """A verifier's values, which are there, and none of which is NaN."""
  assert values is not None
  if np.isnan(values).any():
    raise FloatingPointError('the verifier gave NaN: its weights are broken')
  return values


async def values(verifier: EngineVerifier, group: int, prompt: Sequence[int],
                 solutions: Sequence[Ids]) -> list[np.ndarray]:
  """A verifier's value at every token of solutions after one prompt; ids, float32 [n] each."""
  node = await verifier.opened(group, prompt)

  async def of(tokens: Ids) -> np.ndarray:
    if not len(tokens):
      return np.zeros(0, np.float32)
    return (await Read(verifier.reader, group, node, tokens, own=True, keep=False)).values

  found = await together([of(tokens) for tokens in solutions])
  verifier.release(group, node)
  return found


def encoded(prompts: Prompts, text: str, i: int, limits: Limits) -> Sequence[int]:
  """A solution of question i that is given, in ids; InputError where it is too long."""
  tokens = prompts.tokenizer.encode_solution(text)
  if len(tokens) > limits.max_tokens:
    raise InputError(f'a solution of question {i} has {len(tokens)} tokens, the limit is '
                     f'{limits.max_tokens}: give limits=tts.Limits(max_tokens={len(tokens)})')
  return tokens


def spent(arch: Arch | None, kind: str, prompt: int, written: int, entered: int | None,
          seen: int | None, head: Head | None = None) -> int | None:
  """FLOPs of a model on one question, its prompt included; None where they are not known.

  Args:
    arch: of the model; None where it is not known.
    kind: `lm` or `prm`.
    prompt: tokens of the question.
    written: tokens that it wrote; 0 of a verifier.
    entered: tokens of solutions that entered it; None where a server does not say.
    seen: keys that these attended to.
    head: that scores what it writes; its FLOPs are among them.
  """
  if arch is None or entered is None or seen is None:
    return None
  counts = {'kept': written, 'pruned': 0, 'simulated': 0, 'entered': prompt + entered,
            'attended': attended(0, prompt) + seen}
  more = head and flops.latent({**dataclasses.asdict(head), 'width': arch.width}, counts)
  return int(flops.counted(dataclasses.asdict(arch), kind, counts) + (more or 0))


def results(coroutine: Callable[[int, int], Coroutine], result: Callable[[int, Any], T],
            kind: type[T], count: int, models: Sequence[EngineGenerator | EngineVerifier],
            rows: int, ordered: bool, progress: bool) -> Iterator[T]:
  """Results of questions, one after the other.

  Several processes part the questions among them, and each yields all results, in the same order.

  Args:
    coroutine: (place of a question, group of devices) --> its coroutine.
    result: (place of a question, what its coroutine gave) --> its result.
    kind: of a result, made of dataclasses and JSON's own.
    count: of questions.
    models: that the coroutines use.
    rows: that a question has at a time.
    ordered: in the order of the questions, or as they are done.
    progress: whether a bar is shown where it takes more than a few seconds.
  """
  in_flight = engine_models.in_flight(models, rows)
  with tqdm(total=count, unit=' questions', delay=5, leave=False,
            disable=not (progress and hosts.is_first())) as bar:
    begin = lambda i: lambda group: coroutine(i, group)

    def computed(places: Sequence[int]) -> Iterator[tuple[int, T]]:
      for done in engine.stream(map(begin, places), models, in_flight, _ticking(bar)):
        bar.update()
        yield places[done.index], result(places[done.index], done.result)

    team, teams = hosts.team(models[0].mesh)
    if teams == 1:
      yield from _in_turn(computed(range(count)), ordered)
      return
    share = 2 * in_flight * models[0].groups * teams
    for first in range(0, count, share):
      places = range(first, min(first + share, count))
      mine = msgspec.msgpack.encode(dict(computed(places[team::teams])))
      found: dict[int, T] = {}
      for theirs in hosts.exchanged(mine):
        found |= msgspec.msgpack.decode(theirs, type=dict[int, kind])  # type: ignore[valid-type]
      yield from (found[i] for i in places)


def _ticking(bar: tqdm) -> Callable[[int, int], None]:
  """What shows the speed in a bar."""
  shown, tokens = time.monotonic(), 0

  def tick(more: int, done: int) -> None:
    nonlocal shown, tokens
    del done
    tokens += more
    if (now := time.monotonic()) - shown > _SHOWN_SECONDS:
      bar.set_postfix_str(f'{tokens / (now - shown):,.0f} tokens/s')
      shown, tokens = now, 0

  return tick


def _in_turn(found: Iterator[tuple[int, T]], ordered: bool) -> Iterator[T]:
  waiting: dict[int, T] = {}
  following = 0
  for place, value in found:
    if not ordered:
      yield value
      continue
    waiting[place] = value
    while following in waiting:
      yield waiting.pop(following)
      following += 1


def generator_of(model: Any) -> LanguageModel | ServedModel:
  """The argument, if it can write; else InputError."""
  return model if isinstance(model, ServedModel) else language_model(model)


def language_model(model: Any) -> LanguageModel:
  """The argument, if it is a generator; else InputError."""
  if not isinstance(model, LanguageModel):
    raise InputError(f'the generator is a {type(model).__name__}: load one by tts.load_generator')
  return model


def sampling(options: dict[str, Any]) -> SamplingConfig:
  """How tokens are drawn; InputError names an option that there is not, or that is out of range."""
  found = given(SamplingConfig, options)
  config_bounds.check_part(found, 'sampling')
  return found
