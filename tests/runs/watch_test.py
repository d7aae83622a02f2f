"""Measurements and traces are written for the stage that is being run, and for none else."""

import dataclasses
import io
import json
import os
import pathlib
import struct
import types

import jax.numpy as jnp
import numpy as np
import pytest
from tqdm import tqdm

from tts import hosts, parallel
from tests.runs.tasks import Model, Step
from tts.runs import watch, work
from tts.runs.blocks import Block
from tts.runs.models_at_work import Computed, PerQuestion
from tts.runs.workdir import Workdir
from tts.train.progress import Progress
from tts.types import Problem


@pytest.fixture
def workdir(tmp_path):
  made = Workdir(tmp_path / 'w')
  made.write_json('run.json', {})
  return made


def lines(workdir, stage):
  with open(workdir.path('metrics', f'{stage}.jsonl')) as file:
    return [json.loads(line) for line in file]


def run_blocks(workdir, folder='search/x'):
  """Three blocks of 30 tokens each, for which two models compute 80 of which 50 are asked for."""
  so_far = Computed({('base', 'entered'): 1000, ('base', 'computed'): 1000})  # before them
  counts = {'base': {'prompt': 9, 'kept': 10, 'pruned': 3, 'simulated': 2, 'entered': 99}}
  model = Model()

  async def question(b, group):
    await Step(model.worker)
    for name, entered, computed in (('base', 30, 40), ('prm', 20, 40)):
      so_far[name, 'entered'] += entered
      so_far[name, 'computed'] += computed

  blocks = [Block([Problem(f'p{i}', '')], [[1]], np.zeros((1, 2), np.uint32)) for i in range(3)]
  work.run(workdir, [work.Work(
      folder, 'm', blocks, PerQuestion(lambda block: question, [model], 1),
      lambda block, found: [{'problem_id': 'p', 'model': 'base', 'counts': counts}] * 2, {},
      types.SimpleNamespace(computed=so_far.copy))], parallel.make_mesh(1))


def test_blocks_leave_lines_in_a_stage_alone(workdir, monkeypatch):
  run_blocks(workdir, 'search/before')
  assert not os.path.exists(workdir.path('metrics'))
  workdir.stage = 'search'
  run_blocks(workdir)
  first, second, third = lines(workdir, 'search')
  assert first['work'] == 'search/x' and (first['blocks'], second['blocks']) == (1, 2)
  assert first['of'] == third['blocks'] == 3
  assert first['slot_occupancy'] == third['slot_occupancy'] == 5 / 8
  assert first['tokens_per_second'] > 0 == third['seconds_left'] and first['seconds'] >= 0
  monkeypatch.setattr(hosts, 'is_first', lambda: False)
  watch.log(workdir, x=1)
  assert len(lines(workdir, 'search')) == 3


class Bar(tqdm):
  """One that keeps what it says."""

  def __init__(self):
    super().__init__(total=4, file=io.StringIO(), smoothing=0, bar_format=work._BAR, initial=1)
    self.said = []

  def refresh(self, *args, **kwargs):
    if hasattr(self, 'said'):
      self.said.append((self.n, self.postfix))


def test_the_pace_moves_inside_a_question(monkeypatch):
  """Tokens over seconds since it was last shown, every two seconds at most."""
  now = [100.0]
  monkeypatch.setattr(watch.time, 'monotonic', lambda: now[0])
  bar = Bar()
  pace = watch.Pace(bar, blocks=3, questions=6)
  for seconds, tokens, done in ((0.5, 700, 0), (0.5, 300, 0), (1.0, 1000, 0)):
    now[0] += seconds
    pace.add(tokens, done)
  assert bar.said == [(1, '1,000 tokens/s')] and pace.seconds_left == 0  # nobody knows yet
  for tokens, done in ((2000, 2), (1000, 2), (9000, 2), (1, 3)):
    now[0] += 5
    pace.add(tokens, done)
  # Two questions took 4,000 tokens, so 1,000 are half of one.
  assert [n for n, _ in bar.said[1:]] == [2.0, 2.25, 2.5, 2.5]  # it never goes back
  assert pace.seconds_left == 22.0
  now[0] += 5
  pace.add(1, 6)
  assert bar.n == 4 and '| 4.0/4 blocks [' in str(bar)


def test_a_training_leaves_its_loss(workdir):
  workdir.stage = 'base'
  watch.training(workdir)['progress'](Progress('base', 32, 64, 0.5, 100.0, 2.0))
  found, = lines(workdir, 'base')
  assert dataclasses.asdict(Progress('base', 32, 64, 0.5, 100.0, 2.0)).items() >= {
      k: found[k] for k in ('step', 'loss', 'tokens_per_second', 'seconds_left')}.items()
  assert found['model'] == 'base' and found['steps'] == 64


def test_every_stage_is_traced_once_where_that_is_asked_for(workdir, monkeypatch):
  profile = pathlib.Path(workdir.path('profile'))
  traces = lambda: sorted(p.relative_to(profile).parts[0] for p in profile.rglob('*.xplane.pb'))
  workdir.stage = 'search'
  run_blocks(workdir)
  assert traces() == []
  monkeypatch.setattr(watch, '_traced', None)
  watch.profile_stages()
  for workdir.stage in ('search', 'search', 'labels', None):
    with watch.traced(workdir):
      jnp.ones(3).sum().block_until_ready()
  assert traces() == ['labels', 'search']


def scalars(folder):
  """(tag, step, value) of all event files in a folder: records of length, CRC, data, CRC."""
  from tensorboardX.proto.event_pb2 import Event

  found = []
  for path in sorted(pathlib.Path(folder).iterdir()):
    data, at = path.read_bytes(), 0
    while at < len(data):
      size, = struct.unpack_from('<Q', data, at)
      event = Event.FromString(data[at + 12:at + 12 + size])
      found += [(v.tag, event.step, v.simple_value) for v in event.summary.value]
      at += size + 16
  return found


def test_numbers_are_tensorboards_too(workdir):
  pytest.importorskip('tensorboardX', reason='extra `tensorboard`')
  workdir.stage = 'base'
  for step, loss in ((32, 0.5), (64, 0.25)):
    watch.log(workdir, model='base', step=step, steps=64, loss=loss, said='text')
  folder = workdir.path('metrics', 'tensorboard', 'base')
  watch._events(folder).close()
  assert scalars(folder) == [('base/loss', 32, 0.5), ('base/loss', 64, 0.25)]
