"""Which stages a run has."""

import dataclasses

import pytest

from configs import smoke
from tts import config
from tts.estimates import cost, device_programs, dry_run
from tts.stages import graph, reproduce
from tts.types import InputError

REVISIONS = ('revision', 'revision_orms', 'restem', 'revise')


LAUNCHERS = ('train_lm', 'rollouts', 'train_verifier', 'train_revision', 'search', 'revise')


@pytest.mark.parametrize('revising', [False, True])
def test_what_is_off_is_no_stage(tmp_path, monkeypatch, revising):
  """By each launcher in turn, of stages that do nothing."""
  made = smoke.get_config('revisions' if revising else '')
  made.models.mid.enabled = False
  experiment = config.from_config_dict(made)
  wanted = ['data', 'base', 'large', 'labels', 'verifiers',
            *(REVISIONS[:3] if revising else ()), 'search', 'difficulty',
            *(REVISIONS[3:] if revising else ())]
  stages = graph.stages(experiment)
  assert [stage.name for stage in stages] == wanted
  ran = []
  monkeypatch.setattr(graph, 'stages', lambda e: [
      dataclasses.replace(stage, works=lambda run: (),
                          run=lambda run, name=stage.name: ran.append(name))
      for stage in stages])
  for launcher in LAUNCHERS:
    reproduce.run_stages(reproduce.open_runs(experiment, str(tmp_path)),
                         graph.launched(experiment, launcher))
  assert ran == wanted
  assert sorted(p.stem for p in (tmp_path / 'stages').iterdir()) == sorted(ran)
  assert reproduce.finished(experiment, str(tmp_path)) == set(ran)
  other = dataclasses.replace(experiment, name='other')
  assert reproduce.finished(other, str(tmp_path)) == set()
  assert reproduce.finished(experiment, str(tmp_path / 'nowhere')) == set()
  two = dataclasses.replace(experiment, seeds=(0, 1))
  assert reproduce.finished(two, str(tmp_path)) == set()  # not of the second seed


@pytest.fixture
def given(monkeypatch):
  """The smoke config with checkpoints, whose architectures are the config's."""
  monkeypatch.setattr(cost.open_checkpoint, 'planned_arch', lambda *args: {'vocab_size': 40})
  monkeypatch.setattr(device_programs, 'most', lambda experiment: {})

  def make(*names, revising=True):
    made = smoke.get_config('revisions' if revising else '')
    for name in names:
      made.models[name].checkpoint = f'/{name}'
    return config.from_config_dict(made)

  return make


@pytest.mark.parametrize('names,revising,wanted', [
    (('base',), True, ['search', 'difficulty']),
    (('base', 'prm', 'revision'), False, ['search', 'difficulty']),
    (('base', 'prm', 'revision'), True, ['search', 'difficulty', 'revise'])])
def test_evaluate_plans_what_it_runs(given, names, revising, wanted):
  """No labels and no trainings; of models without a checkpoint nothing."""
  e = given(*names, revising=revising)
  planned, stages = reproduce.evaluated(e)
  ran = [stage.name for stage in stages]
  lines = dry_run.table(planned, ran, timed=False).splitlines()[1:-1]
  assert [line.split()[0] for line in lines] == ran == wanted
  assert tuple(name for name, model in planned.models.items() if model.enabled) == names
  assert len(dry_run.table(e, timed=False).splitlines()) > 5  # a run from nothing has more


def test_models_that_are_not_there_cost_an_evaluation_nothing(given):
  of = lambda *names: {c.stage: c for c in dry_run.costs(reproduce.evaluated(given(*names))[0])}
  alone, more = of('base', 'revision'), of('base', 'revision', 'revision_orm', 'revision_control')
  assert alone['revise'].generations == 16 * (2 * 6 + 4 * 2)
  assert more['revise'].generations == 16 * (2 * 6 + 4 * 2 + 12)
  assert alone['revise'].flops < more['revise'].flops
  assert alone['search'].flops == more['search'].flops < of('base', 'prm')['search'].flops


def test_an_evaluation_without_a_base_is_one_line(given):
  with pytest.raises(InputError, match='config.models.base.checkpoint is missing'):
    reproduce.evaluated(given('prm'))
