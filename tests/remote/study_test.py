"""A study whose generator is on a server: the records of one that is here, and what is refused."""

import dataclasses
import functools
import pathlib

import numpy as np
import pytest

from tests.remote.conftest import DATA
from tests.remote.server import MODEL
from tts import config
from tts.eval.measures import outcomes
from tts.eval.report import results
from tts.eval.storage import records, runfiles
from tts.model_config import ModelConfig, Models
from tts.parallel import MeshConfig
from tts.runs import run as run_lib
from tts.stages import reproduce
from tts.types import InputError


ENGINE = {'name': 'tests', 'version': '1.2', 'model': MODEL, 'reproducible': False}
PROBED = 8  # tokens that the check at the start has written


def experiment(folders, url=None, **changes):
  """An evaluation of the two models, the generator at a URL where one is given."""
  return dataclasses.replace(config.Experiment(
      name='served', data=DATA, lanes=8, mesh=MeshConfig(data=1),
      models=Models(base=ModelConfig(checkpoint=str(folders.base), server=url),
                    prm=ModelConfig(checkpoint=str(folders.prm))),
      limits=config.LimitsConfig(max_prompt_tokens=32, max_tokens=24, max_steps=4,
                                 max_step_tokens=8),
      search=config.SearchConfig(
          questions=6, pool=4, budgets=(1, 4), block=2, trees=2, beam_widths=(2,),
          methods=('beam', 'particle_filter', 'lookahead'),
          lookahead=((1, 2),), lookahead_budgets=(8,), lookahead_questions=4),
      difficulty=config.DifficultyConfig(samples=4, block=3)), **changes)


def evaluate(experiment, workdir):
  """What `launch.evaluate` does, but for the report."""
  given, stages = reproduce.evaluated(experiment)
  reproduce.run_stages([reproduce.open_run(given, str(workdir))], stages)
  return runfiles.load(workdir)


def rows(workdir, engine=ENGINE):
  """Path of each record file --> its rows, without what a server makes different."""
  found = {}
  for path in sorted(pathlib.Path(workdir, 'records').rglob('*.jsonl.gz')):
    of = found[str(path.relative_to(workdir))] = records.read_block(path)
    for row in of:
      assert row.pop('engine', None) == engine
      row['counts'] = {m: c for m, c in row['counts'].items() if m != 'base'}
      row['logprob'] = round(row['logprob'], 3)
  return found


@pytest.fixture(scope='module')
def inside(folders, tmp_path_factory):
  workdir = tmp_path_factory.mktemp('inside')
  return evaluate(experiment(folders), workdir), rows(workdir, None)


def outcomes_of(run):
  """By all that names one: its accuracy, tokens and FLOPs a question."""
  mean = lambda x: None if x is None else float(np.mean(x))
  return {(o.strategy, o.parameters, o.budget, o.verifier, o.aggregation, o.selection): (
      mean(o.accuracy), mean(o.truncated), mean(o.verifier_tokens), mean(o.generated_tokens),
      mean(o.flops)) for o in outcomes.every(run)}


def test_records_and_costs(folders, inside, tmp_path):
  with folders.served() as server:
    run = evaluate(experiment(folders, server.url), tmp_path)
  want, records_inside = inside
  assert rows(tmp_path) == records_inside and len(records_inside) > 10
  reasons = {}
  base = results._model(run, 'base', reasons)  # pylint: disable=protected-access
  assert base['engine'] == ENGINE
  assert 'not reproducible' in reasons['models.base.engine']
  assert run.models['base']['params'] == want.models['base']['params']
  ours, theirs = outcomes_of(run), outcomes_of(want)
  assert ours.keys() == theirs.keys() and len(ours) > 20
  for name, (*same, tokens, flops) in ours.items():
    assert same == list(theirs[name][:3])
    assert tokens >= theirs[name][3] and flops > 0.5 * theirs[name][4]
  table, inside_table = (each.ledger.table(each.models) for each in (run, want))
  for stage in ('search', 'difficulty'):
    mine, its = table[stage]['base'], inside_table[stage]['base']
    assert mine['ratio'] == its['ratio'] == 1 and mine['computed'] is None
    assert all(mine[kind] == its[kind] for kind in ('prompt', 'kept', 'simulated', 'last'))
  total = lambda *kinds: sum(t['base'][kind] for t in table.values() for kind in kinds)
  assert total('kept', 'pruned', 'simulated') == server.written - PROBED
  assert total('entered') == server.entered - server.probed


