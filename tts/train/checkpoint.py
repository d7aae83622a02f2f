"""Published models, and the checkpoints that a training goes on from. Orbax; nothing is pickled.

What is in a published model's folder: `tts.train.model_folder`.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import gc
import json
import os
import pathlib
from typing import Any

from absl import logging
import jax
import numpy as np
import orbax.checkpoint as ocp

from tts import hosts, parallel, placement
from tts.data import buckets, files
from tts.data.tokenizer import FILE_NAME, JSON_NAME, Tokenizer
from tts.models import placed_weights
from tts.models.arch import Arch, check_split
from tts.models.transformer import abstract, Decoder
from tts.train import model_folder
from tts.train.model_folder import MODEL_FILE, PARAMS
from tts.train.steps import init_params, TrainState
from tts.types import InputError

_AT_A_TIME = 1 << 22  # numbers that are looked at
_DIGESTS = 'digests.json'  # of a training checkpoint's files, beside them
# What a field of `Arch` is in JSON, by its annotation, and what messages call it.
_NONE = type(None)
_JSON_TYPES = {'int': (int,), 'int | None': (int, _NONE), 'float': (float, int),
               'float | None': (float, int, _NONE), 'bool': (bool,), 'str': (str,),
               'str | None': (str, _NONE), 'tuple[str, ...]': (str, list),
               'tuple[int, ...]': (int, list), 'tuple[float, ...]': (float, list)}
_JSON_NAMES = {int: 'a positive integer', float: 'a number', bool: 'true or false', str: 'a text'}


class TrainingCheckpoints:
  """The newest state of a training; a save is complete or absent.

  Parameters, optimizer state, best parameters so far and `meta` are items of one checkpoint, so
  that they cannot be of different steps.
  """

  def __init__(self, directory: str | os.PathLike[str], together: bool = False):
    """together: all processes make every call, as the first alone writes and all read."""
    self._directory = os.path.abspath(directory)  # Orbax fails late on a relative one
    self._together, self._writes = together, not together or hosts.is_first()
    # Saving blocks: the next update is to reuse the memory that is being written.
    os.makedirs(self._directory, exist_ok=True)
    options = ocp.CheckpointManagerOptions(
        preservation_policy=ocp.checkpoint_managers.LatestN(1), create=False,
        cleanup_tmp_directories=self._writes, enable_async_checkpointing=False,
        multiprocessing_options=model_folder.this_process())
    self._manager = ocp.CheckpointManager(self._directory, options=options)

  def __enter__(self) -> TrainingCheckpoints:
    return self

  def __exit__(self, *_):
    self._manager.close()

  def save(self, state: TrainState, meta: Mapping[str, Any], best: Any = None) -> None:
    """Writes `state` under the step that it is at; `meta` is JSON."""
    # From the host: Orbax refuses arrays that one of several processes has.
    state, best = placement.collected((state, best), self._writes)
    if not self._writes:
      return
    save = lambda tree: ocp.args.StandardSave(jax.tree.map(np.asarray, tree))
    items = {'params': save(state.params), 'opt_state': save(state.opt_state),
             'meta': ocp.args.JsonSave(dict(meta))}
    if best is not None:
      items['best'] = save(best)
    self._manager.save(int(state.step), args=ocp.args.Composite(**items), force=True)
    folder = pathlib.Path(self._directory, str(int(state.step)))
    digests = {path: model_folder.digest(folder / path)
               for path in model_folder.files_of(folder)}
    with files.written_aside(folder / _DIGESTS) as file:
      file.write(json.dumps(digests).encode())
    buckets.push()

  def restore(self, like: TrainState) -> tuple[TrainState, dict[str, Any], Any] | None:
    """The newest (state, meta, best parameters or None), placed as `like` is; None without one.

    Raises:
      InputError: it cannot be read, or is not as it was saved.
    """
    if self._together:
      self._agree()
    step = self._manager.latest_step()
    if step is None:
      return None
    if not self._together:
      self._check(step)
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    items = {'params': ocp.args.StandardRestore(abstract.params),
             'opt_state': ocp.args.StandardRestore(abstract.opt_state),
             'meta': ocp.args.JsonRestore()}
    if os.path.exists(os.path.join(self._directory, str(step), 'best')):
      items['best'] = ocp.args.StandardRestore(abstract.params)
    try:
      found = self._manager.restore(step, args=ocp.args.Composite(**items))
    except (ValueError, OSError, KeyError) as e:
      raise InputError(f'training checkpoint {self._directory}/{step} cannot be read: remove it '
                       'and the training starts over') from e
    state = TrainState(step=placement.put(np.int32(step), like.step.sharding),
                       params=found['params'],
                       opt_state=found['opt_state'])
    return state, found['meta'], found.get('best')

  def discard(self) -> None:
    """Removes the newest state."""
    self._manager.delete(self._manager.latest_step())

  def _agree(self) -> None:
    """The first process looks at the newest state, so that all see a whole one, or none."""
    if self._writes and (step := self._manager.latest_step()) is not None:
      try:
        self._check(step)
      except InputError as error:
        logging.warning('%s', error)
        self.discard()
    hosts.wait()
    self._manager.reload()

  def _check(self, step: int) -> None:
    folder = pathlib.Path(self._directory, str(step))
    if not (folder / _DIGESTS).exists():  # killed between the state and its digests: it is whole
      return
    try:
      model_folder.compare(folder, json.loads((folder / _DIGESTS).read_bytes()))
    except (ValueError, AttributeError) as e:
      raise InputError(f'training checkpoint {folder} is damaged: {e}: remove it and the training '
                       'starts over') from e


def save_model(directory: str | os.PathLike[str], arch: Arch, params: Any,
               meta: Mapping[str, Any], tokenizer: Tokenizer) -> None:
  """Publishes a model: written beside `directory`, then renamed; one that was there is replaced.

  With several processes one of them is to call it.

  Args:
    directory: the folder's name, e.g. `W/models/base`.
    arch: what the parameters are for.
    params: as `init_params` gives them.
    meta: JSON, at least `kind` (`lm`, `prm`, `orm`) and `metrics`.
    tokenizer: the one that it was trained with.
  """
  model_folder.publish(directory, params, {**meta, 'arch': dataclasses.asdict(arch)},
                       tokenizer.save)


def load_model(directory: str | os.PathLike[str], mesh: parallel.Mesh | None = None,
               ) -> tuple[Arch, Any, dict[str, Any], Tokenizer]:
  """Reads a published model onto the default device, or onto those of a mesh.

  Args:
    directory: the model's folder.
    mesh: its `model` axis shares the parameters as `placement.placed` says: none of them is ever
      whole on a device that has room for its share alone. Groups of a CPU's devices have them in
      the same memory; on a TPU, alike layers are stacked (`tts.models.stacks`).

  Returns:
    (its architecture, its parameters, `model.json`, its tokenizer).

  Raises:
    InputError: no such folder, not a model, damaged, or not what `model.json` says; or so many
      devices cannot share it.
  """
  directory = pathlib.Path(os.path.abspath(directory))
  meta = read_meta(directory)
  arch = _read_arch(directory, meta.get('arch'))
  if mesh is not None:
    check_split(arch, str(directory), mesh.shape[parallel.MODEL])
  tokenizer = Tokenizer.load(directory)
  tokenizer.check_fits(arch.vocab_size, f'checkpoint {directory}')
  # Open models pad their tables; one of ours has as many ids as its tokenizer.
  if 'open' not in meta and tokenizer.vocab_size < arch.vocab_size:
    raise InputError(f'checkpoint {directory}: its tokenizer has {tokenizer.vocab_size} ids, '
                     f'the arch in {MODEL_FILE} {arch.vocab_size}: they are of different models')
  check_files(directory)
  path, options = directory / PARAMS, model_folder.this_process()
  with ocp.StandardCheckpointer(multiprocessing_options=options) as reader:
    stored = reader.metadata(path).item_metadata.tree
  _check_shapes(directory, arch, stored)
  where = (jax.tree.map(lambda _: placement.one_device(), stored) if mesh is None else
           jax.tree.map(lambda x: x.sharding,
                        placement.placed(abstract(arch), placement.holders(mesh))))
  like = jax.tree.map(lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
                      stored, where)
  handler = ocp.StandardCheckpointHandler(restore_concurrent_gb=model_folder.in_flight(like),
                                          multiprocessing_options=options)
  with ocp.Checkpointer(handler, multiprocessing_options=options) as reader:
    params = reader.restore(path, args=ocp.args.StandardRestore(like))
  gc.collect()  # what was read is held by what the reader leaves behind
  check_finite(params, f'checkpoint {directory}')
  if mesh is not None:
    params = placed_weights.hold(placement.shared(params, mesh), arch, mesh)
  return arch, params, meta, tokenizer


def read_meta(directory: str | os.PathLike[str]) -> dict[str, Any]:
  """`model.json` of a published model, of which the folder's contents are checked to be there.

  Raises:
    InputError: no such folder, or not a model.
  """
  return model_folder.read_meta(directory, (PARAMS, f'{FILE_NAME} or {JSON_NAME}'),
                                {'kind': str, 'arch': dict, 'files': dict})


def read_arch(directory: str | os.PathLike[str]) -> Arch:
  """The architecture of a published model; its weights are not read. Errors as of `read_meta`."""
  return _read_arch(pathlib.Path(directory), read_meta(directory)['arch'])


def check_files(directory: str | os.PathLike[str]) -> None:
  """Looks at every file of a published model.

  Raises:
    InputError: it names the first that is missing, or not as it was saved.
  """
  model_folder.check_files(directory, read_meta(directory))


def check_finite(params: Any, where: str) -> None:
  """Raises InputError that names the first parameter with NaN or infinity; `where` is its model."""
  for name, x in _named(params).items():
    if not all(_finite(np.asarray(part)) for part in _parts(x)):
      raise InputError(f'{where}: parameter {name} holds NaN or infinity: its training diverged '
                       'or the file is damaged, use another checkpoint')


def _finite(x: np.ndarray) -> bool:
  """Whether all of it is finite, a part at a time: a whole table would be there once more."""
  flat = x.reshape(-1)
  return all(np.isfinite(flat[i:i + _AT_A_TIME]).all() for i in range(0, flat.size, _AT_A_TIME))


def _parts(x: Any) -> list[Any]:
  """What this process has of an array, once each."""
  if not isinstance(x, jax.Array):
    return [x]
  return list({str(shard.index): shard.data for shard in x.addressable_shards}.values())


def _read_arch(directory: pathlib.Path, fields: dict[str, Any]) -> Arch:
  path = directory / MODEL_FILE
  known = {f.name: f for f in dataclasses.fields(Arch)}
  # A model that was saved before Arch had a field is what the field's default says.
  needed = {name for name, f in known.items() if f.default is dataclasses.MISSING}
  wrong = sorted(needed - set(fields) | set(fields) - set(known))
  if wrong:
    raise InputError(f'{path}: "arch" must have the fields {", ".join(sorted(needed))} and no '
                     f'other than Arch has: check {", ".join(wrong)}')
  for name, value in fields.items():
    if not _fits(value, _JSON_TYPES[known[name].type]):
      raise InputError(f'{path}: "arch" has {name} = {json.dumps(value)}: it must be '
                       f'{_in_words(_JSON_TYPES[known[name].type])}')
  return Arch(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})


def _fits(value: Any, types: tuple[type, ...]) -> bool:
  if list in types:  # a window of 0 is none
    return isinstance(value, list) and all(type(v) in types for v in value)
  return type(value) in types and not (types[0] is type(value) is int and value < 1)


def _in_words(types: tuple[type, ...]) -> str:
  if list in types:
    return {str: 'a list of texts', int: 'a list of integers'}.get(types[0], 'a list of numbers')
  return _JSON_NAMES[types[0]] + (' or null' if _NONE in types else '')


def _check_shapes(directory: pathlib.Path, arch: Arch, stored: Any) -> None:
  try:
    expected = _named(jax.eval_shape(lambda: init_params(Decoder(arch), 0)))
  except (ValueError, TypeError, KeyError, ZeroDivisionError) as e:
    reason = str(e).split('\n')[0]
    raise InputError(f'{directory / MODEL_FILE}: no model can be built from "arch" ({reason})'
                     ) from e
  found = _named(stored)
  for name in sorted(set(expected) | set(found)):
    want, have = (tuple(d[name].shape) if name in d else None for d in (expected, found))
    if want != have:
      raise InputError(
          f'checkpoint {directory}: parameter {name} is {_shape(have)} in params and '
          f'{_shape(want)} by the arch in {MODEL_FILE}: they are of different models')


def _shape(shape: tuple[int, ...] | None) -> str:
  return 'absent' if shape is None else str(list(shape))


def _named(tree: Any) -> dict[str, Any]:
  """Leaves by path, e.g. `attn_0/q/kernel`."""
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return {jax.tree_util.keystr(path, simple=True, separator='/').removeprefix('params/'): x
          for path, x in leaves}
