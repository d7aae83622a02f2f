"""`--dry_run` asks the machine: with models of the experiment's sizes, and a given one itself."""

import dataclasses

import numpy as np
import pytest

from configs import smoke
from tts import config
from tts.estimates import calibrate, cost
from tts.estimates.calibrate import Lengths

EXPERIMENT = config.from_config_dict(smoke.get_config())


def test_speeds_are_of_what_is_computed(monkeypatch):
  """Of a clock that says how long; FLOPs of all lanes of both devices, and of steps that are read."""
  seconds = iter([2.0, 4.0])
  monkeypatch.setattr(calibrate, '_seconds', lambda question, model: next(seconds))
  monkeypatch.setattr(calibrate, '_training', lambda e, name, mesh: 1e9)
  e = dataclasses.replace(EXPERIMENT, mesh=dataclasses.replace(EXPERIMENT.mesh, data=2), lanes=8)
  found = calibrate.speeds(e, Lengths(prompt=10, solution=5, steps=2)).of
  written, read, prompts = 2 * 8 * 5, 2 * 2 * 32 * 2, 2 * 10
  assert found['write'] == pytest.approx(0.72 / 2 * (
      cost.read(e, 'base', prompts, 5) + cost.read(e, 'base', written, 12.5)))
  assert found['read'] == pytest.approx(0.78 / 4 * (
      cost.read(e, 'prm', prompts, 5) + cost.read(e, 'prm', read, 11)))
  assert found['train 16'] == found['train 32'] == 1e9


def test_of_a_prompt_what_all_begin_with_is_left_out(monkeypatch):
  asked = []
  monkeypatch.setattr(calibrate, '_seconds', lambda question, model: 1.0)
  monkeypatch.setattr(calibrate, '_training', lambda e, name, mesh: 1e9)
  monkeypatch.setattr(calibrate.cost, 'read',
                      lambda e, name, tokens, context: asked.append((name, tokens)) or 1.0)
  calibrate.speeds(EXPERIMENT, Lengths(prompt=500, solution=5, steps=2, shared=480))
  assert asked[0] == ('base', 20) and ('prm', 20) in asked


def test_this_machine_is_asked():
  found = calibrate.speeds(EXPERIMENT, Lengths(prompt=12, solution=30, steps=4))
  assert found.of.keys() == {'write', 'read', 'train 16', 'train 32'}
  assert all(np.isfinite(speed) and speed > 1e5 for speed in found.of.values())
  assert found.seconds({'write': found.of['write'], 'read': 2 * found.of['read']}) == (
      pytest.approx(3))
