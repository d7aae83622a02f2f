"""The formula of memory is what programs have, by the compiler."""

import dataclasses
import functools
import re

import jax
import pytest

from configs import pod, smoke
from tests import toy
from tts import config, parallel, placement
from tts.engine.shape import Shape
from tts.estimates import compiler_facts, device_programs, memory
from tts.models.transformer import abstract
from tts.types import InputError

# One of each kind.
NAMES = ('train/base', 'train/prm', 'labels/write-base', 'labels/read-base',
         'labels/fill-base', 'labels/save-write-base', 'search/read-prm',
         'search/load-prm', 'search/save-read-prm', 'revise/read-revision_orm',
         'difficulty/read-base')


@functools.cache
def programs(module=smoke, *args, platform=None):
  experiment = config.from_config_dict(module.get_config(*args))
  return {p.name: p for p in device_programs.listed(experiment, platform)}


@pytest.mark.parametrize('name, model', [
    (name, model) for name in NAMES for model in (1, 2)])
def test_the_compiler_agrees(name, model):
  """Devices that share a model have half of it each, and half of the columns."""
  program, mesh = programs(smoke, 'revisions')[name], parallel.make_mesh(2, model)
  facts = compiler_facts.facts(program.lower(mesh), mesh)
  training = name.startswith('train')
  formula = program.footprint(program.rows, 1 if training else model)
  # A mask that a model does not read is left out; of a training, its optimizer's scalars.
  assert facts.arguments + facts.outputs == pytest.approx(
      formula.arguments + formula.outputs, rel=1e-3 if model == 1 and not training else 0.1)


@pytest.mark.parametrize('name', [
    'labels/write-base-latent', 'labels/fill-base-latent', 'labels/save-write-base-latent',
    'verifiers/read-latent', 'verifiers/load-latent', 'search/write-base-latent',
    'search/read-base-latent', 'search/save-read-base-latent'])
def test_the_compiler_agrees_on_what_a_latent_verifier_has(name):
  made = smoke.get_config()
  made.models.latent.enabled, made.verifier = True, 'latent'
  found = {p.name: p for p in device_programs.listed(config.from_config_dict(made))}
  program, mesh = found[name], parallel.make_mesh(1, 1)
  facts, formula = compiler_facts.facts(program.lower(mesh), mesh), program.footprint(program.rows, 1)
  assert facts.arguments + facts.outputs == pytest.approx(
      formula.arguments + formula.outputs, rel=5e-3)  # but for its head's own few numbers


@pytest.mark.parametrize('model', [1, 2])
@pytest.mark.parametrize('name', ['search/long-prm', 'search/few-prm', 'labels/resize-base'])
def test_the_compiler_agrees_on_what_wide_models_have(name, model):
  made = smoke.get_config()
  for each in ('base', 'prm'):
    made.models[each].arch.width = 256
  found = {p.name: p for p in device_programs.listed(config.from_config_dict(made))}
  program, mesh = found[name], parallel.make_mesh(2, model)
  facts, formula = compiler_facts.facts(program.lower(mesh), mesh), program.footprint(program.rows, model)
  assert facts.arguments + facts.outputs == pytest.approx(
      formula.arguments + formula.outputs, rel=1e-3 if model == 1 else 0.1)
  assert facts.temporaries < 2 * formula.working + formula.inputs / 2


@pytest.mark.parametrize('tokens', [2000, 16384])
@pytest.mark.parametrize('name', ['labels/write-base', 'search/read-prm'])
def test_columns_are_written_in_place(name, tokens):
  """No second copy of what the lanes hold, however long they are."""
  made = smoke.get_config()
  made.limits.max_tokens = tokens
  experiment = config.from_config_dict(made)
  program = {p.name: p for p in device_programs.listed(experiment)}[name]
  mesh = parallel.make_mesh(1)
  facts, formula = compiler_facts.facts(program.lower(mesh), mesh), program.footprint(program.rows, 1)
  assert formula.inputs > 20 * formula.weights
  assert facts.temporaries < 2 * formula.working + formula.inputs / 2


@pytest.mark.parametrize('model', [1, 2, 4])
def test_weights_are_what_a_device_gets(model):
  params = toy.decoder_params(toy.ARCH)
  placed = placement.place(params, abstract(toy.ARCH), parallel.make_mesh(1, model))
  on_first = sum(x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(placed))
  assert memory.weights(toy.ARCH, model) == on_first
  named = dict(memory.whole(toy.ARCH, model))
  matrices = [n for n in named if 'norm' not in n and 'value' not in n]
  # Two key and value heads are for four devices to have all of, or to share by their width.
  assert bool(matrices) == (model == 1)


