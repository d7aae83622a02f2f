"""Configs: every field documented, conversion both ways, mistakes named."""

import dataclasses
import importlib
import pathlib

import pytest

from tts import config
from tts.types import InputError

NAMES = sorted(p.stem for p in pathlib.Path(__file__).parents[1].joinpath('configs').glob('*.py')
               if p.stem not in ('claims', '__init__'))


@pytest.mark.parametrize('name', NAMES)
def test_a_config_file_survives_the_round_trip(name):
  module = importlib.import_module(f'configs.{name}')
  experiment = config.from_config_dict(module.get_config())
  assert config.from_config_dict(config.to_config_dict(experiment)) == experiment
  assert experiment.name == name
  first = module.__doc__.splitlines()
  assert f'--config=configs/{name}.py' in module.__doc__ and len(first) > 2


def test_every_field_has_a_meaning():
  assert [row[0] for row in config.describe(config.Experiment()) if not row[2]] == []


def changed(path, value):
  result = config.to_config_dict(config.Experiment())
  with result.ignore_type():
    result.update_from_flattened_dict({path: value})
  return result


@pytest.mark.parametrize('path,value', [
    ('search.questions', 'many'), ('search.budgets', 4), ('search.budgets', (1, 'x')),
    ('models.base.enabled', 1), ('sampling.temperature', 'hot'), ('labels', 3)])
def test_a_wrong_type_names_the_field(path, value):
  with pytest.raises(InputError, match=f'config.{path}'):
    config.from_config_dict(changed(path, value))


def test_numbers_and_paths_are_taken_as_meant():
  result = config.from_config_dict(changed('sampling.temperature', 1))
  assert result.sampling.temperature == 1.0 and isinstance(result.sampling.temperature, float)
  result = config.from_config_dict(changed('models.base.checkpoint', 'here'))
  assert result.models['base'].checkpoint == 'here'


def test_unknown_fields_are_refused():
  wrong = config.to_config_dict(config.Experiment())
  with wrong.unlocked():
    wrong.search.depth = 3
  with pytest.raises(InputError, match='config.search.depth'):
    config.from_config_dict(wrong)


def test_experiments_are_values():
  assert hash(config.Experiment()) == hash(config.Experiment())
  with pytest.raises(dataclasses.FrozenInstanceError):
    config.Experiment().name = 'other'


@pytest.mark.parametrize('values,match', [
    ({'pool': 16, 'deep_pool': 16}, 'deep_pool = 16'),
    ({'budgets': (1, 4), 'deep_budgets': (4, 16)}, 'both have 4')])
def test_settings_that_would_share_a_folder_are_refused(values, match):
  wrong = config.to_config_dict(config.Experiment())
  with wrong.ignore_type():
    wrong.search.update(values)
  with pytest.raises(InputError, match=f'config.search: .*{match}'):
    config.from_config_dict(wrong)


@pytest.mark.parametrize('cuts', [(0.8, 0.6), (0.2, 0.4, 0.6, 0.8), (0.8, 0.6, 0.4, -0.1)])
def test_cuts_of_difficulty_are_four_shares_that_fall(cuts):
  assert config.from_config_dict(changed('difficulty.cuts', (0.8, 0.6, 0.4, 0.2))).difficulty.cuts
  with pytest.raises(InputError, match='config.difficulty.*cuts is'):
    config.from_config_dict(changed('difficulty.cuts', cuts))
