"""What a TPU's compiler makes of the methods' rules, mapped over questions and a mesh's data axis.

  python -m tests.searching.on_tpu

Prints, per method, how many collectives there are, as JSON.
"""

import dataclasses
import json
import os

os.environ['JAX_PLATFORMS'] = 'cpu'

import jax
import jax.numpy as jnp

from tts import methods, parallel, placement
from tts.estimates import compiler_facts

QUESTIONS, NUM = 4, 16


def main() -> None:
  mesh = parallel.make_mesh(16, 1, parallel.topology('v5e:4x4'))
  several = lambda x: jax.ShapeDtypeStruct((QUESTIONS, *jnp.shape(x)), jnp.asarray(x).dtype)
  rows = jax.tree.map(several, methods.Rows.of([0.5] * NUM))
  keys = jax.ShapeDtypeStruct((QUESTIONS, 2), jnp.uint32)
  found = {}
  for name in methods.METHODS.names():
    method = methods.METHODS[name]()

    def step(_, keys, rows, method=method):
      return jax.vmap(method.allocate)(jax.random.wrap_key_data(keys), rows)

    facts = compiler_facts.facts(parallel.pmapped(step, mesh).lower(
        (), placement.stacked(keys, mesh), placement.stacked(rows, mesh)), mesh)
    found[name] = len(dataclasses.asdict(facts)['collectives'])
  print(json.dumps(found))


if __name__ == '__main__':
  main()
