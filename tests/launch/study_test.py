"""Samples from elsewhere: the report of the same samples in a run, and no JAX."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests.eval import synthetic
from tests.pages import pages
from tts.eval.report import results
from tts.eval.storage import records, runfiles

ROOT = pathlib.Path(__file__).parents[2]
# As if JAX were not installed.
WITHOUT_JAX = '''
import runpy, sys
sys.modules.update(dict.fromkeys(('jax', 'jaxlib', 'flax', 'optax', 'orbax')))
runpy.run_module('launch.study', run_name='__main__', alter_sys=True)
'''
DIFFICULTY = 32


def study(*flags):
  return subprocess.run([sys.executable, '-c', WITHOUT_JAX, *flags], cwd=ROOT, text=True,
                        capture_output=True, env=os.environ | {'PYTHONPATH': str(ROOT)})


def exported(row, held):
  """A record as another program would have written it."""
  scores = {} if row['step_scores'] is None else {'prm': row['step_scores'],
                                                  'orm': row['other_scores'].get('orm')}
  if held:
    scores['orm'] = 0.5  # those of the difficulty pool are never read
  if row['strategy'] == 'beam':
    scores.pop('orm')
  text = '1+1=2\n2+2=4\n5+5=10\n#### ' + str(row['answer'])
  return {'problem_id': row['problem_id'], 'answer': str(100 + int(row['problem_id'][1:])),
          'response': text if row['answer'] else 'and so', 'scores': scores,
          'logprob': row['logprob'], 'num_tokens': len(row['tokens']), 'level': row['level'],
          'model': row['model'], 'finish_reason': 'length' if row['truncated'] else 'stop',
          'strategy': row['strategy'], 'budget': row['budget'],
          'beam_width': row['theta']['beam_width']}


def export(workdir, path):
  rows = [exported(r, stage == 'difficulty') for stage in ('search', 'difficulty')
          for r in records.iterate(workdir, stage)]
  path.write_text(''.join(json.dumps(r) + '\n' for r in rows))


@pytest.fixture(scope='module')
def both(tmp_path_factory):
  """Results of a run, and of a study of its samples."""
  folder = tmp_path_factory.mktemp('study')
  run = synthetic.write_run(folder / 'run', questions=25, difficulty=DIFFICULTY, larger_pool=4,
                            beams=((2, 4), (4, 16)))
  (run / 'trees/q0000-beam-m4-n16.json').unlink()
  # Searches hold every second slot of some questions; a file's candidates have no gaps.
  for path in records.blocks(run, 'search'):
    if 'beam' in path.parent.name:
      rows, last, slot = records.read_block(path), None, 0
      for row in rows:
        slot = slot + 1 if row['problem_id'] == last else 0
        last, row['slot'] = row['problem_id'], slot
      records.write_block(path, rows)
  export(run, folder / 'samples.jsonl')
  done = study(f'--samples={folder / "samples.jsonl"}', f'--workdir={folder / "w"}',
               f'--difficulty={DIFFICULTY}', '--params=base=25600,mid=102400,large=313600')
  assert done.returncode == 0, done.stderr[-3000:]
  (run / 'claims.json').write_bytes((folder / 'w/claims.json').read_bytes())
  theirs = json.loads((folder / 'w/report/results.json').read_text())
  assert '16 samples of each scored, 32 others for their difficulty' in done.stdout
  return results.assemble(runfiles.load(run)), theirs


COSTS = ('seconds', 'flops', 'verifier_tokens')


def without_costs(rows):
  return [{k: v for k, v in r.items() if k not in COSTS} for r in rows]


def test_accuracy_of_every_strategy_is_that_of_the_run(both):
  ours, theirs = both
  for part in ('curves', 'ablations'):
    assert without_costs(theirs[part]) == without_costs(ours[part]) != []
  assert {r['strategy'] for r in ours['curves']} == {
      'greedy', 'majority', 'logprob_weighted', 'best_of_n', 'best_of_n_weighted', 'oracle', 'beam'}
  assert {r['bin'] for r in theirs['curves']} == {None, 1, 2, 3, 4, 5}


@pytest.mark.parametrize('part', ['compute_optimal', 'contrasts', 'difficulty', 'moved',
                                  'moved_efficiency', 'settled', 'logprob', 'claims', 'break_even'])
def test_the_rest_is_that_of_the_run(both, part):
  assert both[1][part] == both[0][part]
  assert both[0][part]


def test_efficiency_in_generations_is_that_of_the_run(both):
  mine, other = ([r for r in made['efficiency'] if r['axis'] == 'generations']
                 for made in both)
  assert mine == other and any(r['ratio'] is not None for r in mine)
  assert all(r['ratio'] is None for r in both[1]['efficiency'] if r['axis'] == 'seconds')


def test_the_exchange_by_the_papers_accounting_is_that_of_the_run(both):
  mine, other = ([r for r in made['flops_matched'] if r['accounting'] == 'paper']
                 for made in both)
  assert mine == other and {r['larger'] for r in mine} == {'mid', 'large'}


def test_what_the_verifiers_know_is_that_of_the_run(both):
  for name in ('prm', 'orm'):
    mine, other = (made['verifier'][name] for made in both)
    trained = ('val_bce', 'logprob_weight', 'params', 'params_relative', 'flops_per_token', 'fools')
    assert {k: v for k, v in mine.items() if k not in trained} == {
        k: v for k, v in other.items() if k not in trained}
    margins = [[(f['problem_id'], f['margin']) for f in v['fools']] for v in (mine, other)]
    assert margins[0] == margins[1] != []
  steps = both[1]['verifier']['prm']['fools'][0]['wrong']['steps']
  assert [text for text, _ in steps][:3] == ['1+1=2', '2+2=4', '5+5=10']
  assert None not in [score for _, score in steps]


def test_costs_are_those_of_the_tokens_and_parameters_that_were_given(both):
  _, theirs = both
  row, = (r for r in theirs['curves'] if (r['strategy'], r['budget'], r['bin']) == (
      'majority', 4, None))
  assert row['generated_tokens'] == 4 * 20 and row['flops'] == 2 * 25600 * 4 * 20
  row, = (r for r in theirs['curves'] if (r['strategy'], r['budget'], r['bin']) == (
      'best_of_n_weighted', 4, None))
  assert row['verifier_tokens'] is None and row['flops'] is None
  assert {'curves.verifier_tokens', 'curves.flops'} <= set(theirs['reasons'])
  assert theirs['models']['base']['checkpoint'] is None


EXAMPLE = ('--params=base=1.5e9,large=20e9',)


@pytest.fixture(scope='module')
def example(tmp_path_factory):
  """The lines of docs/samples.md and the folder of their study."""
  folder = tmp_path_factory.mktemp('example')
  block, = (b for b in pages.blocks('json') if b.page == 'docs/samples.md')
  (folder / 'f.jsonl').write_text(block.text)
  done = study(f'--samples={folder / "f.jsonl"}', f'--workdir={folder / "w"}', *EXAMPLE)
  assert done.returncode == 0, done.stderr
  return folder


def test_the_pages_example(example):
  made = json.loads((example / 'w/report/results.json').read_text())
  assert made['models']['base']['pass_at_1'] == 4 / 6 and made['models']['large']['greedy'] == 1
  assert made['compute_optimal'] and made['flops_matched']


def test_again_nothing_changes_and_another_study_is_refused(example):
  files = lambda: {p: (p.stat().st_mtime_ns if 'records' in p.parts else 0, p.read_bytes())
                   for p in sorted((example / 'w').rglob('*')) if p.is_file()}
  before, samples = files(), example / 'f.jsonl'
  flags = (f'--samples={samples}', f'--workdir={example / "w"}', *EXAMPLE)
  (example / 'w/report/index.html').unlink()
  done = study(*flags)
  assert done.returncode == 0 and 'there already' in done.stdout, done.stderr
  assert files() == before
  for flag, drop in (('--difficulty=1', 0), ('--difficulty=0.5', 1)):
    samples.write_text(''.join(samples.read_text().splitlines(True)[drop:]))
    done = study(*flags, flag)
    assert done.returncode == 2 and 'give a new folder' in done.stderr, done.stderr
  assert files() == before


@pytest.mark.parametrize('flags,expected', [
    ((), '--samples'), (('--samples={f}',), '--workdir'),
    (('--samples={f}', '--workdir={w}'), 'line 2'),
    (('--samples={f}', '--workdir={w}', '--params=base=many'), 'base=many'),
    (('--samples={w}', '--workdir={w}'), 'cannot read'),
])
def test_a_mistake_is_one_line_and_writes_nothing(tmp_path, flags, expected):
  path = tmp_path / 'f.jsonl'
  path.write_text('{"id": "a", "answer": "1", "text": "#### 1", "score": 0.5}\nnot JSON\n')
  done = study(*(f.format(f=path, w=tmp_path / 'w') for f in flags))
  assert done.returncode == 2 and expected in done.stderr, done.stderr
  assert len(done.stderr.strip().splitlines()) == 1
  assert [p.name for p in tmp_path.iterdir()] == ['f.jsonl']


def test_bad_lines_and_samples_without_a_text_are_said(tmp_path):
  rows = [{'id': f'q{i}', 'answer': '7', 'choices': [
      {'message': {'content': None}, 'finish_reason': 'length'},
      *[{'message': {'content': '#### 7'}, 'finish_reason': 'stop'}] * 3]} for i in range(4)]
  path = tmp_path / 'f.jsonl'
  path.write_text(''.join(json.dumps(r) + '\n' + 'not JSON\n' * (i == 2)
                          for i, r in enumerate(rows)))
  flags = (f'--samples={path}', f'--workdir={tmp_path / "w"}', '--difficulty=1', '--skip_bad')
  done = study(*flags)
  assert done.returncode == 0, done.stderr
  assert 'left out 1 bad line: ' in done.stdout and 'line 4: not JSON' in done.stdout
  assert '4 of 16 samples have no text, so no answer' in done.stdout
  made = json.loads((tmp_path / 'w/report/results.json').read_text())
  assert made['models']['base']['pass_at_1'] == 2 / 3
  rows = records.read(tmp_path / 'w', 'search')
  assert [(r['text'], r['answer'], r['truncated']) for r in rows[:2]] == [
      ('', None, True), ('#### 7', '7', False)]
  assert 'there already' in study(*flags).stdout
  assert 'give a new folder' in study(*flags[:3]).stderr


def test_help_explains_the_format():
  done = study('--help')
  assert done.returncode == 0 and 'step_scores' in done.stdout and '--difficulty' in done.stdout
