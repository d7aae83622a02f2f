"""The device programs that an experiment's stages run, from shapes alone.

Nothing here allocates a weight: `DeviceProgram.lower` takes the mesh of a topology that need not be
there, `DeviceProgram.footprint` is the formula of `tts.estimates.memory`.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
import dataclasses
import functools
from typing import Any

from tts import model_kinds, parallel
from tts.config import Experiment
from tts.data import hub
from tts.data.prompts import Prompts
from tts.data.tokenizer import Tokenizer
from tts.engine import shape as shapes, store
from tts.estimates import cost, memory
from tts.estimates.memory import Footprint
from tts.estimates.model_programs import ModelAtWork, ModelProgram
from tts.estimates.training_program import TrainingProgram
from tts.estimates.uses import Use
from tts.model_kinds import LABELS, VERIFIERS
from tts.models import latent, latent_states, stacks
from tts.models.arch import Arch, check_split
from tts.models.functions import Functions
from tts.models.generator import Generator
from tts.models.stacks import Stack
from tts.roles import Roles
from tts.runs import verifiers
from tts.sampling.decode import Limits
from tts.stages import graph, probe
from tts.types import EOS_ID, InputError

# Stands in for a tokenizer that is yet to be trained: its ids are constants of a program.
_ROLES = Roles(ends=(EOS_ID,), delimiters=(EOS_ID + 2,))


@dataclasses.dataclass(frozen=True)
class DeviceProgram:
  """One program.

  Attributes:
    stage: that runs it.
    name: stage and what it is, e.g. `search/write-base`.
    lower: (mesh, a stack whose loop is to have two passes in its body, or None) --> the lowered
      program.
    footprint: (rows, devices that share a model) --> its memory, and what the stage has beside it.
    rows: lanes, or texts of a batch.
    field: of the config, that sets the rows.
    models: names; of a verifier of a plugin its own.
    loops: stacks of layers that it computes in loops on a TPU.
  """

  stage: str
  name: str
  lower: Callable[[parallel.Mesh, Stack | None], Any]
  footprint: Callable[[int, int], Footprint]
  rows: int
  field: str
  models: tuple[str, ...]
  loops: tuple[Stack, ...]


def architecture(e: Experiment, name: str) -> Arch:
  """A model's, with its heads and its vocabulary, as its stage would make or load it.

  Of a verifier that has no decoder of its own, that of `cost.model_of`.
  """
  name = cost.model_of(e, name)
  config, fields = e.models[name], cost.arch(e, name)
  arch = Arch(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})
  if config.checkpoint:
    return arch
  if e.models.kinds[name].writes:
    return dataclasses.replace(arch, heads=('lm',))
  reads_lm = config.train.lm_loss_weight or arch.surprise_layer
  return dataclasses.replace(arch, heads=('lm', 'value') if reads_lm else ('value',))


def check(e: Experiment, width: int) -> None:
  """Whether `width` devices can share every model.

  Raises:
    InputError: a model does not divide.
  """
  kinds = e.models.kinds
  for name in model_kinds.generators(kinds) + model_kinds.verifiers(kinds):
    if e.models[name].enabled:
      check_split(architecture(e, name), name, width)


def listed(e: Experiment, platform: str | None = None) -> list[DeviceProgram]:
  """Every program of the stages, in their order; those that are the same are there once.

  platform: that they are for; None is this process's.
  """
  seen = set()
  return [program for key, program in _everything(e, platform)
          if not (key in seen or seen.add(key))]


def _everything(e: Experiment, platform: str | None) -> list[tuple[tuple, DeviceProgram]]:
  """Every use of a program, with what makes two of them the same."""
  made = _Programs(e, platform)
  return [*made.trainings(), *made.at_work()]


def most(e: Experiment) -> dict[str, int]:
  """Bytes on one device of each stage's largest program, by the formula."""
  found: dict[str, int] = {}
  for _, program in _everything(e, None):
    total = program.footprint(program.rows, e.mesh.model).total
    found[program.stage] = max(total, found.get(program.stage, 0))
  return found


def largest(program: DeviceProgram, width: int, limit: int, most: int) -> int:
  """Rows, `most` at most, with which a program fits into `limit` bytes; 0 if none do."""
  fits = lambda rows: program.footprint(rows, width).total <= limit
  return bisect.bisect_left(range(1, most + 1), True, key=lambda rows: not fits(rows))


def check_memory(e: Experiment, limit: int, holders: int = 1, platform: str | None = None) -> None:
  """Whether every program fits into `limit` bytes a device.

  So many `holders` have a model's weights together, as a CPU's devices have; training has its own.

  Raises:
    InputError: one does not; how many lanes do, or the field to change.
  """
  for _, program in _everything(e, platform):
    found = program.footprint(program.rows, e.mesh.model)
    shared = 0 if program.name.startswith('train/') else found.weights + found.others
    room = limit + shared - shared // holders
    if found.total > room:
      raise too_large(e, program, found.total, room)


