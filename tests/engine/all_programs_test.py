"""Each of the engine's programs is compiled once, for the shapes that it is described with."""

import dataclasses

import jax
import numpy as np

from tests import toy
from tests.device_programs import DRAWN, JUDGE, LIMITS
from tts import methods, parallel, placement
from tts.engine import all_programs, engine
from tts.engine.engine_models import EngineGenerator, EngineVerifier
from tts.engine.program import Program, spec
from tts.engine.shape import Shape
from tts.models.functions import Functions
from tts.models.generator import Generator
from tts.models.transformer import abstract
from tts.models.verifier import Verifier
from tts.searching.search import Question, Search

SHAPE = Shape(lanes=5, write=4, readers=3, tile=8)


def described(block, mesh):
  return jax.tree.map(lambda x: (x.shape, x.dtype, spec(x)),
                      all_programs.stacked(block, mesh))


def test_searches_of_shared_models_compile_what_is_described(monkeypatch):
  """Two groups of two devices, two questions each: nothing moves from call to call."""
  made = []
  begin = Program.__init__
  for function in vars(all_programs).values():  # other tests' are none of these
    getattr(function, 'cache_clear', lambda: None)()

  def noted(self, *args, **kwargs):
    begin(self, *args, **kwargs)
    made.append(self)

  monkeypatch.setattr(Program, '__init__', noted)
  mesh = parallel.make_mesh(2, 2)
  models = []
  for seed, (worker, kind, arch) in enumerate(((EngineGenerator, Generator, toy.ARCH),
                                               (EngineVerifier, Verifier, JUDGE))):
    params = placement.place(toy.decoder_params(arch, seed=seed), abstract(arch), mesh)
    models.append(worker(mesh, Functions(kind, arch), params, SHAPE,
                         *((DRAWN, LIMITS) if worker is EngineGenerator else ())))
  prompts, lengths = toy.prompts(0, 4, 5, toy.ARCH.vocab_size)
  keys = np.asarray(jax.random.key_data(toy.slot_keys(4, 4)))

  def search(b):
    prompt = prompts[b, :lengths[b]]
    question = Question(prompt, prompt, keys[b], keys[b][0])
    return lambda group: Search(*models, question, methods.Beam(2),
                                group).run()

  trees = engine.run([search(b) for b in range(4)], models, 2)
  assert all(tree.candidates for tree in trees)
  compiled = {program: len(program._compiled) for program in made}
  # Texts are moved between pages and three kinds of lanes.
  assert len(compiled) >= 8 and max(compiled.values()) <= 3
  of = lambda function: compiled[next(p for p in made if function in p.function.__qualname__)]
  assert of('write.') == of('read.') == of('fill.') == 1

  generator, verifier = models
  make = Functions(Generator, toy.ARCH)
  arrays = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype, spec(x)), tree)
  lanes = described(all_programs.writes(make, toy.decoder_params(), SHAPE, 128), mesh)[0]
  assert arrays(generator.writer._state) == lanes
  texts = described(all_programs.reads(Functions(Verifier, JUDGE), toy.decoder_params(JUDGE), SHAPE,
                                   128, 3, 8), mesh)[0]
  assert arrays(verifier.reader._texts) == texts
  pages = described(all_programs.fills(make, toy.decoder_params(), SHAPE, 128, 64), mesh)[1]
  assert arrays(generator._store._pages) == pages


def test_models_of_other_types_share_no_compiled_program():
  mesh = parallel.make_mesh(1)
  for dtype in ('float32', 'bfloat16'):
    arch = dataclasses.replace(toy.ARCH, dtype=dtype)
    texts = all_programs.empty_texts(mesh, Functions(Generator, arch), 2, 32)(toy.decoder_params())
    assert all_programs.empty_pages(mesh, 3)((), texts).columns[0][0].dtype == dtype
