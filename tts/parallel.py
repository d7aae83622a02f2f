"""The only file that knows devices: the mesh, its axes, and the map over `data`.

A device step is a pure function of one block. `pmapped` maps it over the mesh's `data` axis, each
group with its own loops and no collective over `data`; a `model` axis is left to the compiler.
`jax.pmap` is `jit` of `shard_map` today; this is the same map with room for tensor parallelism.

Of several processes each searches on a mesh of its own devices, for groups exchange nothing. Where
a model needs more devices than a process has, processes next to each other share a mesh and do
everything alike; so do all of them in a training that is shared.
"""

from __future__ import annotations

import contextvars
import dataclasses
import functools
import os
from collections.abc import Sequence
from typing import Any, Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

DATA, MODEL = 'data', 'model'

# Logical axis of a parameter --> mesh axis. One table for every family.
RULES = (('vocab', MODEL), ('heads', MODEL), ('kv_heads', MODEL), ('mlp', MODEL),
         ('embed', None), ('head', None))

# The mesh that the program that is being traced is for.
_TRACED: contextvars.ContextVar[Mesh | None] = contextvars.ContextVar('mesh', default=None)


@dataclasses.dataclass(frozen=True)
class MeshConfig:
  """Devices.

  Attributes:
    data: groups of a process that each run blocks of their own; -1 takes all there are.
    model: devices that share one model's weights and caches, of several processes if need be.
    train: groups that share a training, its rows, parameters and moments; -1 takes all there are,
      of all processes, 0 trains on one device.
    cpu_devices: on a CPU, how many devices to make of it; 0 makes one per core.
  """

  data: int = -1
  model: int = 1
  train: int = 0
  cpu_devices: int = 0


def counted(mesh: MeshConfig, devices: int) -> MeshConfig:
  """With the number of groups that share a training, where that is as many as there are devices."""
  groups = max(1, devices // mesh.model) if mesh.train == -1 else mesh.train
  return dataclasses.replace(mesh, train=groups)


def make_mesh(data: int = -1, model: int = 1, devices: Sequence[Any] | None = None) -> Mesh:
  """A mesh of `data` x `model` devices; data = -1 takes as many groups as there are devices for.

  Raises:
    ValueError: `devices`, this process's own if not given, do not suffice.
  """
  devices = jax.local_devices() if devices is None else devices
  if model < 1:
    raise ValueError(f'model={model}: give the number of devices that share a model, 1 or more')
  if data == -1:
    data = len(devices) // model
  if data < 1 or data * model > len(devices):
    raise ValueError(f'a mesh of {data} x {model} needs {max(data, 1) * model} devices; '
                     f'there are {len(devices)}')
  grid = np.array(devices[:data * model]).reshape(data, model)
  return Mesh(grid, (DATA, MODEL))


def search_mesh(data: int, model: int) -> Mesh:
  """The mesh that this process's blocks run on: its own devices, with its neighbours' if need be.

  Raises:
    ValueError: there are too few, or processes cannot be put together so that they have `model`.
  """
  own, count = jax.local_device_count(), jax.process_count()
  if model <= own or count == 1:
    return make_mesh(data, model)
  team = model // own
  if model % own or count % team or data not in (-1, 1) or len(jax.devices()) != own * count:
    raise ValueError(f'model={model}, data={data} on {count} processes of {own} devices: a model on '
                     'more than one has takes all devices of so many that divide them, and data=-1')
  first = jax.process_index() // team * team
  return make_mesh(1, model, [d for d in every_device() if first <= d.process_index < first + team])


def every_device() -> list[Any]:
  """Those of all processes, a process's own next to each other."""
  return sorted(jax.devices(), key=lambda d: (d.process_index, d.id))


def members(mesh: Mesh | None) -> list[int]:
  """The processes whose devices a mesh has; None is the first device alone."""
  return [0] if mesh is None else sorted({d.process_index for d in mesh.devices.flat})


def is_first_of(mesh: Mesh) -> bool:
  """Whether this process speaks for those that share a mesh."""
  return jax.process_index() == members(mesh)[0]


def num_groups(mesh: Mesh) -> int:
  return mesh.shape[DATA]


def pmapped(step: Callable, mesh: Mesh, donate: tuple[int, ...] = ()) -> Callable:
  """`step(shared, *block) -> tree` as `f(shared, *blocks) -> trees`, blocks stacked on axis 0.

  Args:
    step: per-device pure function; `shared` (parameters) is the same for every group.
    mesh: from `make_mesh`.
    donate: positions of arguments whose buffers the program may reuse.

  Returns:
    A compiled function whose block arguments and results have a leading axis G, a group each.
  """

  def one_group(shared, *block):
    traced = _TRACED.set(mesh)
    try:
      # Squeezed, not indexed: with more than one block a group, blocks would be lost in silence.
      result = step(shared, *jax.tree.map(lambda x: jnp.squeeze(x, 0), block))
    finally:
      _TRACED.reset(traced)
    return jax.tree.map(lambda x: x[None], result)

  # A `model` axis of one device has nothing to partition.
  manual = {DATA} if mesh.shape[MODEL] > 1 else {DATA, MODEL}

  # One device is mapped like many: a program of its own would round otherwise.
  def mapped(shared, *blocks):
    in_specs = (PartitionSpec(),) + (PartitionSpec(DATA),) * len(blocks)
    return jax.shard_map(one_group, mesh=mesh, in_specs=in_specs, out_specs=PartitionSpec(DATA),
                         axis_names=manual, check_vma=False)(shared, *blocks)

  return jax.jit(mapped, donate_argnums=donate)


def constrain(x: jax.Array, *names: str | None) -> jax.Array:
  """Inside a `pmapped` program, spreads the named axes of x over `model`; else x itself.

  Without it the compiler may keep a cache whole on every device: zeros come from nowhere.
  """
  mesh = _TRACED.get()
  if mesh is None or mesh.shape[MODEL] == 1:
    return x
  return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, _spec(names, x.shape, mesh)))


def on_tpu(mesh: Mesh | None) -> bool:
  """Whether a mesh is of TPUs; None is this process's first device."""
  return (jax.local_devices() if mesh is None else mesh.devices.flat)[0].platform == 'tpu'


def for_cpu() -> bool:
  """Whether the `pmapped` program that is being traced is for a CPU."""
  mesh = _TRACED.get()
  return mesh is not None and mesh.devices.flat[0].platform == 'cpu'


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


def coordinates(mesh: Mesh, partition: int) -> dict[str, int]:
  """Where a partition of a compiled program stands on the mesh's axes."""
  place_ = np.unravel_index(partition, mesh.devices.shape)
  return dict(zip(mesh.axis_names, map(int, place_)))


def topology(name: str) -> list:
  """Devices of a TPU topology such as `v5e:4x4`; needs libtpu. RuntimeError: there is none such."""
  from jax.experimental import topologies  # pylint: disable=import-outside-toplevel
  return list(topologies.get_topology_desc(platform='tpu', topology_name=name).devices)


def device_memory() -> int:
  """Bytes that a device has; on a CPU, its share of the machine's."""
  device = jax.local_devices()[0]
  return (device.memory_stats() or {}).get('bytes_limit') or (
      os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') // jax.local_device_count())


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


def device_name() -> str:
  """What the run is on, in words."""
  devices = jax.devices()
  return f'{len(devices)} x {devices[0].device_kind} ({devices[0].platform})'
