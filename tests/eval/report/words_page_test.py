"""The words study's section and what it is rebuilt from, on a made-up study of the same shape.

The real one is rebuilt by `results/recompute.py`, the first step of CI; this one is slow.
"""

import shutil

import numpy as np
import pytest

from benchmarks import pages as writer
from results.rebuild import confident, drawing, numbers, pages
from tests.eval import words_study
from tests.recompute import recomputed
from tts.eval.claims import claim_sides
from tts.eval.measures import equal_flops
from tts.eval.report import question_data, results
from tts.eval.storage import records, runfiles
from tts.eval.votes import adaptive, rules, trace_confidence

STUDY = 'words/words'
MORE = 'words/more'  # two methods more, on the same questions
TEMPLATE = '''# A page
{{words/words section words.md}}
{{nobody/there section words.md}}
The end
'''


@pytest.fixture(scope='module')
def study(tmp_path_factory):
  """(the run, its results as published)."""
  run = runfiles.load(words_study.write(tmp_path_factory.mktemp('words')))
  found = results.measured(run)
  trials = results.trials_of(run, found)
  published = results.assemble(run, found, trials) | {'opening': None}
  data = question_data.encode(run, list(dict.fromkeys(t.estimator for t in trials)),
                              claim_sides.load(run.root))
  return run, published, data


@pytest.fixture(scope='module')
def clone(study, tmp_path_factory):
  """A repository with nothing but this study, its section in two pages, and the program."""
  root = tmp_path_factory.mktemp('clone')
  kept = root / 'results'
  (kept / 'pages').mkdir(parents=True)
  (root / 'docs').mkdir()
  for name in (STUDY, MORE):
    (kept / name).mkdir(parents=True)
    records.write_json(kept / name / 'results.json', study[1])
    (kept / name / question_data.FILE).write_bytes(study[2])
  shutil.copyfile(pages.RESULTS / 'recompute.py', kept / 'recompute.py')
  shutil.copytree(pages.RESULTS / 'rebuild', kept / 'rebuild',
                  ignore=shutil.ignore_patterns('__pycache__'))
  (kept / 'openings.json').write_text('[]', 'utf-8')
  section = (pages.RESULTS / 'pages' / 'words.md').read_text('utf-8')
  (kept / 'pages' / 'words.md').write_text(
      section.replace(' claims quickstart/arith arithmetic/arith arithmetic/plan', ' claims'),
      'utf-8')
  (kept / 'pages' / 'results.md').write_text(TEMPLATE, 'utf-8')
  (kept / 'pages' / 'readme.md').write_text('No study\n', 'utf-8')
  (root / 'README.md').write_text(f'{pages.BEGIN}{pages.END}', 'utf-8')
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(pages, 'RESULTS', kept)
    patch.setattr(writer, '_results', writer._results.__wrapped__)
    for page in pages.PAGES:
      path = root / page
      path.write_text(writer.written(page, path.read_text('utf-8') if path.exists() else ''),
                      'utf-8')
  return root


@pytest.mark.slow
def test_the_section_is_filled_and_every_changed_digit_of_it_is_found(clone):
  page = clone / 'docs' / 'results.md'
  lines = page.read_text('utf-8').splitlines(keepends=True)
  assert len(lines) > 120 and lines[-1] == 'The end\n' and not any('{{' in x for x in lines)
  assert sum('not measured' in x for x in lines) <= 8  # claims about larger models and ORMs
  done = recomputed(clone)
  assert done.returncode == 0, done.stdout + done.stderr
  # The last digit of every line that has a number of three places.
  changed = []
  for i, line in enumerate(lines):
    found = list(pages._TYPED.finditer(line))
    if found:
      at = found[-1].end() - 1
      lines[i] = line[:at] + str((int(line[at]) + 1) % 10) + line[at + 1:]
      changed.append(i + 1)
  page.write_text(''.join(lines), 'utf-8')
  done = recomputed(clone)
  assert done.returncode == 1 and len(changed) > 100
  said = [int(x.split(':')[1]) for x in done.stdout.splitlines() if ': printed ' in x]
  assert said == changed


