"""Training learns, resumes exactly, stops when it should, and says why."""

import dataclasses

from absl import logging
import jax
import numpy as np
import pytest

from tests import toy
from tts import parallel
from tts.models.transformer import Decoder
from tts.train import checkpoint, fit as fit_lib, packed, progress, steps
from tts.types import InputError

DELIMITER, GOOD, BAD = 4, 5, 6


def labelled(seed, num=48):
  """Samples whose steps are right until a BAD token; a step before it may be spoilt later."""
  rng = np.random.default_rng(seed)
  items = []
  for i in range(num):
    tokens, ends, labels, right = [], [], [], 1.0
    for _ in range(3):
      bad = rng.random() < 0.3
      tokens += [BAD if bad else GOOD, int(rng.integers(7, 13)), DELIMITER]
      right = 0.0 if bad else right
      ends.append(len(tokens))
      labels.append(0.8 * right)
    items.append(packed.Labelled(f's{i}', [1, int(rng.integers(7, 13))], tokens, ends, labels))
  return items


DATA = packed.pack_labels(labelled(0), 32, seed=0)
HELD_OUT = packed.pack_labels(labelled(1, 20), 32, seed=0)
ARCH = dataclasses.replace(toy.ARCH, num_layers=1)  # quick to compile
CONFIG = steps.TrainConfig(learning_rate=1e-2, steps=40, batch_size=4, row_length=32, seed=5,
                           dropout=0.1, checkpoint_every=16)


def same(a, b):
  return jax.tree.all(jax.tree.map(lambda x, y: np.array_equal(x, y), a, b))


class Killed(BaseException):
  pass


@pytest.fixture
def kill_at(monkeypatch):
  """A function that makes a training die as update `step` ends."""
  read = fit_lib._Run._read

  def arm(step):
    def dying(self, meta, first, count, curves):
      if step is not None and first < step <= first + count:
        raise Killed
      read(self, meta, first, count, curves)
    monkeypatch.setattr(fit_lib._Run, '_read', dying)
  return arm


def final_state(workdir, arch, config):
  """(parameters, optimizer state) of the only training in a workdir."""
  folder, = (workdir / 'train').iterdir()
  params = steps.init_params(Decoder(arch), 0)
  like = steps.TrainState(jax.numpy.int32(0), params, steps.make_optimizer(config).init(params))
  with checkpoint.TrainingCheckpoints(folder) as checkpoints:
    return checkpoints.restore(like)[0]


def test_learns_a_batch_by_heart():
  right = [dataclasses.replace(i, labels=[1.0] * len(i.labels)) for i in labelled(0, 3)]
  one = packed.pack_labels(right, 32, seed=0)
  config = dataclasses.replace(CONFIG, steps=250, dropout=0.0, batch_size=2)
  _, metrics = fit_lib.fit(ARCH, config, one, validation=one)
  assert metrics['val_loss'] < 0.06  # a third of the first own tokens cannot be known before
  assert metrics['steps'] == 250 and metrics['examples'] == 3
  assert metrics['tokens'] == 250 * 2 * one.row_tokens.sum() / one.num_rows


@pytest.mark.parametrize('kind, groups', [
    pytest.param('lm', 2, marks=pytest.mark.slow), ('value', None)])
def test_killed_training_ends_as_an_unbroken_one(tmp_path, kill_at, kind, groups):
  mesh = None if groups is None else parallel.make_mesh(groups, 2)
  args = dict(kind=kind, validation=HELD_OUT, mesh=mesh)
  config = dataclasses.replace(CONFIG, eval_every=12, lm_loss_weight=0.1)
  whole, metrics = fit_lib.fit(ARCH, config, DATA, workdir=tmp_path / 'whole', **args)
  for step in (5, 23, 34, None):  # before any checkpoint, between two, after the second
    kill_at(step)
    try:
      pieces, found = fit_lib.fit(ARCH, config, DATA, workdir=tmp_path / 'cut', **args)
    except Killed:
      assert step is not None
  assert same(whole, pieces)
  a, b = (final_state(tmp_path / w, ARCH, config) for w in ('whole', 'cut'))
  assert int(a.step) == 40 and same(a, b)
  assert {k: v for k, v in found.items() if 'seconds' not in k} == {
      k: v for k, v in metrics.items() if 'seconds' not in k}


