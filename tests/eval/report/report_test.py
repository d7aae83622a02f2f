"""The report's files: complete, self-contained, escaped, and from the command line."""

import csv
import html
import html.parser
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from tests.eval import synthetic
from tts.eval.figures import all_figures, figure
from tts.eval.policy import crossfit, difficulty, policy
from tts.eval.report import report
from tts.eval.storage import records

ROOT = pathlib.Path(__file__).parents[3]
# All but those of revisions, which tests/eval/revisions_test.py has, and of budget forcing.
FIGURES = {name for name in all_figures.FILES if not name.startswith((
    'revision', 'mechanisms', 'accuracy_vs_thinking'))}
JUDGES = 'prm', 'prm_plain', 'orm', 'orm_more'


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
  workdir = synthetic.write_run(tmp_path_factory.mktemp('run'), questions=50)
  report.write(workdir)
  return workdir


class Reader(html.parser.HTMLParser):
  """Tags with their attributes; every opened tag must be closed."""

  def __init__(self, text):
    super().__init__()
    self.seen, self.open = [], []
    self.feed(text)
    assert not self.open

  def handle_starttag(self, tag, attrs):
    self.seen.append((tag, dict(attrs)))
    if tag not in ('meta', 'img', 'br'):
      self.open.append(tag)

  def handle_endtag(self, tag):
    assert self.open.pop() == tag


def test_what_a_policy_is_made_of_stands_on_the_page(workdir):
  text = (workdir / 'report/index.html').read_text()
  shown = text.split('What each part of the policy is worth')[1].split('</table>')[0]
  for step in ('greedy answer', 'best single search', 'chosen per question',
               'placebo: chosen in random bins', 'majority at the same FLOPs'):
    assert step in shown
  assert shown.index('charged') < shown.index('oracle bins by pool')


def test_every_figure_is_there_as_picture_and_table(workdir):
  folder = workdir / 'report'
  assert {p.stem for p in folder.glob('*.png')} == FIGURES == {p.stem for p in folder.glob('*.csv')}
  for name in FIGURES:
    assert (folder / f'{name}.png').read_bytes().startswith(b'\x89PNG')
    assert b'matplotlib' not in (folder / f'{name}.png').read_bytes()
    rows = list(csv.DictReader((folder / f'{name}.csv').open()))
    assert rows and None not in rows[0]
  rows = list(csv.DictReader((folder / 'accuracy_vs_budget.csv').open()))
  made = json.loads((folder / 'results.json').read_text())
  row = next(r for r in made['curves'] if r['strategy'] == 'oracle' and r['budget'] == 8)
  mine = next(r for r in rows if r['strategy'] == 'oracle' and r['budget'] == '8')
  assert float(mine['accuracy']) == row['accuracy'] and float(mine['ci95_low']) == row['ci95'][0]


@pytest.mark.parametrize('name', ['index.html', 'tree-q0000-beam-m4-n16.html'])
def test_pages_load_nothing_and_link_to_what_exists(workdir, name):
  text = (workdir / 'report' / name).read_text()
  seen = Reader(text).seen
  assert not [t for t, _ in seen if t in ('script', 'link', 'iframe')]
  for _, attrs in seen:
    assert attrs.get('src', 'data:').startswith('data:')
    if not attrs.get('href', '#').startswith('#'):
      assert (workdir / 'report' / attrs['href']).exists()
  assert not re.search(r'url\((?!#)|@import|https?:', text)


def test_index_shows_numbers_intervals_ledger_and_trees(workdir):
  text = (workdir / 'report/index.html').read_text()
  made = json.loads((workdir / 'report/results.json').read_text())
  weighted = [r for r in made['curves'] if r['strategy'] == 'best_of_n_weighted'
              and r['bin'] is None][-1]
  assert figure.number(weighted['accuracy'], weighted['ci95']) in text
  assert text.count('<svg') == len(FIGURES) and 'tree-q0000-beam-m4-n16.html' in text
  ledger = text.split('Where tokens and time went')[1].split('</table>')[0]
  assert ledger.count('<td>1.000</td>') == sum(len(m) for m in made['ledger'].values())
  assert len(re.findall(r'<ol class="summary">(?:<li>[^<]*</li>){3}</ol>', text)) == 1


@pytest.fixture(scope='module')
def judged(tmp_path_factory):
  """The workdir and the results of a run with all verifiers, of a base that is quantised."""
  workdir = synthetic.write_run(tmp_path_factory.mktemp('judged'), questions=20, verifiers=JUDGES,
                                deep=5)
  path = workdir / 'models/base/model.json'
  meta = json.loads(path.read_text())
  path.write_text(json.dumps(meta | {'open': {'kind': 'lm', 'quantisation': 'Q4_K_M'}}))
  return workdir, report.write(workdir)


