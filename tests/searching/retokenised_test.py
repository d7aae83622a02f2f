"""A verifier with ids of its own in a search: what it read, from scratch, and its charge."""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np
import pytest

from tests import toy
from tts import methods, parallel, placement
from tts.data.tokenizer import Tokenizer
from tts.data.verifier_format import FORMATS, Reader
from tts.engine.shape import Shape
from tts.models.arch import Arch
from tts.models.transformer import abstract
from tts.sampling.decode import Limits
from tts.searching.search import same_ids
from tts.types import InputError

WRITER = Tokenizer.train(['1+2=3\n', ' \u2047 '], 14)  # and how an unknown id is shown
READER = Tokenizer.train(['1+2=3\n', '1+2', '2=3'] * 9, 290, byte_fallback=True)
ARCH = Arch(WRITER.vocab_size, 1, 16, 2, 1, 8, 32)
VALUE = Arch(READER.vocab_size, 2, 16, 2, 1, 8, 32, heads=('value',))
LIMITS = Limits(max_tokens=48, max_steps=6, max_step_tokens=16, roles=WRITER.roles())
QUESTIONS = [f'{a}{b}\n' for a in '123=+' for b in ('', '+1', '2=1+1')]
N = 4


def reader(name='trl', own=READER):
  return Reader(name, own, WRITER, 16, LIMITS.max_step_tokens, LIMITS.max_tokens, LIMITS.max_steps)


def spread(arch, seed, mesh):
  """Random parameters as a checkpoint's would lie on the devices."""
  return placement.place(toy.decoder_params(arch, seed), abstract(arch), mesh)


READS = reader()


@functools.cache
def searched(made, arch=VALUE, lookahead=0, devices=1, model=1, writer=ARCH,
             seed=0):
  """Trees of a search of every question; each of the mesh's groups has all of them."""
  mesh = parallel.make_mesh(devices, model)
  shape = Shape(lanes=8, write=3, readers=8, tile=4)
  generator = toy.generator(toy.writes(writer), spread(writer, seed, mesh), LIMITS, groups=devices,
                      model=model, shape=shape)
  verifier = toy.verifier(toy.judges(arch), spread(arch, 1, mesh), groups=devices, model=model,
                    shape=shape)
  prompts = [WRITER.encode_prompt(q) for q in QUESTIONS for _ in range(devices)]
  own = prompts if made is None else [made.prompt(q) for q in QUESTIONS for _ in range(devices)]
  rewrite = same_ids if made is None else lambda tokens, before, used: made.step(
      tokens, before, min(made.width, made.past - used))
  keys = jnp.repeat(toy.slot_keys(len(QUESTIONS), N), devices, axis=0)
  found = toy.search(generator, verifier, prompts, keys, methods.Lookahead(2, lookahead), own=own,
                     rewrite=rewrite)
  return [found[g::devices] for g in range(devices)]


def from_scratch(made, arch, question, steps):
  """Value at the end of the last of some steps, of all text at once."""
  ids, read = made.solution(np.concatenate(steps).tolist(), np.cumsum([len(s) for s in steps]))
  if not read[-1]:
    return 0.5
  prompt = made.prompt(question)
  whole = np.array([prompt + ids[:read[-1]]], np.int32)
  return toy.full_forward(arch, toy.decoder_params(arch, seed=1), whole)[1][0, -1]


@pytest.mark.parametrize('name', ['trl', 'math_shepherd_like'])
def test_values_are_those_of_the_whole_text(monkeypatch, name):
  if name not in FORMATS:
    made = FORMATS['math_shepherd']
    monkeypatch.setitem(FORMATS, name, made.__class__(
        first=' Step 1: ', begin='Step {k}: ', close=' .', resume='\n'))
  made = reader(name)
  (trees,) = searched(made)
  checked = set()
  for question, found in zip(QUESTIONS, trees):
    for i, node in enumerate(found.nodes):
      steps = [found.nodes[j].tokens for j in found.path(i)]
      np.testing.assert_allclose(node.score, from_scratch(made, VALUE, question, steps), atol=1e-5)
      checked.add(len(steps))
    assert found.entered[1] == sum(new_ids(made, found, i) for i in range(len(found.nodes)))
  assert len(checked) > 2


