"""Where arrays lie on a mesh: parameters by the names of their axes, blocks by their groups."""

from __future__ import annotations

import functools
from typing import Any
from collections.abc import Callable

import flax.linen as nn
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

from tts.parallel import DATA, members, MODEL, num_groups, TRACED

# Logical axis of a parameter --> mesh axis. One table for every family.
RULES = (('vocab', MODEL), ('heads', MODEL), ('kv_heads', MODEL), ('mlp', MODEL),
         ('embed', None), ('head', None))


def constrain(x: jax.Array, *names: str | None) -> jax.Array:
  """Inside a `pmapped` program, spreads the named axes of x over `model`; else x itself.

  Without it the compiler may keep a cache whole on every device: zeros come from nowhere.
  """
  mesh = TRACED.get()
  if mesh is None or mesh.shape[MODEL] == 1:
    return x
  return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, _spec(names, x.shape, mesh)))


def split_axis(names: tuple[str | None, ...], shape: tuple[int, ...], width: int) -> int | None:
  """The axis of an array that `width` devices share by `RULES`, None if each has all of it.

  A named axis that does not divide is left whole, and `embed` is shared instead: so is a table
  whose vocabulary does not divide.
  """
  rules = dict(RULES)
  shared = [i for i, name in enumerate(names) if rules.get(name) == MODEL]
  spare = [i for i, name in enumerate(names) if name == 'embed'] if shared else []
  fits = [i for i in shared + spare if shape[i] % width == 0]
  return fits[0] if fits and width > 1 else None