def test_a_report_of_every_verifier(judged):
  workdir, made = judged
  text = (workdir / 'report/index.html').read_text()
  Reader(text)
  lines = lambda name: {r['line'] for r in csv.DictReader(
      (workdir / f'report/{name}.csv').open())}
  every = {figure.VERIFIERS[name] for name in JUDGES}
  assert lines('prm_vs_orm') == lines('over_optimisation') == every
  assert lines('auc_by_step') == every | {figure.SUMMED}
  assert 'Hollow points are of fewer questions (5 of 20)' in text
  fools = text.split('What fools the verifiers')[1].split('class="part"')[0]
  assert fools.count('<details><summary>') == 3 and fools.count('<details open') == 1
  for fool in made['verifier']['prm']['fools']:
    assert fool['problem_id'] in fools
  for contrast in made['contrasts']:
    assert html.escape(contrast['what']) in text


def test_the_policy_is_beside_the_report_and_in_its_figure(workdir):
  fitted = policy.load(workdir / 'policy.json')
  assert fitted.estimator == difficulty.CHARGED
  rows = list(csv.DictReader((workdir / 'report/compute_optimal.csv').open()))
  assert {r['line'] for r in rows} == {
      'compute-optimal, oracle bins', 'compute-optimal, predicted bins', 'compute-optimal, charged',
      'best-of-N weighted', 'majority', 'log-probability vote'}
  charged = {int(r['budget']): float(r['accuracy']) for r in rows if 'charged' in r['line']}
  assert charged == {budget: fit.accuracy for budget, fit in fitted.fits.items()}


def test_numbers_are_the_same_when_written_again(workdir):
  before = {p.name: p.read_bytes() for p in (workdir / 'report').iterdir()}
  report.write(workdir)
  assert {p.name: p.read_bytes() for p in (workdir / 'report').iterdir()} == before
  assert not list((workdir / 'tmp').iterdir())


def test_a_tree_page_shows_every_node(workdir):
  nodes = records.read_json(workdir / 'trees/q0000-beam-m4-n16.json')['nodes']
  text = (workdir / 'report/tree-q0000-beam-m4-n16.html').read_text()
  body = html.unescape(text.split('<div class="scroll"')[1])
  shown = re.findall(r'title="round (\d+), slot (\d+), (\d+) tokens.*?<code>(.*?)</code>', body)
  assert sorted(shown) == sorted(
      (str(n['round'] + 1), str(n['slot']), str(n['tokens']), n['text']) for n in nodes)


def test_no_text_of_a_run_becomes_markup(tmp_path):
  synthetic.write_run(tmp_path, questions=6, beams=())
  bad = '</title><script>alert(1)</script>"\'><img src="https://x.org/y">'
  path = tmp_path / 'trees/q0000-beam-m4-n16.json'
  tree = records.read_json(path)
  tree.update(problem_id=bad, prompt=bad, winner=bad, answer=bad, strategy=bad)
  tree['nodes'][0]['text'] = bad
  records.write_json(path, tree)
  records.write_json(tmp_path / 'stages/<script>.json', {'stage': '<script>', 'wall_seconds': 1.0})
  records.write_json(tmp_path / 'run.json', {
      'config': {'name': bad}, 'config_hash': bad, 'versions': {}, 'device': bad, 'seeds': [bad]})
  report.write(tmp_path)
  for page in (tmp_path / 'report').glob('*.html'):
    seen = Reader(page.read_text()).seen
    assert 'script' not in [t for t, _ in seen]
    assert all(a.get('src', 'data:').startswith('data:') for _, a in seen)
    assert '<script' not in page.read_text()
  assert '&lt;script&gt;' in (tmp_path / 'report/index.html').read_text()


def test_what_a_run_no_longer_has_leaves_the_report(workdir, tmp_path):
  shutil.copytree(workdir, tmp_path, dirs_exist_ok=True)
  assert (tmp_path / 'report/accuracy_vs_budget_by_bin.png').exists()
  (tmp_path / 'report/mine.png').write_bytes(b'a reader put this here')
  (tmp_path / 'trees/q0000-beam-m4-n16.json').unlink()
  shutil.rmtree(tmp_path / 'records/difficulty')
  report.write(tmp_path)
  left = {p.name for p in (tmp_path / 'report').iterdir()}
  assert 'accuracy_vs_budget.png' in left and 'mine.png' in left
  assert not left & {'accuracy_vs_budget_by_bin.png', 'accuracy_vs_budget_by_bin.csv',
                     'tree-q0000-beam-m4-n16.html'}
  assert (tmp_path / 'policy.json').exists()
  shutil.rmtree(tmp_path / 'records/search')
  report.write(tmp_path)
  assert not (tmp_path / 'policy.json').exists()


