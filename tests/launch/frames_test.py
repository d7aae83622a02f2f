"""How deep a device program lies below a launcher."""

import pathlib
import traceback

import pytest

from configs import smoke as smoke_config
from tests.launch.conftest import ROOT
from tts import config
from tts.engine import all_programs
from tts.runs.run import Run
from tts.runs.workdir import Workdir
from tts.stages import graph, reproduce

MOST = 6  # frames of ours, with the launcher's own


def test_a_program_that_fails_is_six_frames_below_its_launcher(smoke, monkeypatch):
  def broken(*args):
    raise RuntimeError('no device')

  monkeypatch.setattr(all_programs, 'write', lambda *args: broken)
  asked = smoke_config.get_config('revisions')
  asked.difficulty.samples = 3  # of which there are no records yet
  experiment = config.from_config_dict(asked)
  run = Run(experiment, Workdir(str(smoke)), 0)
  monkeypatch.setattr(run.workdir, 'claim', lambda *args: None)  # the run is others' too
  monkeypatch.setattr(run.workdir, 'path', lambda *parts: str(
      smoke / 'nowhere' if parts[0].startswith('records/difficulty') else smoke.joinpath(*parts)))
  _, stage = graph.launched(experiment, 'search')
  with pytest.raises(RuntimeError, match='no device') as error:
    reproduce.run_stages([run], [stage])
  ours = [frame for frame in traceback.extract_tb(error.value.__traceback__)
          if pathlib.Path(frame.filename).is_relative_to(ROOT / 'tts')]
  assert len(ours) + len(('launch/search.py', 'Program.__call__')) <= MOST, ours
