"""From the same checkpoints, records are one device's whatever the mesh is.

Bit for bit where as many devices share a model; where more or fewer do, sums are of other parts, so
greedy tokens are equal and log-probabilities nearly so. Several processes: `hosts_test`.
"""

import dataclasses

import numpy as np
import pytest

from configs import smoke
from tests.launch.conftest import record_hashes
from tts import config
from tts.data import problems
from tts.data.tokenizer import Tokenizer
from tts.eval.storage import records
from tts.models.arch import decoder
from tts.models.transformer import Decoder
from tts.runs.run import Run
from tts.runs.workdir import Workdir
from tts.stages import graph, reproduce
from tts.train import checkpoint
from tts.train.steps import init_params

pytestmark = pytest.mark.slow  # six meshes, each with programs of its own; smoke_test has two

# Four heads of each kind: four devices may share it.
BASE = decoder(layers=2, width=32, heads=4, mlp_width=64)
PRM = dataclasses.replace(BASE, surprise_layer=1, heads=('lm', 'value'))


@pytest.fixture(scope='module')
def experiment(tmp_path_factory):
  """The smoke config, shortened, with two random models for checkpoints."""
  made = smoke.get_config()
  made.models.mid.enabled = made.models.large.enabled = made.models.orm.enabled = False
  made.search.update(questions=10, pool=4, budgets=(4,), beam_widths=(2,), block=2, trees=0,
                     lookahead_questions=4, lookahead_budgets=(4,))
  made.limits.update(max_tokens=24, max_steps=4, max_step_tokens=8)
  made.difficulty.update(samples=4, block=2)
  folder = tmp_path_factory.mktemp('models')
  found = config.from_config_dict(made)
  texts = problems.load_split(found.data, 'lm', str(folder / 'data'))
  tokenizer = Tokenizer.train([p.prompt + p.solution for p in texts], 64)
  for seed, (name, arch) in enumerate((('base', BASE), ('prm', PRM))):
    arch = dataclasses.replace(arch, vocab_size=tokenizer.vocab_size)
    params = init_params(Decoder(arch), seed)
    # Far from uniform, so that a greedy answer does not hang on a last bit.
    params['params']['embed'] = params['params']['embed'] * 8
    checkpoint.save_model(folder / name, arch, params, {'kind': name, 'metrics': {}}, tokenizer)
    made.models[name].checkpoint = str(folder / name)
  return made


@pytest.fixture(scope='module')
def records_on(experiment, tmp_path_factory):
  """(groups, devices that share a model) -> workdir with the records of search and difficulty."""
  made = {}

  def on(groups, width):
    if (groups, width) not in made:
      workdir = tmp_path_factory.mktemp(f'w-{groups}-{width}')
      experiment.mesh.update(data=groups, model=width)
      run = Run(config.from_config_dict(experiment), Workdir(str(workdir)), 0)
      run.workdir.write_json('run.json', {})
      reproduce.run_stages([run], graph.launched(run.experiment, 'search'))
      made[groups, width] = workdir
    return made[groups, width]

  return on


@pytest.mark.parametrize('groups, width', [(8, 1), (4, 2), (2, 4)])
def test_groups_of_devices_write_what_one_group_writes(records_on, groups, width):
  alone = record_hashes(records_on(1, width))
  assert len(alone) > 20 and record_hashes(records_on(groups, width)) == alone


@pytest.mark.parametrize('width', [2, 4])
def test_a_model_over_several_devices_says_the_same(records_on, width):
  """Of drawn answers those are compared that are the same text: nearly all, a draw may be close."""
  one, several = (
      {(r['strategy'], r['problem_id'], r['slot']): r for r in records.read(
          records_on(1, w), 'search') if r['strategy'] in ('greedy', 'sample')}
      for w in (1, width))
  assert one.keys() == several.keys() and len(one) == 50
  same = [key for key in one if one[key]['tokens'] == several[key]['tokens']]
  assert len(same) > 45 and {key for key in one if key[0] == 'greedy'} <= set(same)
  for key in same:
    a, b = one[key], several[key]
    np.testing.assert_allclose(a['logprob'], b['logprob'], atol=1e-4)
    np.testing.assert_allclose(a['step_scores'] or [], b['step_scores'] or [], atol=1e-4)
  assert any(one[key]['step_scores'] for key in same)
