"""The device programs that an experiment's stages run, from shapes alone.

Nothing here allocates a weight: `DeviceProgram.lower` takes the mesh of a topology that need not be
there, `DeviceProgram.footprint` is the formula of `tts.stages.memory`.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from tts import parallel
from tts.config import Experiment
from tts.data import hub
from tts.data.prompts import Prompts
from tts.data.tokenizer import Tokenizer
from tts.eval.runfiles import GENERATORS, REVISERS
from tts.eval.samples import REVISION_VERIFIERS, VERIFIERS
from tts.models.transformer import Arch, Decoder, abstract, check_split
from tts.revision.trajectories import MAX_CONTEXT
from tts.roles import Roles
from tts.sampling.decode import Limits
from tts.search import methods
from tts.search.search import BeamConfig
from tts.stages import cost, memory, programs, proposal, rollouts, scoring, search, verifiers
from tts.stages.memory import Footprint
from tts.train import lora, steps, update
from tts.types import EOS_ID, InputError, Strategy

_PROBE = 256  # prompts of a call of stage `difficulty`'s probe
# Stands in for a tokenizer that is yet to be trained: its ids are constants of a program.
_ROLES = Roles(ends=(EOS_ID,), delimiters=(EOS_ID + 2,))


@dataclasses.dataclass(frozen=True)
class DeviceProgram:
  """One program.

  Attributes:
    stage: that runs it.
    name: stage and what it is, e.g. `search/beam-m4-n16`.
    lower: mesh --> the lowered program.
    footprint: (rows, devices that share a model) --> its memory.
    rows: candidates, or texts, of a block.
    field: of the config, that sets the rows.
    each: rows that one problem has; fewer of them is another N.
    models: names; of a verifier of a plugin its own.
  """

  stage: str
  name: str
  lower: Callable[[parallel.Mesh], Any]
  footprint: Callable[[int, int], Footprint]
  rows: int
  field: str
  each: int
  models: tuple[str, ...]


def architecture(e: Experiment, name: str) -> Arch:
  """A model's, with its heads and its vocabulary, as its stage would make or load it.

  Of a plugin's verifier that of the model that it reads.
  """
  name = verifiers.model_of(name)
  config, fields = getattr(e.models, name), cost.arch(e, name)
  arch = Arch(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})
  if config.checkpoint:
    return arch
  if name in GENERATORS + REVISERS:
    return dataclasses.replace(arch, heads=('lm',))
  reads_lm = config.train.lm_loss_weight or arch.surprise_layer
  return dataclasses.replace(arch, heads=('lm', 'value') if reads_lm else ('value',))


def check(e: Experiment, width: int) -> None:
  """Whether `width` devices can share every model.

  Raises:
    InputError: a model does not divide.
  """
  for name in GENERATORS + VERIFIERS:
    if getattr(e.models, name).enabled:
      check_split(architecture(e, name), name, width)


def listed(e: Experiment) -> list[DeviceProgram]:
  """Every program of the stages, in their order; those that are the same are there once."""
  seen = set()
  return [program for key, program in _everything(e) if not (key in seen or seen.add(key))]


def _everything(e: Experiment) -> list[tuple[tuple, DeviceProgram]]:
  """Every use of a program, with what makes two of them the same."""
  made = _Maker(e)
  return [*made.trainings()]


def most(e: Experiment) -> dict[str, int]:
  """Bytes on one device of each stage's largest program, by the formula."""
  found: dict[str, int] = {}
  for _, program in _everything(e):
    total = program.footprint(program.rows, e.mesh.model).total
    found[program.stage] = max(total, found.get(program.stage, 0))
  return found


def largest(program: DeviceProgram, width: int, limit: int, most: int) -> int:
  """Rows, `most` at most, with which a program fits into `limit` bytes; 0 if none do.

  They are those of whole questions, or, below one, of a smaller N.
  """
  fits = lambda rows: program.footprint(rows, width).total <= limit
  rows = bisect.bisect_left(range(1, most + 1), True, key=lambda rows: not fits(rows))
  return rows - rows % program.each if rows >= program.each else rows


