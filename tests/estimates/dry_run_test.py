"""`--dry_run`: what it says is what the shapes give."""

import dataclasses

import jax
import pytest

from configs import arithmetic, quickstart, smoke
from tts import config
from tts.estimates import calibrate, cost, dry_run
from tts.models.transformer import Decoder, num_params
from tts.train.steps import init_params
from tts.stages import strategies
from tts.types import Strategy


EXPERIMENT = config.from_config_dict(smoke.get_config())


def without_revisions(experiment):
  return dataclasses.replace(
      experiment, revision=dataclasses.replace(experiment.revision, enabled=False))


@pytest.mark.parametrize('module', [arithmetic, quickstart, smoke])
def test_every_stage_has_a_line(module):
  experiment = config.from_config_dict(module.get_config())
  costs = {c.stage: c for c in dry_run.costs(without_revisions(experiment))}
  mid = {'mid'} if experiment.models['mid'].enabled else set()
  assert set(costs) == {'base', 'large', 'labels', 'verifiers', 'search', 'difficulty'} | mid
  assert all(c.tokens > 0 and c.flops > 0 and c.memory > 0 for c in costs.values())
  lines = dry_run.table(without_revisions(experiment), timed=False).splitlines()
  assert len(lines) == 2 + len(costs) and lines[1].startswith('base')
  assert lines[-1].startswith('by the data: prompts of ')


def test_large_numbers_keep_their_columns(monkeypatch):
  big = dry_run.Cost('labels', 10**9, 10**12, {'write': 9e19, 'read': 1e19}, 10**13)
  small = dataclasses.replace(big, spent={'train 32': 10**9})
  monkeypatch.setattr(dry_run, 'costs', lambda e, lengths: [big, small])
  monkeypatch.setattr(dry_run.calibrate, 'speeds', lambda e, lengths: calibrate.Speeds(
      {'write': 1.8e8, 'read': 0.5e9, 'train 32': 1e9}))
  *lines, _ = dry_run.table(EXPERIMENT).splitlines()
  assert len({len(line) for line in lines}) == 1
  assert lines[1].split('  ') == ['labels', '1,000,000,000', '1,000,000,000,000',
                                  '100,000,000,000.0', '10,000,000.0', '6,018,519 days']
  assert lines[2].split()[-2:] == ['1', 's']
  assert dry_run.table(EXPERIMENT, timed=False).splitlines()[1].endswith(' ?')
  assert dry_run.table(EXPERIMENT, done={'labels'}).splitlines()[1].endswith(' done')


@pytest.mark.parametrize('seconds, text', [
    (0.2, '0 s'), (119, '119 s'), (121, '2 min'), (7199, '120 min'), (7200, '2 h'),
    (10_915_579, '126 days')])
def test_durations_are_readable(seconds, text):
  assert dry_run.duration(seconds) == text


def test_revisions_have_a_line_where_they_are_enabled():
  on = config.from_config_dict(smoke.get_config('revisions'))
  lines = {c.stage: c for c in dry_run.costs(on)}
  assert lines.keys() - {c.stage for c in dry_run.costs(without_revisions(on))} == {
      'revision', 'revision_orms', 'restem', 'revise'}
  trained = 2 * 40 * 8 * 288
  assert lines['revision'].generations == 60 * 8 and lines['revision'].tokens > trained
  assert lines['revision_orms'].generations == 2 * 40 * 9
  assert lines['revise'].generations == 16 * (2 * 6 + 4 * 2 + 12 + 4)
  assert lines['restem'].tokens == 40 * 8 * 288
  longer = dataclasses.replace(on.revision, chains=((2, 12), (4, 2)))
  twice = {c.stage: c for c in dry_run.costs(dataclasses.replace(on, revision=longer))}['revise']
  # What is read again grows faster than what is written.
  assert twice.flops > 1.9 * lines['revise'].flops and lines['revise'].memory > 0


def test_parameters_are_counted_as_the_model_has_them():
  experiment = config.from_config_dict(quickstart.get_config())
  for name in ('base', 'mid', 'large'):
    arch = dataclasses.replace(experiment.models[name].arch, vocab_size=28)
    assert cost.params(dataclasses.asdict(arch)) == num_params(init_params(Decoder(arch), 0))


