"""The formula of memory is what programs have: in shapes exactly, by the compiler within 5%."""

import dataclasses
import functools
import math

import jax
import pytest

from configs import pod, smoke
from tests import toy
from tts import config, parallel
from tts.models import blockwise
from tts.models.transformer import abstract
from tts.stages import compiled, device_programs, memory
from tts.types import InputError

# One of each kind.
NAMES = ('train/base', 'train/prm', 'labels/rollouts-n12', 'search/sample-n4', 'search/beam-m4-n4',
         'search/lookahead-m2-k1-n8', 'search/score-prm', 'difficulty/probe', 'revise/chains-2x6',
         'revise/beam-m2-l2-n4')


@functools.cache
def programs(module=smoke, *args):
  experiment = config.from_config_dict(module.get_config(*args))
  return {p.name: p for p in device_programs.listed(experiment)}


def size(tree):
  return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))


@pytest.mark.parametrize('name', NAMES)
def test_arguments_and_outputs_are_the_programs(name):
  program = programs(smoke, 'revisions')[name]
  lowered = program.lower(parallel.make_mesh(1))
  formula = program.footprint(program.rows, 1)
  # Of a training the scalars of its optimizer are left out.
  slack = 64 if name.startswith('train') else 0
  assert size(lowered.args_info) == pytest.approx(formula.arguments, abs=slack)
  if not slack:
    assert size(lowered.out_info) == formula.outputs


@pytest.mark.parametrize('model', [1, 2])
def test_the_compiler_agrees(model):
  """Devices that share a model have half of it each, and all of what a block gives them."""
  program, mesh = programs(smoke, 'revisions')['search/sample-n4'], parallel.make_mesh(2, model)
  facts = compiled.facts(program.lower(mesh), mesh)
  formula = program.footprint(program.rows, model)
  assert facts.arguments + facts.outputs == pytest.approx(
      formula.arguments + formula.outputs, rel=0.05)


@pytest.mark.parametrize('model', [1, 2, 4])
def test_weights_are_what_a_device_gets(model):
  params = toy.decoder_params(toy.ARCH)
  placed = parallel.place(params, abstract(toy.ARCH), parallel.make_mesh(1, model))
  on_first = sum(x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(placed))
  assert memory.weights(toy.ARCH, model) == on_first
  named = dict(memory.whole(toy.ARCH, model))
  matrices = [n for n in named if 'norm' not in n and 'value' not in n]
  # Two key and value heads are for four devices to have all of, or to share by their width.
  assert bool(matrices) == (model == 1)


def test_an_8b_and_a_7b_share_a_chip_of_16_gb():
  found = programs(pod)
  search = found['search/beam-m4-n32'].footprint(32, 4)
  assert search.weights == pytest.approx((8.03e9 + 7.08e9) * 2 / 4, rel=0.01)
  assert search.arguments < search.total < 16e9 < found['search/beam-m4-n32'].footprint(32, 1).total
  base = device_programs.architecture(config.from_config_dict(pod.get_config()), 'base')
  # Keys and values of two of eight heads.
  assert memory.place(base, 4) == 2 * 32 * 2 * 128 * 2
  assert max(s for _, s in memory.whole(base, 4)) == 4096 * 2  # scales of norms


def test_the_largest_number_of_rows_fits_and_one_more_does_not():
  """Below a question's 32 it is another N, above that whole questions."""
  program = programs(pod)['search/beam-m4-n32']
  limit = program.footprint(20, 4).total
  assert device_programs.largest(program, 4, limit, 999) == 20
  assert device_programs.largest(program, 4, limit - 1, 999) == 19
  of_three = program.footprint(96, 4).total
  assert device_programs.largest(program, 4, of_three, 999) == 96
  assert device_programs.largest(program, 4, of_three - 1, 999) == 64
  assert device_programs.largest(program, 4, of_three, 32) == 32
  assert device_programs.largest(program, 4, 10**6, 999) == 0