def test_what_a_server_does_not_say_is_null(folders, inside, tmp_path):
  with folders.served(caches=False) as server:
    run = evaluate(experiment(folders, server.url), tmp_path)
  want, records_inside = inside
  assert rows(tmp_path) == records_inside
  entry = run.ledger.table(run.models)['search']['base']
  assert entry['entered'] is entry['attended'] is entry['flops'] is entry['ratio'] is None
  assert entry['kept'] == want.ledger.table(want.models)['search']['base']['kept']
  for name, (accuracy, *_, tokens, flops) in outcomes_of(run).items():
    assert flops is None and accuracy == outcomes_of(want)[name][0]
    assert tokens >= outcomes_of(want)[name][3]


@pytest.mark.slow
def test_a_server_that_dies_ends_the_run_in_one_line_and_the_run_goes_on(
    folders, inside, tmp_path, monkeypatch):
  make = run_lib.ServerConfig
  monkeypatch.setattr(run_lib, 'ServerConfig', functools.partial(make, patience=0.3))
  deaths, life, kept = 0, 12, {}
  with folders.served() as server:
    while True:
      server.fault = lambda number, last=server.number + life: 'close' if number >= last else None
      try:
        evaluate(experiment(folders, server.url), tmp_path)
        break
      except InputError as error:
        deaths += 1
        assert 'does not answer' in str(error) and '\n' not in str(error)
      there = {path: path.read_bytes() for path in tmp_path.glob('records/**/*.gz')}
      assert kept.items() <= there.items(), 'what was finished is there, and as it was'
      life = 12 if len(there) > len(kept) else 2 * life  # a setting's questions are done together
      kept = there
  assert deaths >= 10 and not list(tmp_path.glob('tmp/*'))
  assert rows(tmp_path) == inside[1]


@pytest.mark.parametrize('change,said', [
    ({'sampling': {'statistics': True}}, 'config.sampling.statistics'),
    ({'sampling': {'top_n_sigma': 1.0}}, 'config.sampling.top_n_sigma'),
    ({'models': {'logprob': {'enabled': True}}}, 'config.models.logprob.enabled=False'),
    ({'models': {'latent': {'enabled': True, 'checkpoint': 'x'}}},
     'config.models.latent.enabled=False'),
    ({'budget_forcing': {'thinking_tokens': (8,)}}, 'config.budget_forcing.thinking_tokens='),
])
def test_what_no_server_gives_is_refused(change, said, folders, tmp_path):
  with folders.served() as server:
    e = experiment(folders, server.url)
    for part in {'sampling', 'budget_forcing'} & set(change):
      e = dataclasses.replace(e, **{part: dataclasses.replace(getattr(e, part), **change[part])})
    for name, fields in change.get('models', {}).items():
      e = dataclasses.replace(e, models=Models(
          **{**e.models, name: dataclasses.replace(e.models[name], **fields)}))
    with pytest.raises(InputError, match=said):
      evaluate(e, tmp_path)
  assert not (tmp_path / 'run.json').exists() and not server.bodies


def test_nothing_is_trained_of_a_model_on_a_server(folders, tmp_path):
  with pytest.raises(InputError, match='no weights to train mid from'):
    reproduce.open_run(experiment(folders, 'http://127.0.0.1:9/v1'), str(tmp_path))
  for fields, said in (({'server': 'http://x/v1'}, 'checkpoint is to be'),
                       ({'served_as': 'x'}, 'server is not')):
    with pytest.raises(ValueError, match=said):
      Models(base=ModelConfig(**fields))
  with pytest.raises(ValueError, match='solutions'):
    Models(prm=ModelConfig(checkpoint='x', server='http://x/v1'))