@pytest.mark.parametrize('before, after', [((4, 2), None), (None, (2, 2))])
def test_a_killed_training_goes_on_with_other_devices(tmp_path, kill_at, before, after):
  mesh = lambda shape: shape and parallel.make_mesh(*shape)
  config, told = dataclasses.replace(CONFIG, batch_size=8, dropout=0.0), []
  args = dict(workdir=tmp_path / 'cut', progress=told.append)
  kill_at(34)
  with pytest.raises(Killed):
    fit_lib.fit(ARCH, config, DATA, mesh=mesh(before), **args)
  kill_at(None)
  done = len(told)
  found, metrics = fit_lib.fit(ARCH, config, DATA, mesh=mesh(after), **args)
  assert told[done].step > told[0].step and metrics['steps'] == 40
  whole, _ = fit_lib.fit(ARCH, config, DATA)
  close = lambda x, y: np.testing.assert_allclose(x, y, rtol=5e-3, atol=2e-4)
  jax.tree.map(close, jax.device_get(found), jax.device_get(whole))


def test_a_damaged_checkpoint_is_named_and_the_training_starts_over(tmp_path, kill_at, caplog):
  whole, _ = fit_lib.fit(ARCH, CONFIG, DATA, workdir=tmp_path / 'whole')
  kill_at(34)
  with pytest.raises(Killed):
    fit_lib.fit(ARCH, CONFIG, DATA, workdir=tmp_path / 'cut')
  kill_at(None)
  path = max((tmp_path / 'cut' / 'train').rglob('params/**/d/*'), key=lambda p: p.stat().st_size)
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 1
  path.write_bytes(data)
  logging.get_absl_logger().propagate = True
  pieces, _ = fit_lib.fit(ARCH, CONFIG, DATA, workdir=tmp_path / 'cut')
  assert same(whole, pieces) and path.name in caplog.text


def test_finished_training_is_not_repeated(tmp_path, monkeypatch):
  args = dict(workdir=tmp_path, name='base', validation=HELD_OUT)
  params, metrics = fit_lib.fit(ARCH, CONFIG, DATA, **args)
  with monkeypatch.context() as m:
    m.setattr(fit_lib._Run, '_compile', None)
    again, found = fit_lib.fit(ARCH, CONFIG, DATA, **args)
  assert same(params, again) and metrics == found
  fit_lib.fit(ARCH, dataclasses.replace(CONFIG, steps=3), DATA, **args)
  assert len(list((tmp_path / 'train').iterdir())) == 2  # another setting, another training
  fit_lib.forget(tmp_path, 'bas')
  assert len(list((tmp_path / 'train').iterdir())) == 2
  fit_lib.forget(tmp_path, 'base')
  assert not list((tmp_path / 'train').iterdir())


def test_batches_go_through_every_row_before_any_comes_again():
  config = dataclasses.replace(CONFIG, batch_size=4)
  rows = np.concatenate([fit_lib.batch_rows(s, 10, config) for s in range(15)])
  epochs = rows.reshape(6, 10)
  assert (np.sort(epochs, axis=1) == np.arange(10)).all()
  assert len({tuple(e) for e in epochs}) == 6
  few = fit_lib.batch_rows(1, 3, config)  # rows 4..7 of 3: over three epochs
  assert few.shape == (4,) and set(few) <= {0, 1, 2}


def test_values_of_known_steps_are_recovered():
  arch = dataclasses.replace(ARCH, heads=('value',))
  config = dataclasses.replace(CONFIG, steps=200, dropout=0.0, eval_every=50)
  many = packed.pack_labels(labelled(0, 300), 32, seed=0)
  params, metrics = fit_lib.fit(arch, config, many, kind='value', validation=HELD_OUT)
  data = HELD_OUT.arrays()
  decoder = Decoder(arch)
  hidden, _ = decoder.apply(params, data['tokens'], data['positions'], data['segments'])
  value = jax.nn.sigmoid(decoder.apply(params, hidden.top, method='values'))
  error = np.abs(value - data['label'])[data['label_mask']]
  assert error.max() < 0.15, error
  entropy = -0.8 * np.log(0.8) - 0.2 * np.log(0.2)
  least = entropy * (data['label'] > 0).sum() / data['label_mask'].sum()
  assert least <= metrics['val_bce'] < least + 0.02


def test_verifier_stops_early_and_keeps_its_best(tmp_path):
  noise = [dataclasses.replace(x, labels=list(np.random.default_rng(i).integers(0, 2, 3) * 1.0))
           for i, x in enumerate(labelled(0, 12) + labelled(1, 12))]
  learn, held = (packed.pack_labels(x, 32, seed=0) for x in (noise[:12], noise[12:]))
  config = dataclasses.replace(CONFIG, steps=400, eval_every=10, patience=3, dropout=0.0)
  params, metrics = fit_lib.fit(ARCH, config, learn, kind='value', validation=held,
                                workdir=tmp_path)
  assert metrics['steps'] == metrics['best_step'] + 30 < 400
  assert fit_lib.fit(ARCH, config, learn, kind='value', validation=held,
                     workdir=tmp_path)[1] == metrics
  bce = evaluate(params, held, config)
  np.testing.assert_allclose(bce, metrics['val_bce'], rtol=1e-6)
  # The same training cut at its best update has the same parameters: these are the best ones.
  last = final_state(tmp_path, ARCH, config)
  assert evaluate(last.params, held, config) > bce


