"""Pools of independent samples: every question's, scored, as records."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
import dataclasses

from tts import rng
from tts.models.latent import Head
from tts.runs import record_rows, verifiers
from tts.runs.blocks import Block
from tts.runs.models_at_work import PerQuestion, Workers
from tts.runs.record_rows import Rows
from tts.runs.work import Work
from tts.runs.workdir import fingerprint
from tts.sampling import pool as pool_lib
from tts.sampling.logits import SamplingConfig
from tts.sampling.pool import Sample
from tts.stages import scoring
from tts.types import Strategy

_FORMAT = 3  # of rows; files of another one are made anew


def sampler(workers: Workers, model: str, stream: str, num: int, sampling: SamplingConfig,
            first: int = 0, judge: str | None = None, states: Head | None = None) -> PerQuestion:
  """A question's samples of slots `first` and on, a list of `Sample`.

  judge: a latent verifier that scores them, too. states: what one learns from, which they then
    have.
  """
  run = workers.run
  greedy = sampling.temperature == 0
  # Greedy rows go through the program that draws.
  generator = workers.generator(model, sampling if not greedy else dataclasses.replace(
      run.experiment.sampling, statistics=sampling.statistics), judge, states)

  def of(block: Block) -> Callable[[int, int], Coroutine]:
    keys = rng.slot_keys(run.seed, stream, block.words, range(first, first + num))
    return lambda b, group: pool_lib.samples(generator, group, block.prompts[b], keys[b], greedy)

  return PerQuestion(of, [generator], num)


def scored(workers: Workers, model: str, stream: str, num: int, sampling: SamplingConfig,
           judges: Sequence[str], split: str, first: int = 0) -> PerQuestion:
  """A question's samples as rows with every verifier's scores, to be graded.

  The first latent verifier of them scores what is written as it is written; the others read it.
  """
  run = workers.run
  judge = next((name for name in judges if verifiers.is_latent(run.experiment, name)), None)
  asked = sampler(workers, model, stream, num, sampling, first, judge)
  strategy = Strategy('greedy' if sampling.temperature == 0 else 'sample', num)

  def rows(block: Block, b: int, samples: list[Sample]) -> Rows:
    found = run.rows.sample_rows(block, b, samples, strategy, stream=stream, model=model,
                                 split=split)
    for row, sample in zip(found, samples if judge else ()):
      record_rows.put_scores(row, judge, sample.values, judge == run.main)
      record_rows.count_states(row, judge)
    return found

  return scoring.judged(asked, rows, [scoring.Scorer(workers, v) for v in judges if v != judge])


def folder(stage: str, model: str, strategy: Strategy) -> str:
  """Where a model's answers are, under `records/`."""
  return f'{stage}/{strategy.name}' if model == 'base' else f'{stage}/{model}-{strategy.name}'


def work(workers: Workers, stage: str, blocks: list[Block], mark: str, *, model: str, stream: str,
         num: int, sampling: SamplingConfig, split: str, judges: Sequence[str] = ()) -> Work:
  """A pool of `num` independent samples per question, scored by those verifiers that there are."""
  run = workers.run
  greedy = sampling.temperature == 0
  strategy = Strategy('greedy' if greedy else 'sample', num)
  loaded = run.model(model)
  there = [v for v in judges if run.has_model(v) and verifiers.reads(run.experiment, v, model)]
  mark = fingerprint(mark, loaded.mark, sampling, stream, num, run.seed,
                     [run.model(v).mark for v in there], _FORMAT, *scoring.layout(run, judges))
  return Work(folder(stage, model, strategy), mark, blocks,
              scored(workers, model, stream, num, sampling, there, split), run.rows.grade,
              {'strategy': strategy.method, 'budget': num, 'theta': strategy.theta,
               'model': model, 'stream': stream}, workers,
              run.experiment.data.grader if stage == 'search' else 'exact')