def test_trainings_of_one_width_are_timed_together():
  e = config.from_config_dict(quickstart.get_config())
  spent = {c.stage: c for c in dry_run.costs(e)}['verifiers'].spent
  assert {kind for kind in spent if kind.startswith('train')} == {'train 32', 'train 112'}
  update = lambda name: e.models[name].train.num_steps * cost.update(e, name, cost.arch(e, name))
  assert spent['train 112'] == update('prm')
  assert spent['train 32'] == update('prm_plain') + update('orm')


def test_twice_the_questions_cost_twice_as_much():
  experiment = config.from_config_dict(quickstart.get_config())
  config_ = experiment.search
  more = dataclasses.replace(experiment, search=dataclasses.replace(
      config_, questions=2 * config_.questions,
      lookahead_questions=2 * config_.lookahead_questions))
  one, two = ({c.stage: c for c in dry_run.costs(e)}['search'] for e in (experiment, more))
  assert two.generations == pytest.approx(2 * one.generations, abs=1)  # it is cut to a whole one
  assert two.flops == pytest.approx(2 * one.flops, rel=1e-6)


def test_larger_models_are_charged_for_their_answers():
  experiment = config.from_config_dict(arithmetic.get_config())
  without = dataclasses.replace(experiment, models=config.Models(**{
      **experiment.models, 'mid': dataclasses.replace(experiment.models['mid'], enabled=False)}))
  both, one = ({c.stage: c for c in dry_run.costs(e)} for e in (experiment, without))
  assert 'mid' in both and 'mid' not in one
  assert both['search'].generations - one['search'].generations == 400 * (1 + 4)
  assert both['search'].flops > one['search'].flops


def count(arch):
  decoder = Decoder(dataclasses.replace(arch, vocab_size=28))
  return num_params(jax.eval_shape(lambda: init_params(decoder, 0)))


def test_the_larger_models_are_about_4_and_14_times_the_base():
  for module in (quickstart, arithmetic):
    experiment = config.from_config_dict(module.get_config())
    models = experiment.models
    base, large = (count(models[name].arch) for name in ('base', 'large'))
    assert (base, large) == (25_632, 353_360)
  assert count(models['mid'].arch) == 109_760


@pytest.mark.parametrize('k, steps', [(0, 5), (1, 5), (3, 5), (3, 2), (7, 4), (3, 1)])
def test_a_simulation_ends_with_its_solution(k, steps):
  search = Strategy.of('lookahead', 8 * (k + 1), beam_width=4, lookahead=k)
  simulated = sum(min(k, steps - s) for s in range(1, steps + 1))
  assert strategies.written(search, steps) == pytest.approx(8 * (steps + simulated) / steps)
  assert strategies.written(search, steps) <= search.budget
  assert strategies.written(search, 10**6) == pytest.approx(search.budget, rel=1e-5)


def test_lookahead_writes_what_the_committed_quickstart_wrote():
  """Its tokens a question over those of a sample, results/quickstart: k = 1 14.3, k = 3 10.8."""
  for k, seen in ((1, 14.31), (3, 10.81)):
    search = Strategy.of('lookahead', 16, beam_width=2, lookahead=k)
    assert strategies.written(search, 4.7) == pytest.approx(seen, rel=0.02)


def test_deep_budgets_and_the_ablations_run_on_what_they_are_given():
  made = arithmetic.get_config()
  made.search.update(dict(deep_questions=100, deep_pool=256, deep_budgets=(256,)))
  experiment = config.from_config_dict(made)
  assert strategies.sampled(experiment) == 400 * 65 + 100 * 256
  # Widths sqrt and 4 are one setting at N = 1, 16 and 32; the four other methods have one.
  beam, whole = 1 + 2 * (2 + 4 + 8) + 16 + 32 + 2 * 64, 1 + 2 + 4 + 8 + 16 + 32 + 64
  # Of 5 steps k = 1 simulates 4, k = 3 has 3 + 3 + 2 + 1 = 9 left.
  ahead = (1 + 4 / 5) * (2 + 8 + 32) + (1 + 9 / 5) * (1 + 4 + 16)
  few = 100 * (4 + 16 + 64)
  assert strategies.guided(experiment, steps=5) == {
      'latent': pytest.approx(400 * (beam + 4 * whole + ahead) + 100 * (2 + 4) * 256),
      'prm': few, 'prm_plain': few, 'logprob': few}
