"""The head of a latent verifier as a folder: saved, loaded, held to the generator that it is of.

`model.json` has kind `latent`, the head's layers, and the fingerprint of the generator whose states
it reads: those of another one would say nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import hashlib
import json
import os
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from tts.models import latent, stacks
from tts.models.arch import Arch
from tts.models.latent import Head
from tts.models.layers import names
from tts.protocols import Params
from tts.train import checkpoint, model_folder
from tts.train.model_folder import MODEL_FILE, PARAMS
from tts.types import InputError

KIND = 'latent'
_SEEN = 16  # numbers of each parameter that a fingerprint is of


def fingerprint(arch: Arch, params: Params) -> str:
  """Of a generator: its shape, and some numbers of every parameter, 16 hexadecimal digits.

  They are rounded to bfloat16, so that a model is the same in either dtype, on any devices, and in
  whatever folder or file it lies.
  """
  params, found = params['params'], []
  apart = {name: (first, i) for stack in stacks.of(arch, params) if stack.repeats > 1
           for j in range(stack.period) for i in range(stack.repeats)
           for first, name in zip(names(arch, stack.first + j),
                                  names(arch, stack.first + j + i * stack.period))}
  for name in sorted(set(params) | set(apart)):
    first, place = apart.get(name, (name, None))
    for path, x in jax.tree_util.tree_leaves_with_path(params[first]):
      x = x if place is None else x[place]
      some = np.asarray(jnp.asarray(x[(0,) * (x.ndim - 1)][:_SEEN]).astype(jnp.bfloat16))
      found.append([name, jax.tree_util.keystr(path), list(x.shape), some.tobytes().hex()])
  shape = {k: v for k, v in dataclasses.asdict(arch).items() if k not in ('dtype', 'param_dtype')}
  return hashlib.sha256(json.dumps([shape, found]).encode()).hexdigest()[:16]


def save(directory: str | os.PathLike[str], head: Head, params: Mapping[str, Any], generator: str,
         meta: Mapping[str, Any] | None = None) -> None:
  """Publishes a head; one that was there is replaced.

  Args:
    directory: the folder's name, e.g. `W/models/latent`.
    head: what it reads.
    params: as `latent.zeros` has them.
    generator: its `fingerprint`.
    meta: JSON, further fields of `model.json`, such as `metrics`.
  """
  width = params['states'].shape[1]
  model_folder.publish(directory, dict(params), {
      'metrics': {}, **(meta or {}), 'kind': KIND, 'generator': generator,
      'head': {**dataclasses.asdict(head), 'width': width}})


def is_head(directory: str | os.PathLike[str]) -> bool:
  """Whether a folder is one of these, and no other model."""
  try:
    return json.loads(pathlib.Path(directory, MODEL_FILE).read_bytes())['kind'] == KIND
  except (OSError, ValueError, TypeError, KeyError):
    return False


def load(directory: str | os.PathLike[str], arch: Arch,
         generator: str) -> tuple[Head, dict[str, jax.Array], dict[str, Any]]:
  """Reads a head for a generator.

  Args:
    directory: its folder.
    arch: of the generator.
    generator: its `fingerprint`.

  Returns:
    (what it reads, its parameters on the default device, `model.json`).

  Raises:
    InputError: no such folder, damaged, or of another generator.
  """
  directory = pathlib.Path(os.path.abspath(directory))
  meta = _read_meta(directory)
  head = _head(directory, meta)
  if meta['generator'] != generator:
    raise InputError(f'{directory} reads the states of the generator {meta["generator"]}, and this '
                     f'one is {generator}: give that one, or train a head for this one')
  head.check_fits(arch.num_layers)
  model_folder.check_files(directory, meta)
  like = latent.zeros(head, arch.width)
  options = model_folder.this_process()
  with ocp.StandardCheckpointer(multiprocessing_options=options) as reader:
    stored = reader.metadata(directory / PARAMS).item_metadata.tree
    sizes = lambda tree: {name: tuple(x.shape) for name, x in tree.items()}
    if sizes(stored) != sizes(like):
      raise InputError(f'{directory}: its parameters are {sizes(stored)} and {sizes(like)} by '
                       f'{MODEL_FILE}: copy it again')
    params = reader.restore(directory / PARAMS, jax.tree.map(ocp.utils.to_shape_dtype_struct, like))
  checkpoint.check_finite(params, str(directory))
  return head, params, meta


def check_files(directory: str | os.PathLike[str]) -> None:
  """Looks at every file of a head's folder; InputError names the first that is not as it was."""
  model_folder.check_files(directory, _read_meta(directory))


def _read_meta(directory: str | os.PathLike[str]) -> dict[str, Any]:
  """`model.json`; InputError where this is no such folder."""
  return model_folder.read_meta(directory, (PARAMS,), {
      'kind': str, 'head': dict, 'generator': str, 'files': dict})


def _head(directory: pathlib.Path, meta: Mapping[str, Any]) -> Head:
  """What `model.json` says that the head reads."""
  path, of = directory / MODEL_FILE, meta['head']
  layers, beside = of.get('layers'), of.get('beside')
  whole = lambda x, kind: isinstance(x, list) and all(type(each) is kind for each in x)
  if meta['kind'] != KIND or not whole(layers, int) or not whole(beside, str):
    raise InputError(f'{path}: it is no latent verifier\'s, whose "head" has "layers" and "beside"')
  try:
    return Head(tuple(layers), tuple(beside))
  except InputError as error:
    raise InputError(f'{path}: {error}') from error
