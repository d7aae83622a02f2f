"""Trains a model on packed rows; killed at any moment, it goes on from its latest checkpoint.

What an update does depends on the state and the number of the update alone: which rows it reads
comes from (seed, epoch), its dropout from (seed, update). So a resumed training equals an
unbroken one bit for bit on the same mesh, wherever it was cut. On another mesh it goes on too, and
rounds otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import dataclasses
import functools
import hashlib
import json
import math
import os
import pathlib
import shutil
import time
from typing import Any

from absl import logging
import jax
import jax.numpy as jnp
import numpy as np

from tts import parallel, placement
from tts.models.arch import Arch, below_surprise
from tts.models.transformer import abstract, Decoder
from tts.train import lora, steps as steps_lib, update as update_lib
from tts.train.checkpoint import TrainingCheckpoints
from tts.train.packed import Packed
from tts.train.progress import Progress
from tts.train.steps import TrainConfig, TrainState
from tts.types import InputError

# Updates in one call of the compiled loop: the host looks at losses only between calls.
_BLOCK = 32
_RECENT = 100  # updates that the reported training loss is the mean of


class DivergedError(InputError, FloatingPointError):
  """The loss or its gradient is NaN or infinite."""


@dataclasses.dataclass
class _Meta:
  """What goes on from a checkpoint beside arrays. JSON keeps its floats exactly."""

  step: int = 0
  tokens: int = 0
  seconds: float = 0.0
  compile_seconds: float = 0.0
  recent: list[float] = dataclasses.field(default_factory=list)
  validation: dict[str, float] = dataclasses.field(default_factory=dict)
  best: float | None = None
  best_step: int | None = None
  looks_since_best: int = 0
  done: bool = False


def fit(arch: Arch, config: TrainConfig, data: Packed, *, kind: str = 'lm',
        workdir: str | os.PathLike[str] | None = None, name: str = 'model',
        init: Any = None, validation: Packed | None = None,
        progress: Callable[[Progress], None] | None = None,
        mesh: parallel.Mesh | None = None,
        trace: Callable[[], Any] = contextlib.nullcontext) -> tuple[Any, dict[str, Any]]:
  """Trains from `init`, or from nothing, to `config.num_steps` updates.

  A language model keeps its last parameters. A verifier with validation data keeps its best, and
  stops early where `config.patience` says so.

  Args:
    arch: with an `lm` head, a `value` head, or both, as `kind` and `config` need.
    config: see `TrainConfig`.
    data: rows of `config.row_length`.
    kind: `lm` or `value`.
    workdir: checkpoints go to its folder `train`; None keeps none.
    name: of the model, in messages and folders.
    init: parameters to start from; those that it lacks are fresh, those without use are left out.
    validation: held-out rows; apart from `data` by question, which is the caller's to see to.
    progress: called every few updates; `tts.train.progress.bar` makes one.
    mesh: shares each batch over its `data` axis, parameters and moments over all of it. Where its
      devices are of several processes each of them has to make this call, with the same values; the
      first alone writes checkpoints, for all to read.
    trace: makes a context for the first updates of this call.

  Returns:
    (parameters, metrics): `loss` (mean over the last updates), `steps`, `tokens` (without
    padding), `examples` (texts in `data`), `train_seconds` (compiling included),
    `compile_seconds`, and of the validation data `val_loss` or, for a verifier, `val_bce`,
    with `best_step`.

  Raises:
    InputError: the batch does not divide over the mesh, or `init` does not fit `arch`.
    DivergedError: NaN or infinity, in one line with the update and the last good loss.
  """
  if data.tokens.shape[1] != config.row_length:
    raise ValueError(f'{name}: rows have {data.tokens.shape[1]} tokens, row_length is '
                     f'{config.row_length}')
  if mesh is not None and config.batch_size % parallel.num_groups(mesh):
    raise InputError(f'{name}: batch_size={config.batch_size} does not divide over '
                     f'{parallel.num_groups(mesh)} groups of devices: make it a multiple')
  run = _Run(arch, config, data, kind, name, init, validation, progress, mesh, trace)
  if workdir is None:
    return run.train(None)
  folder = pathlib.Path(workdir) / 'train' / f'{name}-{run.fingerprint()}'
  with TrainingCheckpoints(folder, run.together) as checkpoints:
    return run.train(checkpoints)


def forget(workdir: str | os.PathLike[str], name: str) -> None:
  """Removes the checkpoints of trainings called `name`, whatever their settings."""
  for folder in (pathlib.Path(workdir) / 'train').glob(f'{name}-*'):
    shutil.rmtree(folder, ignore_errors=True)


def batch_rows(step: int, num_rows: int, config: TrainConfig) -> np.ndarray:
  """Rows that update `step` reads, int64 [B]: permutation after permutation, none left out."""
  place = np.arange(step * config.batch_size, (step + 1) * config.batch_size)
  epoch, offset = np.divmod(place, num_rows)
  order = np.stack([_permutation(config.seed, e, num_rows)
                    for e in range(epoch[0], epoch[-1] + 1)])
  return order[epoch - epoch[0], offset]


@functools.lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, num_rows: int) -> np.ndarray:
  return np.random.default_rng((seed, epoch)).permutation(num_rows)


class _Run:
  """One call of `fit`."""

  def __init__(self, arch, config, data, kind, name, init, validation, progress, mesh,
               trace):
    self._arch, self._config, self._data, self._kind = arch, config, data, kind
    self._name, self._init, self._validation = name, init, validation
    self._progress, self._mesh, self._trace = progress, mesh, trace
    self._decoder = Decoder(arch, config.remat)
    self._loss = steps_lib.make_loss(self._decoder, kind, config, parallel.on_tpu(mesh))
    judged = kind == 'value' and not config.lm_loss_weight
    self._optimizer = steps_lib.make_optimizer(
        config, below_surprise(arch) if judged else frozenset())
    self._keeps_best = kind == 'value' and validation is not None
    self._evaluate = None
    self._base = ()  # what adapters are added to
    self._boxed = None if mesh is None else abstract(arch)
    self.together = len(parallel.members(mesh)) > 1  # several processes share it
    if config.lora_rank and init is None:
      raise InputError(f'{name}: lora_rank={config.lora_rank} needs a model to start from: set '
                       'init to its name')

  def _merged(self, learnt: Any) -> Any:
    return jax.jit(lora.merge)(self._base, learnt) if self._config.lora_rank else learnt

  def fingerprint(self) -> str:
    """Of all that the result depends on but for rounding: another setting is another training."""
    digest = hashlib.sha256(json.dumps(
        [dataclasses.asdict(self._arch), dataclasses.asdict(self._config), self._kind]).encode())
    for tree in (self._init, self._data.arrays(),
                 None if self._validation is None else self._validation.arrays()):
      for path, x in jax.tree_util.tree_leaves_with_path(tree):
        digest.update(f'{jax.tree_util.keystr(path)} {x.dtype} {x.shape}'.encode())
        digest.update(np.ascontiguousarray(x))
    return digest.hexdigest()[:12]

  def train(self, checkpoints: TrainingCheckpoints | None) -> tuple[Any, dict[str, Any]]:
    state, meta, best = self._initial_state(), _Meta(), None
    try:
      found = checkpoints and checkpoints.restore(state)
    except InputError as error:
      if self.together:  # the others may have read it
        raise
      logging.warning('%s starts over: %s', self._name, error)
      checkpoints.discard()
      found = None
    if found:
      state, fields, best = found
      meta = _Meta(**fields)
    if not meta.done:
      state, best = self._updates(state, meta, best, checkpoints)
    metrics = {'loss': float(np.mean(meta.recent)), **meta.validation, 'steps': meta.step,
               'tokens': meta.tokens, 'examples': self._data.num_examples,
               'train_seconds': meta.seconds, 'compile_seconds': meta.compile_seconds}
    if self._keeps_best:
      metrics['best_step'] = meta.best_step
    learnt = best if self._keeps_best else state.params
    return self._merged(learnt), metrics

  def _updates(self, state, meta, best, checkpoints):
    """All updates that are left, with the looks and checkpoints between them."""
    config, total = self._config, self._config.num_steps
    seconds_before, start = meta.seconds, time.perf_counter()
    data = self._place(self._data.arrays())
    block = self._compile(state, data)
    meta.compile_seconds += time.perf_counter() - start
    clock, first = (time.perf_counter(), meta.tokens), meta.step
    while not meta.done:
      stop = min([total] + [(meta.step // n + 1) * n
                            for n in (config.eval_every, config.checkpoint_every) if n])
      if meta.step == first:
        with self._trace():
          state = self._until(min(stop, first + _BLOCK), state, meta, block, data, clock)
      state = self._until(stop, state, meta, block, data, clock)
      meta.done = meta.step == total
      if self._validation is not None and (meta.done or _due(meta.step, config.eval_every)):
        best = self._look(state.params, meta, best)
      meta.seconds = seconds_before + time.perf_counter() - start
      if checkpoints and (meta.done or _due(meta.step, config.checkpoint_every)):
        checkpoints.save(state, dataclasses.asdict(meta), best)
    return state, best

  def _until(self, stop, state, meta, block, data, clock):
    """Updates up to number `stop`; the device works on a block while the host reads the last."""
    running = None
    while meta.step < stop or running is not None:
      launched = None
      if meta.step < stop:
        count = min(_BLOCK, stop - meta.step)
        rows = np.zeros((_BLOCK, self._config.batch_size), np.int32)
        for i in range(count):
          rows[i] = batch_rows(meta.step + i, self._data.num_rows, self._config)
        state, *curves = block(state, self._base, data, self._place(rows),
                               self._place(np.int32(count)))
        launched = meta.step, count, curves
        meta.step += count
        meta.tokens += int(self._data.row_tokens[rows[:count]].sum())
      if running is not None:
        self._read(meta, *running)
        self._report(meta, clock)
      running = launched
    return state

  def _read(self, meta, first, count, curves):
    """Fetches the losses of a block and stops at the first that is not finite."""
    losses, norms = (np.asarray(x)[:count].tolist() for x in curves)
    for i, (loss, norm) in enumerate(zip(losses, norms)):
      if not (math.isfinite(loss) and math.isfinite(norm)):
        what = f'loss is {loss}' if not math.isfinite(loss) else f'gradient norm is {norm}'
        good = (f'last good loss {meta.recent[-1]:.4g}' if meta.recent else 'no good loss before')
        raise DivergedError(
            f'training of {self._name} diverged: {what} at step {first + i + 1} of '
            f'{self._config.num_steps} ({good}): lower learning_rate='
            f'{self._config.learning_rate:g}')
      meta.recent = [*meta.recent[1 - _RECENT:], loss]

  def _report(self, meta, clock):
    if self._progress is not None:
      start, tokens = clock
      rate = (meta.tokens - tokens) / (time.perf_counter() - start)
      left = meta.tokens / meta.step * (self._config.num_steps - meta.step) / rate
      self._progress(Progress(self._name, meta.step, self._config.num_steps, meta.recent[-1],
                              rate, left))

  def _look(self, params, meta, best):
    """Reads the validation data; returns the best parameters, for a verifier."""
    if self._evaluate is None:
      self._evaluate = make_evaluate(self._loss, self._validation, self._config.batch_size,
                                     self._mesh)
    sums = self._evaluate(self._merged(params))
    if self._kind == 'lm':
      meta.validation = {'val_loss': sums['nll'] / max(sums['tokens'], 1)}
      return None
    bce = sums['bce'] / max(sums['labels'], 1)
    if meta.best is not None and bce >= meta.best:
      meta.looks_since_best += 1
      meta.done |= meta.looks_since_best == self._config.patience
      return best
    meta.best, meta.best_step, meta.looks_since_best = bce, meta.step, 0
    meta.validation = {'val_bce': bce}
    if 'nll' in sums:
      meta.validation['val_loss'] = sums['nll'] / max(sums['tokens'], 1)
    return _copy(params)  # the next update reuses the memory of `params`

  def _initial_state(self) -> TrainState:
    params = steps_lib.init_params(self._decoder, self._config.seed, self._places)
    if self._init is not None:
      params = steps_lib.graft(params, self._init, self._name)
    if self._config.lora_rank:
      self._base = self._spread(params)
      params = lora.start(params, self._init, self._config.lora_rank, self._config.seed)
    init = self._optimizer.init
    moments = jax.jit(init, out_shardings=self._places(jax.eval_shape(init, params)))
    return self._spread(TrainState(step=jnp.zeros((), jnp.int32), params=params,
                                   opt_state=moments(params)))

  def _places(self, tree):
    """Shardings in pieces over the mesh; None is the first device."""
    return None if self._mesh is None else placement.spread(tree, self._boxed, self._mesh)

  def _spread(self, tree):
    return self._place(tree) if self._mesh is None else placement.put(tree, self._places(tree))

  def _place(self, tree):
    """On every device of the mesh; named even if it is one, as a restored state's devices are."""
    if self._mesh is None:
      return jax.device_put(tree, placement.one_device())
    return placement.replicate(tree, self._mesh)

  def _compile(self, state, data):
    """The compiled loop: (state, base, data, rows [BLOCK, B], count) -> (state, losses, norms).

    The count is not static, so one program serves every cut, and what an update computes does
    not depend on where a block ends.
    """
    update = update_lib.make(self._loss, self._optimizer, self._config, self._boxed, self._mesh)

    def block(state, base, data, rows, count):
      def body(i, carry):
        state, losses, norms = carry
        batch = {k: jnp.take(x, rows[i], axis=0) for k, x in data.items()}
        state, (loss, norm) = update(state, base, batch)
        return state, losses.at[i].set(loss), norms.at[i].set(norm)

      blank = jnp.zeros((_BLOCK,), jnp.float32)
      return jax.lax.fori_loop(0, count, body, (state, blank, blank))

    rows = self._place(np.zeros((_BLOCK, self._config.batch_size), np.int32))
    whole = self._mesh and placement.replicated(self._mesh)
    after = self._mesh and (jax.tree.map(lambda x: x.sharding, state), whole, whole)
    jitted = jax.jit(block, donate_argnums=0, out_shardings=after)
    return jitted.lower(state, self._base, data, rows, self._place(np.int32(0))).compile()


def make_evaluate(loss: steps_lib.Loss, data: Packed, batch_size: int,
                  mesh: parallel.Mesh | None = None) -> Callable[[Any], dict[str, float]]:
  """A function from parameters to the loss's sums over all of `data`, without dropout."""
  num_batches = -(-data.num_rows // batch_size)
  missing = num_batches * batch_size - data.num_rows
  # Rows of padding are masked out of every sum.
  batches = {k: np.pad(x, ((0, missing), (0, 0))).reshape(num_batches, batch_size, -1)
             for k, x in data.arrays().items()}
  batches = jax.device_put(batches) if mesh is None else placement.replicate(batches, mesh)
  shard = placement.sharder(mesh)
  sums = jax.jit(lambda params, batches: jax.lax.map(
      lambda batch: loss(params, shard(batch), None)[1], batches),
                 out_shardings=mesh and placement.replicated(mesh))
  # Added up on the host, where float64 keeps the total exact enough for any number of rows.
  return lambda params: {k: float(np.asarray(x, np.float64).sum())
                         for k, x in sums(params, batches).items()}


_copy = jax.jit(functools.partial(jax.tree.map, jnp.copy))


def _due(step: int, every: int) -> bool:
  return bool(every) and step % every == 0