def test_what_does_not_fit_is_refused_with_what_does():
  experiment = config.from_config_dict(smoke.get_config())
  device_programs.check_memory(experiment, 10**9)
  listed = {p.name: p for p in device_programs.listed(experiment)}
  most = max(p.footprint(p.rows, 1).total for p in listed.values())
  device_programs.check_memory(experiment, most)
  with pytest.raises(InputError, match=r'needs .* GB on a device that has'):
    device_programs.check_memory(experiment, most - 1)

  big = dataclasses.replace(experiment, search=dataclasses.replace(
      experiment.search, budgets=(1, 4096), block=8, max_rows=8192))
  beam = {p.name: p for p in device_programs.listed(big)}['search/beam-m4-n4096']
  limit = beam.footprint(beam.rows, 1).total - 1
  with pytest.raises(InputError, match=r'search/beam-m4-n4096 .* for 8192 rows of 4096 a question: '
                     r'4096 fit: set --config.search.max_rows=4096'):
    device_programs.check_memory(big, limit)
  fewer = beam.footprint(1000, 1).total
  assert fewer > most
  with pytest.raises(InputError, match='the largest N that fits is 1000, or let more devices'):
    device_programs.check_memory(big, fewer)


def test_devices_that_hold_a_model_together_have_more_room():
  experiment = config.from_config_dict(smoke.get_config())
  wide = dataclasses.replace(experiment, search=dataclasses.replace(
      experiment.search, budgets=(1, 4096), block=8, max_rows=8192))
  largest = max((p.footprint(p.rows, 1) for p in device_programs.listed(wide)),
                key=lambda formula: formula.total)
  limit = largest.total - largest.weights + largest.weights // 2
  with pytest.raises(InputError, match='search/.* needs'):
    device_programs.check_memory(wide, limit)
  device_programs.check_memory(wide, limit, holders=2)
  with pytest.raises(InputError, match='search/.* needs'):
    device_programs.check_memory(wide, limit - 1, holders=2)


def test_a_training_that_does_not_fit_is_shared_or_asks_for_a_checkpoint():
  experiment = config.from_config_dict(pod.get_config('1'))
  with pytest.raises(InputError, match='train/base .* share it, --config.mesh.train=-1'):
    device_programs.check_memory(experiment, 10**9)
  asked = dataclasses.replace(experiment.mesh, train=-1)
  totals = []
  for devices in (4, 16, 64):
    shared = dataclasses.replace(experiment, mesh=parallel.counted(asked, devices))
    assert shared.mesh.train == devices // 4
    with pytest.raises(InputError, match='train/base .* give --config.models.base.checkpoint'):
      device_programs.check_memory(shared, 10**8)
    training = device_programs.listed(shared)[0]
    totals.append(training.footprint(training.rows, 4))
  of_state = [t.weights for t in totals]
  assert of_state == pytest.approx([of_state[0], of_state[0] / 4, of_state[0] / 16], rel=1e-6)
  assert parallel.counted(experiment.mesh, 16) == experiment.mesh


def test_long_rows_take_memory_by_their_length():
  """Up to 1,024 tokens by its square; a layer that is computed again keeps what it begins with."""
  arch = dataclasses.replace(toy.ARCH, num_layers=8, vocab_size=2048)
  of = lambda columns, **how: memory.training(
      arch, batch=2, columns=columns, labelled=False, **how).working - memory.weights(arch, 1)
  assert of(1024) / of(512) > 3
  assert of(8192) / of(4096) == pytest.approx(2, rel=0.2) and of(2048) < of(1024)
  layers = lambda num: memory.training(dataclasses.replace(arch, num_layers=num), batch=2,
                                       columns=64, labelled=False, remat=True)
  more = layers(9).working - layers(8).working
  assert more == 4 * 2 * 64 * 16 * 4 + (layers(9).weights - layers(8).weights) // 3
  score = lambda tokens: memory.score(arch, 1, texts=1, columns=16, tokens=tokens).working
  assert score(1008) == 4 * 1008 * 1024 * 4 and score(2032) == 4 * blockwise.BLOCK * 2048 * 4


def test_models_that_devices_cannot_share_are_refused():
  experiment = config.from_config_dict(smoke.get_config())
  device_programs.check(experiment, 2)
  with pytest.raises(InputError, match='config.mesh.model=4 does not divide num_heads=2 of base'):
    device_programs.check(experiment, 4)
