"""The device programs with small real decoders, and what they are called with."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from tests import toy
from tts import parallel
from tts.engine import programs as engine
from tts.engine.shape import Shape
from tts.models.generator import Generator
from tts.models.transformer import Decoder
from tts.models.verifier import Verifier
from tts.sampling.decode import Limits
from tts.sampling.logits import SamplingConfig
from tts.stages import programs
from tts.models.functions import Functions

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
  return {
      'write': (engine.write(mesh, generator, SHAPE.write, DRAWN, LIMITS).function, params,
                engine.writes(generator, params, SHAPE, WIDTH)),
      'read': (engine.read(mesh, generator, False).function, params,
               engine.reads(generator, params, SHAPE, WIDTH, 2, 3)),
      'values': (engine.read(mesh, verifier, True).function, other,
                 engine.reads(verifier, other, SHAPE, WIDTH, 2, 3)),
      'long values': (engine.read(mesh, verifier, True).function, other,
                      engine.reads(verifier, other, SHAPE, WIDTH, 1, 6)),
      'resize': (engine.resize(mesh).function, (), engine.resizes(generator, params, SHAPE, WIDTH)),
      'load': (engine.load(mesh).function, (), engine.loads(verifier, other, SHAPE, WIDTH, PAGES)),
      'fill': (engine.fill(mesh).function, (),
               engine.fills(generator, params, SHAPE, WIDTH, PAGES)),
      'save': (engine.save(mesh).function, (),
               engine.saves(generator, params, SHAPE.lanes, WIDTH, PAGES)),
      'forward': (programs.forward_step(toy.ARCH), params, text),
      'prompt': (programs.prompt_step(Decoder(toy.ARCH)), params, text)}
