"""Pools of chains of revisions: every question's chains, judged, as records."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
import functools

from tts import rng
from tts.config import Experiment
from tts.estimates import cost
from tts.estimates.cost import Lengths
from tts.model_kinds import REVISION_VERIFIER
from tts.revision import chains
from tts.revision.trajectories import MAX_CONTEXT
from tts.runs import verifiers
from tts.runs.blocks import Block
from tts.runs.models_at_work import PerQuestion, Workers
from tts.runs.work import Work
from tts.runs.workdir import fingerprint
from tts.sampling.logits import SamplingConfig
from tts.stages import sample_pool, scoring
from tts.types import Strategy

_FORMAT = 2  # of rows; files of another one are made anew


def strategy(chains: int, length: int) -> Strategy:
  return Strategy('chains', chains * length, chain_length=length)


def sampler(workers: Workers, model: str, stream: str, how: Strategy,
            sampling: SamplingConfig | None = None) -> PerQuestion:
  """A question's chains, each a list of `Revision`.

  sampling: None for the config's own.
  """
  run, num = workers.run, how.budget // how.chain_length
  generator = workers.generator(model, sampling or run.experiment.sampling)

  def of(block: Block) -> Callable[[int, int], Coroutine]:
    keys = rng.slot_keys(run.seed, stream, block.words, range(num))
    return lambda b, group: chains.chains(generator, group, block.prompts[b], keys[b],
                                          how.chain_length)

  return PerQuestion(of, [generator], num)


def work(workers: Workers, stage: str, blocks: list[Block], mark: str, how: Strategy, *,
         stream: str, split: str, model: str = 'revision', judges: tuple[str, ...] = (),
         sampling: SamplingConfig | None = None) -> Work:
  """Chains of a model for every question, scored by those verifiers that there are.

  sampling: None for the config's own.
  """
  run = workers.run
  sampling = sampling or run.experiment.sampling
  writer = run.model(model)
  asked = sampler(workers, model, stream, how, sampling)
  there = [v for v in judges if run.has_model(v) and verifiers.reads(run.experiment, v, model)]
  scorers = [scoring.Scorer(workers, v, history=v == REVISION_VERIFIER) for v in there]
  rows = functools.partial(run.rows.chain_rows, strategy=how, stream=stream, model=model,
                           split=split)
  mark = fingerprint(mark, writer.mark, sampling, stream,
                     how.name, run.seed, [run.model(v).mark for v in there], _FORMAT,
                     *scoring.layout(run, judges))
  return Work(sample_pool.folder(stage, model, how), mark, blocks,
              scoring.judged(asked, rows, scorers), run.rows.grade,
              {'strategy': how.method, 'budget': how.budget, 'theta': how.theta,
               'model': model, 'stream': stream}, workers, run.experiment.data.grader)


def flops(e: Experiment, model: str, pools: Iterable[tuple[int, int]], lengths: Lengths) -> float:
  """Of a question's (chains, length): what is written, and what is read again for it."""
  spent = 0.0
  for num, length in pools:
    for t in range(length):
      context = min(t, MAX_CONTEXT) * lengths.text
      again = 0 if t == 0 else lengths.prompt + 1 if t <= MAX_CONTEXT else context
      spent += num * (cost.read(e, model, lengths.solution, lengths.prompt + context)
                      + cost.read(e, model, again, context))
  return spent
