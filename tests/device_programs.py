"""The device programs with small real decoders, and what they are called with."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from tests import toy
from tts import parallel
from tts.engine.shape import Shape
from tts.estimates.model_programs import ModelAtWork
from tts.models.functions import Functions
from tts.models.generator import Generator
from tts.models.verifier import Verifier
from tts.sampling.decode import Limits
from tts.sampling.logits import SamplingConfig
from tts.stages import whole_texts

LIMITS = Limits(max_tokens=9, max_steps=4, max_step_tokens=4, roles=toy.ROLES)
JUDGE = dataclasses.replace(toy.ARCH, surprise_layer=1, heads=('lm', 'value'))
SHAPE = Shape(lanes=4, write=4, readers=2, tile=3, least=2, long=6)
WIDTH, PAGES = 32, 8
DRAWN = SamplingConfig(temperature=0.8, top_k=5, top_p=0.9)


def steps() -> dict:
  """Name --> (function of one group, parameters, shapes of its other arguments)."""
  params, other = toy.decoder_params(), toy.decoder_params(JUDGE, seed=1)
  mesh = parallel.make_mesh(1)
  generator, verifier = Functions(Generator, toy.ARCH), Functions(Verifier, JUDGE)
  text = jax.ShapeDtypeStruct((3, 5), jnp.int32), jax.ShapeDtypeStruct((3,), jnp.int32)
  writing = ModelAtWork(generator, SHAPE, WIDTH, WIDTH, PAGES, DRAWN)
  reading = ModelAtWork(verifier, SHAPE, 0, WIDTH, PAGES, None)

  def of(model, given, name):
    program = model.programs(LIMITS)[name]
    return (program.program(mesh, model.make).function, given if program.forward else (),
            program.block(model.make, given))

  return {
      **{name: of(writing, params, name) for name in ('write', 'read', 'resize', 'fill')},
      'values': of(reading, other, 'read'), 'long values': of(reading, other, 'long'),
      'load': of(reading, other, 'load'), 'save': of(writing, params, 'save-write'),
      'forward': (whole_texts.forward_step(toy.ARCH), params, text)}