def _spec(names: tuple[str | None, ...], shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
  axis = split_axis(names, shape, mesh.shape[MODEL])
  return PartitionSpec() if axis is None else PartitionSpec(*[None] * axis, MODEL)


def placed(boxed: Any, mesh: Mesh) -> Any:
  """Shapes of parameters in flax's boxes of logical axes --> the same, unboxed, with shardings.

  What has no axis that `RULES` share is whole on every device: norms' scales, a value head.
  """
  def one(x):
    names, x = _unboxed(x)
    return jax.ShapeDtypeStruct(
        x.shape, x.dtype, sharding=NamedSharding(mesh, _spec(names, x.shape, mesh)))

  return jax.tree.map(one, boxed, is_leaf=_is_box)


def spread(tree: Any, boxed: Any, mesh: Mesh) -> Any:
  """Shardings of a training's state: parameters, and moments under their names, in equal pieces.

  A parameter is shared over `model` by `RULES`, and over `data` along its longest other axis that
  divides; one without such an axis, and what is no parameter's, is whole on every device.

  Args:
    tree: of arrays or their shapes.
    boxed: of the parameters, as for `placed`.
    mesh: from `make_mesh`.
  """
  known = {}
  for path, x in jax.tree_util.tree_leaves_with_path(boxed, is_leaf=_is_box):
    names, x = _unboxed(x)
    known[_path(path)] = x.shape, _both(names, x.shape, mesh)

  def one(path, x):
    name = _path(path)
    spec = next((spec for of, (shape, spec) in known.items()
                 if shape == x.shape and f'/{name}'.endswith(f'/{of}')), PartitionSpec())
    return NamedSharding(mesh, spec)

  return jax.tree_util.tree_map_with_path(one, tree)


def gathered(params: Any, boxed: Any, mesh: Mesh) -> Any:
  """Inside a program, parameters that are `spread` as a forward pass wants them: as `placed`.

  Their gradient goes the opposite way, so that each device adds up its own piece alone.
  """
  return jax.lax.with_sharding_constraint(
      params, jax.tree.map(lambda x: x.sharding, placed(boxed, mesh)))


def _both(names: tuple[str | None, ...], shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
  """A parameter's axes over `model` and `data`."""
  groups, axis = num_groups(mesh), split_axis(names, shape, mesh.shape[MODEL])
  free = [i for i, size in enumerate(shape) if i != axis and size % groups == 0]
  longest = max(free, key=shape.__getitem__, default=None)
  return PartitionSpec(*(MODEL if i == axis else DATA if i == longest else None
                         for i in range(len(shape))))


def pieces(boxed: Any, width: int) -> list[tuple[str, int, bool]]:
  """Of each parameter, boxed as for `placed`: its path, its bytes on a device, if it is shared."""
  found = []
  for path, x in jax.tree_util.tree_leaves_with_path(boxed, is_leaf=_is_box):
    names, x = _unboxed(x)
    shared = split_axis(names, x.shape, width) is not None
    found.append((_path(path), x.size * x.dtype.itemsize // (width if shared else 1), shared))
  return found


def _path(path: Any) -> str:
  return jax.tree_util.keystr(path, simple=True, separator='/')


def _is_box(x: Any) -> bool:
  return isinstance(x, nn.meta.AxisMetadata)


def _unboxed(x: Any) -> tuple[tuple[str | None, ...], Any]:
  """Names of the axes, () where it has no box, and what is in it."""
  return (x.names, x.unbox()) if _is_box(x) else ((), x)


def place(params: Any, boxed: Any, mesh: Mesh) -> Any:
  """Puts parameters on the devices of a mesh as `placed` says."""
  return put(params, jax.tree.map(lambda x: x.sharding, placed(boxed, mesh)))


def holders(mesh: Mesh) -> Mesh:
  """The devices that parameters are read onto before `shared`: one group of a CPU's, or all."""
  if mesh.devices.flat[0].platform != 'cpu' or len(members(mesh)) > 1:
    return mesh
  return Mesh(mesh.devices[:1], mesh.axis_names)


def shared(params: Any, mesh: Mesh) -> Any:
  """Parameters on `holders(mesh)` --> on all of the mesh, in the same memory.

  A program that is given them as donated leaves them alone: what others hold is not written into.
  """
  def one(x):
    sharding = NamedSharding(mesh, x.sharding.spec)
    held = {str(shard.index): shard.data for shard in x.addressable_shards}
    held |= {shard.device: shard.data for shard in x.addressable_shards}
    # What numpy sees of aligned memory is not copied onto a CPU device.
    parts = [held[device] if device in held else
             jax.device_put(np.asarray(held[str(index)]), device, may_alias=True)
             for device, index in sharding.addressable_devices_indices_map(x.shape).items()]
    return jax.make_array_from_single_device_arrays(x.shape, sharding, parts)

  return jax.tree.map(one, params)


def put(tree: Any, shardings: Any) -> Any:
  """`jax.device_put`, of values that every process has whole where devices are of several."""
  def one(x, sharding):
    if sharding.is_fully_addressable or not getattr(x, 'is_fully_addressable', True):
      return jax.device_put(x, sharding)
    x = np.asarray(x)  # JAX's own would have the processes compare all of it
    return jax.make_array_from_callback(x.shape, sharding, x.__getitem__)

  return jax.tree.map(one, tree, shardings)


def collected(tree: Any, keep: bool = True) -> Any:
  """Arrays of which several processes have pieces as numpy, whole; others as they are.

  All those processes have to call it, and get the same; one that does not `keep` it gets None. Of
  one array at a time a device has all.
  """
  def one(x):
    if isinstance(x, jax.Array) and not (x.is_fully_addressable or x.is_fully_replicated):
      x = _collect(x.sharding.mesh)(x)
      return np.asarray(x) if keep else None
    return x if keep else None

  return jax.tree.map(one, tree)


@functools.cache
def _collect(mesh: Mesh) -> Callable[[jax.Array], jax.Array]:
  return jax.jit(lambda x: x, out_shardings=replicated(mesh))


def stacked(block: Any, mesh: Mesh, names: tuple[str | None, ...] = ()) -> Any:
  """Shapes of a block --> one for each group, placed for `pmapped`. names: as for `constrain`."""
  return jax.tree.map(lambda x: jax.ShapeDtypeStruct(
      (num_groups(mesh), *x.shape), x.dtype,
      sharding=NamedSharding(mesh, PartitionSpec(DATA, *_spec(names, x.shape, mesh)))), block)


def replicate(tree: Any, mesh: Mesh) -> Any:
  """Places a tree whole on every device of the mesh."""
  return put(tree, jax.tree.map(lambda _: replicated(mesh), tree))


def replicated(mesh: Mesh) -> NamedSharding:
  """The sharding of what is whole on every device."""
  return NamedSharding(mesh, PartitionSpec())


def on_groups(block: Any, mesh: Mesh) -> Any:
  """Arrays [G, ...] as `pmapped` takes them where devices are of several processes.

  Numpy's go onto the mesh; what a program has left there stays as it is.
  """
  if len(members(mesh)) == 1:
    return block
  sharding = NamedSharding(mesh, PartitionSpec(DATA))
  return jax.tree.map(lambda x: x if isinstance(x, jax.Array) else put(x, sharding), block)


def sharder(mesh: Mesh | None) -> Callable[[Any], Any]:
  """A function that, inside a program, spreads the rows of a batch over the groups."""
  if mesh is None:
    return lambda batch: batch
  sharding = NamedSharding(mesh, PartitionSpec(DATA))
  return lambda batch: jax.lax.with_sharding_constraint(batch, sharding)


def one_device() -> SingleDeviceSharding:
  """This process's first device, for what is not mapped."""
  return SingleDeviceSharding(jax.local_devices()[0])


def on_cpu(x: Any) -> jax.Array:
  """An array that lies in this machine's own memory, whatever devices it has."""
  return jax.device_put(x, jax.local_devices(backend='cpu')[0])
