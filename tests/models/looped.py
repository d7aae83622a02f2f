"""What a TPU's compiler says of a model's layers: of a loop once, of all its passes, written out.

  python -m tests.models.looped LAYERS

Prints `compiled.Facts` of each as JSON. The model is wide enough that layers are most of it.
"""

import dataclasses
import json
import os
import sys

os.environ['JAX_PLATFORMS'] = 'cpu'

import jax
import jax.numpy as jnp

from tests import toy
from tts import parallel, placement
from tts.estimates import compiler_facts
from tts.models import placed_weights, stacks
from tts.models.transformer import abstract, Decoder


def main(layers: int) -> None:
  mesh = parallel.make_mesh(1, 2, parallel.topology('v5e:2x2'))
  arch = dataclasses.replace(
      toy.ARCH, num_layers=layers, width=1024, num_heads=8, num_kv_heads=2, head_size=128,
      mlp_width=4096, vocab_size=512, dtype='bfloat16', param_dtype='bfloat16')
  tokens = placement.stacked(jax.ShapeDtypeStruct((8, 4), jnp.int32), mesh)

  def facts(params, doubled=None):
    def step(params, tokens):
      where = jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape)
      return Decoder(arch, doubled=doubled).apply(params, tokens, where)[0].top

    return compiler_facts.facts(parallel.pmapped(step, mesh).lower(params, tokens), mesh)

  looped, (stack,) = placed_weights.shapes(arch, mesh), stacks.loops(arch)
  once = facts(looped)
  found = once.with_passes([(stack, facts(looped, stack))])
  written_out = facts(placement.placed(abstract(arch), mesh))
  print(json.dumps([dataclasses.asdict(each) for each in (once, found, written_out)]))


if __name__ == '__main__':
  main(int(sys.argv[1]))