def test_a_quantised_model_is_called_so(judged):
  workdir, _ = judged
  made = json.loads((workdir / 'report/results.json').read_text())
  assert [made['models'][name]['quantisation'] for name in ('base', 'large')] == ['Q4_K_M', None]
  assert made['verifier']['prm']['quantisation'] is None
  text = (workdir / 'report/index.html').read_text()
  assert 'One sample of the base model (Q4_K_M) is right' in text
  assert 'base model (Q4_K_M), greedy' in text and 'large model, greedy' in text


@pytest.mark.parametrize('pieces', [
    {'pool': 0, 'difficulty': 0}, {'difficulty': 0},
    {'verifiers': ('prm',), 'large': False, 'beams': ()}, {'pool': 1}, {'questions': 1}])
def test_a_report_at_any_moment_of_the_run(tmp_path, pieces):
  synthetic.write_run(tmp_path, **{'questions': 7, **pieces})
  report.write(tmp_path)
  Reader((tmp_path / 'report/index.html').read_text())


def test_beam_settings_are_on_the_lines_of_the_rules_that_give_them():
  rows = [{'strategy': 'beam', 'beam_width': m, 'lookahead': None, 'budget': n}
          for m, n in ((1, 1), (2, 4), (4, 4), (4, 16), (8, 16))]
  found = {k: [(r['beam_width'], r['budget']) for r in v] for k, v in figure.lines(rows).items()}
  assert found == {'beam, M = sqrt(N)': [(1, 1), (2, 4), (4, 16)],
                   'beam, M = 4': [(1, 1), (4, 4), (4, 16)], 'beam, M = 8': [(8, 16)]}


def test_lookahead_has_a_line_for_every_rule_that_was_run():
  """M is of the N = B / (k + 1) candidates; k = 1 ran with `sqrt` alone and has no line for 4."""
  settings = ((1, 1, 2), (1, 1, 4), (1, 2, 16), (1, 4, 64),
              (3, 1, 4), (3, 2, 16), (3, 4, 16), (3, 4, 64), (3, 2, 64))
  rows = [{'strategy': 'lookahead', 'lookahead': k, 'beam_width': m, 'budget': b}
          for k, m, b in settings]
  found = {k: [(r['beam_width'], r['budget']) for r in v] for k, v in figure.lines(rows).items()}
  assert found == {
      'lookahead k=1, M=sqrt(N)': [(1, 2), (1, 4), (2, 16), (4, 64)],
      'lookahead k=3, M=sqrt(N)': [(1, 4), (2, 16), (4, 64)],
      'lookahead k=3, M=4': [(1, 4), (4, 16), (4, 64)],
      'lookahead k=3, M=2': [(2, 64)]}


def command(*args):
  return subprocess.run([sys.executable, '-m', 'launch.report', *args], cwd=ROOT, text=True,
                        capture_output=True, env={**os.environ, 'PYTHONPATH': str(ROOT)})


def test_the_command(workdir):
  (workdir / 'report/index.html').unlink()
  done = command(f'--workdir={workdir}')
  assert done.returncode == 0, done.stderr
  assert (workdir / 'report/index.html').exists()


def test_the_commands_errors_are_one_line(tmp_path):
  for args in ((f'--workdir={tmp_path / "none"}',), (f'--workdir={tmp_path}',), (),
               (f'--workdir={tmp_path}', '--wrong=1')):
    done = command(*args)
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1, done.stderr
  assert list(tmp_path.iterdir()) == []


def test_the_analysis_needs_no_jax():
  code = 'import sys, tts.eval.report.report; sys.exit("jax" in sys.modules)'
  assert subprocess.run([sys.executable, '-c', code], cwd=ROOT).returncode == 0


def test_every_estimators_sums_are_made_once(tmp_path, monkeypatch):
  made = []
  sums = crossfit.sums

  def counted(estimator, ids, accuracy, of=None):
    if len(accuracy) > 1 and of is None:
      made.append((estimator.name, estimator.scheme, ids))
    return sums(estimator, ids, accuracy, of)

  monkeypatch.setattr(crossfit, 'sums', counted)
  monkeypatch.setattr(all_figures, 'draw', lambda results, mapped: [])
  report.write(synthetic.write_run(tmp_path, questions=12, deep=6))
  assert made and len(made) == len(set(made))