def check_memory(e: Experiment, limit: int, holders: int = 1) -> None:
  """Whether every program fits into `limit` bytes a device.

  So many `holders` have a model's weights together, as a CPU's devices have; training has its own.

  Raises:
    InputError: one does not; the largest N that does, or the field to lower.
  """
  for program in listed(e):
    found = program.footprint(program.rows, e.mesh.model)
    shared = 0 if program.name.startswith('train/') else found.weights
    room = limit + shared - shared // holders
    if found.total > room:
      raise too_large(e, program, found.total, room)


def too_large(e: Experiment, program: DeviceProgram, total: int, limit: int) -> InputError:
  """Says how many rows fit where a program takes `total` bytes of `limit`, or what else helps."""
  more = total - program.footprint(program.rows, e.mesh.model).total  # than the formula says
  rows = largest(program, e.mesh.model, limit - more, program.rows)
  how = 'let more devices share a model: raise --config.mesh.model'
  if program.name.startswith('train/'):
    name = program.models[0]
    how = (f'give --config.models.{name}.checkpoint' if e.mesh.train else
           'it is trained on one device: share it, --config.mesh.train=-1')
  if rows >= program.each and program.field:
    value = rows // program.each if program.field.endswith('block') else rows
    how = f'{rows} fit: set --{program.field}={value}'
  elif rows:
    how = f'the largest N that fits is {rows}, or {how}'
  return InputError(f'{program.name} needs {total / 1e9:.2f} GB on a device that has '
                    f'{limit / 1e9:.2f}, for {program.rows} rows of {program.each} a question: '
                    f'{how}')


