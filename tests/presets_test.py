"""Presets by their bare names, and the command that is installed."""

import sys

import pytest

from tests.config_test import NAMES
from tts import command, presets
from tts.types import InputError


@pytest.mark.parametrize('name', NAMES)
def test_a_preset_is_found_by_its_name_and_by_its_path(name, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  file = presets.ROOT / 'configs' / f'{name}.py'
  assert file.is_file() and name in presets.names()
  assert presets.resolved(name) == presets.resolved(f'configs/{name}.py') == str(file)
  assert presets.resolved(f'{name}:small') == f'{file}:small'
  assert presets.module(name).get_config().name == name


def test_a_file_of_the_users_comes_first(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'quickstart').write_text('')
  (tmp_path / 'smoke').mkdir()  # a folder is no experiment file
  assert presets.resolved('quickstart:x') == 'quickstart:x'
  assert presets.resolved('smoke') != 'smoke'


@pytest.mark.parametrize('name', ['quikstart', 'claims', '__init__', 'config.py', 'quickstart.py'])
def test_an_unknown_name_is_refused_with_the_names_there_are(name, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(InputError) as refused:
    presets.resolved(name)
  said = str(refused.value)
  assert said.startswith(f'--config={name}: ') and '\n' not in said and str(tmp_path) in said
  assert said.endswith(f'one of {", ".join(NAMES)}')


def test_the_command_lists_what_there_is(capsys, monkeypatch):
  monkeypatch.setattr(sys, 'argv', ['tts-scaling'])
  command.main()
  said = capsys.readouterr().out
  for name in (*command.launchers(), *presets.names()):
    assert f' {name}' in said


def test_an_unknown_launcher_is_one_line(capsys, monkeypatch):
  monkeypatch.setattr(sys, 'argv', ['tts-scaling', 'reprodce'])
  with pytest.raises(SystemExit) as ended:
    command.main()
  said, = capsys.readouterr().err.splitlines()
  assert ended.value.code == 2 and 'reprodce' in said and 'reproduce' in said


def test_a_wheel_names_its_own_command(monkeypatch):
  said = 'run `python -m launch.report` first; launch.jsonl and launch.solve'
  assert command.as_started(said) == said
  monkeypatch.setattr(presets, 'IN_WHEEL', True)
  assert command.as_started(said) == (
      'run `tts-scaling report` first; launch.jsonl and tts-scaling solve')
