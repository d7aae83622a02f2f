"""The report's page: one screen, then folded parts that each say what they found; pictures that say
their values without a script."""

import dataclasses
import html
import re
import xml.etree.ElementTree as ElementTree

import pytest

from tests.eval import synthetic
from tests.eval.report.report_test import Reader
from tts.eval.figures import all_figures
from tts.eval.report import index_page, plots, results as results_lib, svg, tables
from tts.eval.storage import runfiles


@pytest.fixture(scope='module')
def made(tmp_path_factory):
  folder = synthetic.write_run(tmp_path_factory.mktemp('run'), questions=30)
  return results_lib.assemble(runfiles.load(folder)) | {'pooled': []}


@pytest.fixture(scope='module')
def figures(made):
  return list(all_figures.draw(made))


@pytest.fixture(scope='module')
def text(made, figures):
  return index_page.render(made, figures, [], {})


def parts(text):
  """Title -> (finding, all of it), the texts unescaped."""
  found = [t.split('</summary>')[0] for t in text.split('<details class="part">')[1:]]
  return {html.unescape(a): html.unescape(b) for a, b in (
      re.fullmatch(r'<summary><h2>(.*)</h2><span>(.*)</span>', t).groups() for t in found)}


def test_one_screen_then_folded_parts_that_begin_with_what_they_found(text):
  Reader(text)
  first = text.split('<details')[0]
  assert first.count('<svg') == 1 and first.count('<table') == 1 and first.count('<li>') == 3
  assert first.split('<tbody>')[1].count('<tr>') <= 10 and 'not measured' not in first
  assert ' open' not in text.split('</main>')[0].split('<details class="part"')[1].split('>')[0]
  found = parts(text)
  assert {'Every method and budget', 'On which questions', 'At what cost', 'The verifier',
          'Against larger models', 'Where tokens and time went'} <= set(found)
  for title, finding in found.items():
    assert len(finding) > 20 and finding.endswith('.'), title


def test_what_was_not_measured_is_named_in_a_line_and_has_no_row(made):
  short = {**made, 'models': {**made['models'], 'base': {**made['models']['base'], 'greedy': None}}}
  text = index_page.render(short, [], [], {})
  assert '<td>not measured</td>' not in text
  assert 'base model, greedy' in text.split('Not measured: ')[1].split('</p>')[0]


def test_nothing_of_a_page_is_run_or_fetched(text):
  assert "default-src 'none'" in text and '<script' not in text
  assert not re.search(r'https?:|@import|url\((?!#)|\son\w+=|javascript:', text)
  for name in re.findall(r'url\(#(\w+)\)|href="#(\w+)"', text):
    assert text.count(f' id="{"".join(name)}"') == 1
  ids = re.findall(r' id="([^"]*)"', text)
  assert ids and len(ids) == len(set(ids))


def test_every_point_says_its_value_and_n(made, figures):
  titles = [t.text for t in ElementTree.fromstring(figures[0].svg).iter('title')]
  said = '\n'.join(titles)
  for r in made['curves']:
    if r['bin'] is None and r['strategy'] in ('majority', 'best_of_n_weighted'):
      low, high = r['ci95']
      assert f'at {r["budget"]}: {r["accuracy"]:.3f} [{low:.3f}, {high:.3f}], n = 30' in said
  for f in figures:
    assert f.svg.count('<title>') >= len({r.get('budget') for r in f.rows}), f.name


def test_what_a_point_says_stands_over_the_point():
  figure, (ax,) = plots.new(6, 4)
  plots.line(ax, 'a <b> & "c"', [{'x': x, 'accuracy': y, 'ci95': None, 'n': 9}
                                 for x, y in ((1, 0.2), (2, 0.4), (4, 0.8))], 'x')
  _, drawn = plots.pictures(figure)
  root = ElementTree.fromstring(drawn)
  spots = [c for c in root.iter('circle') if c.get('class') == 'tip']
  at = {(round(float(u.get('x'))), round(float(u.get('y')))) for u in root.iter('use')}
  for spot in spots:
    assert (round(float(spot.get('cx'))), round(float(spot.get('cy')))) in at
  assert [s.find('title').text for s in spots] == [
      f'a <b> & "c", at {x}: {y:.3f}, n = 9' for x, y in ((1, 0.2), (2, 0.4), (4, 0.8))]
  assert '<b>' not in drawn and 'a &lt;b&gt; &amp; "c"' in drawn
  assert svg.labelled(drawn, '"><script>').count('<script') == 0


def test_values_in_one_place_are_said_together():
  figure, (ax,) = plots.new(6, 4)
  for label in ('one', 'other'):
    plots.line(ax, label, [{'x': x, 'accuracy': 0.5, 'ci95': None} for x in (1, 9)], 'x')
  titles = [t.text for t in ElementTree.fromstring(plots.pictures(figure)[1]).iter('title')]
  assert titles == ['one, at 1: 0.500\nother, at 1: 0.500', 'one, at 9: 0.500\nother, at 9: 0.500']


def test_no_two_strategies_look_alike_without_colour():
  names = list(plots._STYLES)
  looks = [plots.style(n)['marker'] for n in names[:names.index('PRM')]]
  assert len(set(looks)) == len(looks)
  assert not {marker for _, marker, _ in plots._OTHERS} & {m for _, m, _ in plots._STYLES.values()}


def claim(reproduced, effect, n):
  return {'id': str(n), 'claim': f'claim of {n}', 'direction': 'above', 'reproduced': reproduced,
          'effect': effect, 'ci95': None if effect is None else [effect - 0.1, effect + 0.1],
          'n': n, 'evidence': '<b>N = 16</b>', 'power': None, 'undecidable': None}


def test_claims_stand_by_what_became_of_them():
  rows = [claim(True, 0.2, 400), claim('inconclusive', 0.05, 60), claim(False, -0.2, 300),
          claim('inconclusive', None, 0), claim(True, 0.3, 200)]
  groups = tables.claim_groups({'claims': rows})
  assert {k: [c['n'] for c in v] for k, v in groups.items()} == {
      'held': [400, 200], 'did not hold': [300], 'undecidable here with this n': [60],
      'not measured in this run': [0]}
  text = ''.join(tables.claims(groups))
  assert re.findall(r'<h3>(.*?)</h3>', text) == [
      'Held: 2', 'Did not hold: 1', 'Undecidable here with this n: 1',
      'Not measured in this run: 1']
  undecided = text.split('Undecidable')[1].split('<h3>')[0]
  assert '<td>60</td>' in undecided and 'claim of 400' not in undecided
  assert '<b>' not in text
  assert '<h3>Did' not in ''.join(tables.claims(tables.claim_groups({'claims': rows[:2]})))


def test_a_page_of_almost_nothing(made):
  bare = {**made, 'curves': [], 'contrasts': [], 'claims': [], 'compute_optimal': [],
          'efficiency': [], 'decomposition': [], 'moved': [], 'settled': [], 'votes': [],
          'flops_matched': [], 'break_even': [], 'ledger': {}, 'stages': [], 'config': None,
          'models': {'base': None, 'large': None}, 'verifier': {'main': 'prm', 'prm': None}}
  text = index_page.render(bare, [], [], {})
  Reader(text)
  assert 'is not known' in text.split('<details')[0] and '<table' not in text.split('<details')[0]
  assert 'The verifier' not in parts(text)


def test_a_figures_texts_are_escaped(made, figures):
  figure = dataclasses.replace(figures[0], title='<i>"', caption='<u>')
  text = index_page.render(made, [figure], [], {})
  assert '<i>' not in text and '<u>' not in text and '&lt;u&gt;' in text
