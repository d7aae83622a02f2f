"""What a TPU's compiler makes of a generator with a head, beside the one without.

  python -m tests.models.latent_on_tpu

Prints, of the programs that write and read on four chips a model, the facts of each as JSON.
"""

import dataclasses
import json
import os

os.environ['JAX_PLATFORMS'] = 'cpu'

import jax

from tests import toy
from tts import parallel, placement
from tts.engine import all_programs
from tts.engine.shape import Shape
from tts.estimates import compiler_facts
from tts.models import generator, latent, placed_weights
from tts.models.functions import Functions
from tts.sampling.decode import Limits
from tts.sampling.logits import SamplingConfig

SHAPE = Shape(lanes=16, write=4, readers=8, tile=8)
LIMITS = Limits(64, 8, 16, toy.ROLES)
ARCH = dataclasses.replace(
    toy.ARCH, num_layers=6, width=1024, num_heads=8, num_kv_heads=4, head_size=128, mlp_width=4096,
    vocab_size=512, dtype='bfloat16', param_dtype='bfloat16', heads=('lm',))
HEAD = latent.Head((2, 3, 5, 6), latent.BESIDE)
WIDTH = 256


def main() -> None:
  mesh = parallel.make_mesh(4, 4, parallel.topology('v5e:4x4'))
  plain = placed_weights.shapes(ARCH, mesh)
  head = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=placement.replicated(
      mesh)), latent.zeros(HEAD, ARCH.width))
  found = {}
  for name, params, kind, of_head in (
      ('plain', plain, generator.Generator, None),
      ('head', plain | {latent.NAME: head}, latent.Generator, HEAD)):
    make = Functions(kind, ARCH, of_head)
    write = all_programs.write(mesh, make, SHAPE.write, SamplingConfig(), LIMITS)
    block = all_programs.stacked(all_programs.writes(make, params, SHAPE, WIDTH), mesh)
    found[f'{name} write'] = compiler_facts.facts(write.lower(params, *block), mesh)
    make = Functions(latent.Verifier, ARCH, HEAD) if of_head else make
    read = all_programs.read(mesh, make, of_head is not None)
    block = all_programs.stacked(all_programs.reads(
        make, params, SHAPE, WIDTH, SHAPE.readers, SHAPE.tile), mesh)
    found[f'{name} read'] = compiler_facts.facts(read.lower(params, *block), mesh)
  print(json.dumps({name: dataclasses.asdict(each) for name, each in found.items()}))


if __name__ == '__main__':
  main()
