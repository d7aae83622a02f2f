"""A study of several seeds: what pages say of its cells against what is rebuilt of their data."""

import numpy as np
import pytest

from benchmarks import pages as writer, published, seeds
from configs.claims import CLAIMS
from results.rebuild import crossing, intervals, numbers, pages, text
from tests.eval import synthetic
from tts.eval.claims import claim_sides
from tts.eval.measures import statistics
from tts.eval.figures import all_figures
from tts.eval.report import report, training_seeds
from tts.eval.storage import records

STUDY = 'made/up'
FIELDS = ('curve majority 16', 'curve beam 16 4', 'curve greedy 1', 'vote orm best_of_n_weighted 16',
          'contrast weighted_minus_majority_n16', 'contrast beam_m_4_minus_weighted_n16_all',
          'contrast beam_m_4_minus_weighted_n4_bins_3_to_5', 'model base pass_at_1',
          'model base params', 'verifier prm auc_within', 'verifier prm auc_gain_within',
          'verifier prm gap_closed', 'equal_flops beam 16 4', 'at oracle pool 16 search',
          'part oracle pool 16 choosing', 'exchange large 0.16 0', 'exchange large 0.16 1', 'scale large',
          'n curve beam 16 4', 'spread training curve beam 16 4',
          'spread benchmark curve beam 16 4', 'spread questions curve beam 16 4',
          'efficiency oracle pool best_fixed', 'efficiency oracle pool majority')


@pytest.fixture(scope='module')
def made(tmp_path_factory):
  """(folder of `results`, claims over all cells, [training, benchmark] accuracies of a beam)."""
  root = tmp_path_factory.mktemp('crossed')
  cells, beams = {}, {}
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(all_figures, 'draw', lambda *_: ())
    for t in (0, 3):
      for b in (5, 6):
        workdir = root / f't{t}-b{b}'
        synthetic.write_run(workdir, questions=24, pool=64, difficulty=4,
                            beams=((4, 4), (4, 16), (4, 64)), verifiers=('prm', 'orm'),
                            seed=10 * t + b)
        claim_sides.save(CLAIMS, workdir)
        results = report.write(workdir)
        cells[t, b] = workdir / 'report'
        beams[t, b] = next(r['accuracy'] for r in results['curves'] if r['bin'] is None and (
            r['strategy'], r['budget']) == ('beam', 16))
    rows = training_seeds.claim_rows(cells, CLAIMS, results['claims'])
    patch.setattr(published, 'RESULTS', root)
    patch.setattr(pages, 'RESULTS', root)
    patch.setattr(published, 'OPENINGS', root / 'openings.json')
    published.OPENINGS.write_text('[]', 'utf-8')
    waiting = []
    for cell, folder in cells.items():  # one by one, as several machines would
      published.add_cells({cell: folder}, folder.parent, STUDY)
      waiting.append(seeds.missing(published.cells(STUDY)))
    assert waiting == [[], [], [(3, 6)], []]
    published.publish_verdicts(STUDY, rows)
    for cached in (writer._results, writer._cells):
      cached.cache_clear()
    yield root, rows, np.array([[beams[t, b] for b in (5, 6)] for t in (0, 3)])
    for cached in (writer._results, writer._cells):
      cached.cache_clear()


def test_what_pages_say_is_rebuilt(made):
  rebuilt = crossing.load(made[0] / STUDY)
  for field in FIELDS:
    kind, *names = field.split()
    assert writer.printed(f'{STUDY} {field}') == text.number(kind, rebuilt.of(kind, names)), field
  assert sum(r['effect'] is not None for r in made[1]) > 8
  for row in made[1]:
    for kind in ('claim', 'verdict'):
      printed = writer.printed(f'{STUDY} {kind} {row["id"]}')
      assert text.number(kind, rebuilt.of(kind, [row['id']])) == printed, row


def test_a_mean_over_cells_has_both_seeds_in_its_interval(made):
  root, _, beams = made
  mean, (low, high), n = crossing.load(root / STUDY).of('curve', ['beam', '16', '4'])
  error, freedom = statistics.crossed(beams)
  assert mean == pytest.approx(beams.mean()) and n == 2 * 24
  assert high - mean == pytest.approx(error * statistics.student(freedom), rel=1e-3)
  assert mean - low == pytest.approx(high - mean)


def test_cells_of_a_run_are_those_with_a_whole_report(tmp_path):
  records.write_json(tmp_path / 'run.json', {'seeds': [3, 4, 9], 'config': {
      'revision': {'enabled': True},
      'data': {'family': 'plan', 'plan': {'seed': 12}, 'arith': {'seed': 0}}}})
  first, second, third = (tmp_path / f / 'report' for f in ('.', 'seeds/4', 'seeds/9'))
  for folder, names in ((first, ('results.json', 'questions.npz')), (third, ('results.json',)),
                        (second, ('results.json', 'questions.npz'))):
    folder.mkdir(parents=True)
    for name in names:
      (folder / name).touch()
    (folder.parent / 'stages').mkdir()
    (folder.parent / 'stages' / 'revise.json').touch()
  assert seeds.reports(tmp_path) == {(3, 12): first.resolve(), (4, 12): second}
  assert seeds.missing([(3, 12), (4, 12), (4, 13)]) == [(3, 13)]


def test_a_slim_cell_says_what_the_whole_file_says(made):
  cell = made[0] / STUDY / 'cells' / 't0-b5'
  whole, slim = (numbers.Numbers(folder) for folder in (made[0] / 't0-b5' / 'report', cell))
  assert (cell / 'questions.npz').stat().st_size < 0.8 * (
      made[0] / 't0-b5' / 'report' / 'questions.npz').stat().st_size
  for field in (*FIELDS, 'vote prm best_of_n 16', 'claim min_ahead_of_prod'):
    kind, *names = field.split()
    if kind != 'spread':
      assert slim.of(kind, names) == whole.of(kind, names), field


def test_cells_without_a_ratio_are_counted():
  assert text.censored([1.5, 2.0]) is None
  found = text.censored(['below', 1.5, 'flat', 'below'])
  assert text.number('efficiency', (found, None, None)) == (
      'never reached in 2, the baseline does not rise in 1, measured in 1 cells')


def test_spread_by_source():
  rng = np.random.default_rng(0)
  parts = [rng.normal(0, sd, shape) for sd, shape in ((0.3, (60, 1)), (0.1, (1, 60)))]
  cells = sum(parts) + rng.normal(0, 0.05, (60, 60))
  for found in (crossing.components(cells), statistics.components(cells)):
    assert found == pytest.approx((0.3, 0.1, 0.05), rel=0.2)
  assert crossing.components(cells) == pytest.approx(statistics.components(cells))


@pytest.mark.parametrize('freedom', [1.0, 2.0, 4.7, 16.0])
@pytest.mark.parametrize('t', [-1.0, 0.0, 0.7, 5.0])
def test_students_t(t, freedom):
  assert intervals.student_beyond(t, freedom) == pytest.approx(
      statistics.student_above(t, freedom), abs=1e-5)
