"""The published pages, what they are written from, and the program that rebuilds their numbers."""

import ast
import json
import re
import shutil
import sys

import pytest

from benchmarks import pages as writer
from benchmarks import published
from results.rebuild import pages, text
from tests.recompute import recomputed

RESULTS = pages.RESULTS
STUDY = 'quickstart/arith'
TEMPLATE = '''# A page
{{WHERE n curve beam 16 4}} questions, {{WHERE curve beam 16 4}}; {{WHERE vote prm_plain beam 16 4}}
| {{WHERE exchange large 22 0}} | {{WHERE verifier prm auc_within}}; {{WHERE model base params}} |
| {{WHERE contrast beam_m_4_minus_weighted_n4_all}}, {{WHERE chain 4}} | {{WHERE scale large}} |
'''.replace('WHERE', STUDY)


@pytest.mark.parametrize('page', pages.PAGES)
def test_pages_have_the_committed_results(page):
  """Where this fails: python -m benchmarks.pages."""
  found = (pages.ROOT / page).read_text('utf-8')
  assert pages.template(page).count('{{') > (15 if page == 'README.md' else 300)
  assert writer.written(page, found) == found


def test_fields():
  where = 'arithmetic/arith'
  results = json.loads((RESULTS / where / 'results.json').read_text('utf-8'))
  row, = (r for r in results['curves'] if r['strategy'] == 'beam' and r['budget'] == 16
          and r['bin'] is None)
  low, high = row['ci95']
  assert writer.printed(f'{where} curve beam 16 4') == (
      f'{row["accuracy"]:.3f} [{low:.3f}, {high:.3f}]')
  assert writer.printed(f'{where} n curve beam 16 4') == f'{row["n"]:,}'
  # What a table of outcomes is not enough for is marked.
  assert writer.printed(f'{where} model large greedy').endswith(text.AWAITS)
  assert not writer.printed(f'{STUDY} model large greedy').endswith(text.AWAITS)
  assert 'inconclusive' in writer.printed(f'{where} verdict beam_behind_on_easy_questions')
  with pytest.raises(ValueError, match='0 rows'):
    writer.printed(f'{where} curve beam 17 4')


def test_a_readme_without_marks_is_an_error():
  with pytest.raises(ValueError, match='lacks'):
    pages.parted('README.md', 'no marks')


@pytest.fixture(scope='module')
def copied(tmp_path_factory):
  """One study, two pages and the program, elsewhere."""
  root = tmp_path_factory.mktemp('clone')
  (root / 'results' / 'pages').mkdir(parents=True)
  (root / 'docs').mkdir()
  shutil.copyfile(RESULTS / 'recompute.py', root / 'results' / 'recompute.py')
  shutil.copytree(RESULTS / 'rebuild', root / 'results' / 'rebuild',
                  ignore=shutil.ignore_patterns('__pycache__'))
  (root / 'results' / 'quickstart').symlink_to(RESULTS / 'quickstart')
  shutil.copyfile(RESULTS / 'openings.json', root / 'results' / 'openings.json')
  filled = pages.FIELD.sub(lambda match: writer.printed(match[1]), TEMPLATE)
  for name, page, whole in (('results.md', 'docs/results.md', filled),
                            ('readme.md', 'README.md', pages.BEGIN + filled + pages.END)):
    (root / 'results' / 'pages' / name).write_text(TEMPLATE, 'utf-8')
    (root / page).write_text(whole, 'utf-8')
  return root


def test_every_number_is_rebuilt(copied):
  done = recomputed(copied)
  assert done.returncode == 0, done.stdout + done.stderr
  assert done.stdout.startswith('18 numbers rebuilt, 0 differ; 0 await')


def digits(line):
  """Places of the digits of results in a line."""
  return [m.start() + i for m in re.finditer(r'\d[\d,.]*\d', line)
          for i, c in enumerate(m[0]) if c.isdigit()]


@pytest.mark.parametrize('number', (2, 3, 4))
def test_one_changed_digit_is_found(copied, number):
  page = copied / 'docs' / 'results.md'
  kept = page.read_text('utf-8')
  lines = kept.splitlines(keepends=True)
  line = lines[number - 1]
  try:
    for at in (digits(line)[0], digits(line)[-1]):
      other = str((int(line[at]) + 1) % 10)
      lines[number - 1] = line[:at] + other + line[at + 1:]
      page.write_text(''.join(lines), 'utf-8')
      done = recomputed(copied)
      assert done.returncode == 1, lines[number - 1]
      assert done.stdout.startswith(f'docs/results.md:{number}: printed ')
      assert ' 1 differ;' in done.stdout
  finally:
    page.write_text(kept, 'utf-8')


