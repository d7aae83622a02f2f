"""One update of a training, from shapes alone."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from tts import parallel, placement
from tts.estimates import memory
from tts.estimates.memory import Footprint
from tts.models.arch import Arch
from tts.models.stacks import Stack
from tts.models.transformer import abstract, Decoder
from tts.train import lora, steps, update
from tts.train.steps import TrainConfig


@dataclasses.dataclass(frozen=True)
class TrainingProgram:
  """An update as `tts.train.fit` makes it; equal ones are one program.

  Attributes:
    arch: of the model.
    config: how it is trained.
    kind: `lm` or `value`.
    groups: of devices that share it; 0 trains on the mesh's first device.
  """

  arch: Arch
  config: TrainConfig
  kind: str
  groups: int

  def lower(self, mesh: parallel.Mesh, doubled: Stack | None = None) -> Any:
    """The lowered program on a mesh's devices; doubled: as `Decoder` takes it."""
    config = self.config
    devices, width = list(mesh.devices.flat), mesh.shape[parallel.MODEL] if self.groups else 1
    mesh = parallel.make_mesh(self.groups or 1, width, devices)
    optimizer, boxed = steps.make_optimizer(config), abstract(self.arch)
    loss = steps.make_loss(Decoder(self.arch, config.remat, doubled), self.kind, config,
                           parallel.on_tpu(mesh))
    params = placement.placed(boxed, mesh)
    learnt = _adapters(params, config) if config.lora_rank else params
    state = steps.TrainState(step=jax.ShapeDtypeStruct((), jnp.int32), params=learnt,
                             opt_state=jax.eval_shape(optimizer.init, learnt))
    shardings = placement.spread((state, params), boxed, mesh)
    state, base = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
                               (state, params), shardings)
    step = update.make(loss, optimizer, config, boxed, mesh)
    return jax.jit(step, donate_argnums=0, out_shardings=(shardings[0], None)).lower(
        state, base if config.lora_rank else (), placement.placed(self._batch(), mesh))

  def footprint(self, rows: int, width: int) -> Footprint:
    """Its memory with `rows` texts a batch, and `width` devices that share a model."""
    return memory.training(
        self.arch, batch=rows, columns=self.config.row_length, labelled=self.kind == 'value',
        width=width if self.groups else 1, groups=self.groups or 1,
        adapters=_adapter_bytes(self.arch, self.config), remat=self.config.remat)

  def _batch(self) -> dict[str, jax.ShapeDtypeStruct]:
    of = lambda dtype: jax.ShapeDtypeStruct((self.config.batch_size, self.config.row_length), dtype)
    batch = {'tokens': of(jnp.int32), 'segments': of(jnp.int32), 'positions': of(jnp.int32),
             'loss_mask': of(jnp.bool_)}
    if self.kind == 'value':
      batch |= {'label': of(jnp.float32), 'label_mask': of(jnp.bool_), 'own_mask': of(jnp.bool_)}
    return batch


def _adapters(params: Any, config: TrainConfig) -> Any:
  """Shapes of the adapters to a model's parameters."""
  return jax.eval_shape(
      lambda params: lora.start(params, params, config.lora_rank, config.seed), params)


@functools.cache
def _adapter_bytes(arch: Arch, config: TrainConfig) -> int:
  if not config.lora_rank:
    return 0
  return sum(4 * x.size for x in jax.tree.leaves(_adapters(nn.unbox(abstract(arch)), config)))
