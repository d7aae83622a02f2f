"""A main verifier of another name: the same analysis, under that name."""

import gzip
import json
import shutil

import pytest

from configs.claims import CLAIMS
from tests.eval import synthetic
from tts.eval.claims import claim_sides
from tts.eval.figures import figure
from tts.eval.measures import flops
from tts.eval.report import results
from tts.eval.storage import records, runfiles

PARTS = ('curves', 'ablations', 'contrasts', 'ledger', 'difficulty', 'compute_optimal',
         'efficiency', 'moved', 'settled', 'flops_matched', 'break_even', 'claims')


@pytest.fixture(scope='module')
def workdirs(tmp_path_factory):
  """A run by the PRM, and one with the very records whose verifier a plugin brought."""
  usual = synthetic.write_run(tmp_path_factory.mktemp('run') / 'usual', questions=30, larger_pool=8)
  claim_sides.save(CLAIMS, usual)
  named = usual.with_name('named')
  shutil.copytree(usual, named)
  for path in named.rglob('*.jsonl.gz'):
    text = gzip.decompress(path.read_bytes()).replace(b'"prm"', b'"mean_value"')
    path.write_bytes(gzip.compress(text))
  run = records.read_json(named / 'run.json')
  records.write_json(named / 'run.json', run | {
      'config': run['config'] | {'verifier': 'mean_value'}, 'verifiers': {'mean_value': 'prm'}})
  return usual, named


@pytest.fixture(scope='module')
def made(workdirs):
  return [results.assemble(runfiles.load(w)) for w in workdirs]


@pytest.mark.parametrize('part', PARTS)
def test_every_number_is_that_of_the_prm(made, part):
  usual, named = made
  text = json.dumps(named[part])
  for own, theirs in (('"mean_value minus', '"PRM minus'), ('"mean_value', '"prm')):
    text = text.replace(own, theirs)
  assert json.loads(text) == json.loads(json.dumps(usual[part]))
  assert usual[part]


def test_it_is_called_by_its_name(made):
  usual, named = made
  assert list(named['verifier'])[:3] == ['main', 'mean_value', 'prm']
  mine, prm = named['verifier']['mean_value'], usual['verifier']['prm']
  assert {k: v for k, v in mine.items() if k != 'val_bce'} == {
      k: v for k, v in prm.items() if k != 'val_bce'}
  assert named['verifier']['prm']['auc_within'] is None  # it has scored nothing there
  assert [figure.main_label(r) for r in made] == ['PRM', 'mean value']
  assert {r['verifier'] for r in named['ablations']} >= {'mean_value', 'orm'}


def test_scores_of_the_main_one_of_before_are_not_taken_for_its_own(workdirs, tmp_path):
  """The config names another verifier; the pools have not been scored anew yet."""
  for source, main in zip(workdirs, ('mean_value', 'prm')):
    shutil.copytree(source, tmp_path / main)
    run = records.read_json(tmp_path / main / 'run.json')
    records.write_json(tmp_path / main / 'run.json', run | {'config': {'verifier': main}})
    made = results.assemble(runfiles.load(tmp_path / main))
    assert not any(r['strategy'] in ('beam', 'best_of_n_weighted') for r in made['curves'])
    assert {'predicted'}.isdisjoint(r['bins'] for r in made['ablations'])
    assert made['verifier'][main] is None or made['verifier'][main]['auc_within'] is None


def test_each_verifier_says_what_it_is_beside_its_generator(tmp_path):
  """Parameters and a token's FLOPs as shares of the base's; of a head on its states, the head's."""
  synthetic.write_run(tmp_path, questions=20, verifiers=('prm',))
  head = {'kind': 'latent', 'arch': None, 'params': 130, 'metrics': {'tokens': 10},
          'head': {'layers': [1, 2], 'beside': ['logprob'], 'width': 16}}
  folder = tmp_path / 'models' / 'latent'
  folder.mkdir()
  (folder / 'model.json').write_text(json.dumps(head))
  made = results.assemble(runfiles.load(tmp_path))['verifier']
  base = json.loads((tmp_path / 'models' / 'base' / 'model.json').read_text())
  assert made['main'] == 'prm'
  assert made['latent']['params_relative'] == 130 / base['params']
  whole = flops.per_token(base['arch']) + flops.per_output(base['arch'], 'lm')
  assert made['latent']['flops_per_token'] == (4 * 2 * 16 + 4) / whole
  assert made['prm']['flops_per_token'] > 10 * made['latent']['flops_per_token']
