"""The only file that knows devices: the mesh, its axes, and the map over `data`.

A device step is a pure function of one block. `pmapped` maps it over the mesh's `data` axis, each
group with its own loops and no collective over `data`; a `model` axis is left to the compiler.
`jax.pmap` is `jit` of `shard_map` today; this is the same map with room for tensor parallelism.
"""

from __future__ import annotations

from typing import Any, Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

DATA, MODEL = 'data', 'model'

# Logical axis of a parameter --> mesh axis. One table for every family.
RULES = (('vocab', MODEL), ('heads', MODEL), ('kv_heads', MODEL), ('mlp', MODEL),
         ('embed', None), ('head', None))


def make_mesh(data: int = -1, model: int = 1, devices=None) -> Mesh:
  """A mesh of `data` x `model` devices; data = -1 takes as many groups as there are devices for.

  The devices are this process's own: groups exchange nothing, so no program spans processes.
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
    # Squeezed, not indexed: with more than one block a group, blocks would be lost in silence.
    result = step(shared, *jax.tree.map(lambda x: jnp.squeeze(x, 0), block))
    return jax.tree.map(lambda x: x[None], result)

  # A `model` axis of one device has nothing to partition; without one a program may call the host.
  manual = {DATA} if mesh.shape[MODEL] > 1 else {DATA, MODEL}

  # One device is mapped like many: a program of its own would round otherwise.
  def mapped(shared, *blocks):
    in_specs = (PartitionSpec(),) + (PartitionSpec(DATA),) * len(blocks)
    return jax.shard_map(one_group, mesh=mesh, in_specs=in_specs, out_specs=PartitionSpec(DATA),
                         axis_names=manual, check_vma=False)(shared, *blocks)

  return jax.jit(mapped, donate_argnums=donate)


def replicate(tree: Any, mesh: Mesh) -> Any:
  """Places a tree whole on every device of the mesh."""
  return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def sharder(mesh: Mesh | None) -> Callable[[Any], Any]:
  """A function that, inside a program, spreads the rows of a batch over the groups."""
  if mesh is None:
    return lambda batch: batch
  sharding = NamedSharding(mesh, PartitionSpec(DATA))
  return lambda batch: jax.lax.with_sharding_constraint(batch, sharding)


def one_device() -> SingleDeviceSharding:
  """This process's first device, for what is not mapped."""
  return SingleDeviceSharding(jax.local_devices()[0])


def device_name() -> str:
  """What the run is on, in words."""
  devices = jax.devices()
  return f'{len(devices)} x {devices[0].device_kind} ({devices[0].platform})'