def evaluate(params, data, config):
  loss = steps.make_loss(Decoder(ARCH), 'value', config)
  sums = fit_lib.make_evaluate(loss, data, config.batch_size)(params)
  return sums['bce'] / sums['labels']


def test_validation_does_not_depend_on_its_batches():
  params = steps.init_params(Decoder(ARCH), 0)
  loss = steps.make_loss(Decoder(ARCH), 'lm', CONFIG)
  sums = [fit_lib.make_evaluate(loss, HELD_OUT, size)(params) for size in (1, 3, 50)]
  assert sums[0]['tokens'] == sums[1]['tokens'] == sums[2]['tokens'] == HELD_OUT.loss_mask.sum()
  np.testing.assert_allclose([s['nll'] for s in sums], sums[0]['nll'], rtol=1e-5)


def test_groups_of_devices_share_a_batch():
  config = dataclasses.replace(CONFIG, dropout=0.0, steps=8)
  alone, _ = fit_lib.fit(ARCH, config, DATA)
  shared, _ = fit_lib.fit(ARCH, config, DATA, mesh=parallel.make_mesh(4))
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=2e-4), alone, shared)
  with pytest.raises(InputError, match='batch_size=4 does not divide over 8 groups'):
    fit_lib.fit(ARCH, config, DATA, mesh=parallel.make_mesh(8))


def test_divergence_is_one_line(tmp_path):
  params = steps.init_params(Decoder(ARCH), 0)
  params['params']['embed'] = params['params']['embed'].at[BAD].set(np.inf)
  config = dataclasses.replace(CONFIG, learning_rate=3e-3)
  with pytest.raises(FloatingPointError) as error:
    fit_lib.fit(ARCH, config, DATA, init=params, name='prm', workdir=tmp_path)
  message = str(error.value)
  assert isinstance(error.value, InputError) and '\n' not in message
  assert message.startswith('training of prm diverged: loss is nan at step 1 of 40 (no good loss')
  assert 'learning_rate=0.003' in message
  assert not list(next((tmp_path / 'train').iterdir()).iterdir())  # nothing to resume from


def test_divergence_tells_the_last_good_loss():
  config = dataclasses.replace(CONFIG, learning_rate=1e30, clip=1e30, warmup_fraction=0.0)
  with pytest.raises(fit_lib.DivergedError, match=r'at step [2-9] of 40 \(last good loss \d'):
    fit_lib.fit(ARCH, config, DATA)


def test_verifier_starts_on_a_trained_trunk():
  lm_arch = dataclasses.replace(ARCH, heads=('lm',), tied=False)
  arch = dataclasses.replace(ARCH, heads=('value',))
  trunk = steps.init_params(Decoder(lm_arch), 9)
  fresh = steps.init_params(Decoder(arch), 0)
  found = steps.graft(fresh, trunk, 'prm')
  assert jax.tree.structure(found) == jax.tree.structure(fresh)
  for name, value in found['params'].items():
    assert same(value, (trunk if name in trunk['params'] else fresh)['params'][name])
  config = dataclasses.replace(CONFIG, steps=1)
  fit_lib.fit(arch, config, DATA, kind='value', init=trunk)
  assert np.isfinite(trunk['params']['embed']).all()  # not given away to the updates
  other = steps.init_params(Decoder(dataclasses.replace(lm_arch, mlp_width=8)), 0)
  with pytest.raises(InputError, match=r'prm: parameter .*mlp_0/down/kernel is \[8, 16\]'):
    fit_lib.fit(arch, config, DATA, kind='value', init=other, name='prm')


def test_progress_is_told_and_quiet_when_short(capfd):
  told = []
  config = dataclasses.replace(CONFIG, steps=70)
  fit_lib.fit(ARCH, config, DATA, progress=told.append, name='base')
  assert [p.step for p in told][-1] == 70 and told[-1].seconds_left == 0
  assert all(p.tokens_per_second > 0 and p.name == 'base' for p in told)
  capfd.readouterr()
  show = progress.bar()
  for p in told:
    show(p)
  assert capfd.readouterr().err == ''
  show = progress.bar(delay=0)
  for p in told:
    show(p)
  assert '70/70' in capfd.readouterr().err
