"""A study that follows a latent verifier: trained, searched with, charged, gone on with, asked."""

import json
import math
import shutil

import pytest

from tests.launch.conftest import record_hashes
from tts import config
from tts.eval.storage import records
from tts.estimates import device_programs, dry_run
from tts.stages import graph

FLAGS = ('--config=configs/smoke.py', '--config.models.latent.enabled=True',
         '--config.verifier=latent', '--config.models.latent.latent.labels=rollouts',
         '--config.search.lookahead_questions=0')

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def finished(launcher, smoke, tmp_path_factory):
  """The smoke run, gone on with."""
  workdir = tmp_path_factory.mktemp('latent') / 'w'
  shutil.copytree(smoke, workdir)
  launcher.ok('reproduce', *FLAGS, f'--workdir={workdir}')
  return workdir


@pytest.fixture(scope='module')
def written(finished):
  return json.loads((finished / 'report' / 'results.json').read_text())


def test_what_is_planned():
  """No training of a decoder; programs of states in one stage, of a judging base in others."""
  from configs import smoke
  asked = smoke.get_config()
  asked.models.latent.enabled, asked.verifier = True, 'latent'
  e = config.from_config_dict(asked)
  assert ('verifiers', 'latent') not in graph.trained(e)
  names = {program.name for program in device_programs.listed(e)}
  assert {'verifiers/read-latent', 'search/write-base-latent', 'search/read-base-latent'} <= names
  assert not {'search/read-latent', 'train/latent'} & names
  costs = {cost.stage: cost for cost in dry_run.costs(e)}
  assert costs['verifiers'].spent['read'] > 0


def test_it_is_fitted_and_nothing_else_is_made_anew(smoke, finished):
  meta = json.loads((finished / 'models' / 'latent' / 'model.json').read_text())
  assert meta['metrics']['questions'] > 10 and meta['metrics']['flops'] > 0
  assert not (finished / 'train' / 'latent').exists()  # the states are gone
  before, after = record_hashes(smoke), record_hashes(finished)
  assert all(after[p] == before[p] for p in before if '/labels/' in p)
  assert (finished / 'models' / 'prm' / 'model.json').read_text() == (
      smoke / 'models' / 'prm' / 'model.json').read_text()


def test_it_costs_the_head_s_products_alone(written):
  ledger = written['ledger']['search']
  assert 0 < ledger['latent']['flops'] < 0.05 * ledger['base']['flops']
  assert ledger['latent']['computed'] is None and ledger['latent']['ratio'] == 1.0
  assert written['verifier']['latent']['params'] < 100
  beams = [r for r in written['curves'] if r['strategy'] == 'beam' and r['bin'] is None]
  assert beams and all(r['verifier_tokens'] == 0 and r['guided'] for r in beams)
  other = [r for r in written['ablations'] if r['strategy'] == 'beam' and r['verifier'] == 'prm']
  assert other and all(r['verifier_tokens'] > 0 for r in other)


def test_it_goes_on_where_it_was(launcher, finished):
  before = record_hashes(finished)
  shutil.rmtree(finished / 'records' / 'search' / 'latent-beam-m2-n4')
  meta = finished / 'models' / 'latent' / 'model.json'
  fitted = meta.stat().st_mtime_ns
  launcher.ok('reproduce', *FLAGS, f'--workdir={finished}')
  assert meta.stat().st_mtime_ns == fitted
  after = record_hashes(finished)
  assert any('latent-beam-m2-n4' in p for p in before) and after == before


def test_new_questions_are_asked_with_it(launcher, finished):
  done = launcher.ok('solve', f'--workdir={finished}', '--question=3;+4', '--budget=4')
  assert '0 read by the verifier' in done.stdout


def test_whole_solutions_are_labelled_without_rollouts(launcher, smoke, tmp_path):
  workdir = tmp_path / 'w'
  for name in ('models', 'tokenizer', 'data'):
    shutil.copytree(smoke / name, workdir / name)
  shutil.copy(smoke / 'run.json', workdir)
  launcher.ok('rollouts', '--config=configs/smoke.py', '--config.labels.rollouts=0',
              f'--workdir={workdir}')
  rows = [row for row in records.iterate(workdir, 'labels', 'rollouts') if row['labels']]
  assert rows
  for row in rows:
    assert row['labels'][-1] == float(row['correct'])
    assert row['counts']['base']['simulated'] == 0 == row['rollout_attended']


def test_a_given_model_is_searched_by_its_own_log_probability(launcher, smoke, tmp_path):
  """`launch.evaluate` trains nothing, and this verifier needs nothing."""
  workdir = tmp_path / 'w'
  launcher.ok('evaluate', '--config=configs/smoke.py', f'--workdir={workdir}',
              f'--config.models.base.checkpoint={smoke / "models" / "base"}',
              '--config.models.logprob.enabled=True', '--config.verifier=logprob',
              '--config.search.lookahead_questions=0')
  written = json.loads((workdir / 'report' / 'results.json').read_text())
  beams = [r for r in written['curves'] if r['strategy'] == 'beam' and r['bin'] is None]
  assert {r['budget'] for r in beams} == {1, 4} and all(r['guided'] for r in beams)
  rows = list(records.iterate(workdir, 'search', 'sample-n4'))
  for row in rows:
    mean = row['logprob'] / len(row['tokens'])
    assert row['answer_score'] == pytest.approx(1 / (1 + math.exp(-10 * mean)), abs=1e-5)
