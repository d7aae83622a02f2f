"""What this machine does in a second of an experiment's own work, by which `--dry_run` tells times.

Models of the experiment's sizes write and read for some seconds in the engine that will run them.
Their weights are zeros, so nothing has to be trained or read before. Where the base model is given
it is loaded, for how long its solutions are nobody else knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses
import tempfile
import time
from typing import Any

from absl import logging
import jax
import jax.numpy as jnp
import numpy as np

from tts import parallel
from tts.config import Experiment
from tts.data.prompts import shared_prefix
from tts.engine import engine, shape
from tts.engine.coroutines import together
from tts.engine.engine_models import EngineGenerator, EngineVerifier
from tts.engine.nodes import Node
from tts.engine.program import Program
from tts.engine.reader import Read
from tts.estimates import cost, device_programs
from tts.estimates.cost import Lengths
from tts.estimates.training_program import TrainingProgram
from tts.models import placed_weights
from tts.models.arch import Arch
from tts.models.functions import Functions
from tts.models.generator import Generator
from tts.roles import Roles
from tts.runs import blocks, verifiers
from tts.runs.models_at_work import Workers
from tts.runs.run import Run
from tts.runs.workdir import Workdir
from tts.sampling import pool
from tts.sampling.decode import Limits
from tts.stages import graph, sample_pool

# Of what lanes compute so much is asked for where rounds and ends of blocks wait: by a search of
# SmolLM2's, in BUILD_NOTES, "Engine".
_USED = {'write': 0.72, 'read': 0.78}
_SAMPLES, _QUESTIONS = 8, 2  # of each group, by which a given model's solutions are told
_TOKENS = 16  # that are written in a lane
_SECONDS, _MOST = 2.0, 64  # that is measured, and times that a question is asked at most


@dataclasses.dataclass(frozen=True)
class Speeds:
  """FLOP/s by a kind of `Cost.spent`, on the devices that do it."""

  of: Mapping[str, float]

  def seconds(self, spent: Mapping[str, float]) -> float:
    """How long so many FLOPs of each kind take."""
    return sum(flops / self.of[kind] for kind, flops in spent.items())


def sampled(e: Experiment) -> Lengths:
  """Lengths by some questions' samples of a base model that is given."""
  logging.info('sampling a few questions, to see how long solutions are')
  with tempfile.TemporaryDirectory() as folder:
    run = Run(e, Workdir(folder), e.seeds[0])
    problems = run.problems(e.search.split)[:_QUESTIONS * run.groups]
    asked = blocks.cut(problems, run.prompts, e.limits.max_prompt_tokens, len(problems))
    workers = Workers(run)
    sampler = sample_pool.sampler(workers, 'base', 'calibration', _SAMPLES, e.sampling)
    found = workers.ask(sampler, asked)
    tokens = [sample.tokens for of in found for each in of for sample in each]
    return Lengths(float(np.mean([len(p) for block in asked for p in block.prompts])),
                   float(np.mean([len(t) for t in tokens])),
                   float(np.mean([len(run.limits.roles.step_ends(t)) for t in tokens])),
                   len(shared_prefix(run.prompts.encode)))


def speeds(e: Experiment, lengths: Lengths) -> Speeds:
  """How fast the base model writes, the main verifier reads, and a model is trained."""
  logging.info('measuring how fast this machine is')
  mesh = parallel.search_mesh(e.mesh.data, e.mesh.model)
  found = {'write': _USED['write'] * _writing(e, mesh, lengths)}
  for _, name in graph.trained(e):
    kind = cost.trained_as(e, name)
    found[kind] = found.get(kind) or _training(e, name, mesh)
  main = verifiers.main(e)
  found['read'] = (_USED['read'] * _reading(e, main, mesh, lengths)
                   if e.models[verifiers.model_of(main)].enabled
                   and not verifiers.is_latent(e, main) else found['write'])
  return Speeds(found)