def new_ids(made, found, i):
  """What was read for a node: the rest of its path had been."""
  steps = [found.nodes[j].tokens for j in found.path(i)]
  read = made.solution(np.concatenate(steps).tolist(), np.cumsum([len(s) for s in steps]))[1]
  return read[-1] - (read[-2] if len(read) > 1 else 0)


def test_same_ids_give_the_search_without_it():
  """With the writer's own tokenizer only its special ids, which are no text, are read otherwise."""
  arch = Arch(WRITER.vocab_size, 2, 16, 2, 1, 8, 32, heads=('value',))
  made = reader('skywork', WRITER)
  (with_it,), (without,) = searched(made, arch), searched(None, arch)
  compared = 0
  for ours, plain in zip(with_it, without):
    same = {(n.round, n.slot): n for n in plain.nodes}
    for node in ours.nodes:
      other = same.get((node.round, node.slot))
      if node.round > 0 or other is None or set(node.tokens.tolist()) & {0, 1, 2, 3}:
        continue
      assert node.tokens.tolist() == other.tokens.tolist()
      if node.tokens[-1] in WRITER.roles().delimiters and WRITER.decode(node.tokens).strip():
        np.testing.assert_allclose(node.score, other.score, atol=1e-5)
        compared += 1
  assert compared > 3


WIDE = [dataclasses.replace(arch, num_kv_heads=2) for arch in (ARCH, VALUE)]


@functools.cache
def looking(devices, model):
  """With lookahead, by models whose heads two devices can share; its likeliest text has steps."""
  return searched(READS, WIDE[1], 2, devices, model, WIDE[0], seed=2)


@pytest.mark.slow
def test_lookahead_reads_on():
  looked = 0
  for question, found in zip(QUESTIONS, looking(1, 1)[0]):
    for i, node in enumerate(found.nodes):
      if node.simulation is None:
        continue
      ahead = node.simulation.tokens
      ends = [0, *WRITER.roles().step_ends(ahead)]
      steps = [found.nodes[j].tokens for j in found.path(i)]
      steps += [ahead[a:b] for a, b in zip(ends, ends[1:])]
      np.testing.assert_allclose(
          node.simulation.score, from_scratch(READS, WIDE[1], question, steps), atol=1e-5)
      looked += len(ends) > 2
  assert looked > 3


@pytest.mark.slow
@pytest.mark.parametrize('model', [1, 2])
def test_devices(model):
  """Groups do alike, bit for bit; devices that share the models, to rounding."""
  one, two = looking(1, 1)[0], looking(2, model)[1]
  tolerance = 0 if model == 1 else 1e-4
  for a, b in zip(one, two):
    assert [n.tokens.tolist() for n in a.nodes] == [n.tokens.tolist() for n in b.nodes]
    np.testing.assert_array_equal(a.entered, b.entered)
    for score in (lambda n: n.score, lambda n: n.simulation.score if n.simulation else 0.0):
      np.testing.assert_allclose([*map(score, a.nodes)], [*map(score, b.nodes)], rtol=0,
                                 atol=tolerance)


def test_sizes_and_text_of_a_format():
  made = reader('trl')
  step = WRITER.encode('1+2=3\n')
  assert READER.decode(made.step(step, 0, 99)) == '1+2=3\n'
  assert made.step(WRITER.encode('\n'), 0, 99) == [] == made.step([WRITER.eos_id], 3, 99)
  assert made.step(step, 0, 3) == made.step(step, 0, 99)[-3:] and made.step(step, 0, 0) == []
  with pytest.raises(InputError, match='max_prompt_tokens'):
    made.prompt('1+2=3+' * 20)
  with pytest.raises(InputError, match='one of'):
    reader('own')
