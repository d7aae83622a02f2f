"""A search in a process of its own: how much memory it resides in, as JSON on the last line.

  python -m tests.stages.resident make DIR     writes two random models
  python -m tests.stages.resident search DIR   loads them and searches, two questions a device

What it says is of the models, their lanes and their pages.
"""

import ctypes
import gc
import json
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np

from tts import methods, parallel, placement
from tts.data.tokenizer import Tokenizer
from tts.engine import engine
from tts.engine.engine_models import EngineGenerator, EngineVerifier
from tts.engine.shape import Shape
from tts.estimates import memory
from tts.models.arch import Arch
from tts.models.functions import Functions
from tts.models.generator import Generator
from tts.models.transformer import abstract, num_params
from tts.models.verifier import Verifier
from tts.sampling.decode import Limits
from tts.sampling.logits import SamplingConfig
from tts.searching.search import Question, Search
from tts.train import checkpoint

WRITER = Tokenizer.train(['1+2=3\n'], 14)
SIZES = dict(vocab_size=4096, num_layers=6, width=1024, num_heads=8, num_kv_heads=8, head_size=128,
             mlp_width=2560)
SMALL = Arch(vocab_size=4096, num_layers=1, width=8, num_heads=1, num_kv_heads=1, head_size=8,
             mlp_width=8)
BASE, GUIDE = Arch(**SIZES), Arch(**SIZES, heads=('value',))
N, SHAPE = 8, Shape(lanes=16, write=4, readers=16, tile=16)
WIDTH = 1024  # room of a lane: a prompt that is long is read first
LONG = 1000
LIMITS = Limits(max_tokens=24, max_steps=3, max_step_tokens=8, roles=WRITER.roles())


def make(folder):
  random = np.random.default_rng(0)
  for name, arch in (('small', SMALL), ('base', BASE), ('prm', GUIDE)):
    params = jax.tree.map(lambda x: 0.02 * random.standard_normal(x.shape, x.dtype),
                          placement.placed(abstract(arch), parallel.make_mesh(1)))
    meta = {'kind': 'lm', 'metrics': {}, 'open': {}}  # tables larger than the tokenizer
    checkpoint.save_model(folder / name, arch, params, meta, WRITER)
    print(name, num_params(params))


def resident(peak=False):
  lines = pathlib.Path('/proc/self/status').read_text().splitlines()
  field = 'VmHWM' if peak else 'VmRSS'
  return int(next(x for x in lines if x.startswith(field)).split()[1]) * 1024


def search(folder):
  mesh = parallel.make_mesh()
  jax.block_until_ready(jnp.zeros(8) + 1)
  checkpoint.load_model(folder / 'small', mesh)  # what Orbax itself takes
  ctypes.CDLL(None).malloc_trim(0)
  pathlib.Path('/proc/self/clear_refs').write_text('5')  # the peak begins anew
  found = {'before': resident()}
  params = [checkpoint.load_model(folder / name, mesh)[1] for name in ('base', 'prm')]
  found |= {'loaded': resident(), 'loading': resident(peak=True)}
  generator = EngineGenerator(mesh, Functions(Generator, BASE), params[0], SHAPE,
                              SamplingConfig(), LIMITS)
  verifier = EngineVerifier(mesh, Functions(Verifier, GUIDE), params[1], SHAPE)
  groups, prompt = parallel.num_groups(mesh), np.ones(LONG - 24 - 16, np.int32)
  keys = np.arange(2 * N, dtype=np.uint32).reshape(N, 2)
  question = Question(prompt, prompt, keys, keys[0])
  begin = lambda group: Search(generator, verifier, question, methods.Beam(4), group).run()
  trees = engine.run([begin] * 2 * groups, [generator, verifier], 2)
  found['searching'] = resident()
  found['rounds'] = max(node.round for tree in trees for node in tree.nodes) + 1
  pages = lambda worker: worker._store._count
  weights = memory.weights(BASE, 1) + memory.weights(GUIDE, 1)
  own, its = memory.carry(BASE, False), memory.carry(GUIDE, True)
  kept = (memory.lanes(BASE, 1, SHAPE.lanes, WIDTH, own)
          + memory.texts(BASE, 1, SHAPE.readers, WIDTH, own)
          + memory.texts(GUIDE, 1, SHAPE.readers, WIDTH, its)
          + memory.pages(BASE, 1, pages(generator), own)
          + memory.pages(GUIDE, 1, pages(verifier), its))
  # Weights lie once in memory, whatever the number of devices.
  del generator, verifier, begin
  gc.collect()
  ctypes.CDLL(None).malloc_trim(0)
  found['programs'] = resident() - found['loaded']  # what is left but the models
  print(json.dumps(found | {'formula': weights + groups * kept, 'weights': weights,
                            'kept': groups * kept}))


if __name__ == '__main__':
  {'make': make, 'search': search}[sys.argv[1]](pathlib.Path(sys.argv[2]))
