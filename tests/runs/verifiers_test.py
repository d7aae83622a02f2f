"""Which verifier is the main one, and what that costs before anything is run."""

import dataclasses

import pytest

from configs import arithmetic, smoke
from tts import config, parallel
from tts.estimates import cost, device_programs, dry_run
from tts.runs import verifiers
from tts.stages import strategies
from tts.types import InputError


def experiment(module=smoke, verifier='mean_value', plugins=('examples.my_verifier',)):
  made = module.get_config()
  made.plugins, made.verifier = plugins, verifier
  return config.from_config_dict(made)


@pytest.mark.parametrize('name,plugins', [('mean_value', ()), ('orm', ()), ('nobodys', ()),
                                          ('base', ('examples.my_verifier',))])
def test_only_what_can_guide_a_search_is_the_main_one(name, plugins):
  with pytest.raises(InputError, match=f"config.verifier is '{name}': one of prm, prm_plain") as e:
    dry_run.costs(experiment(verifier=name, plugins=plugins))
  assert '\n' not in str(e.value)


def test_the_others_are_beside_it():
  assert verifiers.beside(experiment()) == ['prm', 'prm_plain', 'latent', 'logprob']
  assert verifiers.beside(experiment(verifier='prm')) == ['prm_plain', 'latent', 'logprob', 'mean_value']
  assert verifiers.beside(experiment(verifier='prm_plain', plugins=())) == ['prm', 'latent', 'logprob']


def test_a_dry_run_counts_it():
  """The PRM's model is read once more a sample, and for the main searches in the PRM's place."""
  usual, mine = experiment(arithmetic, 'prm', ()), experiment(arithmetic)
  before, after = ({c.stage: c for c in dry_run.costs(e)} for e in (usual, mine))
  steps = 4.0
  old, new = (strategies.guided(e, steps) for e in (usual, mine))
  assert strategies.sampled(usual) == strategies.sampled(mine)
  assert new['mean_value'] == old['prm']
  assert new['prm'] == new['prm_plain'] == old['prm_plain']
  assert cost.read(mine, 'mean_value', 10, 20) == cost.read(usual, 'prm', 10, 20)
  more = after['search'].generations - before['search'].generations
  plain = sum(s.num_candidates for s in strategies.plain(usual.search))
  assert more == usual.search.questions * plain
  one = (after['search'].tokens - before['search'].tokens) / more  # tokens of a solution
  assert after['search'].tokens == pytest.approx(after['search'].generations * one, rel=1e-3)
  assert after['search'].flops > before['search'].flops and after['search'].memory > 0
  for stage in ('labels', 'verifiers', 'difficulty'):
    assert after[stage] == before[stage]
  alone = {c.stage: c for c in dry_run.costs(experiment(arithmetic, 'prm'))}['search']
  assert before['search'].flops < alone.flops  # as an ablation it is counted too


def test_its_programs_are_listed_and_are_its_own():
  mine = experiment()
  listed = {p.name: p for p in device_programs.listed(mine)}
  usual = {p.name for p in device_programs.listed(experiment(verifier='prm', plugins=()))}
  assert {'search/read-mean_value', 'search/read-prm'} <= set(listed)
  assert usual.isdisjoint({n for n in listed if 'mean_value' in n})
  program = listed['search/read-mean_value']
  assert program.models == ('mean_value',)
  # It reads the PRM's model, and no weight more; it alone is guided by, so it keeps more.
  own, prm = (listed[f'search/read-{n}'].footprint(8, 1) for n in ('mean_value', 'prm'))
  assert (own.arguments, own.others) == (prm.arguments, prm.others)
  mesh = parallel.make_mesh(1)
  own, prm = (listed[f'search/read-{n}'].lower(mesh).as_text() for n in ('mean_value', 'prm'))
  assert own != prm and own.count('dot_general') == prm.count('dot_general')
  assert device_programs.architecture(mine, 'mean_value') == device_programs.architecture(
      mine, 'prm')


def test_a_config_that_says_nothing_has_the_prm():
  usual = experiment(verifier='prm', plugins=())
  assert verifiers.main(usual) == 'prm' == config.Experiment().verifier
  old = config.to_config_dict(usual)
  del old['verifier']  # a run of before
  assert config.from_config_dict(old) == usual
  assert dataclasses.replace(usual, verifier='prm_plain') != usual
