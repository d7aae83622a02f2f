"""Our own engine: sampling, scoring of what was sampled, and PRM beam search."""

from __future__ import annotations

import pathlib
import tempfile

from benchmarks.peers import prepare, setting as setting_lib
from benchmarks.peers.setting import Results, Row, Setting, timed
from tts.config import Experiment, LimitsConfig, ModelConfig, Models
from tts.data import problems as problems_lib
from tts.engine.program import Program
from tts.runs import blocks as blocks_lib
from tts.runs.blocks import Block
from tts.runs.models_at_work import PerQuestion, Workers
from tts.runs.run import Run
from tts.runs.workdir import Workdir
from tts.sampling.logits import SamplingConfig
from tts.stages import sample_pool, scoring, search
from tts.types import Strategy

NAME = 'ours'
_STREAM = 'peers'


def measure(folder: pathlib.Path, results: Results) -> None:
  """Adds the rows of every N."""
  setting = setting_lib.read(folder)
  with tempfile.TemporaryDirectory(dir=folder) as workdir:
    run = _run(folder, workdir)
    workers = Workers(run)
    for num in setting.candidates:
      _measure(workers, setting, num, results)


def _run(folder: pathlib.Path, workdir: str) -> Run:
  of = lambda name: ModelConfig(checkpoint=str(folder / name))
  off = dict.fromkeys(('mid', 'large', 'orm'), ModelConfig(enabled=False))
  models = Models(base=of(setting_lib.BASE), prm=of(setting_lib.VERIFIER), **off)
  limits = LimitsConfig(setting_lib.MAX_PROMPT_TOKENS, setting_lib.MAX_TOKENS,
                        setting_lib.MAX_STEPS, setting_lib.MAX_TOKENS)
  experiment = Experiment(models=models, limits=limits, prompts=prepare.PROMPTS,
                          sampling=SamplingConfig(temperature=setting_lib.TEMPERATURE))
  return Run(experiment, Workdir(workdir), seed=0)


def _measure(workers: Workers, setting: Setting, num: int, results: Results) -> None:
  """Each task once on one question a device group, for what is compiled, and once on all."""
  run, verifier = workers.run, workers.verifier('prm')
  sample = sample_pool.sampler(workers, 'base', _STREAM, num, run.experiment.sampling)
  how = Strategy.of('beam', num, beam_width=setting_lib.BEAM_WIDTH)
  look = search.searcher(workers, how, 'prm', _STREAM)

  def read(blocks: list[Block], samples: list) -> None:
    texts = {id(block): of_block for block, of_block in zip(blocks, samples)}
    workers.ask(PerQuestion(lambda block: lambda b, group: scoring.values(
        verifier, group, block.prompts[b], [s.tokens for s in texts[id(block)][b]]),
                            [verifier], num), blocks)

  few = _blocks(run, setting.questions[:run.groups])
  read(few, workers.ask(sample, few))
  workers.ask(look, few)
  blocks, count = _blocks(run, setting.questions), len(setting.questions)
  waited = lambda: Program.compile_seconds
  row = lambda task, seconds, cpu, **counts: results.add(
      Row(NAME, task, num, count, seconds, cpu, **counts))

  samples, *spent = timed(lambda: workers.ask(sample, blocks), waited)
  written = sum(len(s.tokens) for of in samples for problem in of for s in problem)
  row('sampling', *spent, written=written)
  _, *spent = timed(lambda: read(blocks, samples), waited)
  row('scoring', *spent, read=written)
  before = workers.computed()
  trees, *spent = timed(lambda: workers.ask(look, blocks), waited)
  spread = workers.computed()
  spread.subtract(before)
  each = [tree for of in trees for tree in of]
  note = ', '.join(f'{name} computed / entered '
                   f'{spread[model, "computed"] / spread[model, "entered"]:.2f}'
                   for model, name in (('base', 'generator'), ('prm', 'verifier')))
  row('search', *spent, written=sum(len(n.tokens) for tree in each for n in tree.nodes),
      read=sum(int(tree.entered[1]) for tree in each), note=note)


def _blocks(run: Run, questions: list[str]) -> list[Block]:
  """As many blocks as there are device groups."""
  return blocks_lib.cut(problems_lib.of_texts(questions), run.prompts,
                        setting_lib.MAX_PROMPT_TOKENS, -(-len(questions) // run.groups))
