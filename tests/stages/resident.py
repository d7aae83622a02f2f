"""A search in a process of its own: how much memory it resides in, as JSON on the last line.

  python -m tests.stages.resident make DIR     writes two random models
  python -m tests.stages.resident search DIR   loads them and searches, a block on every device

All is compiled before anything is loaded, so that what comes after is the models and the search.
"""

import ctypes
import json
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np

from tts import parallel, rng
from tts.data.tokenizer import Tokenizer
from tts.models.transformer import Arch, abstract, num_params
from tts.sampling.decode import Limits
from tts.sampling.logits import SamplingConfig
from tts.search.search import BeamConfig
from tts.stages import memory, programs
from tts.train import checkpoint

WRITER = Tokenizer.train(['1+2=3\n'], 14)
SHAPE = dict(vocab_size=4096, num_layers=6, width=1024, num_heads=8, num_kv_heads=8, head_size=128,
             mlp_width=2560)
SMALL = Arch(vocab_size=4096, num_layers=1, width=8, num_heads=1, num_kv_heads=1, head_size=8,
             mlp_width=8)
BASE, GUIDE = Arch(**SHAPE), Arch(**SHAPE, heads=('value',))
B, P, N, T, S, C = 2, 64, 8, 384, 3, 8
LIMITS = Limits(max_tokens=T, max_steps=S, max_step_tokens=C, roles=WRITER.roles())


def make(folder):
  random = np.random.default_rng(0)
  for name, arch in (('small', SMALL), ('base', BASE), ('prm', GUIDE)):
    params = jax.tree.map(lambda x: 0.02 * random.standard_normal(x.shape, x.dtype),
                          parallel.placed(abstract(arch), parallel.make_mesh(1)))
    meta = {'kind': 'lm', 'metrics': {}, 'open': {}}  # tables larger than the tokenizer
    checkpoint.save_model(folder / name, arch, params, meta, WRITER)
    print(name, num_params(params))


def resident(peak=False):
  lines = pathlib.Path('/proc/self/status').read_text().splitlines()
  field = 'VmHWM' if peak else 'VmRSS'
  return int(next(x for x in lines if x.startswith(field)).split()[1]) * 1024


def search(folder):
  mesh = parallel.make_mesh()
  step = programs.search_step(
      BASE, GUIDE, seed=0, stream='test', config=BeamConfig(N, 4), limits=LIMITS,
      sampling=SamplingConfig())
  block = (np.ones((B, P), np.int32), np.full(B, P, np.int32),
           rng.problem_words([f'q{i}' for i in range(B)]),
           np.tile(np.arange(N, dtype=np.int32), (B, 1)), np.ones(B, bool))
  shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), block)
  weights = tuple(parallel.placed(abstract(a), mesh) for a in (BASE, GUIDE))
  compiled = parallel.pmapped(step, mesh).lower(weights, *parallel.stacked(shapes, mesh)).compile()
  jax.block_until_ready(jnp.zeros(8) + 1)
  checkpoint.load_model(folder / 'small', mesh)  # what Orbax itself takes
  ctypes.CDLL(None).malloc_trim(0)
  pathlib.Path('/proc/self/clear_refs').write_text('5')  # the peak begins anew
  found = {'before': resident()}
  params = tuple(checkpoint.load_model(folder / name, mesh)[1] for name in ('base', 'prm'))
  found |= {'loaded': resident(), 'loading': resident(peak=True)}
  pathlib.Path('/proc/self/clear_refs').write_text('5')
  groups = parallel.num_groups(mesh)
  many = jax.tree.map(lambda x: jax.device_put(np.stack([x] * groups),
                                               parallel.stacked(shapes, mesh)[0].sharding), block)
  history = jax.device_get(compiled(params, *many))
  found |= {'searching': resident(peak=True),
            'rounds': int((history.length > 0).any((0, 2, 3)).sum())}
  formula = memory.search(BASE, GUIDE, 1, problems=B, columns=P, candidates=N, tokens=T, steps=S,
                          step_tokens=C)
  # Weights lie once in memory, whatever the number of devices.
  found |= {'formula': formula.weights + groups * (formula.total - formula.weights), 'weights': formula.weights, 'caches': groups * formula.caches}
  print(json.dumps(found))


if __name__ == '__main__':
  {'make': make, 'search': search}[sys.argv[1]](pathlib.Path(sys.argv[2]))
