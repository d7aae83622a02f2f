"""One update of a training, on one device or shared by a mesh, whole models or adapters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import optax

from tts import parallel, placement
from tts.train import lora
from tts.train.steps import Loss, make_update, TrainConfig, TrainState


def make(loss: Loss, optimizer: optax.GradientTransformation, config: TrainConfig, boxed: Any,
         mesh: parallel.Mesh | None) -> Callable:
  """`make_update` for a state that lies in pieces over a mesh.

  Args:
    loss: of a whole model's parameters.
    optimizer: of what is learnt.
    config: `lora_rank` says whether that is adapters.
    boxed: the model's abstract parameters with their logical axes; unused without a mesh.
    mesh: shares the batch over `data`; parameters are put together where they are used. None is one
      device.

  Returns:
    A pure function (state, base, batch) -> (state, (loss, gradient's global norm)); `base` are the
    parameters that adapters are added to, else ().
  """
  shard = placement.sharder(mesh)

  def whole(learnt, base):
    params = lora.merge(base, learnt) if config.lora_rank else learnt
    return params if mesh is None else placement.gathered(params, boxed, mesh)

  def update(state: TrainState, base: Any, batch: Any) -> tuple[TrainState, tuple[jax.Array, ...]]:
    of_learnt = lambda learnt, *batch: loss(whole(learnt, base), *batch)
    return make_update(of_learnt, optimizer, config)(state, shard(batch))

  return update
