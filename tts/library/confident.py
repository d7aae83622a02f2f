"""`tts.deepconf`: votes of the samples that a model is sure of, the others ended early."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import dataclasses
from typing import Any

from tts.eval.storage import columns
from tts.library import calls, token_statistics
from tts.library.calls import Limits, Questions, spent
from tts.library.models import LanguageModel
from tts.library.results import Result, voted
from tts.sampling import deepconf as deepconf_lib
from tts.sampling.deepconf import DeepConf, Found
from tts.sampling.pool import Sample
from tts.types import InputError


def deepconf(generator: LanguageModel, questions: Sequence[str], n: int = 64, *, window: int,
             keep: float = 0.9, warm_up: int = 16, consensus: float = 0.95, grader: str = 'exact',
             limits: Limits = Limits(), seed: int = 0, ordered: bool = True, progress: bool = True,
             **sampling: Any) -> Iterator[Result]:
  """At most n solutions of each question, ended where the model gets too unsure, and their vote.

  DeepConf online (arXiv 2508.15260). Solution i begins with the tokens of the solution i of
  `tts.sample`, as far as it goes.

  Args:
    generator: of `tts.load_generator`.
    questions: texts.
    n: solutions of each, at most.
    window: tokens of a group, whose mean confidence counts; published: 2,048, of solutions of about
      ten times as many.
    keep: the share of the warm-up's solutions that the others are to be as sure as; published: 0.1
      and 0.9.
    warm_up: solutions that are written whole; as many more are begun at a time.
    consensus: share of the votes with which an answer ends it; above 1 none does.
    grader, limits, seed, ordered, progress, sampling: as of `tts.sample`.

  Yields:
    A `Result` per question, of the solutions that were begun. One that was ended has no answer;
    `score` is each one's least confident group, by which it votes.

  Raises:
    tts.InputError: as of `tts.sample`; or a number is out of range.
  """
  model, how = calls.language_model(generator), calls.sampling({**sampling, 'statistics': True})
  if how.temperature == 0:
    raise InputError('temperature is 0, with which all solutions are the same: give another one')
  for name, value, most in (('warm_up', warm_up, n), ('window', window, limits.max_tokens)):
    if not 1 <= value <= most:
      raise InputError(f'{name} is {value}: give 1 to {most}')
  for name, share in (('keep', keep), ('consensus', consensus)):
    if share <= 0 or (name == 'keep' and share > 1):
      raise InputError(f'{name} is {share}: give a share')
  asked = Questions(questions, model.prompts, limits, seed)
  writing = model.at_work(how, asked.limits, window=window)
  keys, conf = asked.keys(range(n)), DeepConf(warm_up, keep, window, consensus)
  answer = lambda sample: _form(asked, sample)

  async def one(i: int, group: int) -> Found:
    return await deepconf_lib.samples(writing, group, asked.ids[i], keys[i], conf, answer)

  def result(i: int, found: Found) -> Result:
    scored = [dataclasses.replace(
        asked.solution(s.tokens, float(s.logprob.sum(dtype=float)), (),
                       statistics=token_statistics.joined([(s.logprob, s.statistics)])),
        score=float(sure)) for s, sure in zip(found.samples, found.confidence)]
    solutions = tuple(s if votes else dataclasses.replace(s, answer=None)
                      for s, votes in zip(scored, found.votes))
    winner, votes = voted(solutions, 'best_of_n_weighted', grader)
    total = lambda name: sum(getattr(s, name) for s in found.samples)
    written = sum(s.num_drawn for s in found.samples)
    return Result(
        question=asked.problems[i].prompt.rstrip('\n'),
        answer=None if winner is None else solutions[winner].answer, solutions=solutions,
        votes=votes, tokens=written, verifier_tokens=0,
        flops=spent(model.arch, 'lm', len(asked.ids[i]), written, total('entered'),
                    total('attended')))

  return calls.results(one, result, Result, len(asked.ids), [writing], n, ordered, progress)


def _form(asked: Questions, sample: Sample) -> str | None:
  """What a sample's answer shares with equal ones; None without an answer."""
  answer = asked.solution(sample.tokens, None, ()).answer
  return None if answer is None else columns.form(answer)
