"""The account of tokens: exact sums, an identity that shows a lost token, training's records."""

import json

import numpy as np
import pytest

from tests.eval import synthetic
from tts.eval.figures import all_figures
from tts.eval.measures import flops
from tts.eval.measures.ledger import Ledger, ledger_ratio
from tts.eval.report import report, results
from tts.eval.storage import records, runfiles
from tts.types import InputError


@pytest.fixture
def workdir(tmp_path):
  return synthetic.write_run(tmp_path, questions=12, beams=((4, 4),))


def assemble(workdir):
  return json.loads(json.dumps(results.assemble(runfiles.load(workdir)), allow_nan=False))


def table(workdir):
  """The ledger's part of it."""
  run = runfiles.load(workdir)
  return run.ledger.table(run.models)


@pytest.fixture
def undrawn(monkeypatch):
  """Reports without pictures, which take half of their time."""
  monkeypatch.setattr(all_figures, 'draw', lambda results, mapped: [])


def label_rows():
  """As the labels stage writes them: steps' labels, and rollouts in the counts alone."""
  made = []
  for slot in (0, 1):
    got = synthetic.row(
        np.random.default_rng(slot), 0, 0.5, slot, stream='train_pool', budget=2,
        scored=())
    counts = {'prompt': 9 * (slot == 0), 'kept': 20, 'pruned': 0, 'simulated': 30, 'reencoded': 15,
              'last': 3, 'entered': 9 * (slot == 0) + 62, 'attended': 900}
    made.append({**got, 'split': 'verifier', 'problem_id': 'v0', 'labels': [1.0, 0.5, 0.0, 0.0],
                 'continuations': [2, 2, 1, 1], 'counts': {'base': counts}})
  return made


def test_sums_and_ratio():
  arch = synthetic.arch()
  ledger = Ledger()
  for slot in (0, 1):
    ledger.add('search', {'counts': {'base': synthetic.counts(9 * (slot == 0), 20, 1)}})
  table = ledger.table({'base': {'arch': arch, 'kind': 'lm'}})['search']['base']
  assert (table['prompt'], table['kept'], table['last'], table['entered']) == (9, 40, 2, 47)
  assert table['ratio'] == 1 and table['flops'] == flops.counted(arch, 'lm', table)
  assert ledger.table({})['search']['base']['flops'] is None


def test_computed_is_known_where_every_block_of_a_stage_says_it():
  ledger = Ledger()
  for stage in ('search', 'labels', 'revise'):
    for model in ('base', 'prm'):
      ledger.add(stage, {'counts': {model: synthetic.counts(9, 20, 1)}})
  ledger.add_computed('search', {'base': 40.5, 'orm': 3.0})
  ledger.add_computed('search', {'base': 20.5})
  ledger.add_computed('labels', {'base': 30.0})
  ledger.add_computed('labels', None)  # a block of before
  table = ledger.table({})
  of = lambda stage: {model: entry['computed'] for model, entry in table[stage].items()}
  assert of('search') == {'base': 61, 'prm': 0}
  assert of('labels') == of('revise') == {'base': None, 'prm': None}


def test_computed_is_read_from_the_timings_and_shown(workdir, undrawn):
  without = table(workdir)
  assert {m['computed'] for s in without.values() for m in s.values()} == {None}
  for path in (workdir / 'timings/search').rglob('*.json'):
    records.write_json(path, records.read_object(path) | {'computed': {'base': 1000, 'prm': 500}})
  made = report.write(workdir)['ledger']
  blocks = len(list((workdir / 'records/search').rglob('*.gz')))
  entered, computed = (made['search']['base'][k] for k in ('entered', 'computed'))
  assert computed == 1000 * blocks and made['search']['prm']['computed'] == 500 * blocks
  assert {m['computed'] for m in made['difficulty'].values()} == {None}
  text = (workdir / 'report/index.html').read_text()
  assert f'<td>{computed:,}<td>{computed / entered:.2f}' in text.replace('</td>', '')
  next((workdir / 'timings/search').rglob('*.json')).unlink()
  made = table(workdir)['search']
  assert {m['computed'] for m in made.values()} == {None}


