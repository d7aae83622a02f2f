"""Parameters as the programs of a mesh have them: a TPU's have alike layers stacked."""

from __future__ import annotations

from collections.abc import Sequence
import functools
from typing import Any

import flax.linen as nn
import jax

from tts import parallel, placement
from tts.models import stacks
from tts.models.arch import Arch
from tts.models.transformer import abstract


@functools.cache
def shapes(arch: Arch, mesh: parallel.Mesh) -> Any:
  """Shapes of a model's parameters, with their shardings."""
  boxed = abstract(arch)
  return placement.placed(stacks.stacked(boxed, arch, _longer) if parallel.on_tpu(mesh) else boxed,
                         mesh)


def hold(params: Any, arch: Arch, mesh: parallel.Mesh) -> Any:
  """Parameters that lie on a mesh with each layer under its number --> as programs have them.

  Those that are stacked are gone afterwards; while it is done, one of a layer's is there twice.
  """
  if not parallel.on_tpu(mesh):
    return params
  like = shapes(arch, mesh)['params']

  def join(name: str, layers: Sequence[Any]) -> Any:
    where = jax.tree.map(lambda x: x.sharding, like[name])
    found = jax.jit(stacks.joined, out_shardings=where)(*layers)
    jax.block_until_ready(found)
    jax.tree.map(lambda x: x.delete(), list(layers))
    return found

  return stacks.stacked(params, arch, join)


def _longer(name: str, layers: Sequence[Any]) -> Any:
  """Shapes of one layer's parameters, in boxes of logical axes or not, of so many layers."""
  del name
  is_box = lambda x: isinstance(x, nn.meta.AxisMetadata)
  of = lambda x: jax.ShapeDtypeStruct((len(layers), *x.shape), x.dtype)
  return jax.tree.map(
      lambda x: (x.replace_boxed(of(x.unbox())).add_axis(0, {nn.PARTITION_NAME: None})
                 if is_box(x) else of(x)), layers[0], is_leaf=is_box)
