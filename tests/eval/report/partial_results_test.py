"""Results of runs that are not whole, or damaged: nulls with reasons, errors that name a file."""

import json
import shutil

import pytest

from tests.eval import synthetic
from tts.eval.report import results
from tts.eval.storage import records, runfiles
from tts.types import InputError


def assemble(workdir):
  """As a reader gets it: through strict JSON."""
  text = json.dumps(results.assemble(runfiles.load(workdir)), allow_nan=False)
  return json.loads(text)


@pytest.mark.parametrize('pieces', [
    {'pool': 0, 'difficulty': 0}, {'difficulty': 0}, {'verifiers': ('prm',), 'large': False},
    {'pool': 4}, {'pool': 1, 'beams': ()}, {'questions': 1}, {'questions': 3, 'difficulty': 2}])
def test_missing_pieces_give_nulls_with_reasons(tmp_path, pieces):
  made = assemble(synthetic.write_run(tmp_path, **{'questions': 12, **pieces}))
  if pieces.get('pool') == 0:
    assert made['curves'] == [] and made['verifier']['prm']['auc_within'] is None
    assert made['models']['base']['pass_at_1'] is None
    assert 'models.base.pass_at_1' in made['reasons']
  if pieces.get('difficulty') == 0:
    assert {r['bin'] for r in made['curves']} <= {None} and 'curves.bin' in made['reasons']
  if pieces.get('verifiers') == ('prm',):
    assert made['verifier']['orm'] is None and made['models']['large'] is None
    assert not [r for r in made['ablations'] if r['verifier'] == 'orm']
  if pieces.get('pool') in (1, 4):
    assert made['verifier']['prm']['gap_closed'] is None
    assert '16 samples' in made['reasons']['verifier.prm.gap_closed']
  if pieces.get('questions') == 1:
    assert all(r['ci95'] is None for r in made['curves'])


def test_a_run_that_has_only_begun(tmp_path):
  records.write_json(tmp_path / 'run.json', {'config': None})
  assert assemble(tmp_path)['curves'] == []
  records.write_json(tmp_path / 'run.json', {})
  made = assemble(tmp_path)
  assert made['curves'] == [] and made['peak_rss_bytes'] is None and made['models']['base'] is None


def test_a_folder_that_is_no_run(tmp_path):
  with pytest.raises(InputError, match='no run.json'):
    runfiles.load(tmp_path)
  with pytest.raises(InputError, match='no such folder'):
    runfiles.load(tmp_path / 'none')


def test_a_half_scored_pool_is_not_scored(tmp_path):
  synthetic.write_run(tmp_path, questions=10)
  path = next((tmp_path / 'records/search/sample-n16').iterdir())
  rows = records.read_block(path)
  voter = next(r for r in rows if r['answer'] is not None)
  voter['answer_score'] = None
  records.write_block(path, rows)
  made = assemble(tmp_path)
  assert not [r for r in made['curves'] if r['strategy'] == 'best_of_n']
  assert 'only in part' in made['reasons']['verifier.prm']
  shutil.rmtree(tmp_path / 'records')
  assert assemble(tmp_path)['curves'] == []


@pytest.mark.parametrize('file, text', [
    ('run.json', '[]'), ('stages/search.json', '{}'), ('models/base/model.json', '{"arch": {}}'),
    ('questions.json', '[]'), ('timings/*/*/*.json', '{}')])
def test_json_that_is_not_what_it_should_be_is_named(tmp_path, file, text):
  synthetic.write_run(tmp_path, questions=10)
  path = next(iter(sorted(tmp_path.glob(file))), tmp_path / file)
  path.write_text(text)
  with pytest.raises(InputError, match=f'{path}: not a JSON object with'):
    runfiles.load(tmp_path).questions()