@pytest.mark.slow
def test_a_section_of_a_study_that_is_not_there_is_left_out(clone, monkeypatch):
  monkeypatch.setattr(pages, 'RESULTS', clone / 'results')
  shutil.rmtree(clone / 'results' / 'nobody', ignore_errors=True)
  template = pages.template('docs/results.md')
  assert template.startswith('# A page\n## Word problems') and template.endswith('\n\nThe end\n')
  assert template.count('## Word problems') == 1


def test_claims_beside_those_of_a_study_that_lacks_some(tmp_path, monkeypatch):
  monkeypatch.setattr(pages, 'RESULTS', tmp_path)
  for where, ids in (('new/one', 'ab'), ('old/one', 'b')):
    (tmp_path / where).mkdir(parents=True)
    records.write_json(tmp_path / where / 'results.json', {
        'claims': [{'id': i, 'claim': f'It is {i}', 'effect': 0.5} for i in ids]})
  names, _, first, second = pages._claims(['new/one', 'old/one']).splitlines()
  assert names == '| the paper says | `new/one` | `old/one` |'
  assert first == '| It is a | {{new/one verdict a}} | not claimed |'
  assert second == '| It is b | {{new/one verdict b}} | {{old/one verdict b}} |'


@pytest.mark.slow
def test_every_vote_is_rebuilt(study, tmp_path):
  run, published, data = study
  records.write_json(tmp_path / 'results.json', {})
  (tmp_path / question_data.FILE).write_bytes(data)
  rebuilt = numbers.Numbers(tmp_path)
  assert {r['rule'] for r in published['votes']} == {r.name for r in rules.every()}
  assert {r['budget'] for r in published['votes']} == {2, 4, 8, 16, 32, 64}
  for r in published['votes']:
    row = rebuilt._rules.row(r['rule'], *r['parameters'].values(), r['budget'])
    for name in ('accuracy', 'majority', 'difference'):
      mean, ends, n = getattr(row, name)
      assert (mean, *ends) == pytest.approx((r[name], *r[f'{name}_ci95']), abs=1e-9), r
      assert n == r['n']
    assert (row.samples, row.tokens, row.flops) == pytest.approx(
        (r['generations'], r['tokens'], r['flops'])), r
  rows = published['equal_flops']
  assert len(rows) > 20 and any(r['difference'] is None for r in rows) is False
  for r in rows:
    names = [r['strategy'], r['budget'], *filter(None, (r['beam_width'],))]
    value, ends, n = rebuilt.of('equal_flops', names)
    assert n == r['n']
    assert (value, *ends) == pytest.approx((r['difference'], *r['ci95']), abs=1e-9), r


def test_a_majority_between_two_budgets():
  right = [np.array([0.0, 1.0]), np.array([1.0, 0.5])]
  assert equal_flops.majority_at(200.0, [100.0, 400.0], right).tolist() == pytest.approx(
      [0.5, 0.75])
  assert equal_flops.majority_at(403.0, [100.0, 400.0], right).tolist() == [1.0, 0.5]
  assert equal_flops.majority_at(410.0, [100.0, 400.0], right) is None
  assert equal_flops.majority_at(98.0, [100.0, 400.0], right) is None


def test_chances_against_the_software():
  rng = np.random.default_rng(0)
  answer = np.minimum(rng.geometric(0.4, (20, 32)) - 2, 5)  # -1 is none
  order = drawing.Order(answer, answer == 0, np.ones(answer.shape, int), 0)
  np.testing.assert_allclose(drawing.likelier(order), adaptive.after_each(answer))
  found, = drawing.bayes_factors([order])
  expected = adaptive.bayes_factors(answer)
  np.testing.assert_allclose(np.minimum(found, 1e6), np.minimum(expected, 1e6), rtol=1e-4)


def test_confidences_against_the_software(study):
  pool, = study[0].pools('base')
  traces, window = pool.confidence, rules.window(pool)
  again = np.float16(traces.value)
  assert np.array_equal(confident.decimals(again), traces.value)
  found = confident.Confidences(again, pool.length)
  for name, measure in trace_confidence.MEASURES.items():
    np.testing.assert_allclose(found.measures[name], measure(traces, window))