def test_an_8b_and_a_7b_share_a_chip_of_16_gb():
  found = programs(pod, platform='tpu')
  write = found['search/write-base'].footprint(found['search/write-base'].rows, 4)
  assert write.weights + write.others == pytest.approx((8.03e9 + 7.08e9) * 2 / 4, rel=0.01)
  alone = found['search/write-base'].footprint(found['search/write-base'].rows, 1)
  assert write.arguments < write.total < 16e9 < alone.total
  base = device_programs.architecture(config.from_config_dict(pod.get_config()), 'base')
  # Keys and values of two of eight heads.
  assert memory.place(base, 4) == 2 * 32 * 2 * 128 * 2
  assert max(s for _, s in memory.whole(base, 4)) == 4096 * 2  # scales of norms


def test_all_programs_of_a_stage_have_its_memory_beside_them():
  """What is called with what changes; what is on the device does not."""
  for stage in ('search', 'revise'):
    found = [p.footprint(p.rows, 1) for p in programs(smoke, 'revisions').values()
             if p.stage == stage and ('/load-' in p.name or '/fill-' in p.name)]
    whole = [f.total for f in found]
    # They differ by the list of what moves.
    assert len(found) > 1 and max(whole) - min(whole) < 0.01 * min(whole)
    assert len({f.weights + f.others for f in found}) == 1


def test_the_largest_number_of_lanes_fits_and_one_more_does_not():
  program = programs(pod, platform='tpu')['search/write-base']
  limit = program.footprint(20, 4).total
  assert device_programs.largest(program, 4, limit, 999) == 20
  assert device_programs.largest(program, 4, limit - 1, 999) == 19
  assert device_programs.largest(program, 4, limit, 12) == 12
  assert device_programs.largest(program, 4, 10**6, 999) == 0


def test_lanes_of_the_config_are_those_of_every_program():
  experiment = config.from_config_dict(smoke.get_config())
  program = programs()['search/fill-mid']
  for lanes in (5, 6):  # an odd number has one more
    few = {p.name: p for p in device_programs.listed(dataclasses.replace(experiment, lanes=lanes))}
    assert few['search/fill-mid'].rows == 6 != program.rows
    assert few['search/fill-mid'].footprint(6, 1) == program.footprint(6, 1)


def test_what_does_not_fit_is_refused_with_what_does():
  experiment = config.from_config_dict(smoke.get_config())
  device_programs.check_memory(experiment, 10**9)
  most = max(device_programs.most(experiment).values())
  device_programs.check_memory(experiment, most)
  with pytest.raises(InputError, match=r'needs .* GB on a device that has') as error:
    device_programs.check_memory(experiment, most - 1)
  lanes = int(re.search(r': (\d+) fit: set --config.lanes=\1$', str(error.value)).group(1))
  device_programs.check_memory(dataclasses.replace(experiment, lanes=lanes), most - 1)

  program = programs()['search/fill-mid']
  refused = lambda limit: str(device_programs.too_large(
      experiment, program, program.footprint(program.rows, 1).total, limit))
  two = program.footprint(2, 1).total
  assert refused(two).endswith('2 fit: set --config.lanes=2')
  assert refused(two - 1).endswith('let more devices share a model: raise --config.mesh.model')


def test_devices_that_hold_a_model_together_have_more_room():
  experiment = config.from_config_dict(smoke.get_config())
  found = max((p.footprint(p.rows, 1) for p in device_programs.listed(experiment)),
              key=lambda formula: formula.total)
  weights = found.weights + found.others
  limit = found.total - weights + weights // 2
  with pytest.raises(InputError, match='search/.* needs'):
    device_programs.check_memory(experiment, limit)
  device_programs.check_memory(experiment, limit, holders=2)
  with pytest.raises(InputError, match='search/.* needs'):
    device_programs.check_memory(experiment, limit - 1, holders=2)


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
  tile = Shape(lanes=1, write=1, readers=1, tile=4)
  read = lambda tokens: memory.read(arch, 1, tile, tokens, 0, 0, 1, 4).working
  assert read(2044) - read(1020) == 4 * 4 * 1024 * 4  # heads, new tokens, more columns, words


def test_models_that_devices_cannot_share_are_refused():
  experiment = config.from_config_dict(smoke.get_config())
  device_programs.check(experiment, 2)
  with pytest.raises(InputError, match='config.mesh.model=4 does not divide num_heads=2 of base'):
    device_programs.check(experiment, 4)
