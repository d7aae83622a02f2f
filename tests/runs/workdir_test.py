"""A run's folder: what fits stays, what does not is moved away, nothing is deleted."""

import dataclasses
import fcntl
import json
import subprocess
import sys
import time
import types

import pytest

from tts import config
from tts.runs import workdir as workdir_lib
from tts.runs.run import Run
from tts.runs.workdir import file_fingerprint, fingerprint, Usage, Workdir
from tts.sampling.logits import SamplingConfig
from tts.stages import search
from tts.types import InputError, Problem, Strategy


def test_results_of_another_config_are_moved_to_stale(tmp_path):
  workdir = Workdir(tmp_path / 'w')
  for mark in ('one', 'one', 'two', 'three'):
    folder = workdir.claim('records/search/x', mark)
    (tmp_path / 'w/records/search/x' / f'{mark}.txt').write_text(mark)
    assert folder == str(tmp_path / 'w/records/search/x')
  assert workdir.mark('records/search/x') == 'three'
  stale = list((tmp_path / 'w/stale').rglob('*.txt'))
  assert sorted(p.read_text() for p in stale) == ['one', 'two']


def test_folders_that_are_no_workdir_are_refused(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(InputError, match='is a file'):
    Workdir(tmp_path / 'file')
  with pytest.raises(InputError, match='run.json'):
    Workdir(tmp_path)
  assert [p.name for p in tmp_path.iterdir()] == ['file']


def test_damaged_json_is_named(tmp_path):
  workdir = Workdir(tmp_path / 'w')
  (tmp_path / 'w/x.json').write_text('{"a": ')
  with pytest.raises(InputError, match='x.json'):
    workdir.read_json('x.json')
  assert workdir.read_json('none.json') is None


def test_a_damaged_mark_counts_as_none(tmp_path):
  workdir = Workdir(tmp_path / 'w')
  folder = workdir.claim('records/search/x', 'one')
  (tmp_path / 'w/records/search/x/a.txt').write_text('a')
  for damage in (b'{"finger', b'\xff{}', b'[]'):
    (tmp_path / 'w/records/search/x/fingerprint.json').write_bytes(damage)
    assert workdir.mark('records/search/x') is None
  assert workdir.claim('records/search/x', 'one') == folder
  assert [p.name for p in (tmp_path / 'w/records/search/x').iterdir()] == ['fingerprint.json']
  assert len(list((tmp_path / 'w/stale').rglob('a.txt'))) == 1


def test_a_sealed_folder_is_whole_or_moved_away(tmp_path):
  workdir = Workdir(tmp_path / 'w')
  for damage in (lambda p: p.write_bytes(b'abd'), lambda p: p.write_bytes(b'ab'),
                 lambda p: p.unlink(), lambda p: (p.parent / 'more').write_text('')):
    file = tmp_path / 'w/tokenizer/model'
    assert not workdir.is_sealed('tokenizer', 'm')
    workdir.claim('tokenizer', 'm')
    file.write_bytes(b'abc')
    assert not workdir.is_sealed('tokenizer', 'm')
    workdir.seal('tokenizer', 'm')
    assert workdir.is_sealed('tokenizer', 'm') and not workdir.is_sealed('tokenizer', 'other')
    damage(file)
    assert not workdir.is_sealed('tokenizer', 'm') and not file.parent.exists()
  assert len(list((tmp_path / 'w/stale').iterdir())) == 4


def test_time_of_interrupted_starts_adds_up(tmp_path):
  workdir = Workdir(tmp_path / 'w')
  for _ in range(2):
    workdir.finish_stage('base', Usage(), budget_seconds=3)
  (tmp_path / 'w/stages/base.json').write_text(json.dumps({'stage': 'base', 'wall_seconds': 10,
                                                           'cpu_seconds': 20,
                                                           'peak_rss_bytes': 10**15}))
  for _ in range(2):
    workdir.finish_stage('base', Usage(), budget_seconds=3, compile_seconds=2.0)
  spent = workdir.read_json('stages/base.json')
  assert spent['wall_seconds'] >= 10 and spent['cpu_seconds'] >= 20
  assert spent['compile_seconds'] == 4 and spent['budget_seconds'] == 3
  assert spent['peak_rss_bytes'] == 10**15


def test_fingerprints_follow_contents(tmp_path):
  assert fingerprint(Strategy('beam', 4), 'x') == fingerprint(Strategy('beam', 4), 'x')
  assert fingerprint(Strategy('beam', 4), 'x') != fingerprint(Strategy('beam', 8), 'x')
  (tmp_path / 'f').write_text('a')
  before = file_fingerprint(str(tmp_path / 'f'))
  (tmp_path / 'f').write_text('b')
  assert file_fingerprint(str(tmp_path / 'f')) != before
  folder = file_fingerprint(str(tmp_path))
  (tmp_path / 'model.json').write_text('{}')
  assert file_fingerprint(str(tmp_path)) != folder


def test_the_grader_is_part_of_what_is_graded_alone():
  def mark(split, **data):
    experiment = config.Experiment(data=dataclasses.replace(config.Experiment().data, **data))
    return Run.data_mark.__wrapped__(types.SimpleNamespace(experiment=experiment), split)

  arith = dataclasses.asdict(config.Experiment().data.arith)
  # As before there was a choice: such runs stay valid.
  assert mark('test', grader='exact') == fingerprint('arith', 'test', arith)
  for split in ('verifier', 'revision', 'dev', 'test'):
    assert mark(split, grader='math') != mark(split, grader='exact')
  assert mark('lm', grader='math') == mark('lm', grader='exact')


def test_an_option_that_is_off_changes_no_fingerprint():
  """Of how tokens are drawn: runs from before an option stay valid, and it being on shows."""
  before = dataclasses.make_dataclass(
      'Before', [('temperature', float, 1.0), ('top_k', int, 0), ('top_p', float, 1.0)])
  assert fingerprint(SamplingConfig()) == fingerprint(before())
  assert fingerprint(SamplingConfig(0.5, 3, 0.9)) == fingerprint(before(0.5, 3, 0.9))
  fields = [(f.name, f.type, f.default) for f in dataclasses.fields(SamplingConfig)]
  for kind, off, on in ((bool, False, True), (float | None, None, 0.5), (tuple, (), (1,))):
    more = dataclasses.make_dataclass('More', [*fields, ('another', kind, off)])
    assert fingerprint(more()) == fingerprint(SamplingConfig())
    assert fingerprint(more(another=on)) != fingerprint(SamplingConfig())
  options = {name: off for name, _, off in fields if name not in vars(before())}
  assert 'statistics' in options
  for name, off in options.items():
    on = True if off is False else 0.5
    assert fingerprint(SamplingConfig(**{name: on})) != fingerprint(SamplingConfig())
    assert fingerprint(SamplingConfig(**{name: off})) == fingerprint(SamplingConfig())


HOLD = 'import sys; from tts.runs.workdir import Workdir; Workdir(sys.argv[1]).hold(); input()'


def test_two_processes_do_not_work_in_one_folder(tmp_path):
  """Not even by other configs; the lock ends with its process, however that ends."""
  workdir = Workdir(tmp_path)
  workdir.write_json('run.json', {})
  other = subprocess.Popen([sys.executable, '-c', HOLD, str(tmp_path)], stdin=subprocess.PIPE)
  try:
    while True:
      workdir.hold()  # not yet the other's
      fcntl.flock(workdir_lib._HELD[workdir.root], fcntl.LOCK_UN)
      del workdir_lib._HELD[workdir.root]
      assert other.poll() is None
      time.sleep(0.05)
  except InputError as error:
    assert 'another process is at work' in str(error)
  other.kill()
  other.wait()
  workdir.hold()
  workdir.hold()  # its own


def test_a_study_is_not_run_over(tmp_path):
  (tmp_path / 'run.json').write_text('{"config": {"samples": {"sha256": "0"}}}')
  with pytest.raises(InputError, match='holds a study'):
    Workdir(tmp_path).hold()


def test_trees_of_questions_that_are_not_asked_any_more_go(tmp_path):
  workdir = Workdir(tmp_path)
  for name in ('a-beam-m4-n4', 'b_c-beam-m4-n4', 'old-beam-m4-n4'):
    workdir.write_json(f'trees/{name}.json', {})
  search._forget_trees(types.SimpleNamespace(workdir=workdir), [
      Problem('a', '1\n', '1'), Problem('b/c', '1\n', '1')])
  assert {p.name[0] for p in (tmp_path / 'trees').iterdir()} == {'a', 'b'}
