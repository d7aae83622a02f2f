"""Devices: the mesh, its axes, and the map over `data`. With `placement` all that knows of them.

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
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

DATA, MODEL = 'data', 'model'

# The mesh that the program that is being traced is for.
TRACED: contextvars.ContextVar[Mesh | None] = contextvars.ContextVar('mesh', default=None)


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
    raise ValueError(f'model={model}, data={data} on {count} processes of {own} devices: a model '
                     'on more than one has takes all devices of so many that divide them, and '
                     'data=-1')
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
    traced = TRACED.set(mesh)
    try:
      # Squeezed, not indexed: with more than one block a group, blocks would be lost in silence.
      result = step(shared, *jax.tree.map(lambda x: jnp.squeeze(x, 0), block))
    finally:
      TRACED.reset(traced)
    return jax.tree.map(lambda x: x[None], result)

  # A `model` axis of one device has nothing to partition.
  manual = {DATA} if mesh.shape[MODEL] > 1 else {DATA, MODEL}

  # One device is mapped like many: a program of its own would round otherwise.
  def mapped(shared, *blocks):
    in_specs = (PartitionSpec(),) + (PartitionSpec(DATA),) * len(blocks)
    return jax.shard_map(one_group, mesh=mesh, in_specs=in_specs, out_specs=PartitionSpec(DATA),
                         axis_names=manual, check_vma=False)(shared, *blocks)

  return jax.jit(mapped, donate_argnums=donate)


def on_tpu(mesh: Mesh | None) -> bool:
  """Whether a mesh is of TPUs; None is this process's first device."""
  return (jax.local_devices() if mesh is None else mesh.devices.flat)[0].platform == 'tpu'


def for_cpu() -> bool:
  """Whether the `pmapped` program that is being traced is for a CPU."""
  mesh = TRACED.get()
  return mesh is not None and mesh.devices.flat[0].platform == 'cpu'


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


def device_name() -> str:
  """What the run is on, in words."""
  devices = jax.devices()
  return f'{len(devices)} x {devices[0].device_kind} ({devices[0].platform})'
