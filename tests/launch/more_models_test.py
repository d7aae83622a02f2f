"""A second process verifier and a third larger model, from an entry in a config to the report."""

import json
import shutil

import pytest

from tests.launch import more_models
from tests.launch.conftest import record_hashes
from tts import config
from tts.estimates import device_programs, dry_run
from tts.stages import graph


@pytest.fixture(scope='module')
def finished(launcher, smoke, tmp_path_factory):
  """The smoke run, gone on with by a config that has two entries more."""
  workdir = tmp_path_factory.mktemp('more') / 'w'
  shutil.copytree(smoke, workdir)
  launcher.ok('reproduce', '--config=tests/launch/more_models.py', f'--workdir={workdir}',
              '--config.search.lookahead_questions=0', '--config.search.budgets=(4,)')
  return workdir


@pytest.fixture(scope='module')
def written(finished):
  return json.loads((finished / 'report' / 'results.json').read_text())


def test_what_is_planned_follows_from_the_entries():
  e = config.from_config_dict(more_models.get_config())
  assert [stage.name for stage in graph.stages(e)][:5] == ['data', 'base', 'mid', 'large', 'huge']
  assert ('huge', 'huge') in graph.trained(e) and ('verifiers', 'prm_wide') in graph.trained(e)
  assert 'huge' in {cost.stage for cost in dry_run.costs(e)}
  assert {'huge', 'prm_wide'} <= {use.model for use in graph.uses(e)}
  # Both have programs of other models' shapes, which are listed once: it alone keeps less.
  names = {program.name for program in device_programs.listed(e)}
  assert 'train/prm' in names and not {'train/huge', 'train/prm_wide'} & names


@pytest.mark.slow
def test_nothing_that_was_there_is_trained_or_searched_again(smoke, finished):
  before, after = record_hashes(smoke), record_hashes(finished)
  changed = {p for p in before if p in after and after[p] != before[p]}
  assert changed and {p.split('/')[2] for p in changed} == {'sample-n4'}  # another verifier's scores
  for name in ('base', 'large', 'prm'):
    assert (finished / 'models' / name / 'model.json').read_text() == (
        smoke / 'models' / name / 'model.json').read_text()


@pytest.mark.slow
def test_the_second_verifier_is_in_the_results(written):
  assert written['verifier']['prm_wide']['auc_within_n']
  assert written['verifier']['prm_wide']['prefix_auc_within_n'] is not None
  rows = {(r['strategy'], r['verifier'], r['budget']) for r in written['ablations']}
  assert {('best_of_n_weighted', 'prm_wide', 4), ('beam', 'prm_wide', 4)} <= rows
  assert written['ledger']['search']['prm_wide']['entered'] > 0
  assert 'prm_minus_prm_wide_auc_within' in {c['id'] for c in written['contrasts']}


@pytest.mark.slow
def test_the_third_larger_model_is_compared_with(written):
  assert written['models']['huge']['params'] and written['models']['huge']['greedy'] is not None
  assert {r['larger'] for r in written['flops_matched']} == {'mid', 'large', 'huge'}
  assert 'huge' in written['wall_seconds']


@pytest.mark.slow
def test_the_page_has_both(finished):
  page = (finished / 'report' / 'index.html').read_text()
  assert 'huge' in page and 'prm wide' in page


@pytest.mark.parametrize('name, model, why', [
    ('huge', config.ModelConfig(), 'huge.learns is None: a model of your own says what it learns'),
    ('huge', config.ModelConfig(learns='revisions'), 'one of solutions, rollouts'),
    ('prm', config.ModelConfig(learns='outcomes'), 'this model learns rollouts; give another name'),
    ('Huge', config.ModelConfig(learns='solutions'), 'no name of a model')])
def test_an_entry_says_what_it_is_for(name, model, why):
  with pytest.raises(ValueError, match=why):
    config.Models(**{name: model})