def test_other_resamples_move_ends_alone(copied):
  path, page = copied / 'results' / 'rebuild' / 'intervals.py', copied / 'docs' / 'results.md'
  kept = path.read_text('utf-8'), page.read_text('utf-8')
  try:
    path.write_text(kept[0].replace('SEED, REPLICATES = 2', 'SEED, REPLICATES = 7'), 'utf-8')
    assert path.read_text('utf-8') != kept[0]
    done = recomputed(copied)
    assert done.returncode == 0, done.stdout
    page.write_text(kept[1].replace('[0.', '[1.'), 'utf-8')  # an end that no resamples explain
    assert recomputed(copied).returncode == 1
  finally:
    path.write_text(kept[0], 'utf-8')
    page.write_text(kept[1], 'utf-8')


def test_a_number_that_no_field_made_is_found(copied):
  template = copied / 'results' / 'pages' / 'results.md'
  page = copied / 'docs' / 'results.md'
  kept = template.read_text('utf-8'), page.read_text('utf-8')
  try:
    for path, whole in zip((template, page), kept):
      path.write_text(whole + 'It is right on 0.912 of them.\n', 'utf-8')
    done = recomputed(copied)
    assert done.returncode == 1 and 'typed into the template' in done.stdout
  finally:
    for path, whole in zip((template, page), kept):
      path.write_text(whole, 'utf-8')


def test_recompute_needs_numpy_alone():
  files = [RESULTS / 'recompute.py', *(RESULTS / 'rebuild').glob('*.py')]
  assert len(files) > 10
  for path in files:
    for node in ast.walk(ast.parse(path.read_text('utf-8'))):
      names = [a.name for a in node.names] if isinstance(node, ast.Import) else (
          [node.module or ''] if isinstance(node, ast.ImportFrom) and not node.level else [])
      for name in names:
        top = name.split('.')[0]
        assert top in {'numpy', 'rebuild'} or top in sys.stdlib_module_names, (path, name)


def folders():
  return sorted(path.parent for path in RESULTS.glob('*/*/results.json'))


@pytest.mark.parametrize('folder', folders(), ids=lambda p: p.parent.name + '/' + p.name)
def test_every_opening_of_test_is_registered(folder):
  """Where this fails: python -m benchmarks.publish, or a line of history by hand."""
  results = json.loads((folder / 'results.json').read_text('utf-8'))
  if results['config']['search']['split'] != 'test':
    assert results.get('opening') is None
    return
  study = f'{folder.parent.name}/{folder.name}'
  # Of several seeds one a benchmark; of reports from before there were any, history alone tells.
  openings = results.get('openings') or [results.get('opening')]
  hashes = {o['config_hash'] for o in openings if o} or {results['config_hash']}
  found = [row for row in json.loads(published.OPENINGS.read_text('utf-8'))
           if row['study'] == study and row['config_hash'] in hashes]
  assert found and all(row['published'] for row in found)
  for opening in filter(None, openings):
    assert [opening.items() <= row.items() for row in found].count(True) == 1


def test_a_registry_keeps_what_people_wrote_and_tells_what_was_replaced():
  opening = {'commit': 'b', 'config_hash': '2', 'date': 'today', 'split': 'test'}
  before = [{'study': 's', 'commit': 'a', 'config_hash': '1', 'date': 'then', 'published': True,
             'remark': 'first'},
            {'study': 't', 'commit': 'a', 'config_hash': '1', 'date': 'then', 'published': True,
             'remark': ''}]
  once = published.entered(before, 's', opening)
  assert [row['published'] for row in once] == [False, True, True]
  once[-1]['remark'] = 'second'
  assert published.entered(once, 's', opening) == once


def test_what_is_published_is_small():
  size = sum(p.stat().st_size for p in RESULTS.rglob('*')
             if p.is_file() and '__pycache__' not in p.parts)
  assert size < 40e6
  for path in RESULTS.rglob('*.npz'):
    assert path.stat().st_size < 8e6