def _writing(e: Experiment, mesh: parallel.Mesh, lengths: Lengths) -> float:
  """FLOP/s of the base model in lanes that all have something to write."""
  arch = device_programs.architecture(e, 'base')
  tokens = max(1, min(_TOKENS, int(lengths.solution)))
  how = shape.of(arch, e.lanes)
  limits = Limits(tokens, tokens, tokens, Roles(ends=(), delimiters=()))
  generator = EngineGenerator(mesh, Functions(Generator, arch), _zeros(arch, mesh), how, e.sampling,
                              limits)
  keys = np.arange(2 * how.lanes, dtype=np.uint32).reshape(-1, 2)
  ids = _question(lengths)
  seconds = _seconds(lambda group: pool.samples(generator, group, ids, keys), generator)
  written = how.lanes * tokens
  return generator.groups * (cost.read(e, 'base', len(ids), len(ids) / 2)
                             + cost.read(e, 'base', written, len(ids) + tokens / 2)) / seconds


def _reading(e: Experiment, name: str, mesh: parallel.Mesh, lengths: Lengths) -> float:
  """FLOP/s of a verifier that reads steps behind one question."""
  arch, step = device_programs.architecture(e, name), max(1, int(lengths.solution / lengths.steps))
  how = shape.of(arch, e.lanes)
  verifier = EngineVerifier(mesh, Functions(verifiers.make_of(name), arch),
                            _zeros(arch, mesh), how)
  ids = _question(lengths)
  rows = 2 * how.readers

  async def row(group: int, node: Node) -> None:
    seen = await Read(verifier.reader, group, node, np.ones(step, np.int32), own=True)
    verifier.release(group, seen.node)

  async def question(group: int) -> None:
    node = await verifier.opened(group, ids)
    await together([row(group, node) for _ in range(rows)])
    verifier.release(group, node)

  seconds = _seconds(question, verifier)
  return verifier.groups * (cost.read(e, name, len(ids), len(ids) / 2)
                            + cost.read(e, name, rows * step, len(ids) + step / 2)) / seconds


def _question(lengths: Lengths) -> np.ndarray:
  """Ids of what is read of each prompt: in the runs that are planned it takes its time too."""
  return np.ones(max(1, int(lengths.question)), np.int32)


def _seconds(question: Callable[[int], Any], model: EngineGenerator | EngineVerifier) -> float:
  """Seconds of a question of each group, the mean of many, without those of compilers."""
  def took(times: int) -> float:
    begun = time.monotonic() - Program.compile_seconds
    engine.run([question] * (model.groups * times), [model], 2)
    return time.monotonic() - Program.compile_seconds - begun

  times = int(min(_MOST, max(1, _SECONDS / took(1))))
  return took(times) / times


def _zeros(arch: Arch, mesh: parallel.Mesh) -> Any:
  return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype, device=x.sharding),
                      placed_weights.shapes(arch, mesh))


def _training(e: Experiment, name: str, mesh: parallel.Mesh) -> float:
  """FLOP/s of updates of a language model of this one's width, which has two layers at most."""
  config = dataclasses.replace(e.models[name].train, lora_rank=None)
  arch = device_programs.architecture(e, name)
  arch = dataclasses.replace(arch, num_layers=min(2, arch.num_layers), windows=arch.windows[:2],
                             surprise_layer=None, heads=('lm',))
  lowered = TrainingProgram(arch, config, 'lm', e.mesh.train).lower(mesh)
  update, shapes = lowered.compile(), lowered.args_info[0]
  state, *rest = jax.tree.map(lambda x, s: jax.device_put(np.zeros(x.shape, x.dtype), s),
                              shapes, update.input_shardings[0])

  def took(times: int) -> float:
    nonlocal state
    begun = time.monotonic()
    for _ in range(times):
      state, _ = update(state, *rest)
    jax.block_until_ready(state)
    return time.monotonic() - begun

  times = int(min(_MOST, max(1, _SECONDS / took(1))))
  return times * cost.update(e, name, dataclasses.asdict(arch)) / took(times)