def test_labelled_steps_per_second():
  ledger = Ledger()
  for stage in ('labels', 'search'):
    ledger.add(stage, {'counts': {m: synthetic.counts(9, 20, 1) for m in ('base', 'prm')}})
  speed = lambda: tuple(ledger.table({})['labels']['base'][k] for k in (
      'labelled_steps', 'labelled_steps_per_second'))
  assert speed() == (None, None)
  ledger.add_labelled(30, None)
  assert speed() == (30, None)  # not timed is not known
  ledger.add_labelled(100, 2.0)
  ledger.add_labelled(20, 1.0)
  assert speed() == (150, 40.0)
  others = [ledger.table({})['labels']['prm'], ledger.table({})['search']['base']]
  assert all('labelled_steps' not in entry for entry in others)


@pytest.mark.parametrize('field,sign', [
    ('prompt', -1), ('kept', -1), ('pruned', -1), ('simulated', -1), ('reencoded', -1),
    ('last', 1), ('entered', 1)])
def test_every_term_of_the_identity_shows(field, sign):
  entry = synthetic.counts(9, 2000, 1)
  assert ledger_ratio(entry) == 1
  assert (ledger_ratio({**entry, field: entry[field] + 20}) - 1) * sign > 0.005
  assert ledger_ratio(dict.fromkeys(entry, 0)) is None


def test_one_lost_token_is_marked_on_the_page(workdir, undrawn):
  path = next((workdir / 'records/search/sample-n16').iterdir())
  rows = records.read_block(path)
  rows[5]['counts']['base']['entered'] -= 1
  records.write_block(path, rows)
  made = report.write(workdir)
  assert 0.9995 < made['ledger']['search']['base']['ratio'] < 1  # rounded it would be 1.000
  text = (workdir / 'report/index.html').read_text()
  assert text.count('(!)') == 1 and text.count('<tr class=bad><td>search: base') == 1


def test_training_records_are_in_the_ledger_and_nowhere_else(workdir):
  before = assemble(workdir)
  records.write_block(workdir / 'records/labels/rollouts/block-00000.jsonl.gz', label_rows())
  after = assemble(workdir)
  entry = after['ledger'].pop('labels')
  assert set(entry) == {'base'}
  assert {k: entry['base'][k] for k in ('prompt', 'kept', 'simulated', 'reencoded', 'last')} == {
      'prompt': 9, 'kept': 40, 'simulated': 60, 'reencoded': 30, 'last': 6}
  assert entry['base']['ratio'] == 1
  for made in (before, after):  # strict accounting is what charges for labels
    made['flops_matched'] = [r for r in made['flops_matched'] if r['accounting'] == 'paper']
  assert after == before  # curves, models, verifier, the other stages' ledger


def test_a_block_that_only_carries_counts_is_charged_to_the_labels(workdir):
  """Of solutions without any answer: no step is labelled, but tokens were drawn."""
  folder = workdir / 'records/labels/rollouts'
  records.write_block(folder / 'block-00000.jsonl.gz', label_rows())
  one = runfiles.load(workdir)
  carrier = {**label_rows()[0], 'answer': None, 'labels': [], 'continuations': []}
  records.write_block(folder / 'block-00001.jsonl.gz', [carrier])
  two = runfiles.load(workdir)
  steps = lambda run: run.ledger.table(run.models)['labels']['base']['labelled_steps']
  assert steps(one) == steps(two) == 6
  extra = flops.counted(one.models['base']['arch'], 'lm', carrier['counts']['base'])
  assert two.ledger.label_flops(two.models) == one.ledger.label_flops(one.models) + extra


def test_a_training_record_without_counts_is_named(workdir):
  path = workdir / 'records/labels/rollouts/block-00000.jsonl.gz'
  rows = label_rows()
  for bad in ({**rows[1], 'counts': None}, {k: v for k, v in rows[1].items() if k != 'counts'},
              {**rows[1], 'counts': {'base': {}}}):
    records.write_block(path, [rows[0], bad])
    with pytest.raises(InputError, match='rollouts/block-00000.*lacks or misuses.*delete it'):
      runfiles.load(workdir)
