"""Which stages a run has."""

import pytest

from configs import smoke
from tts import config
from tts.stages import reproduce

REVISIONS = ('revision', 'revision_orms', 'restem', 'revise')


@pytest.fixture
def ran(monkeypatch):
  """The stages that are run, which do nothing."""
  names = []
  for name in reproduce.STAGES:
    monkeypatch.setitem(reproduce.STAGES, name, lambda run, name=name: names.append(name))
  return names


@pytest.mark.parametrize('revising', [False, True])
def test_what_is_off_is_no_stage(tmp_path, ran, revising):
  made = smoke.get_config('revisions' if revising else '')
  made.models.mid.enabled = False
  experiment = config.from_config_dict(made)
  reproduce.run_stages(experiment, str(tmp_path), list(reproduce.STAGES))
  off = ('mid',) if revising else ('mid', *REVISIONS)
  assert ran == [name for name in reproduce.STAGES if name not in off]
  assert sorted(p.stem for p in (tmp_path / 'stages').iterdir()) == sorted(ran)