class _Maker:
  """Programs with what tells them apart: (key, `DeviceProgram`)."""

  def __init__(self, e: Experiment):
    self._e, given = e, e.models.base.checkpoint
    roles = Prompts(e.prompts, Tokenizer.load(hub.local(given))).roles if given else _ROLES
    limits = e.limits
    self._limits = Limits(limits.max_tokens, limits.max_steps, limits.max_step_tokens, roles)
    self._prompt = limits.max_prompt_tokens
    self._of_run = dict(seed=e.seeds[0], limits=self._limits, sampling=e.sampling)

  def _has(self, name: str) -> bool:
    return getattr(self._e.models, verifiers.model_of(name)).enabled

  def _block_size(self, num: int) -> int:
    return search.block_size(self._e.search, num)

  def trainings(self):
    e = self._e
    names = GENERATORS + VERIFIERS
    if e.revision.enabled:
      names += REVISERS + REVISION_VERIFIERS
    for name in names:
      config = getattr(e.models, name)
      if config.enabled and not config.checkpoint:
        arch, train = architecture(e, name), config.train
        kind = 'lm' if name in GENERATORS + REVISERS else 'value'
        yield ('train', arch, train, kind), DeviceProgram(
            _training_stage(name), f'train/{name}',
            lambda mesh, a=arch, t=train, k=kind: _lower_training(a, t, k, mesh, e.mesh.train),
            lambda rows, width, a=arch, t=train, k=kind: memory.training(
                a, batch=rows, columns=t.row_length, labelled=k == 'value',
                width=width if e.mesh.train else 1, groups=e.mesh.train or 1,
                adapters=_adapters(a, t.lora_rank), remat=t.remat),
            train.batch_size, f'config.models.{name}.train.batch_size', 1, (name,))

  def labels(self):
    e, config = self._e, self._e.labels
    if not any(self._has(v) and not getattr(e.models, v).checkpoint for v in VERIFIERS):
      return
    yield self._sample('labels', 'base', config.block, config.samples, 'labels.block')
    slots = rollouts.num_slots(config)
    yield self._sample(
        'labels', 'base', max(1, config.in_flight // slots),
        e.limits.max_steps * config.rollouts, 'labels.in_flight', what='rollouts', slots=slots,
        columns=self._prompt + e.limits.max_tokens, names=3)

  def searches(self):
    e, config = self._e, self._e.search
    pools = {config.pool} | ({config.deep_pool} if config.deep_questions else set()) - {0}
    for num in sorted(pools):
      yield self._sample('search', 'base', self._block_size(num), num, 'search.max_rows')
    for name in filter(self._has, GENERATORS[1:]):
      num = config.large_samples
      yield self._sample('search', name, self._block_size(num), num, 'search.max_rows')
    main = verifiers.main(e)
    for guide in filter(self._has, (main, *verifiers.beside(e))):
      strategies = search.plain_strategies(config)
      if guide == main:
        strategies = [how.strategy for how in search.searches(e)]
      for strategy in strategies:
        yield self._search('search', 'base', guide, strategy)
    yield self._sample('difficulty', 'base', e.difficulty.block, e.difficulty.samples,
                       'difficulty.block')
    base = architecture(e, 'base')
    yield ('probe', base), DeviceProgram(
        'difficulty', 'difficulty/probe', lambda mesh: _lower(
            programs.prompt_step(base), [base], (_int(_PROBE, self._prompt), _int(_PROBE)), mesh),
        lambda rows, width: memory.prompts(base, width, problems=rows, columns=self._prompt),
        _PROBE, '', 1, ('base',))

  def scores(self):
    for name in (*VERIFIERS, *verifiers.added(self._e)):
      if self._has(name):
        yield self._score('search', name, self._prompt)

  def revisions(self):
    e, config = self._e, self._e.revision
    if not config.enabled:
      return
    yield self._sample('revision', 'base', config.block, config.samples, 'revision.block')
    for stage, chains, length in (('revision_orms', *config.orm_chains),
                                  *(('revise', *pair) for pair in config.chains)):
      arch, size = architecture(e, 'revision'), self._block_size(chains)
      block = self._block(size, chains)
      step = programs.chain_step(arch, stream='test', length=length, **self._of_run)
      yield ('chains', arch, size, chains, length), DeviceProgram(
          stage, f'{stage}/chains-{chains}x{length}',
          lambda mesh, a=arch, s=step, b=block: _lower(s, [a], b, mesh),
          lambda rows, width, a=arch, c=chains, l=length: memory.chains(
              a, width, problems=max(1, rows // c), columns=self._prompt, candidates=min(rows, c),
              length=l, tokens=self._limits.max_tokens),
          size * chains, 'config.search.max_rows', chains, ('revision',))
    if self._has(main := verifiers.main(e)):
      for answers, budget in config.searched:
        yield self._search('revise', 'revision', main, proposal.strategy(answers, budget))
    for name in REVISION_VERIFIERS:
      columns = self._prompt
      if name == 'revision_orm':  # it reads the answers before
        columns += MAX_CONTEXT * (self._prompt + self._limits.max_tokens + 1)
      yield self._score('revise', name, columns)

  def _block(self, size: int, num: int, columns: int | None = None) -> tuple:
    return (_int(size, columns or self._prompt), _int(size), _words(size), _int(size, num),
            jax.ShapeDtypeStruct((size,), jnp.bool_))

  def _sample(self, stage, model, size, num, field, *, what='sample', slots=None, columns=None,
              names=1):
    arch, columns = architecture(self._e, model), columns or self._prompt
    slots = slots or min(num, search.MAX_SLOTS * self._e.search.block // size)
    step = programs.sample_step(arch, stream='test', num_slots=slots, **self._of_run)
    block = (_int(size, columns), _int(size, num), _words(size), _int(size, num, names),
             _int(size))
    name = f'{stage}/{what}-n{num}' if model == 'base' else f'{stage}/{model}-{what}-n{num}'
    return ('sample', arch, size, num, slots, columns, names), DeviceProgram(
        stage, name, lambda mesh: _lower(step, [arch], block, mesh),
        lambda rows, width: memory.sample(
            arch, width, problems=max(1, rows // slots), columns=columns, jobs=num,
            slots=min(rows, slots), tokens=self._limits.max_tokens, names=names),
        size * slots, f'config.{field}', slots, (model,))

  def _search(self, stage: str, model: str, guide: str, how: Strategy):
    arch, judge = (architecture(self._e, name) for name in (model, guide))
    num, limits, columns, question = how.num_candidates, self._limits, self._prompt, 0
    size, block = self._block_size(num), ()
    if how.chain_length:  # the prefix holds earlier answers
      columns, question = columns + MAX_CONTEXT * (limits.max_tokens + 1 + columns), columns
      block = _int(size, question), _int(size)
    block = (*self._block(size, num, columns), *block)
    ahead, make = how.lookahead or 0, verifiers.VERIFIERS[guide].make
    step = programs.search_step(arch, judge, stream='test', make=make,
                                config=BeamConfig(num, how.beam_width, ahead),
                                priority=methods.METHODS[how.method].priority, **self._of_run)
    name = how.name if guide == 'prm' else f'{guide}-{how.name}'
    return ('search', arch, judge, make, size, columns, how), DeviceProgram(
        stage, f'{stage}/{name}', lambda mesh: _lower(step, [arch, judge], block, mesh),
        lambda rows, width: memory.search(
            arch, judge, width, problems=max(1, rows // num), columns=columns,
            candidates=min(rows, num), tokens=limits.max_tokens, steps=limits.max_steps,
            step_tokens=limits.max_step_tokens, lookahead=ahead, question=question),
        size * num, 'config.search.max_rows', num, (model, guide))

  def _score(self, stage: str, name: str, columns: int):
    arch, tokens = architecture(self._e, name), self._limits.max_tokens
    texts = scoring.at_a_time([(columns, tokens)])
    block = _int(texts, columns), _int(texts), _int(texts, 1, tokens), _int(texts, 1)
    make = verifiers.VERIFIERS[name].make
    return ('score', arch, make, texts, columns), DeviceProgram(
        stage, f'{stage}/score-{name}',
        lambda mesh: _lower(programs.score_step(arch, make), [arch], block, mesh),
        lambda rows, width: memory.score(arch, width, texts=rows, columns=columns, tokens=tokens),
        texts, '', 1, (name,))


def _training_stage(name: str) -> str:
  if name in GENERATORS:
    return name
  if name in VERIFIERS:
    return 'verifiers'
  return {'revision_restem': 'restem', 'revision': 'revision', 'revision_control': 'revision'}.get(
      name, 'revision_orms')


def _int(*shape: int) -> jax.ShapeDtypeStruct:
  return jax.ShapeDtypeStruct(shape, jnp.int32)


def _words(size: int) -> jax.ShapeDtypeStruct:
  return jax.ShapeDtypeStruct((size, 2), jnp.uint32)


def _lower(step: Callable, archs: list[Arch], block: tuple, mesh: parallel.Mesh) -> Any:
  """As `blocks.Program` does, of shapes."""
  shared = tuple(parallel.placed(abstract(arch), mesh) for arch in archs)
  return parallel.pmapped(step, mesh).lower(
      shared if len(shared) > 1 else shared[0], *parallel.stacked(block, mesh))


def _lower_training(arch: Arch, config: steps.TrainConfig, kind: str, mesh: parallel.Mesh,
                    groups: int) -> Any:
  """One update, as the stages run it: on the mesh's first device, or shared by so many groups."""
  devices, width = list(mesh.devices.flat), mesh.shape[parallel.MODEL] if groups else 1
  mesh = parallel.make_mesh(groups or 1, width, devices)
  optimizer, boxed = steps.make_optimizer(config), abstract(arch)
  loss = steps.make_loss(Decoder(arch, config.remat), kind, config)
  of = lambda dtype: jax.ShapeDtypeStruct((config.batch_size, config.row_length), dtype)
  batch = {'tokens': of(jnp.int32), 'segments': of(jnp.int32), 'positions': of(jnp.int32),
           'loss_mask': of(jnp.bool_)}
  if kind == 'value':
    batch |= {'label': of(jnp.float32), 'label_mask': of(jnp.bool_), 'own_mask': of(jnp.bool_)}
  params = parallel.placed(boxed, mesh)
  learnt = params if not config.lora_rank else jax.eval_shape(
      lambda params: lora.start(params, params, config.lora_rank, config.seed), params)
  state = steps.TrainState(step=jax.ShapeDtypeStruct((), jnp.int32), params=learnt,
                           opt_state=jax.eval_shape(optimizer.init, learnt))
  shardings = parallel.spread((state, params), boxed, mesh)
  state, base = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
                             (state, params), shardings)
  step = update.make(loss, optimizer, config, boxed, mesh)
  return jax.jit(step, donate_argnums=0, out_shardings=(shardings[0], None)).lower(
      state, base if config.lora_rank else (), parallel.on_all(batch, mesh))


@functools.cache
def _adapters(arch: Arch, rank: int | None) -> int:
  """Bytes of adapters of that rank, 0 for None."""
  params = nn.unbox(abstract(arch))
  return rank and sum(4 * x.size for x in jax.tree.leaves(jax.eval_shape(
      lambda params: lora.start(params, params, rank, 0), params))) or 0