def too_large(e: Experiment, program: DeviceProgram, total: int, limit: int) -> InputError:
  """Says how many rows fit where a program takes `total` bytes of `limit`, or what else helps."""
  more = total - program.footprint(program.rows, e.mesh.model).total  # than the formula says
  rows = largest(program, e.mesh.model, limit - more, program.rows - 1) if program.field else 0
  how = 'let more devices share a model: raise --config.mesh.model'
  if rows:
    how = f'{rows} fit: set --{program.field}={rows}'
  elif program.name.startswith('train/'):
    how = (f'give --config.models.{program.models[0]}.checkpoint' if e.mesh.train else
           'it is trained on one device: share it, --config.mesh.train=-1')
  return InputError(f'{program.name} needs {total / 1e9:.2f} GB on a device that has '
                    f'{limit / 1e9:.2f}, with all that its stage keeps there, for {program.rows} '
                    f'rows: {how}')


class _Programs:
  """Programs with what tells them apart: (key, `DeviceProgram`)."""

  def __init__(self, e: Experiment, platform: str | None):
    self._e, self._platform, given = e, platform, e.models['base'].checkpoint
    roles = Prompts(e.prompts, Tokenizer.load(hub.local(given))).roles if given else _ROLES
    limits = e.limits
    self._limits = Limits(limits.max_tokens, limits.max_steps, limits.max_step_tokens, roles)
    self._uses = graph.uses(e)
    self._model = functools.cache(self._model_of)

  def trainings(self):
    e = self._e
    for stage, name in graph.trained(e):
      arch, train = architecture(e, name), e.models[name].train
      kind = 'lm' if e.models.kinds[name].writes else 'value'
      program = TrainingProgram(arch, train, kind, e.mesh.train)
      yield program, DeviceProgram(
          stage, f'train/{name}', program.lower, program.footprint, train.batch_size,
          f'config.models.{name}.train.batch_size', (name,), stacks.loops(arch))

  def at_work(self):
    """The engine's programs of each stage's models."""
    for use in self._uses:
      model = self._model(use, 0)
      for name, program in model.programs(self._limits).items():
        yield self._at_work(use, name, model, program)

  def _at_work(self, use: Use, name: str, model: ModelAtWork,
               program: ModelProgram) -> tuple[tuple, DeviceProgram]:
    key = (name, model.make, model.shape, program.width,
           use.sampling if name == 'write' else model.count if program.pages else None)
    return key, DeviceProgram(
        use.stage, '-'.join([f'{use.stage}/{name}', use.model, *filter(None, [use.judge])]),
        lambda mesh, doubled=None: model.lower(program, mesh, doubled),
        lambda count, width: self._footprint(
            use, name, 0 if count == program.rows else count, width),
        program.rows, 'config.lanes', (use.model,),
        stacks.loops(model.make.arch) if program.forward else ())

  def _model_of(self, use: Use, lanes: int) -> ModelAtWork:
    """lanes: as if the config asked for so many; 0 for what it does ask for."""
    e, arch = self._e, architecture(self._e, use.model)
    head = cost.head(e, use.judge or use.model)
    if use.sampling:
      judging = latent_states.Collecting if use.stage == LABELS else latent.Generator
      kind = Generator if use.judge is None else judging
    elif e.models.kinds[verifiers.model_of(use.model)].writes:
      kind, head = latent_states.States, probe.head(arch.num_layers)
    elif verifiers.is_latent(e, use.model):
      kind = latent_states.States if use.stage == VERIFIERS else latent.Verifier
    else:
      kind = verifiers.make_of(use.model)
    shape = shapes.of(arch, lanes or e.lanes, self._platform)
    # A generator goes with each of the verifiers, and not with other generators.
    beside = [shapes.of(architecture(e, other.model), lanes or e.lanes, self._platform)
              for other in self._uses if other.stage == use.stage
              and (other == use or (other.sampling is None) != (use.sampling is None))]
    begun = lambda rows: min(use.questions, max(other.in_flight(rows) for other in beside))
    needed = max(begun(rows) * pages for rows, pages in use.kept)
    return ModelAtWork(
        Functions(kind, arch, head), shape,
        shape.to_write(use.writes) if use.writes else 0, shape.to_read(use.reads),
        store.room(needed, shape.pages), use.sampling)

  def _footprint(self, use: Use, name: str, lanes: int, width: int) -> Footprint:
    """A program's memory, with all that its stage has on the device."""
    own = self._model(use, lanes)
    program = own.programs(self._limits).get(name)
    if program is None:  # with so few lanes there is no such program
      return Footprint(weights=0, inputs=0, outputs=0)
    found = program.footprint(width)
    stage = [other for other in self._uses if other.stage == use.stage]
    weights = sum({cost.model_of(self._e, other.model): memory.weights(
        architecture(self._e, other.model), width) for other in stage}.values())
    kept = sum(self._model(other, lanes).kept(width) for other in stage)
    return dataclasses.replace(found, others=weights - found.weights,
                               kept=kept - own.arguments(program, width))
