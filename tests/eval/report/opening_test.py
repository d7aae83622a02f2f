"""The opening of `test` is written down once, by the first report that has answers to it."""

import json

import pytest

import tts
from tests.eval import synthetic
from tts.eval.report import opening
from tts.eval.storage import records, runfiles

CLAIMS = [{'reproduced': True}, {'reproduced': 'inconclusive'}, {'reproduced': False},
          {'reproduced': True}]


@pytest.fixture
def loaded(tmp_path):
  """split --> a run's files."""
  def load(split):
    synthetic.write_run(tmp_path, questions=5, beams=())
    run = records.read_json(tmp_path / 'run.json')
    run['config'] |= {'search': {'split': split},
                      'data': {'family': 'arith', 'arith': {'seed': 7}}}
    records.write_json(tmp_path / 'run.json', run)
    return runfiles.load(tmp_path)
  return load


def test_the_first_report_is_the_opening(loaded, monkeypatch):
  run = loaded('test')
  monkeypatch.setattr(opening, 'commit', lambda: 'first')
  found = opening.of(run, 5, CLAIMS)
  assert found['commit'] == 'first' and found['benchmark_seed'] == 7 and found['questions'] == 5
  assert found['verdicts'] == {'held': 2, 'did not hold': 1, 'inconclusive': 1}
  monkeypatch.setattr(opening, 'commit', lambda: 'later')
  assert opening.of(run, 5, CLAIMS) == found
  assert json.loads((run.root / opening.FILE).read_text('utf-8'))['date'] == found['date']


@pytest.mark.parametrize('split, questions', [('dev', 5), ('test', 0)])
def test_what_opens_nothing(loaded, split, questions):
  run = loaded(split)
  assert opening.of(run, questions, CLAIMS) is None
  assert not (run.root / opening.FILE).exists()


def test_the_commit_is_this_checkout_s_and_no_other_s(tmp_path, monkeypatch):
  found = opening.commit()
  assert found is None or len(found.removesuffix('-dirty')) == 12
  monkeypatch.setattr(tts, '__file__', str(tmp_path / 'site-packages' / 'tts' / '__init__.py'))
  assert opening.commit() is None
